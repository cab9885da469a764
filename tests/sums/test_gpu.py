"""What only a GPU shows: large sums against the CPU's, stopping, threads, memory between calls."""

from __future__ import annotations

import ctypes
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import cyfes
from cyfes.native.constants import GAUSSIAN, LOG_GAUSSIAN, STRETCHED_GAUSSIAN
from cyfes.native.extensions import wrapper
from cyfes.sums.boxes import boxes

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.gpu

PI = np.pi


def hills(count: int, kernel: str, width: float = 0.3, ndim: int = 3) -> cyfes.Hills:
    rng = np.random.default_rng(count)
    return cyfes.Hills(
        [f"x{i}" for i in range(ndim)],
        rng.uniform(-PI, PI, (count, ndim)),
        np.full((count, ndim), width),
        rng.uniform(0.1, 1.2, count),
        kernel=kernel,
        domain=[("-pi", "pi")] * ndim,
    )


def grid(*bins: int) -> cyfes.Grid:
    return cyfes.Grid([-PI] * len(bins), [PI] * len(bins), bins, [True] * len(bins))


@pytest.mark.parametrize(
    ("kernel", "truncation", "path"),
    [
        ("stretched-gaussian", "plumed", "truncated"),
        ("gaussian", "plumed", "truncated"),
        ("gaussian", "none", "separable"),
    ],
)
@pytest.mark.parametrize("gradient", [False, True])
def test_many_hills_are_the_cpus(kernel: str, truncation: Any, path: str, gradient: bool) -> None:
    options: dict[str, Any] = {"gradient": gradient, "truncation": truncation}
    found, expected = (
        cyfes.sum_hills(hills(20_000, kernel), grid(41, 38, 53), device, **options)
        for device in ("cuda", "cpu")
    )
    assert found.plan.startswith(path)
    # The CPU adds up one long sum; its own error is the larger one.
    assert np.abs(found.values - expected.values).max() < 3e-14 * np.abs(expected.values).max()
    if gradient:
        off = np.abs(np.asarray(found.gradient) - np.asarray(expected.gradient)).max()
        assert off < 1e-13 * np.abs(np.asarray(expected.gradient)).max()


@pytest.mark.parametrize("gradient", [False, True])
def test_hills_whose_factors_fill_several_tables_are_the_cpus(gradient: bool) -> None:
    # 60,000 hills x 2,000 points of the axes x 8 bytes: four tables of factors, or twelve.
    many, large = hills(60_000, "stretched-gaussian", 0.05, ndim=2), grid(1003, 997)
    found, again, expected = (
        cyfes.sum_hills(many, large, device, gradient=gradient)
        for device in ("cuda", "cuda", "cpu")
    )
    assert found.plan.startswith("truncated")
    assert (found.values == again.values).all()
    assert np.abs(found.values - expected.values).max() < 3e-14 * np.abs(expected.values).max()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "bins",
    [
        (700,),
        (1, 300),
        (300, 1),
        (2, 70, 1),
        (70, 2, 3),
        (1, 1, 200),
        (5, 1, 3, 40),
        (2, 1, 2, 1, 9),
    ],
)
def test_thin_grids_are_the_cpus(bins: tuple[int, ...], dtype: Any) -> None:
    some = hills(3_000, "stretched-gaussian", 0.8, ndim=len(bins))
    found, expected = (
        cyfes.sum_hills(some, grid(*bins), device, dtype=dtype, plan="truncated").values
        for device in ("cuda", "cpu")
    )
    tolerance = 1e-13 if dtype == "float64" else 4e-6
    assert np.abs(found - expected).max() < tolerance * np.abs(expected).max()


def test_tails_of_a_density_that_underflow_keep_their_digits() -> None:
    samples = np.random.default_rng(3).normal(0.0, 0.02, (5_000, 3))
    there = cyfes.Grid([-2.0] * 3, [2.0] * 3, (20, 20, 20), [False] * 3)
    found, expected = (
        cyfes.reweight(samples, there, 0.05, kT=1.0, device=device).values
        for device in ("cuda", "cpu")
    )
    # Far out the density is e^-1000 of its largest.
    assert expected.max() - expected.min() > 2000.0
    assert np.abs(found - expected).max() < 1e-15 * np.abs(expected).max() + 1e-12


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_same_call_gives_the_same_bits(dtype: Any) -> None:
    for kernel in ("stretched-gaussian", "gaussian"):
        first, second = (
            cyfes.sum_hills(hills(5_000, kernel), grid(40, 40, 40), "cuda", dtype).values
            for _ in range(2)
        )
        assert (first == second).all()


