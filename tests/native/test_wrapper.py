"""The Cython extensions refuse arrays that do not fit together, and honour strides."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference

import cyfes
from cyfes.native import wrapper, wrapper_f32

CPU, STRETCHED, GAUSSIAN, BOXED, LOG = -1, 0, 1, 2, 3
AUTO, DIRECT, SEPARABLE, TRUNCATED = range(4)
MODULES = [(wrapper, np.float64), (wrapper_f32, np.float32)]


def hills(real: Any, count: int = 5, ndim: int = 2) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "centers": rng.normal(size=(count, ndim)).astype(real),
        "sigmas": rng.uniform(0.5, 1.0, (count, ndim)).astype(real),
        "heights": rng.uniform(0.5, 1.0, count).astype(real),
        "periods": np.zeros(ndim),
    }


def call_points(module: Any, real: Any, **change: Any) -> Any:
    arguments = {
        "device": CPU,
        "kernel": GAUSSIAN,
        **hills(real),
        "points": np.zeros((3, 2), real),
        "values": np.empty(3, real),
    }
    arguments.update(change)
    module.sum_points(**arguments)
    return arguments["values"]


def call_grid(module: Any, real: Any, **change: Any) -> Any:
    arguments = {
        "device": CPU,
        "kernel": GAUSSIAN,
        **hills(real),
        "lower": np.zeros(2),
        "spacing": np.ones(2),
        "points": np.array([2, 3], np.int64),
        "values": np.empty(6, real),
        "gradient": np.empty((2, 6), real),
    }
    arguments.update(change)
    module.sum_grid(**arguments)
    return arguments["values"]


@pytest.mark.parametrize(("module", "real"), MODULES)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"centers": (0, 2)}, r"centers has shape \(0, 2\), expected"),
        ({"sigmas": (4, 2)}, r"sigmas has shape \(4, 2\), expected \('1 or 5', 2\)"),
        ({"sigmas": (5, 3)}, r"sigmas has shape \(5, 3\)"),
        ({"heights": (4,)}, r"heights has shape \(4,\), expected \(5,\)"),
        ({"points": (3, 3)}, r"points has shape \(3, 3\), expected \(3, 2\)"),
        ({"values": (2,)}, r"values has shape \(2,\), expected \(3,\)"),
        ({"sigmas": (1, 2)}, r"sigma of axis 0 of hill 0 is 0\.0+, expected a positive"),
    ],
)
def test_points_that_do_not_fit_are_refused(
    module: Any, real: Any, change: dict[str, Any], message: str
) -> None:
    arrays = {name: np.zeros(shape, real) for name, shape in change.items()}
    with pytest.raises(cyfes.InputError, match=message):
        call_points(module, real, **arrays)


@pytest.mark.parametrize(("module", "real"), MODULES)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lower": np.zeros(1)}, r"lower has shape \(1,\), expected \(2,\)"),
        ({"spacing": np.ones(3)}, r"spacing has shape \(3,\)"),
        ({"spacing": np.zeros(2)}, r"axis 0 of the grid has no finite origin and positive"),
        ({"points": np.array([6], np.int64)}, r"points has shape \(1,\)"),
        ({"points": np.array([6, 0], np.int64)}, r"values has shape \(6,\), expected \(0,\)"),
        ({"points": np.array([-2, -3], np.int64)}, r"the grid has -2 points along axis 0"),
        ({"periods": np.ones(3)}, r"periods has shape \(3,\)"),
        ({"periods": np.array([-1.0, 0.0])}, r"period of axis 0 is -1"),
        ({"periods": np.array([1.5, 0.0])}, r"axis 0 of the grid is 2.* its period is 1\.5"),
        (
            {"periods": np.array([2.5, 0.0]), "kernel": BOXED},
            r"the period of axis 0 of the grid is 2\.5.* spacings, expected a whole number",
        ),
        ({"kernel": 4}, r"kernel 4 is unknown"),
        ({"kernel": LOG}, r"the logarithmic kernel is summed without a gradient only"),
        ({"path": 4}, r"path 4 is unknown"),
        ({"kernel": BOXED, "path": DIRECT}, r"the direct path cannot sum the boxed kernel"),
        ({"kernel": STRETCHED, "path": SEPARABLE}, r"the separable path can sum plain Gauss"),
        ({"path": TRUNCATED}, r"the truncated path can sum kernels with a cut-off only"),
        ({"multivariate": True}, r"sigmas has shape \(5, 2\), expected \('1 or 5', 3\)"),
    ],
)
def test_grids_that_do_not_fit_are_refused(
    module: Any, real: Any, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(cyfes.InputError, match=message):
        call_grid(module, real, **change)


@pytest.mark.parametrize(("module", "real"), MODULES)
def test_gradient_of_another_shape_is_refused(module: Any, real: Any) -> None:
    with pytest.raises(cyfes.InputError, match=r"gradient has shape \(2, 5\), expected \(2, 6\)"):
        call_grid(module, real, gradient=np.empty((2, 5), real))


@pytest.mark.parametrize(("module", "real"), MODULES)
def test_boxed_kernel_needs_a_grid(module: Any, real: Any) -> None:
    with pytest.raises(cyfes.InputError, match="sum it on a grid"):
        call_points(module, real, kernel=BOXED)


@pytest.mark.parametrize(("module", "real"), MODULES)
@pytest.mark.parametrize("weight", [-np.inf, np.inf, np.nan])
def test_logarithm_of_no_weight_is_refused(module: Any, real: Any, weight: float) -> None:
    heights = np.array([0.0, 0.0, weight, 0.0, 0.0], real)
    with pytest.raises(cyfes.InputError, match=r"weight of hill 2 is -?(inf|nan), expected a"):
        call_points(module, real, kernel=LOG, heights=heights)


def test_more_axes_than_the_library_has_are_refused() -> None:
    with pytest.raises(cyfes.InputError, match="hills have 17 axes, expected 1 to 16"):
        call_points(wrapper, np.float64, **hills(np.float64, ndim=17), points=np.zeros((3, 17)))


@pytest.mark.parametrize(("module", "real"), MODULES)
def test_numbers_of_the_other_precision_are_refused(module: Any, real: Any) -> None:
    other = np.float32 if real is np.float64 else np.float64
    with pytest.raises(ValueError, match="Buffer dtype mismatch"):
        call_points(module, real, points=np.zeros((3, 2), other))


@pytest.mark.parametrize(("module", "real"), MODULES)
@pytest.mark.parametrize("name", ["centers", "sigmas", "heights", "periods", "points", "values"])
def test_none_is_refused(module: Any, real: Any, name: str) -> None:
    with pytest.raises(TypeError, match="None"):
        call_points(module, real, **{name: None})


@pytest.mark.parametrize(("module", "real"), MODULES)
def test_strides_are_honoured(module: Any, real: Any) -> None:
    expected = call_points(module, real)
    for name in ("centers", "sigmas"):
        matrix = hills(real)[name]
        padded = np.full((10, 6), np.nan, real)
        padded[::2, ::3] = matrix
        assert (call_points(module, real, **{name: padded[::2, ::3]}) == expected).all()
        assert (call_points(module, real, **{name: np.asfortranarray(matrix)}) == expected).all()
        reverse = np.ascontiguousarray(matrix[::-1, ::-1])
        assert (call_points(module, real, **{name: reverse[::-1, ::-1]}) == expected).all()


def test_result_must_be_contiguous() -> None:
    with pytest.raises(ValueError, match="contiguous"):
        call_points(wrapper, np.float64, values=np.empty(6)[::2])


def test_library_has_the_version_of_the_package() -> None:
    assert wrapper.library_version() == cyfes.__version__


def covariances(real: Any, count: int, ndim: int) -> Any:
    """Return matrices L, L L^T being the inverse covariance matrix, and their packed rows."""
    rng = np.random.default_rng(3)
    full = np.tril(rng.normal(size=(count, ndim, ndim)))
    axis = np.arange(ndim)
    full[:, axis, axis] = rng.uniform(1.0, 3.0, (count, ndim))
    rows, columns = np.tril_indices(ndim)
    return full.astype(real), np.ascontiguousarray(full[:, rows, columns].astype(real))


def multivariate_sum(points: Any, problem: dict[str, Any], full: Any, kernel: int) -> Any:
    """Return the sum of multivariate hills and its gradient, shapes (M,) and (D, M)."""
    difference = points[:, None, :] - problem["centers"][None, :, :].astype(float)
    period = np.where(problem["periods"] > 0, problem["periods"], np.inf)
    difference -= np.where(problem["periods"] > 0, problem["periods"], 0.0) * np.round(
        difference / period
    )
    whitened = np.einsum("nij,mni->mnj", full.astype(float), difference)
    exponent = 0.5 * (whitened**2).sum(axis=2)
    steep = problem["heights"] * np.exp(-exponent)
    value = steep
    if kernel == STRETCHED:
        inside = exponent < reference.CUTOFF
        steep = np.where(inside, reference.STRETCH_A * steep, 0.0)
        value = steep + np.where(inside, reference.STRETCH_B * problem["heights"], 0.0)
    slope = -np.einsum("nij,mnj->mni", full.astype(float), whitened)
    return value.sum(axis=1), np.einsum("mn,mni->im", steep, slope)


@pytest.mark.parametrize(("module", "real"), MODULES)
@pytest.mark.parametrize("kernel", [STRETCHED, GAUSSIAN, LOG])
@pytest.mark.parametrize("periodic", [[False], [True, False], [False, True, True]])
def test_multivariate_hills_equal_the_plain_sum(
    module: Any, real: Any, kernel: int, periodic: list[bool]
) -> None:
    ndim, count = len(periodic), 40
    problem = hills(real, count, ndim)
    full, problem["sigmas"] = covariances(real, count, ndim)
    problem["periods"] = np.where(periodic, 7.0, 0.0)
    points = np.arange(5, 5 + ndim)
    spacing = 7.0 / points
    axes = [step * np.arange(n) - 3.5 for step, n in zip(spacing, points)]
    where = np.stack([x.ravel() for x in np.meshgrid(*axes, indexing="ij")], axis=-1)
    expected, slopes = multivariate_sum(where, problem, full, kernel)
    values = np.empty(len(where), real)
    gradient = None if kernel == LOG else np.empty((ndim, len(where)), real)
    if kernel == LOG:
        expected, problem["heights"] = np.log(expected), np.log(problem["heights"])
    arguments = [CPU, kernel, *problem.values()]
    grid = [np.full(ndim, -3.5), spacing, points]
    module.sum_grid(*arguments, *grid, values, gradient, multivariate=True)
    tolerance = 1e-13 if real is np.float64 else 2e-5
    np.testing.assert_allclose(values, expected, rtol=0, atol=tolerance * np.abs(expected).max())
    if gradient is not None:
        np.testing.assert_allclose(gradient, slopes, rtol=0, atol=tolerance * np.abs(slopes).max())
    module.sum_points(*arguments, where.astype(real), values, multivariate=True)
    np.testing.assert_allclose(values, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize(
    ("element", "value", "message"),
    [
        (2, 0.0, r"element \(1, 1\) of L of hill 1 is 0\.0+, expected a positive"),
        (1, np.nan, r"element \(1, 0\) of L of hill 1 is -?nan, expected a finite"),
    ],
)
def test_faulty_covariance_is_refused(element: int, value: float, message: str) -> None:
    _, packed = covariances(np.float64, 5, 2)
    packed[1, element] = value
    with pytest.raises(cyfes.InputError, match=message):
        call_points(wrapper, np.float64, sigmas=packed, multivariate=True)


@pytest.mark.parametrize("kernel", [GAUSSIAN, LOG])
def test_gaussian_wider_than_its_period_is_refused(kernel: int) -> None:
    change = {"kernel": kernel, "periods": np.array([0.0, 2.0]), "sigmas": np.array([[3.0, 2.1]])}
    with pytest.raises(cyfes.InputError, match=r"sigma of axis 1 of hill 0 is 2\.1.* period"):
        call_points(wrapper, np.float64, **change)
    _, packed = covariances(np.float64, 1, 2)
    change["sigmas"] = packed / 100.0
    with pytest.raises(cyfes.InputError, match=r"sigma of axis 1 of hill 0 .* period"):
        call_points(wrapper, np.float64, **change, multivariate=True)


@pytest.mark.parametrize(("module", "real"), MODULES)
def test_logarithm_of_the_sum_on_a_grid(module: Any, real: Any) -> None:
    problem = hills(real)
    problem["heights"] = np.array([0.0, -900.0, 5.0, 700.0, -3.0], real)
    change = {**problem, "kernel": LOG, "gradient": None, "lower": np.full(2, -60.0)}
    where = np.array([[-60.0 + i, -60.0 + j] for i in range(2) for j in range(3)], real)
    found = call_grid(module, real, **change)
    expected = call_points(
        module, real, **problem, kernel=LOG, points=where, values=np.empty(6, real)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-12 if real is np.float64 else 1e-6)


def slow_points(progress: Any) -> Any:
    """Sum for seconds on one core, so that there is something to stop."""
    rng = np.random.default_rng(5)
    return call_points(
        wrapper,
        np.float64,
        **hills(np.float64, 200_000),
        points=rng.normal(size=(100_000, 2)),
        values=np.empty(100_000),
        progress=progress,
    )


def test_error_in_progress_stops_the_sum_and_is_raised() -> None:
    seen = []

    def progress(done: float) -> None:
        seen.append(done)
        if len(seen) == 3:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        slow_points(progress)
    assert len(seen) == 3
    assert 0.0 < seen[0] < seen[1] < seen[2] < 1.0


def interrupt_a_sum() -> float:
    """Return how long a sum goes on after Ctrl-C, in time that its thread had a processor."""
    clock = time.pthread_getcpuclockid(threading.get_ident())
    under_way = threading.Event()
    pressed = []

    def press() -> None:
        under_way.wait()
        pressed.append(time.clock_gettime(clock))
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press).start()
    # Not pytest.raises, which takes its own time.
    try:
        slow_points(lambda _: under_way.set())
    except KeyboardInterrupt:
        return time.clock_gettime(clock) - pressed[0]
    raise AssertionError("the sum went on to its end")


def test_interrupt_stops_the_sum_within_a_fifth_of_a_second() -> None:
    folder = Path(__file__).parent
    code = (
        f"import sys; sys.path[:0] = {[str(folder), str(folder.parent)]}\n"
        "import test_wrapper; print(test_wrapper.interrupt_a_sum())"
    )
    # With one thread, which waits for no other: how busy this machine is does not count.
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(done.stdout) < 0.2


def test_interrupted_sums_leak_no_memory() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])

    interrupt_a_sum()
    before = resident()
    for _ in range(2):
        interrupt_a_sum()
    # The arrays of one call alone are 1600 pages.
    assert resident() - before < 800


@pytest.mark.parametrize(("module", "real"), MODULES)
def test_path_and_plan_are_returned(module: Any, real: Any) -> None:
    arguments = [CPU, GAUSSIAN, *hills(real).values()]
    points = [np.zeros((3, 2), real), np.empty(3, real)]
    path, plan = module.sum_points(*arguments, *points)
    assert (path, plan.partition(",")[0]) == (DIRECT, "direct")
    grid = [np.zeros(2), np.ones(2), np.array([2, 3], np.int64), np.empty(6, real)]
    path, plan = module.sum_grid(*arguments, *grid, path=DIRECT)
    assert (path, plan.partition(",")[0]) == (DIRECT, "direct")
