"""The compiled sums against plain NumPy ones, and what they refuse."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import reference

import cyfes

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
# Of the largest value, for sums of about a hundred hills.
TOLERANCE = {"float64": 1e-13, "float32": 4e-6}
KERNELS = [("stretched-gaussian", "plumed"), ("gaussian", "plumed"), ("gaussian", "none")]


def random_hills(
    periodic: list[bool], kernel: str = "stretched-gaussian", count: int = 60, seed: int = 0
) -> cyfes.Hills:
    """Return hills of all widths, some centred outside the domain."""
    rng = np.random.default_rng(seed)
    ndim = len(periodic)
    return cyfes.Hills(
        names=[f"cv{i}" for i in range(ndim)],
        centers=rng.uniform(-3.5, 3.5, (count, ndim)),
        sigmas=rng.uniform(0.1, 1.5, (count, ndim)),
        heights=rng.uniform(0.1, 2.0, count),
        kernel=kernel,
        domain=[("-pi", "pi") if wraps else None for wraps in periodic],
    )


def uneven_grid(periodic: list[bool]) -> cyfes.Grid:
    """Return a grid with another number of bins along each axis."""
    ndim = len(periodic)
    return cyfes.Grid([-math.pi] * ndim, [math.pi] * ndim, range(9, 9 + ndim), periodic)


def relative_error(found: Any, expected: Any) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("kernel", "truncation"), KERNELS)
@pytest.mark.parametrize(
    "periodic",
    [[False], [True], [True, False], [True, True], [False, True, False], [True, False, True, True]],
)
def test_surface_and_gradient_equal_the_plain_sum(
    periodic: list[bool], kernel: str, truncation: str, dtype: str, device: str
) -> None:
    hills, grid = random_hills(periodic, kernel), uneven_grid(periodic)
    surface = cyfes.sum_hills(
        hills, grid, device=device, dtype=dtype, gradient=True, truncation=truncation
    )
    values, gradient = reference.free_energy(grid, hills)
    if truncation == "none":
        value, slope = reference.bias(grid.points(), hills)
        values, gradient = -value.reshape(grid.shape), -slope.reshape(gradient.shape)
    assert surface.values.dtype == dtype
    assert surface.device.startswith(device)
    assert relative_error(surface.values, values) < TOLERANCE[dtype]
    assert relative_error(surface.gradient, gradient) < TOLERANCE[dtype]


@pytest.mark.parametrize("device", DEVICES)
def test_surface_without_gradient_has_the_same_bits(device: str) -> None:
    hills, grid = random_hills([True, False]), uneven_grid([True, False])
    with_gradient = cyfes.sum_hills(hills, grid, device=device, gradient=True)
    without = cyfes.sum_hills(hills, grid, device=device)
    assert without.gradient is None
    np.testing.assert_allclose(without.values, with_gradient.values, rtol=0, atol=1e-14)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kernel", ["stretched-gaussian", "gaussian"])
@pytest.mark.parametrize("ndim", [1, 2, 3, 6])
@pytest.mark.parametrize(("points", "count"), [(1, 3000), (131, 700), (5000, 1)])
def test_bias_equals_the_plain_sum(
    points: int, count: int, ndim: int, kernel: str, dtype: str, device: str
) -> None:
    hills = random_hills([True] + [False] * (ndim - 1), kernel, count)
    where = np.random.default_rng(1).uniform(-1.0, 1.0, (points, ndim))
    where[0] = hills.centers[0]
    expected, _ = reference.bias(where, hills)
    found = cyfes.bias(where, hills, device=device, dtype=dtype)
    assert found.shape == (points,)
    assert relative_error(found, expected) < TOLERANCE[dtype]


@pytest.mark.parametrize("device", DEVICES)
def test_bias_of_a_well_tempered_run_is_scaled_by_its_bias_factor(device: str) -> None:
    where, centers, sigmas = [[0.0]], [[0.0], [0.0], [0.0]], [[1.0]] * 3
    hills = cyfes.Hills(["x"], centers, sigmas, [10.0, 20.0, 40.0], bias_factors=[10.0, 1.0, -1.0])
    # Factors 1 and -1 stand for runs that are not tempered.
    assert cyfes.bias(where, hills, device=device) == pytest.approx(9.0 + 20.0 + 40.0)


def test_bias_at_no_point_is_empty() -> None:
    assert cyfes.bias(np.empty((0, 2)), random_hills([False, True]), device="cpu").shape == (0,)


@pytest.mark.parametrize("device", DEVICES)
def test_shared_widths_equal_repeated_ones(device: str) -> None:
    rng = np.random.default_rng(2)
    centers, where = rng.normal(size=(40, 2)), rng.normal(size=(9, 2))
    shared = cyfes.Hills(["a", "b"], centers, [0.3, 0.7], 1.0)
    repeated = cyfes.Hills(["a", "b"], centers, [[0.3, 0.7]] * 40, 1.0)
    first, second = (cyfes.bias(where, hills, device) for hills in (shared, repeated))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("device", DEVICES)
def test_sum_is_the_same_bits_every_time(device: str) -> None:
    hills, grid = random_hills([True, False], count=3000), uneven_grid([True, False])
    first, second = (cyfes.sum_hills(hills, grid, device=device, gradient=True) for _ in range(2))
    np.testing.assert_array_equal(first.values, second.values)
    np.testing.assert_array_equal(first.gradient, second.gradient)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_eight_threads_at_once_get_the_bits_of_one(dtype: str, device: str) -> None:
    hills, grid = random_hills([True, False], count=2000), uneven_grid([True, False])
    where = np.random.default_rng(4).uniform(-1.0, 1.0, (500, 2))

    def both(_: int) -> Any:
        surface = cyfes.sum_hills(hills, grid, device=device, dtype=dtype)
        return np.append(surface.values, cyfes.bias(where, hills, device, dtype))

    alone = both(0)
    with ThreadPoolExecutor(8) as pool:
        for together in pool.map(both, range(32)):
            np.testing.assert_array_equal(together, alone)


def test_strided_fortran_and_read_only_points_give_the_same_bits() -> None:
    hills = random_hills([False, False])
    plain = np.random.default_rng(3).normal(size=(50, 2))
    wide = np.full((100, 4), np.nan)
    wide[::2, ::2] = plain
    frozen = plain.copy()
    frozen.flags.writeable = False
    expected = cyfes.bias(plain, hills, device="cpu")
    for view in (wide[::2, ::2], np.asfortranarray(plain), frozen, plain[::-1][::-1]):
        assert (cyfes.bias(view, hills, device="cpu") == expected).all()


def test_hill_that_reaches_no_grid_point_adds_nothing() -> None:
    hills = cyfes.Hills(["x"], [[50.0]], [[0.1]], [1.0])
    assert not cyfes.sum_hills(hills, cyfes.Grid(0.0, 1.0, 10), device="cpu").values.any()


def test_plain_gaussian_has_no_cut_off() -> None:
    hills = cyfes.Hills(["x"], [[0.0]], [[1.0]], [1.0], kernel="gaussian")
    grid = cyfes.Grid(0.0, 30.0, 30)
    surface = cyfes.sum_hills(hills, grid, device="cpu", truncation="none")
    np.testing.assert_allclose(-surface.values, np.exp(-0.5 * grid.axes[0] ** 2), rtol=1e-14)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grid": cyfes.Grid(0.0, 1.0, 4)}, r"the grid has 1 axes, the hills have 2 variables"),
        ({"grid": cyfes.Grid([-3, 0], [3, 1], 4, [True, False])}, r"axis 0 .* 6 long.* 6\.28319"),
        ({"grid": cyfes.Grid([-3, 0], [3, 1], 4)}, r"cv0 is periodic, but axis 0 .* is not"),
        ({"dtype": "float16"}, r"dtype is float16, expected"),
        ({"truncation": "box"}, r"truncation is 'box', expected"),
        ({"truncation": "none"}, r'truncation is "none", but hills of kernel stretched'),
        ({"device": "gpu"}, r"device is 'gpu', expected"),
        ({"device": "cuda:x"}, r"device is 'cuda:x', expected"),
    ],
)
def test_sum_hills_refuses(change: dict[str, Any], message: str) -> None:
    arguments = {
        "hills": random_hills([True, False]),
        "grid": uneven_grid([True, False]),
        "device": "cpu",
    }
    with pytest.raises(cyfes.InputError, match=message):
        cyfes.sum_hills(**{**arguments, **change})


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.zeros((4, 3)), r"points: found shape \(4, 3\), expected \(M, 2\)"),
        (np.zeros(4), r"points: found shape \(4,\), expected \(M, 2\)"),
        ([[0.0, math.nan]], r"points: found .* in row 0, expected finite"),
        ([[0.0, 0.0], [math.inf, 0.0]], r"points: found .* in row 1, expected finite"),
        ([["a", "b"]], r"points: found numbers of type <U1, expected real"),
        ([[1j, 0.0]], r"points: found numbers of type complex128, expected real"),
    ],
)
def test_bias_refuses(points: Any, message: str) -> None:
    with pytest.raises(cyfes.InputError, match=message):
        cyfes.bias(points, random_hills([True, False]), device="cpu")
