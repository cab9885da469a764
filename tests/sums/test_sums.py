"""The compiled sums against plain NumPy ones, and what they refuse."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
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
    periodic: list[bool], kernel: str, truncation: Any, dtype: Any, device: str
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
    points: int, count: int, ndim: int, kernel: str, dtype: Any, device: str
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
def test_eight_threads_at_once_get_the_bits_of_one(dtype: Any, device: str) -> None:
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


@pytest.mark.parametrize("axes", [(0, 1), (1, 0), (0, 1, 1)])
def test_points_on_the_very_cut_off_have_the_slopes_that_plumed_gives_them(
    axes: tuple[int, ...],
) -> None:
    # Where round numbers meet, 0.7 and 0.1 at a sigma of 0.2, rounding alone decides.
    rng = np.random.default_rng(4)
    steps, widths = np.array([0.1, 0.05])[list(axes)], np.array([0.2, 0.1])[list(axes)]
    ndim = len(axes)
    hills = cyfes.Hills(list("xyz")[:ndim], rng.integers(-9, 10, (60, ndim)) * steps, widths, 1.0)
    grid = cyfes.Grid(-20.0 * steps, 20.0 * steps, [40] * ndim)
    surface = cyfes.sum_hills(hills, grid, "cpu", gradient=True)
    assert "truncated" in surface.plan
    _, gradient = reference.free_energy(grid, hills)
    assert np.abs(surface.gradient - gradient).max() < 1e-11
    moved = cyfes.Hills(hills.names, hills.centers + 1e-15, hills.sigmas, hills.heights)
    assert np.abs(reference.free_energy(grid, moved)[1] - gradient).max() > 1e-3


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
        ({"truncation": "none"}, r'truncation is "none", but the kernel stretched'),
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


def plain_hills(count: int = 50, **change: Any) -> cyfes.Hills:
    """Return plain Gaussians of one width over one periodic and one open variable."""
    rng = np.random.default_rng(7)
    fields: dict[str, Any] = {
        "names": ["phi", "x"],
        "centers": rng.uniform(-3.0, 3.0, (count, 2)),
        "sigmas": [0.3, 0.4],
        "heights": rng.uniform(0.5, 1.5, count),
        "kernel": "gaussian",
        "domain": [("-pi", "pi"), None],
    }
    return cyfes.Hills(**{**fields, **change})


def parts_of(hills: cyfes.Hills, size: int) -> Any:
    for start in range(0, len(hills), size):
        part = slice(start, start + size)
        yield cyfes.Hills(
            hills.names,
            hills.centers[part],
            hills.sigmas[part],
            hills.heights[part],
            kernel=hills.kernel,
            domain=hills.domain,
        )


@pytest.mark.parametrize("kernel", ["stretched-gaussian", "gaussian"])
def test_portions_of_hills_are_summed_as_all_of_them(
    kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hills, grid = random_hills([True, False], kernel, 100), uneven_grid([True, False])
    whole = cyfes.sum_hills(hills, grid, "cpu", gradient=True)
    # So small a piece that several are needed for the grid.
    monkeypatch.setattr("cyfes.sums.grid_sum._PIECE", 600)
    portions = cyfes.sum_hills(parts_of(hills, 30), grid, "cpu", gradient=True)
    assert relative_error(portions.values, whole.values) < 1e-14
    assert relative_error(portions.gradient, whole.gradient) < 1e-14


@pytest.mark.parametrize(
    ("portions", "message"),
    [
        ([], "found no portion of hills"),
        ([1], "found a int, expected Hills"),
        (
            [random_hills([True, False]), random_hills([True, True])],
            "found a portion of domain",
        ),
        (
            [random_hills([True, False]), random_hills([False, False])],
            "found a portion of domain",
        ),
    ],
)
def test_portions_that_do_not_fit_together_are_refused(portions: Any, message: str) -> None:
    with pytest.raises(cyfes.InputError, match=message):
        cyfes.sum_hills(iter(portions), uneven_grid([True, False]), "cpu")


@pytest.mark.parametrize("gradient", [False, True])
def test_surface_is_written_to_arrays_on_disk(tmp_path: Path, gradient: bool) -> None:
    hills, grid = random_hills([True, False]), uneven_grid([True, False])
    expected = cyfes.sum_hills(hills, grid, "cpu", gradient=gradient)
    shapes = [grid.shape, (2, *grid.shape)][: 1 + gradient]
    maps = [
        np.memmap(tmp_path / f"{i}", np.float64, "w+", shape=shape)
        for i, shape in enumerate(shapes)
    ]
    out: Any = tuple(maps) if gradient else maps[0]
    found = cyfes.sum_hills(hills, grid, "cpu", gradient=gradient, out=out)
    assert found.values is maps[0]
    for array in maps:
        array.flush()
    stored = np.fromfile(tmp_path / "0").reshape(grid.shape)
    np.testing.assert_array_equal(stored, expected.values)
    if gradient:
        slopes = np.fromfile(tmp_path / "1").reshape(2, *grid.shape)
        np.testing.assert_array_equal(slopes, expected.gradient)


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ([1.0], r"out: found a float, expected a NumPy array"),
        (np.empty((9, 10)), r"out: found shape \(9, 10\) of float64, expected \(9, 11\)"),
        (np.empty((9, 11), np.float32), r"out: found shape \(9, 11\) of float32, expected"),
        (np.empty((11, 9)).T, r"out: found an array that is read-only or not C-contiguous"),
        ((np.empty((9, 11)),) * 2, r"out: found 2 arrays, expected one array, for F"),
    ],
)
def test_arrays_that_cannot_take_the_surface_are_refused(out: Any, message: str) -> None:
    with pytest.raises(cyfes.InputError, match=message):
        cyfes.sum_hills(random_hills([True, False]), uneven_grid([True, False]), "cpu", out=out)


@pytest.mark.parametrize("gradient", [False, True])
def test_grid_that_no_memory_holds_is_refused_with_what_fits(gradient: bool) -> None:
    grid = cyfes.Grid([0.0] * 3, [1.0] * 3, 9999)
    size = "29.1 TiB" if gradient else "7.28 TiB"
    hills = cyfes.Hills(["x", "y", "z"], [[0.5] * 3], 0.1, 1.0)
    message = (
        r"found a grid of 10000 x 10000 x 10000 = 1000000000000 points\. Its surface"
        rf"{' with its gradient' if gradient else ''} needs {size}, but only [\d.]+ [MG]iB of "
        r"memory are free, enough for \d+ points \(about \d+ along each axis\); expected fewer "
        r"bins or"
    )
    with pytest.raises(cyfes.InputError, match=message):
        cyfes.sum_hills(hills, grid, "cpu", gradient=gradient)
    with pytest.raises(cyfes.InputError, match="= 1000000000000 points"):
        cyfes.reweight([[0.5] * 3], grid, 0.1, kT=1.0, device="cpu")


def test_plain_gaussian_wider_than_its_period_is_refused() -> None:
    hills = plain_hills(sigmas=[6.4, 0.4])
    grid = cyfes.Grid(["-pi", -4.0], ["pi", 4.0], 20, [True, False])
    with pytest.raises(cyfes.InputError, match=r"sigma of axis 0 of hill 0 is 6\.4.* period"):
        cyfes.sum_hills(hills, grid, "cpu", truncation="none")
    with pytest.raises(cyfes.InputError, match="more than the period of the axis"):
        cyfes.reweight(hills.centers, grid, hills.sigmas, kT=1.0, device="cpu")
    # PLUMED's own kernels take the nearest image by definition.
    assert np.isfinite(cyfes.sum_hills(hills, grid, "cpu").values).all()


@pytest.mark.parametrize("kernel", ["stretched-gaussian", "gaussian"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_multivariate_hills_of_a_diagonal_matrix_are_the_plain_ones(
    kernel: str, dtype: Any
) -> None:
    hills, grid = random_hills([True, False, False], kernel), uneven_grid([True, False, False])
    packed = np.zeros((len(hills), 6))
    packed[:, [0, 2, 5]] = hills.sigmas
    fields: dict[str, Any] = {"kernel": kernel, "domain": hills.domain, "cholesky": packed}
    same = cyfes.Hills(hills.names, hills.centers, None, hills.heights, **fields)
    truncation = "none" if kernel == "gaussian" else "plumed"
    options: dict[str, Any] = {"gradient": True, "truncation": truncation, "dtype": dtype}
    expected = cyfes.sum_hills(hills, grid, "cpu", **options)
    found = cyfes.sum_hills(same, grid, "cpu", **options)
    assert relative_error(found.values, expected.values) < TOLERANCE[dtype]
    assert relative_error(found.gradient, expected.gradient) < TOLERANCE[dtype]
    where = grid.points()
    expected_bias = cyfes.bias(where, hills, "cpu", dtype)
    assert relative_error(cyfes.bias(where, same, "cpu", dtype), expected_bias) < TOLERANCE[dtype]


def test_correlated_hills_follow_their_covariance_matrix() -> None:
    rng = np.random.default_rng(8)
    factor = np.array([[0.5, 0.0], [0.3, 0.2]])
    centers = rng.normal(size=(30, 2))
    hills = cyfes.Hills(["x", "y"], centers, None, 1.0, kernel="gaussian", cholesky=[0.5, 0.3, 0.2])
    grid = cyfes.Grid([-3.0, -3.0], [3.0, 3.0], 20)
    difference = grid.points()[:, None, :] - centers
    inverse = np.linalg.inv(factor @ factor.T)
    values = np.exp(-0.5 * np.einsum("mni,ij,mnj->mn", difference, inverse, difference)).sum(axis=1)
    surface = cyfes.sum_hills(hills, grid, "cpu", truncation="none")
    assert relative_error(surface.values, -values.reshape(grid.shape)) < 1e-14
    assert surface.plan.startswith("direct, ")


@pytest.mark.parametrize("kernel", ["stretched-gaussian", "gaussian"])
def test_beyond_an_interval_the_sum_stays_what_it_is_at_its_ends(kernel: str) -> None:
    rng = np.random.default_rng(9)
    fields: dict[str, Any] = {"kernel": kernel, "interval": (-0.95, 1.05)}
    hills = cyfes.Hills(["x"], rng.normal(size=(20, 1)), 0.4, 1.0, **fields)
    grid = cyfes.Grid(-3.0, 3.0, 60)
    if kernel == "gaussian":
        with pytest.raises(cyfes.InputError, match="is not defined beyond the INTERVAL"):
            cyfes.sum_hills(hills, grid, "cpu")
    truncation = "none" if kernel == "gaussian" else "plumed"
    surface = cyfes.sum_hills(hills, grid, "cpu", gradient=True, truncation=truncation)  # type: ignore[arg-type]
    where = grid.axes[0]
    ends = cyfes.bias([-0.95, 1.05], hills, "cpu")
    np.testing.assert_array_equal(surface.values[where < -0.95], -ends[0])
    np.testing.assert_array_equal(surface.values[where > 1.05], -ends[1])
    beyond = (where < -0.95) | (where > 1.05)
    gradient = np.asarray(surface.gradient)[0]
    assert not gradient[beyond].any()
    assert gradient[~beyond].all()
    np.testing.assert_array_equal(cyfes.bias([-2.0, 2.0], hills, "cpu"), ends)


def test_progress_rises_and_an_error_in_it_stops_the_sum() -> None:
    hills = cyfes.Hills(["x", "y", "z"], np.zeros((100_000, 3)), 1.0, 1.0)
    grid = cyfes.Grid([-1.0] * 3, [1.0] * 3, 60)
    seen: list[float] = []

    def progress(done: float) -> None:
        seen.append(done)
        if len(seen) == 3:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        cyfes.sum_hills(hills, grid, "cpu", progress=progress)
    assert 0.0 < seen[0] < seen[1] < seen[2] < 1.0
    with pytest.raises(RuntimeError, match="enough"):
        cyfes.sum_hills([hills], grid, "cpu", progress=lambda done: fail_if(math.isnan(done)))


def fail_if(condition: bool) -> None:
    if condition:
        raise RuntimeError("enough")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"plan": "fast"}, r"plan is 'fast', expected one of auto, direct, separable, trunc"),
        ({"plan": "truncated", "truncation": "none"}, r"the truncated path can sum kernels with"),
        ({"plan": "separable"}, r"the separable path can sum plain Gaussians with a width"),
    ],
)
def test_plan_that_cannot_serve_the_kernel_is_refused(change: dict[str, Any], message: str) -> None:
    grid = cyfes.Grid(["-pi", -4.0], ["pi", 4.0], 20, [True, False])
    with pytest.raises(cyfes.InputError, match=message):
        cyfes.sum_hills(plain_hills(), grid, "cpu", **change)


def test_bias_watches_its_progress() -> None:
    hills = random_hills([True, False], count=100_000)
    points = np.random.default_rng(0).normal(size=(100_000, 2))
    with pytest.raises(RuntimeError, match="enough"):
        cyfes.bias(points, hills, "cpu", progress=lambda done: fail_if(done > 0.0))


# Two hills of height 1 and width 0.2, a plain Gaussian at 0 and a stretched one at 1.
MIXED = cyfes.Hills(("d",), [0.0, 1.0], 0.2, 1.0, kernel=["gaussian", "stretched-gaussian"])


def _of_two_kernels(x: Any) -> Any:
    half = 0.5 * ((x - 1.0) / 0.2) ** 2
    stretched = (np.exp(-half) - np.exp(-6.25)) / (1.0 - np.exp(-6.25))
    return np.exp(-0.5 * (x / 0.2) ** 2), np.where(half < 6.25, stretched, 0.0)


@pytest.mark.parametrize("truncation", ["plumed", "boxes"])
def test_each_hill_is_summed_with_its_own_kernel(truncation: Any) -> None:
    grid = cyfes.Grid(-1.0, 2.0, 30)
    fes = cyfes.sum_hills(MIXED, grid, "cpu", truncation=truncation, gradient=True)
    (x,) = grid.axes
    plain, stretched = _of_two_kernels(x)
    # PLUMED ends the plain one 8 bins from its own.
    plain = np.where(np.arange(31) <= 18, plain, 0.0) * (np.arange(31) >= 2)
    assert np.abs(fes.values + plain + stretched).max() < 1e-12
    assert fes.values[16] == pytest.approx(-0.144771856, abs=1e-9)
    assert fes.values[26] == pytest.approx(-0.009196295, abs=1e-9)
    in_portions = cyfes.sum_hills(iter([MIXED[:1], MIXED[1:]]), grid, "cpu", truncation=truncation)
    assert np.abs(in_portions.values - fes.values).max() < 1e-14


def test_a_bias_of_two_kernels_is_the_sum_of_both() -> None:
    points = np.linspace(-1.0, 2.0, 50)
    plain, stretched = _of_two_kernels(points)
    assert np.abs(cyfes.bias(points, MIXED, "cpu") - plain - stretched).max() < 1e-12