def test_multivariate_points_and_grids_are_the_cpus() -> None:
    rng = np.random.default_rng(5)
    centers, heights = rng.uniform(-2, 2, (300, 3)), rng.uniform(0.1, 1.0, 300)
    lower = rng.uniform(-0.5, 0.5, (300, 6))
    lower[:, [0, 2, 5]] = rng.uniform(2.0, 3.0, (300, 3))
    where = rng.uniform(-2, 2, (700, 3))
    for kernel in (STRETCHED_GAUSSIAN, GAUSSIAN, LOG_GAUSSIAN):
        sums = []
        for device in (0, -1):
            values = np.empty(len(where))
            wrapper("float64").sum_points(
                device,
                kernel,
                centers,
                lower,
                heights,
                np.zeros(3),
                where,
                values,
                multivariate=True,
            )
            sums.append(values)
        assert np.abs(sums[0] - sums[1]).max() < 1e-13 * np.abs(sums[1]).max()


def test_a_stopped_sum_ends_soon_and_leaves_nothing_running() -> None:
    many = hills(1_000_000, "gaussian")
    calls: list[float] = []

    def stop(done: float) -> bool:
        calls.append(done)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cyfes.sum_hills(many, grid(250, 250, 250), "cuda", truncation="none", progress=stop)
    assert len(calls) == 1
    started = time.perf_counter()
    cyfes.sum_hills(hills(100, "gaussian"), grid(20, 20, 20), "cuda", truncation="none")
    assert time.perf_counter() - started < 0.5


def test_progress_of_a_long_sum_rises_to_its_end() -> None:
    parts: list[float] = []
    cyfes.sum_hills(
        hills(300_000, "gaussian"),
        grid(200, 200, 200),
        "cuda",
        truncation="none",
        progress=parts.append,
    )
    assert parts == sorted(parts)
    assert 0.0 < parts[0] < parts[-1] <= 1.0


def test_calls_from_many_threads_do_not_mix() -> None:
    def compute(i: int, device: str = "cuda") -> Any:
        problem = hills(500 + 100 * i, "gaussian"), grid(20 + i, 21, 22)
        return cyfes.sum_hills(problem[0], problem[1], device, truncation="none").values

    expected = [compute(i, "cpu") for i in range(8)]
    with ThreadPoolExecutor(8) as threads:
        for _ in range(5):
            for mine, right in zip(threads.map(compute, range(8)), expected):
                assert np.abs(mine - right).max() < 1e-13 * np.abs(right).max()


def test_a_path_that_cannot_serve_is_refused() -> None:
    with pytest.raises(cyfes.InputError, match="multivariate hills on CUDA devices"):
        wrapper("float64").sum_grid(
            0,
            STRETCHED_GAUSSIAN,
            np.zeros((1, 1)),
            np.ones((1, 1)),
            np.ones(1),
            np.zeros(1),
            np.zeros(1),
            np.ones(1),
            np.array([5]),
            np.empty(5),
            path=3,
            multivariate=True,
        )


@contextmanager
def filled(left: int) -> Iterator[None]:
    """Fill the device's memory with others' data, but for so many MiB."""
    cyfes.bias([[0.5]], cyfes.Hills(["x"], [[0.5]], [[0.1]], [1.0]), "cuda")
    driver = ctypes.CDLL("libcuda.so.1")
    free, total, address = ctypes.c_size_t(), ctypes.c_size_t(), ctypes.c_uint64()
    assert driver.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total)) == 0
    wanted = ctypes.c_size_t(free.value - (left << 20))
    assert driver.cuMemAlloc_v2(ctypes.byref(address), wanted) == 0
    try:
        yield
    finally:
        assert driver.cuMemFree_v2(address) == 0


