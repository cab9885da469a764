"""Arrays of CuPy and PyTorch on a GPU: no copies, their streams, and a job beside that goes on."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import cyfes
from cyfes.model.grid import Grid
from cyfes.model.hills import Hills
from cyfes.native.extensions import wrapper
from cyfes.sums import gpu_sums

if TYPE_CHECKING:
    from collections.abc import Callable

# CuPy and PyTorch are larger than everything else together; only a run with -m has them.
pytestmark = [pytest.mark.gpu, pytest.mark.slow]

RNG = np.random.default_rng(0)
HILLS = Hills(
    ["phi", "d"],
    RNG.uniform(-1.0, 1.0, (5000, 2)),
    [0.3, 0.2],
    RNG.uniform(0.5, 1.0, 5000),
    domain=[("-pi", "pi"), None],
    bias_factors=10.0,
)
POINTS = RNG.uniform(-1.0, 1.0, (20000, 2))


class Cupy:
    """What the tests do with CuPy."""

    def __init__(self, module: Any) -> None:
        self.module = module

    def on_gpu(self, host: Any, dtype: Any = "float64") -> Any:
        return self.module.asarray(np.ascontiguousarray(host), dtype=dtype)

    def address(self, array: Any) -> int:
        return int(array.data.ptr)

    def host(self, array: Any) -> Any:
        return array.get()

    def stream(self) -> Any:
        return self.module.cuda.Stream(non_blocking=True)

    def handle(self, stream: Any) -> int:
        return int(stream.ptr)

    def entered(self, stream: Any) -> Any:
        return stream

    def wait(self) -> None:
        source = (
            'extern "C" __global__ void wait()'
            "{ long long t = clock64(); while (clock64() - t < 400000000LL); }"
        )
        self.module.RawKernel(source, "wait")((1,), (1,), ())


class Torch:
    """The same with PyTorch."""

    def __init__(self, module: Any) -> None:
        self.module = module

    def on_gpu(self, host: Any, dtype: Any = "float64") -> Any:
        # A copy: PyTorch warns of arrays that cannot be written.
        return self.module.as_tensor(np.array(host, dtype=dtype, order="C"), device="cuda")

    def address(self, array: Any) -> int:
        return int(array.data_ptr())

    def host(self, array: Any) -> Any:
        return array.cpu().numpy()

    def stream(self) -> Any:
        return self.module.cuda.Stream()

    def handle(self, stream: Any) -> int:
        return int(stream.cuda_stream)

    def entered(self, stream: Any) -> Any:
        return self.module.cuda.stream(stream)

    def wait(self) -> None:
        self.module.cuda._sleep(400_000_000)


@pytest.fixture(params=["cupy", "torch"])
def library(request: pytest.FixtureRequest, extra: Callable[[str], Any]) -> Any:
    """One of the two libraries."""
    return {"cupy": Cupy, "torch": Torch}[request.param](extra(request.param))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The counts, addresses and so on of each call of libcufes with addresses."""
    seen: list[tuple[Any, ...]] = []

    class Spy:
        def __init__(self, name: str) -> None:
            self._module = wrapper(name)

        def __getattr__(self, name: str) -> Any:
            def call(*arguments: Any, **options: Any) -> Any:
                seen.append(arguments)
                return getattr(self._module, name)(*arguments, **options)

            return call

    monkeypatch.setattr(gpu_sums, "wrapper", Spy)
    return seen


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-5)])
def test_bias_has_the_callers_addresses_and_the_cpus_values(
    library: Any, calls: list[tuple[Any, ...]], dtype: Any, tolerance: float
) -> None:
    expected = cyfes.bias(POINTS, HILLS, device="cpu")
    points = library.on_gpu(POINTS, dtype)
    found = cyfes.bias(points, HILLS, dtype=dtype)
    np.testing.assert_allclose(library.host(found), expected, atol=tolerance * expected.max())
    assert calls[-1][3][3:] == (library.address(points), library.address(found))


def test_the_current_stream_is_worked_on(library: Any, calls: list[tuple[Any, ...]]) -> None:
    expected = cyfes.bias(POINTS, HILLS, device="cpu")
    source = library.on_gpu(POINTS)
    points = library.on_gpu(np.zeros_like(POINTS))
    stream = library.stream()
    library.host(source)
    with library.entered(stream):
        # The points are written late; on another stream zeros would be read.
        library.wait()
        points[:] = source
        found = library.host(cyfes.bias(points, HILLS))
    assert calls[-1][5] == library.handle(stream) != 0
    np.testing.assert_allclose(found, expected, atol=1e-9 * expected.max())


