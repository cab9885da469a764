"""Sums inside boxes of bins: those that PLUMED takes, and any other."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import reference

import cyfes
from cyfes.native import wrapper, wrapper_f32
from cyfes.sums.boxes import boxes
from cyfes.sums.grid_sum import GridSum
from cyfes.sums.hills_on_grid import joined, sum_rows

CPU, STRETCHED, GAUSSIAN, BOXED, LOG = -1, 0, 1, 2, 3
DIRECT, SEPARABLE = 1, 2
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
NUMBERS = [CPU, pytest.param(0, marks=pytest.mark.gpu)]
# Of the largest value.
TOLERANCE = {"float64": 1e-13, "float32": 1e-5}
KERNELS = ["stretched-gaussian", "gaussian"]
PI = ("-pi", "pi")
AXES = [
    [False],
    [True],
    [True, False],
    [True, True],
    [False, True, False],
    [True, False, True, True],
]


def grid_of(periodic: list[bool]) -> cyfes.Grid:
    ndim = len(periodic)
    return cyfes.Grid([-math.pi] * ndim, [math.pi] * ndim, range(9, 9 + ndim), periodic)


def wide_hills(periodic: list[bool], kernel: str, count: int = 60) -> cyfes.Hills:
    """Return hills of all widths, up to more than their period, some centred far outside."""
    rng = np.random.default_rng(1)
    ndim = len(periodic)
    return cyfes.Hills(
        [f"cv{i}" for i in range(ndim)],
        rng.uniform(-9.0, 9.0, (count, ndim)),
        10.0 ** rng.uniform(-1.0, 1.0, (count, ndim)),
        rng.uniform(0.1, 2.0, count),
        kernel=kernel,
        domain=[PI if wraps else None for wraps in periodic],
    )


def tilted_hills(periodic: list[bool], kernel: str, count: int = 60) -> cyfes.Hills:
    """Return multivariate hills, of which the boxes cut many."""
    rng = np.random.default_rng(2)
    ndim = len(periodic)
    rows, columns = np.tril_indices(ndim)
    factors = rng.uniform(-0.6, 0.6, (count, len(rows)))
    factors[:, rows == columns] = rng.uniform(0.2, 0.9, (count, ndim))
    return cyfes.Hills(
        [f"cv{i}" for i in range(ndim)],
        rng.uniform(-3.5, 3.5, (count, ndim)),
        None,
        rng.uniform(0.1, 2.0, count),
        kernel=kernel,
        domain=[PI if wraps else None for wraps in periodic],
        cholesky=factors,
    )


def assert_close(found: Any, expected: Any, tolerance: float) -> None:
    assert np.abs(found - expected).max() < tolerance * np.abs(expected).max()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("make", [wide_hills, tilted_hills])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("periodic", AXES)
def test_hills_are_summed_in_the_boxes_that_plumed_takes(
    periodic: list[bool], kernel: str, make: Any, dtype: Any, device: str
) -> None:
    hills, grid = make(periodic, kernel), grid_of(periodic)
    surface = cyfes.sum_hills(hills, grid, device, dtype, gradient=True, truncation="boxes")
    values, gradient = reference.plumed_free_energy(grid, hills)
    assert surface.device.startswith(device)
    assert ("a box for each hill" in surface.plan) == (make is tilted_hills or any(periodic))
    assert_close(surface.values, values, TOLERANCE[dtype])
    assert_close(surface.gradient, gradient, TOLERANCE[dtype])
    alone = cyfes.sum_hills(hills, grid, device, dtype, truncation="boxes")
    assert_close(alone.values, values, TOLERANCE[dtype])


def hills_of_an_interval(kernel: str, tilted: bool) -> cyfes.Hills:
    """Return hills within an INTERVAL from -1 to 1, reaching beyond it, and centred beyond it."""
    rng = np.random.default_rng(3)
    sigmas = rng.uniform(0.1, 1.5, (60, 1))
    return cyfes.Hills(
        ["x"],
        rng.uniform(-4.0, 4.0, (60, 1)),
        None if tilted else sigmas,
        rng.uniform(0.1, 2.0, 60),
        kernel=kernel,
        cholesky=sigmas if tilted else None,
        interval=(-1.0, 1.0),
    )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("tilted", [False, True])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("ends", [(-1.0, 1.0), (-0.5, 3.0), (-1.7, 1.3), (1.5, 2.5)])
def test_with_an_interval_boxes_are_as_wide_as_the_grid(
    ends: tuple[float, float], kernel: str, tilted: bool, device: str
) -> None:
    hills, grid = hills_of_an_interval(kernel, tilted), cyfes.Grid(*ends, 57)
    options: dict[str, Any] = {"device": device, "gradient": True, "truncation": "boxes"}
    surface = cyfes.sum_hills(hills, grid, **options)
    values, gradient = reference.plumed_free_energy(grid, hills)
    assert_close(surface.values, values, 1e-13)
    assert np.abs(surface.gradient - gradient).max() < 1e-12
    parts = [sum_rows(hills, grid, rows, **options) for rows in ((0, 30), (30, 31), (31, 58))]
    assert_close(joined(parts, grid).values, values, 1e-13)


def test_a_plain_gaussian_with_an_interval_is_refused_without_its_box() -> None:
    hills = hills_of_an_interval("gaussian", tilted=False)
    with pytest.raises(cyfes.InputError, match="found plain Gaussians and an INTERVAL"):
        cyfes.sum_hills(hills, cyfes.Grid(-1.0, 1.0, 57), "cpu")


@pytest.mark.parametrize("make", [wide_hills, tilted_hills])
def test_without_boxes_the_sum_is_another_one(make: Any) -> None:
    hills, grid = make([True, False], "stretched-gaussian"), grid_of([True, False])
    boxed, whole = (cyfes.sum_hills(hills, grid, "cpu", truncation=t) for t in ("boxes", "plumed"))
    assert np.abs(boxed.values - whole.values).max() > 0.01


@pytest.mark.parametrize("device", DEVICES)
def test_hills_within_their_axes_need_no_boxes(device: str) -> None:
    grid = grid_of([True, False])
    hills = cyfes.Hills(["x", "y"], [[0.1, 0.2]], 0.3, 1.0, domain=[PI, None])
    boxed, plain = (cyfes.sum_hills(hills, grid, device, truncation=t) for t in ("boxes", "plumed"))
    assert (boxed.values == plain.values).all()
    assert boxed.plan == plain.plan


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_parts_and_portions_make_up_the_whole(kernel: str, device: str) -> None:
    hills, grid = tilted_hills([True, False], kernel), grid_of([True, False])
    options: dict[str, Any] = {"device": device, "gradient": True, "truncation": "boxes"}
    whole = cyfes.sum_hills(hills, grid, **options)
    parts = [sum_rows(hills, grid, rows, **options) for rows in ((0, 4), (4, 5), (5, 9))]
    surface = joined(parts, grid)
    added = cyfes.sum_hills([hills[:20], hills[20:]], grid, **options)
    for found in (surface, added):
        assert_close(found.values, whole.values, 1e-14)
        assert_close(found.gradient, whole.gradient, 1e-14)


@pytest.mark.parametrize("device", DEVICES)
def test_the_same_sum_has_the_same_bits(device: str) -> None:
    hills, grid = tilted_hills([True, True], "gaussian", 3000), grid_of([True, True])
    first, second = (
        cyfes.sum_hills(hills, grid, device, truncation="boxes").values for _ in range(2)
    )
    assert (first == second).all()


def test_progress_goes_on_from_hills_without_boxes_to_those_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def compute(_: GridSum, means: Any, *__: Any) -> str:
        means.progress(0.0)
        means.progress(1.0)
        return "done"

    monkeypatch.setattr(GridSum, "compute", compute)
    monkeypatch.setattr(GridSum, "add", compute)
    hills = cyfes.Hills(["x"], np.zeros((4, 1)), [[2.0], [0.1], [0.1], [0.1]], 1.0, domain=[PI])
    seen: list[float] = []
    surface = cyfes.sum_hills(
        hills, grid_of([True]), "cpu", truncation="boxes", progress=seen.append
    )
    assert seen == [0.0, 0.75, 0.75, 1.0]
    assert surface.plan == "done; done"


def test_a_hill_too_wide_to_count_its_bins_is_refused() -> None:
    hills = cyfes.Hills(["x"], np.zeros((2, 1)), [[1.0], [1e12]], 1.0, domain=[PI])
    grid = cyfes.Grid(["-pi"], ["pi"], [50], periodic=True)
    with pytest.raises(cyfes.InputError, match=r"a hill, number 1, that reaches over .* bins"):
        cyfes.sum_hills(hills, grid, "cpu", truncation="boxes")


def test_a_box_has_no_points_where_it_misses_the_grid() -> None:
    hills = cyfes.Hills(["x"], [[-50.0], [0.5], [50.0]], 0.1, 1.0)
    found = boxes(hills, cyfes.Grid(0.0, 1.0, 10))
    assert found.dtype == np.int32
    assert found[:, 0].tolist() == [[0, -1], [1, 9], [11, 10]]


def _problem(real: Any, periods: list[float]) -> tuple[dict[str, Any], Any]:
    """Return a sum on a grid of 11 x 20 x … points with boxes of any kind, and the boxes."""
    rng = np.random.default_rng(len(periods))
    ndim, count = len(periods), 90
    first = rng.integers(-60, 60, (count, ndim))
    length = rng.integers(0, 70, (count, ndim)) * (rng.random((count, ndim)) < 0.9)
    ends = np.stack([first, first + length - 1], axis=-1).astype(np.int32)
    points = np.array([11, 20, 5][:ndim])
    problem = {
        "centers": rng.uniform(0, 10, (count, ndim)).astype(real),
        "sigmas": rng.uniform(1.0, 4.0, (count, ndim)).astype(real),
        "heights": rng.uniform(-1, 1, count).astype(real),
        "periods": np.array(periods),
        "lower": np.zeros(ndim),
        "spacing": np.full(ndim, 0.5),
        "points": points,
        "values": np.empty(points.prod(), real),
        "gradient": np.empty((ndim, points.prod()), real),
    }
    return problem, ends


def _times(ends: Any, points: int, bins: int) -> Any:
    """Return how often each box comes by each point of an axis, shape (points, N)."""
    times = np.zeros((points, len(ends)))
    for hill, (first, last) in enumerate(ends.tolist()):
        for place in range(first, last + 1):
            index = place % bins if bins else place
            if 0 <= index < points:
                times[index, hill] += 1
    return times


def _plain_sum(problem: dict[str, Any], ends: Any, kernel: int) -> tuple[Any, Any]:
    bins = np.rint(problem["periods"] / 0.5).astype(int)
    along = [_times(ends[:, i], n, bins[i]) for i, n in enumerate(problem["points"])]
    values, slopes = [], []
    for index in itertools.product(*map(range, problem["points"])):
        times = np.prod([table[place] for table, place in zip(along, index)], axis=0)
        where = (problem["lower"] + 0.5 * np.array(index))[np.newaxis]
        ways = reference.differences(where, problem["centers"].astype(float), problem["periods"])
        ways = ways[0] / problem["sigmas"]
        half = 0.5 * (ways**2).sum(axis=1)
        steep = problem["heights"] * np.exp(-half)
        value = steep
        if kernel == STRETCHED:
            times = np.where(half < reference.CUTOFF, times, 0.0)
            steep = reference.STRETCH_A * steep
            value = steep + reference.STRETCH_B * problem["heights"]
        values.append((times * value).sum())
        slopes.append(-((times * steep)[:, np.newaxis] * ways / problem["sigmas"]).sum(axis=0))
    return np.array(values), np.array(slopes).T


@pytest.mark.parametrize("device", NUMBERS)
@pytest.mark.parametrize(("module", "real"), [(wrapper, np.float64), (wrapper_f32, np.float32)])
@pytest.mark.parametrize("kernel", [STRETCHED, BOXED])
@pytest.mark.parametrize("periods", [[0.0], [5.5], [6.5, 0.0], [0.0, 10.0], [5.5, 10.0, 0.0]])
def test_a_hill_counts_as_often_as_its_box_comes_by(
    periods: list[float], kernel: int, module: Any, real: Any, device: int
) -> None:
    problem, ends = _problem(real, periods)
    _, plan = module.sum_grid(device=device, kernel=kernel, boxes=ends, **problem)
    values, gradient = _plain_sum(problem, ends, kernel)
    assert "a box for each hill" in plan
    assert_close(problem["values"], values, TOLERANCE[np.dtype(real).name])
    assert_close(problem["gradient"], gradient, TOLERANCE[np.dtype(real).name])
    problem["gradient"] = None
    module.sum_grid(device=device, kernel=kernel, boxes=ends, **problem)
    assert_close(problem["values"], values, TOLERANCE[np.dtype(real).name])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"boxes": np.zeros((89, 2, 2), np.int32)}, r"boxes has shape \(89, 2, 2\), expected \(90"),
        ({"boxes": np.zeros((90, 2, 1), np.int32)}, r"boxes has shape \(90, 2, 1\), expected"),
        (
            {"boxes": np.full((90, 2, 2), [5, 3], np.int32)},
            r"box of hill 0 goes from point 5 to 3 along axis 0, expected 0 to 2147483647 points",
        ),
        (
            {"boxes": np.full((90, 2, 2), [-(1 << 31), (1 << 31) - 1], np.int32)},
            r"box of hill 0 goes from point -2147483648 to 2147483647 along axis 0",
        ),
        ({"kernel": GAUSSIAN}, "only hills of the stretched or the boxed kernel are cut off at b"),
        ({"kernel": LOG, "gradient": None}, "only hills of the stretched or the boxed kernel are"),
        ({"path": DIRECT}, r"the direct path cannot sum .* hills in boxes"),
        ({"path": SEPARABLE}, "the separable path can sum plain Gaussians"),
        ({"periods": np.array([5.6, 0.0])}, r"axis 0 .* is 11\.2.* spacings, expected a whole nu"),
        (
            {"multivariate": True, "kernel": BOXED, "boxes": None, "sigmas": np.ones((1, 3))},
            "multivariate hills need boxes of their own",
        ),
    ],
)
def test_boxes_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    problem, ends = _problem(np.float64, [5.5, 0.0])
    with pytest.raises(cyfes.InputError, match=message):
        wrapper.sum_grid(**{"device": CPU, "kernel": STRETCHED, "boxes": ends, **problem, **change})


@pytest.mark.parametrize("plan", ["direct", "separable"])
def test_a_plan_without_boxes_is_refused(plan: Any) -> None:
    hills, grid = tilted_hills([True], "stretched-gaussian"), grid_of([True])
    with pytest.raises(cyfes.InputError, match=f"the {plan} path can"):
        cyfes.sum_hills(hills, grid, "cpu", truncation="boxes", plan=plan)


@pytest.mark.gpu
@pytest.mark.parametrize("make", [wide_hills, tilted_hills])
@pytest.mark.parametrize("kernel", KERNELS)
def test_many_hills_are_the_cpus(kernel: str, make: Any) -> None:
    hills = make([True, False, True], kernel, 5_000)
    grid = cyfes.Grid(["-pi"] * 3, ["pi"] * 3, [41, 38, 53], [True, False, True])
    found, expected = (
        cyfes.sum_hills(hills, grid, device, gradient=True, truncation="boxes")
        for device in ("cuda", "cpu")
    )
    assert found.device.startswith("cuda")
    largest = np.abs(expected.values).max()
    assert np.abs(found.values - expected.values).max() < 1e-13 * largest
    assert np.abs(np.asarray(found.gradient) - expected.gradient).max() < 1e-13 * largest