@pytest.mark.parametrize(
    ("kernel", "truncation"), [("stretched-gaussian", "plumed"), ("gaussian", "none")]
)
def test_a_grid_that_does_not_fit_beside_others_data_is_made_in_parts(
    kernel: str, truncation: Any
) -> None:
    few, large = hills(200, kernel), grid(320, 300, 310)
    with filled(500):
        found = cyfes.sum_hills(few, large, "cuda", truncation=truncation).values
    expected = cyfes.sum_hills(few, large, "cpu", truncation=truncation).values
    assert np.abs(found - expected).max() < 1e-14 * np.abs(expected).max()


def assert_alike(found: Any, expected: Any, tolerance: float) -> None:
    """Compare two surfaces and their gradients; the tolerance is of the largest value."""
    largest = np.abs(expected.values).max()
    assert np.abs(found.values - expected.values).max() < tolerance * largest
    # Where the nearest image changes, a gradient jumps: in single precision perhaps a point early.
    if found.values.dtype == np.float64:
        assert np.abs(found.gradient - expected.gradient).max() < tolerance * largest


def test_hills_in_boxes_are_made_in_parts_too() -> None:
    wide, large = hills(20, "gaussian", 2.5), grid(320, 300, 310)
    options: dict[str, Any] = {"gradient": True, "truncation": "boxes"}
    with filled(500):
        found = cyfes.sum_hills(wide, large, "cuda", **options)
    assert "a box for each hill" in found.plan
    assert_alike(found, cyfes.sum_hills(wide, large, "cpu", **options), 1e-14)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-13), ("float32", 4e-6)])
def test_more_hills_in_boxes_than_a_launch_takes_are_the_cpus(dtype: Any, tolerance: float) -> None:
    many = hills(150_000, "stretched-gaussian", 1.2, ndim=2)
    options: dict[str, Any] = {"gradient": True, "truncation": "boxes", "dtype": dtype}
    found, again, expected = (
        cyfes.sum_hills(many, grid(51, 47), device, **options) for device in ("cuda", "cuda", "cpu")
    )
    assert (found.values == again.values).all()
    assert_alike(found, expected, tolerance)


def test_a_sum_of_hills_in_boxes_is_stopped_soon() -> None:
    many = hills(2_000_000, "gaussian", 1.5)
    calls: list[float] = []

    def stop(_: float) -> None:
        calls.append(time.perf_counter())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cyfes.sum_hills(many, grid(60, 60, 60), "cuda", truncation="boxes", progress=stop)
    assert len(calls) == 1
    assert time.perf_counter() - calls[0] < 0.3


@contextmanager
def on_device(*arrays: Any) -> Iterator[list[int]]:
    """Copy arrays to the device, and back at the end; give their addresses."""
    cyfes.bias([[0.5]], cyfes.Hills(["x"], [[0.5]], [[0.1]], [1.0]), "cuda")
    driver = ctypes.CDLL("libcuda.so.1")
    places = [ctypes.c_uint64() for _ in arrays]
    for place, array in zip(places, arrays):
        size = ctypes.c_size_t(array.nbytes)
        assert driver.cuMemAlloc_v2(ctypes.byref(place), size) == 0
        assert driver.cuMemcpyHtoD_v2(place, ctypes.c_void_p(array.ctypes.data), size) == 0
    try:
        yield [place.value for place in places]
        for place, array in zip(places, arrays):
            size = ctypes.c_size_t(array.nbytes)
            assert driver.cuMemcpyDtoH_v2(ctypes.c_void_p(array.ctypes.data), place, size) == 0
    finally:
        for place in places:
            assert driver.cuMemFree_v2(place) == 0