@pytest.mark.parametrize("name", ["PathFES", "PathFES_f32", "FastBias"])
def test_functions_of_cyfes45(library: Any, name: str) -> None:
    function = getattr(cyfes, name)
    dtype = "float32" if name.endswith("32") else "float64"
    host = [RNG.normal(size=s) for s in ((4000, 3), (20000, 3), (20000,))]
    crd, cv, bias = (library.on_gpu(array, dtype) for array in host)
    found = library.host(function(crd, cv, np.ones(3), bias))
    expected = function(host[0], host[1], np.ones(3), host[2], device="cpu")
    np.testing.assert_allclose(found, expected, atol=1e-4 if dtype == "float32" else 1e-8)


def test_reweighting_gives_a_surface_that_both_libraries_take(
    library: Any, calls: list[tuple[Any, ...]], extra: Callable[[str], Any]
) -> None:
    grid = Grid(["-pi", -1.5], ["pi", 1.5], [60, 50], [True, False])
    bias = RNG.uniform(0.0, 30.0, len(POINTS))
    how: dict[str, Any] = {"kT": 2.5, "bandwidth": [0.15, 0.1]}
    expected = cyfes.reweight(POINTS, grid, bias=bias, device="cpu", **how)
    samples = library.on_gpu(POINTS)
    fes: Any = cyfes.reweight(samples, grid, bias=library.on_gpu(bias), **how)
    np.testing.assert_allclose(fes.to_host().values, expected.values, atol=1e-7)
    where = library.address(fes.values)
    assert (calls[-1][3][0], calls[-1][3][3]) == (library.address(samples), where)
    cupy, torch = extra("cupy"), extra("torch")
    assert cupy.asarray(fes).data.ptr == where
    assert torch.from_dlpack(fes).data_ptr() == where
    assert torch.as_tensor(fes, device="cuda").data_ptr() == where


def placed(library: Any, hills: Hills, dtype: Any = "float64") -> Hills:
    """Return the same hills with their arrays on the GPU."""
    parts = (hills.centers, hills.sigmas, hills.heights)
    arrays = [library.on_gpu(part, dtype) for part in parts]
    fields: dict[str, Any] = {"domain": hills.domain, "bias_factors": hills.bias_factors}
    return Hills(hills.names, *arrays, kernel=hills.kernel, **fields)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 2e-4)])
@pytest.mark.parametrize(
    ("kernel", "truncation", "plan"),
    [
        ("stretched-gaussian", "plumed", "auto"),
        ("stretched-gaussian", "plumed", "direct"),
        ("gaussian", "plumed", "auto"),
        ("gaussian", "none", "separable"),
    ],
)
def test_hills_on_the_gpu_are_summed_where_they_are(
    library: Any,
    calls: list[tuple[Any, ...]],
    kernel: str,
    truncation: Any,
    plan: Any,
    dtype: Any,
    tolerance: float,
) -> None:
    host = Hills(HILLS.names, HILLS.centers, HILLS.sigmas, HILLS.heights, kernel=kernel)
    hills = placed(library, host, dtype)
    grid = Grid([-1.5, -1.5], [1.5, 1.5], [60, 50])
    out = [library.on_gpu(np.zeros(s), dtype) for s in (grid.shape, (2, *grid.shape))]
    how: dict[str, Any] = {"truncation": truncation, "plan": plan, "gradient": True}
    expected: Any = cyfes.sum_hills(host, grid, device="cpu", **how)
    found: Any = cyfes.sum_hills(hills, grid, dtype=dtype, out=tuple(out), **how)
    there = [hills.centers, hills.sigmas, *out]
    addresses = calls[-1][3]
    assert [*addresses[:2], *addresses[3:]] == [library.address(array) for array in there]
    assert library.address(found.values) == library.address(out[0])
    assert type(found.values) is type(out[0])
    surface = found.to_host()
    for one, other in (
        (surface.values, expected.values),
        (surface.gradient, expected.gradient),
    ):
        np.testing.assert_allclose(one, other, atol=tolerance * np.abs(other).max())
    # The caller's heights are as they were.
    np.testing.assert_array_equal(library.host(hills.heights), HILLS.heights.astype(dtype))


def test_hills_are_summed_on_the_current_stream(library: Any, calls: list[tuple[Any, ...]]) -> None:
    grid = Grid(["-pi", -1.5], ["pi", 1.5], [60, 50], [True, False])
    expected = cyfes.sum_hills(HILLS, grid, device="cpu").values
    source = library.on_gpu(HILLS.centers)
    centers = library.on_gpu(np.zeros_like(HILLS.centers))
    how: dict[str, Any] = {"domain": HILLS.domain, "bias_factors": 10.0}
    hills = Hills(HILLS.names, centers, [0.3, 0.2], library.on_gpu(HILLS.heights), **how)
    stream = library.stream()
    library.host(source)
    with library.entered(stream):
        library.wait()
        centers[:] = source
        found = library.host(cyfes.sum_hills(hills, grid).values)
    assert calls[-1][8] == library.handle(stream) != 0
    np.testing.assert_allclose(found, expected, atol=1e-10 * np.abs(expected).max())