def test_boxes_may_lie_in_the_devices_memory() -> None:
    wide, there = hills(300, "stretched-gaussian", 1.5, ndim=2), grid(31, 27)
    values = np.empty(there.size)
    arrays = (wide.centers, wide.sigmas, wide.heights, values, boxes(wide, there))
    with on_device(*map(np.ascontiguousarray, arrays[:3]), *arrays[3:]) as addresses:
        _, plan = wrapper("float64").sum_grid_at(
            0,
            STRETCHED_GAUSSIAN,
            (300, 300),
            (*addresses[:4], 0),
            np.full(2, 2 * PI),
            there.lower,
            there.spacing,
            np.array(there.shape),
            0,
            boxes=addresses[4],
        )
    expected = -cyfes.sum_hills(wide, there, "cpu", truncation="boxes").values.ravel()
    assert "a box for each hill" in plan
    assert np.abs(values - expected).max() < 1e-13 * np.abs(expected).max()


def test_memory_that_the_device_lacks_is_an_error_and_nothing_leaks() -> None:
    many = hills(20_000_000, "gaussian")
    with filled(50), pytest.raises(cyfes.DeviceMemoryError, match=r"an array of \d+ MiB"):
        cyfes.bias([[0.0, 0.0, 0.0]], many, "cuda")
    found, expected = (cyfes.bias([[0.0, 0.0, 0.0]], many, device) for device in ("cuda", "cpu"))
    assert found == pytest.approx(expected, rel=1e-11)


def usable() -> list[str]:
    """Return the numbers of the usable GPUs."""
    return [device.id[5:] for device in cyfes.devices() if device.usable and device.id != "cpu"]


@pytest.fixture(params=["all", "two"])
def several(request: pytest.FixtureRequest) -> str:
    """What `device=` takes for several GPUs."""
    if request.param == "all":
        return "cuda:all"
    if len(usable()) < 2:
        pytest.skip("no usable GPU: no second one")
    return "cuda:" + ",".join(usable()[1::-1])


@pytest.mark.parametrize(
    ("kernel", "truncation"),
    [("stretched-gaussian", "plumed"), ("gaussian", "plumed"), ("gaussian", "none")],
)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_several_gpus_compute_what_one_does(
    several: str, kernel: str, truncation: Any, dtype: Any
) -> None:
    options: dict[str, Any] = {"gradient": True, "truncation": truncation, "dtype": dtype}
    found, expected = (
        cyfes.sum_hills(hills(5_000, kernel), grid(41, 38, 53), device, **options)
        for device in (several, "cuda")
    )
    assert found.device == (f"cuda:{','.join(usable())}" if several == "cuda:all" else several)
    room = {"float64": 3e-14, "float32": 2e-5}[dtype]
    assert np.abs(found.values - expected.values).max() < room * np.abs(expected.values).max()
    slopes = [np.asarray(surface.gradient) for surface in (found, expected)]
    off = np.abs(slopes[0] - slopes[1]) / np.abs(slopes[1]).max()
    # Gradients jump at a cut-off, and in single precision points that near change sides.
    assert (off < 5 * room).mean() > (0.999 if dtype == "float32" else 1.0 - 1e-9)


def test_several_gpus_share_portions_densities_and_points(several: str) -> None:
    rng = np.random.default_rng(4)
    samples, where, weights = (rng.normal(size=shape) for shape in ((3000, 3), (5001, 3), 3000))

    def computed(device: str) -> list[Any]:
        portions = iter([hills(2_000, "gaussian"), hills(3_000, "gaussian")])
        return [
            cyfes.sum_hills(portions, grid(31, 30, 29), device).values,
            cyfes.reweight(samples, grid(31, 30, 29), 0.2, kT=1.0, bias=weights, device=device),
            cyfes.bias(where, hills(2_000, "gaussian"), device),
            cyfes.PathFES(where, samples, [1.0] * 3, weights, device=device),
        ]

    for found, expected in zip(computed(several), computed("cuda")):
        values, right = (getattr(result, "values", result) for result in (found, expected))
        assert np.abs(values - right).max() < 1e-12 * np.abs(right).max()


def test_a_stopped_sum_of_several_gpus_ends_soon(several: str) -> None:
    many = hills(1_000_000, "gaussian")

    def stop(_: float) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cyfes.sum_hills(many, grid(250, 250, 250), several, truncation="none", progress=stop)
    started = time.perf_counter()
    cyfes.sum_hills(hills(100, "gaussian"), grid(20, 20, 20), several, truncation="none")
    assert time.perf_counter() - started < 0.5