def test_portions_intervals_and_the_bias_of_hills_on_the_gpu(library: Any) -> None:
    grid = Grid(["-pi", -1.5], ["pi", 1.5], [60, 50], [True, False])
    hills = placed(library, HILLS)
    portions = iter([hills[:2000], hills[2000:]])
    found: Any = cyfes.sum_hills(portions, grid, gradient=True).to_host()
    expected: Any = cyfes.sum_hills(HILLS, grid, device="cpu", gradient=True)
    np.testing.assert_allclose(found.values, expected.values, atol=1e-8)
    np.testing.assert_allclose(found.gradient, expected.gradient, atol=1e-7)
    values = library.host(cyfes.bias(library.on_gpu(POINTS), hills))
    np.testing.assert_allclose(values, cyfes.bias(POINTS, HILLS, device="cpu"), atol=1e-8)
    flat = Hills(["x"], HILLS.centers[:, :1], 0.2, HILLS.heights, interval=(-0.5, 0.5))
    arrays = [library.on_gpu(array) for array in (flat.centers[:, 0], flat.heights)]
    there = Hills(["x"], arrays[0], 0.2, arrays[1], interval=(-0.5, 0.5))
    line = Grid(-2.0, 2.0, 100)
    bounded: Any = cyfes.sum_hills(there, line, gradient=True).to_host()
    on_cpu: Any = cyfes.sum_hills(flat, line, device="cpu", gradient=True)
    np.testing.assert_allclose(bounded.values, on_cpu.values, atol=1e-8)
    np.testing.assert_allclose(bounded.gradient, on_cpu.gradient, atol=1e-7)


@pytest.mark.parametrize("there", [True, False])
def test_reweighting_with_a_bandwidth_for_each_sample(
    library: Any, calls: list[tuple[Any, ...]], there: bool
) -> None:
    grid = Grid(["-pi", -1.5], ["pi", 1.5], [60, 50], [True, False])
    widths = RNG.uniform(0.1, 0.3, POINTS.shape)
    bias = RNG.uniform(0.0, 30.0, len(POINTS))
    how: dict[str, Any] = {"kT": 2.5, "plan": "separable"}
    expected = cyfes.reweight(POINTS, grid, widths, bias=bias, device="cpu", **how)
    samples, biases = library.on_gpu(POINTS), library.on_gpu(bias)
    out = library.on_gpu(np.zeros(grid.shape))
    given = library.on_gpu(widths) if there else widths
    fes: Any = cyfes.reweight(samples, grid, given, bias=biases, out=out, **how)
    np.testing.assert_allclose(library.host(out), expected.values, atol=1e-7)
    assert library.address(fes.values) == library.address(out) == calls[-1][3][3]
    assert fes.plan.startswith("separable")
    # The caller's biases are as they were.
    np.testing.assert_array_equal(library.host(biases), bias)


def test_a_long_sum_on_the_gpu_is_watched_and_stopped(library: Any) -> None:
    count = 1_000_000
    centers = library.on_gpu(RNG.uniform(-1.0, 1.0, (count, 3)))
    hills = Hills(["x", "y", "z"], centers, 0.3, 1.0, kernel="gaussian")
    grid = Grid([-1.0] * 3, [1.0] * 3, [250] * 3)
    told: list[float] = []

    def stop(done: float) -> None:
        told.append(done)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        cyfes.sum_hills(hills, grid, truncation="none", progress=stop)
    assert len(told) == 1
    # And the device goes on.
    few = hills[:1000]
    host = Hills(hills.names, library.host(few.centers), 0.3, 1.0, kernel="gaussian")
    small = Grid([-1.0] * 3, [1.0] * 3, [20] * 3)
    expected = cyfes.sum_hills(host, small, device="cpu", truncation="none").values
    found = library.host(cyfes.sum_hills(few, small, truncation="none").values)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_a_pytorch_job_beside_goes_on(library: Any, extra: Callable[[str], Any]) -> None:
    torch = extra("torch")
    matrix = torch.randn(1024, 1024, device="cuda")
    expected = (matrix @ matrix).double().sum().item()
    stop, results = threading.Event(), []

    def job() -> None:
        with torch.cuda.stream(torch.cuda.Stream()):
            while not stop.is_set():
                results.append((matrix @ matrix).double().sum().item())

    thread = threading.Thread(target=job)
    thread.start()
    points = library.on_gpu(POINTS)
    for _ in range(20):
        cyfes.bias(points, HILLS)
    before = len(results)
    cyfes.bias(POINTS, HILLS, device="cuda")
    while len(results) < before + 3 and thread.is_alive():
        pass
    stop.set()
    thread.join()
    np.testing.assert_allclose(results, expected, rtol=1e-5, atol=1e-2)
    assert len(results) > before
    assert (matrix @ matrix).double().sum().item() == pytest.approx(expected, rel=1e-5, abs=1e-2)
