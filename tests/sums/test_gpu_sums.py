"""Arrays on a GPU: taken where they are, on the current stream; here with a stand-in for CuPy."""

from __future__ import annotations

import sys
from typing import Any

import fake_cuda
import numpy as np
import pytest
from fake_cuda import ORDINAL, STREAM, Foreign

import cyfes
from cyfes.errors import DeviceError, InputError, MissingDependencyError
from cyfes.model.grid import Grid
from cyfes.model.hill_kernels import KERNELS
from cyfes.model.hills import Hills
from cyfes.native import device_choice, gpu_arrays
from cyfes.native.constants import CPU
from cyfes.native.extensions import wrapper
from cyfes.sums import gpu_sums
from cyfes.surface import FreeEnergySurface

# Of any type, as far as the type checker is concerned: they pass for NumPy's.
Array: Any = fake_cuda.Array

RNG = np.random.default_rng(0)
HILLS = Hills(
    ["phi", "d"],
    RNG.uniform(-1.0, 1.0, (30, 2)),
    [0.3, 0.2],
    RNG.uniform(0.5, 1.0, 30),
    domain=[("-pi", "pi"), None],
    bias_factors=10.0,
)
POINTS = RNG.uniform(-1.0, 1.0, (17, 2))
RING = Grid([-1.0, -1.0], [1.0, 1.0], [3, 3], [True, False])


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> dict[str, fake_cuda.Calls]:
    """A machine with a second GPU and CuPy, as far as the package can tell."""
    monkeypatch.setitem(sys.modules, "cupy", fake_cuda.cupy)
    calls = {name: fake_cuda.Calls(wrapper(name), name) for name in ("float64", "float32")}
    monkeypatch.setattr(gpu_sums, "wrapper", calls.__getitem__)
    choose = device_choice.choose

    def pretend(name: str, *seconds: float) -> int:
        return int(name[-1]) if name.startswith("cuda:") else choose(name, *seconds)

    monkeypatch.setattr(device_choice, "choose", pretend)
    return calls


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_bias_reads_the_points_where_they_are(gpu: dict[str, fake_cuda.Calls], dtype: Any) -> None:
    points = Array(POINTS.astype(dtype))
    found: Any = cyfes.bias(points, HILLS, dtype=dtype)
    expected = cyfes.bias(POINTS, HILLS, device="cpu", dtype=dtype)
    assert isinstance(found, Array)
    np.testing.assert_allclose(found.host, expected, rtol=1e-5 if dtype == "float32" else 1e-13)
    ((addresses, device, stream),) = gpu[dtype].seen
    assert addresses[3] == points.data.ptr
    assert addresses[4] == found.data.ptr
    assert (device, stream) == (ORDINAL, STREAM)


def test_other_precisions_strides_and_libraries_are_taken(gpu: dict[str, fake_cuda.Calls]) -> None:
    expected = cyfes.bias(POINTS, HILLS, device="cpu")
    padded = np.zeros((17, 4))
    padded[:, ::2] = POINTS
    others: list[Any] = [Array(padded[:, ::2]), Array(np.asfortranarray(POINTS)), Foreign(POINTS)]
    for points in others:
        found: Any = cyfes.bias(points, HILLS)
        np.testing.assert_allclose(found.host, expected, rtol=1e-13)
    narrow: Any = cyfes.bias(Array(POINTS.astype("float32")), HILLS)
    assert narrow.host.dtype == np.float64
    assert len(gpu["float64"].seen) == 4


def test_multivariate_hills_and_intervals_are_kept(gpu: dict[str, fake_cuda.Calls]) -> None:
    flat = Hills(["x"], RNG.uniform(0.0, 1.0, 9), 0.2, 1.0)
    found: Any = cyfes.bias(Array(POINTS[:, :1]), flat)
    np.testing.assert_allclose(found.host, cyfes.bias(POINTS[:, :1], flat, device="cpu"))
    assert len(gpu["float64"].seen) == 1


@pytest.mark.parametrize("name", ["PathFES", "PathFES_f32", "FastBias", "FastBias_f32"])
def test_the_functions_of_cyfes45_take_and_return_them(
    gpu: dict[str, fake_cuda.Calls], name: str
) -> None:
    function = getattr(cyfes, name)
    dtype = "float32" if name.endswith("32") else "float64"
    crd, cv, bias = (RNG.normal(size=s).astype(dtype) for s in ((20, 3), (50, 3), (50,)))
    expected = function(crd, cv, np.ones(3), bias, device="cpu")
    arrays = [Array(crd), Array(cv), Array(bias)]
    found = function(arrays[0], arrays[1], np.ones(3), arrays[2])
    assert isinstance(found, Array)
    np.testing.assert_allclose(found.host, expected, atol=1e-5 if dtype == "float32" else 1e-12)
    ((addresses, _, stream),) = gpu[dtype].seen
    assert addresses[0] == arrays[1].data.ptr
    assert addresses[3] == arrays[0].data.ptr
    assert stream == STREAM
    # The caller's arrays are as they were.
    np.testing.assert_array_equal(arrays[2].host, bias)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_reweighting_leaves_the_surface_on_the_device(
    gpu: dict[str, fake_cuda.Calls], dtype: Any
) -> None:
    grid = Grid(["-pi", -1.0], ["pi", 1.0], [12, 9], [True, False])
    bias = RNG.uniform(0.0, 50.0, 17)
    samples = Array(POINTS.astype(dtype))
    how: dict[str, Any] = {"kT": 2.5, "names": ["phi", "d"], "dtype": dtype}
    found = cyfes.reweight(samples, grid, 0.3, bias=Array(bias.astype(dtype)), **how)
    expected = cyfes.reweight(POINTS, grid, 0.3, bias=bias, device="cpu", **how)
    ((addresses, _, _),) = gpu[dtype].seen
    assert addresses[0] == samples.data.ptr
    assert found.device == f"cuda:{ORDINAL}"
    pointer = found.__cuda_array_interface__["data"][0]
    assert pointer == addresses[3] == found.values.data.ptr  # type: ignore[attr-defined]
    assert found.__dlpack_device__() == (2, ORDINAL)
    assert "12 x 10 points" in repr(found)
    host = found.to_host()
    tolerance = 2e-3 if dtype == "float32" else 1e-10
    np.testing.assert_allclose(host.values, expected.values, atol=tolerance)
    assert host.minima()[0].value == pytest.approx(expected.minima()[0].value, abs=tolerance)
    without = cyfes.reweight(samples, grid, [0.3, 0.2], **how).to_host()
    plain = cyfes.reweight(POINTS, grid, [0.3, 0.2], device="cpu", **how)
    np.testing.assert_allclose(without.values, plain.values, atol=tolerance)


@pytest.mark.usefixtures("gpu")
def test_a_surface_on_the_device_is_never_copied_behind_ones_back() -> None:
    grid = Grid(0.0, 1.0, 3)
    surface = FreeEnergySurface(Array(np.zeros(4)), grid, ("x",))
    with pytest.raises(TypeError, match="implicit copies"):
        surface.minima()
    assert surface.to_host().values.tolist() == [0.0] * 4
    shifted: Any = surface.shift_to_zero().values
    assert isinstance(shifted, Array)


def test_a_surface_on_the_host_offers_no_cuda_interface() -> None:
    surface = FreeEnergySurface(np.arange(4.0), Grid(0.0, 1.0, 3), ("x",))
    assert not hasattr(surface, "__cuda_array_interface__")
    assert not gpu_arrays.on_device(surface)
    assert surface.to_host().values is surface.values
    if hasattr(np, "from_dlpack"):
        assert np.shares_memory(np.from_dlpack(surface), surface.values)


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(
    ("points", "device", "message"),
    [
        (Array(POINTS), "cpu", "found arrays on cuda:1, but the device 'cpu'"),
        (Array(POINTS), "cuda:0", "found arrays on cuda:1"),
        (
            Array(POINTS[:, :1]),
            "auto",
            r"points: found shape \(17, 1\), expected \(at least 1, 2\)",
        ),
        (Array(POINTS[0]), "auto", "points: found 1 axes, expected 2"),
        (Array(POINTS[:0]), "cuda", r"points: found shape \(0, 2\)"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(points: Any, device: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        cyfes.bias(points, HILLS, device=device)


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bias": Array(np.zeros(3))}, "bias: found 3 numbers for 17 samples"),
        ({"bandwidth": -1.0}, "bandwidth: found a number that is not above zero"),
        ({"bandwidth": np.ones(3)}, r"bandwidth: found shape \(3,\), expected \(\), \(2,\)"),
        ({"bandwidth": np.ones((16, 2))}, r"found shape \(16, 2\), expected \(\), \(2,\)"),
        ({"bandwidth": np.zeros((17, 2))}, "bandwidth: found a number that is not above zero"),
        ({"bandwidth": Array(np.ones(2))}, r"found shape \(2,\) on a GPU, expected \(17, 2\)"),
        ({"bandwidth": 2.5, "grid": RING}, "found a width of 2.5 along axis 0, expected at most"),
        ({"samples": POINTS, "bias": Array(np.zeros(17))}, "samples: found none on a GPU"),
        ({"kT": 0.0}, "kT: found 0.0"),
        ({"plan": "truncated"}, "truncated path can sum kernels with a cut-off only"),
        ({"plan": "nufft"}, 'plan is "nufft"'),
        ({"out": np.empty((4, 4))}, "out: found a ndarray, expected an array on cuda:1"),
    ],
)
def test_reweighting_refuses_what_does_not_fit(changes: dict[str, Any], message: str) -> None:
    grid = Grid([-1.0, -1.0], [1.0, 1.0], [3, 3])
    given: dict[str, Any] = {"samples": Array(POINTS), "grid": grid, "bandwidth": 0.3, "kT": 1.0}
    with pytest.raises(InputError, match=message):
        cyfes.reweight(**{**given, **changes})


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("there", [True, False])
def test_reweighting_takes_a_bandwidth_for_each_sample(
    gpu: dict[str, fake_cuda.Calls], dtype: Any, there: bool
) -> None:
    widths = RNG.uniform(0.1, 0.4, POINTS.shape)
    bias = RNG.uniform(0.0, 50.0, 17)
    told: list[float] = []
    out = Array(np.empty(RING.shape, dtype))
    samples, biases = Array(POINTS.astype(dtype)), Array(bias.astype(dtype))
    given: Any = Array(widths.astype(dtype)) if there else widths
    how: dict[str, Any] = {"kT": 2.5, "dtype": dtype, "plan": "direct"}
    found = cyfes.reweight(samples, RING, given, bias=biases, out=out, progress=told.append, **how)
    expected = cyfes.reweight(POINTS, RING, widths, bias=bias, device="cpu", **how)
    tolerance = 2e-3 if dtype == "float32" else 1e-10
    np.testing.assert_allclose(out.host, expected.values, atol=tolerance)
    assert found.values is out
    assert found.plan.startswith("direct")
    assert told == [0.5]
    if there:
        assert gpu[dtype].seen[0][0][1] == given.data.ptr


def on_gpu(hills: Hills, **changes: Any) -> Hills:
    """Return the same hills with their arrays on the GPU."""
    fields = {name: getattr(hills, name) for name in ("kernel", "domain", "bias_factors")}
    arrays = {name: getattr(hills, name) for name in ("centers", "sigmas", "heights")}
    if not hills.on_device:
        arrays = {name: Array(array) for name, array in arrays.items()}
    return Hills(hills.names, **{**fields, "interval": hills.interval, **arrays, **changes})


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("kernel", "truncation", "plan"),
    [
        ("stretched-gaussian", "plumed", "auto"),
        ("stretched-gaussian", "plumed", "direct"),
        ("gaussian", "plumed", "auto"),
        ("gaussian", "none", "separable"),
    ],
)
def test_hills_on_the_gpu_are_summed_there(
    gpu: dict[str, fake_cuda.Calls], kernel: str, truncation: Any, plan: Any, dtype: Any
) -> None:
    hills = Hills(HILLS.names, HILLS.centers, HILLS.sigmas, HILLS.heights, kernel=kernel)
    grid = Grid([-1.0, -1.0], [1.0, 1.0], [12, 9])
    fields = (hills.centers, hills.sigmas, hills.heights)
    arrays = [Array(np.ascontiguousarray(array, dtype=dtype)) for array in fields]
    there = Hills(hills.names, *arrays, kernel=kernel)
    how: dict[str, Any] = {"dtype": dtype, "truncation": truncation, "plan": plan}
    found: Any = cyfes.sum_hills(there, grid, gradient=True, **how)
    expected: Any = cyfes.sum_hills(hills, grid, device="cpu", gradient=True, **how)
    tolerance = 1e-3 if dtype == "float32" else 1e-10
    np.testing.assert_allclose(found.values.host, expected.values, atol=tolerance)
    host = found.to_host()
    np.testing.assert_allclose(host.gradient, expected.gradient, atol=10 * tolerance)
    assert host.plan == expected.plan
    ((addresses, device, stream),) = gpu[dtype].seen
    assert addresses[:2] == (arrays[0].data.ptr, arrays[1].data.ptr)
    assert addresses[3:] == (found.values.data.ptr, found.gradient.data.ptr)
    assert (device, stream) == (ORDINAL, STREAM)
    # The caller's own heights are not negated.
    np.testing.assert_array_equal(arrays[2].host, hills.heights.astype(dtype))


def test_portions_of_hills_add_up_in_the_callers_array(gpu: dict[str, fake_cuda.Calls]) -> None:
    grid = Grid(["-pi", -1.0], ["pi", 1.0], [12, 9], [True, False])
    there = on_gpu(HILLS)
    out: Any = (Array(np.empty(grid.shape)), Array(np.empty((2, *grid.shape))))
    told: list[float] = []
    portions = iter([there[:10], there[10:11], there[11:]])
    found = cyfes.sum_hills(portions, grid, gradient=True, out=out, progress=told.append)
    expected: Any = cyfes.sum_hills(HILLS, grid, device="cpu", gradient=True)
    assert [found.values, found.gradient] == list(out)
    np.testing.assert_allclose(out[0].host, expected.values, atol=1e-12)
    np.testing.assert_allclose(out[1].host, expected.gradient, atol=1e-11)
    assert np.isnan(told).all()
    # Once for each portion, and more often where a portion takes long.
    assert len(told) >= 3
    assert len(gpu["float64"].seen) == 3


@pytest.mark.usefixtures("gpu")
def test_widths_and_heights_may_be_on_the_host() -> None:
    grid = Grid(["-pi", -1.0], ["pi", 1.0], [12, 9], [True, False])
    there = on_gpu(HILLS, sigmas=[0.3, 0.2], heights=2.0)
    alike = Hills(HILLS.names, HILLS.centers, [0.3, 0.2], 2.0, domain=HILLS.domain)
    found: Any = cyfes.sum_hills(there, grid)
    np.testing.assert_allclose(found.values.host, cyfes.sum_hills(alike, grid).values, atol=1e-12)


@pytest.mark.usefixtures("gpu")
def test_beyond_an_interval_the_surface_is_flat() -> None:
    flat = Hills(["x"], RNG.uniform(0.0, 1.0, 9), 0.2, 1.0, interval=(0.2, 0.8))
    grid = Grid(-1.0, 2.0, 30)
    there = on_gpu(flat, centers=Array(flat.centers[:, 0]))
    found: Any = cyfes.sum_hills(there, grid, gradient=True).to_host()
    expected: Any = cyfes.sum_hills(flat, grid, gradient=True)
    np.testing.assert_allclose(found.values, expected.values, atol=1e-12)
    np.testing.assert_allclose(found.gradient, expected.gradient, atol=1e-11)


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("factors", [10.0, np.linspace(2.0, 9.0, 30)])
def test_the_bias_of_hills_on_the_gpu_has_their_bias_factors(factors: Any) -> None:
    there = on_gpu(HILLS, bias_factors=factors)
    hills = Hills(
        *(HILLS.names, HILLS.centers, HILLS.sigmas, HILLS.heights),
        domain=HILLS.domain,
        bias_factors=factors,
    )
    told: list[float] = []
    found: Any = cyfes.bias(Array(POINTS), there, progress=told.append)
    np.testing.assert_allclose(found.host, cyfes.bias(POINTS, hills, device="cpu"), rtol=1e-12)
    assert told == [0.5]


GPU_HILLS_1D: dict[str, Any] = {"centers": Array(POINTS[:, 0]), "sigmas": 0.2, "heights": 1.0}


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"centers": POINTS[:, 0], "heights": Array(POINTS[:, 0])}, "but heights on a GPU"),
        ({"centers": Array(POINTS)}, r"centers: found shape \(17, 2\), expected \(N, 1\)"),
        ({"centers": Array(POINTS[:, 0] > 0.0)}, "centers: found numbers of type bool"),
        ({"sigmas": Array(np.ones((17, 2)))}, r"sigmas: found shape \(17, 2\)"),
        ({"sigmas": -1.0}, "sigmas: found -1"),
        ({"sigmas": None}, "sigmas: found none"),
        ({"sigmas": None, "cholesky": np.ones((17, 1))}, "found cholesky with centers on a GPU"),
        ({"heights": Array(np.ones(3))}, r"heights: found shape \(3,\), expected \(17,\)"),
        ({"heights": np.nan}, "heights: found nan"),
        ({"times": Array(np.ones(17))}, "times: found no array of numbers"),
        ({"kernel": ["gaussian"] + ["stretched-gaussian"] * 16}, "several kernels on a GPU"),
    ],
)
def test_hills_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Hills(["x"], **{**GPU_HILLS_1D, **changes})


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda hills, _: Grid.covering(hills), "the range of hills: found hills on a GPU"),
        (lambda hills, _: cyfes.bias_offset(hills, 2.5), "bias_offset: found hills on a GPU"),
        (cyfes.convergence, "convergence: found hills on a"),
        (
            lambda hills, grid: cyfes.sum_hills(hills, grid, truncation="boxes"),
            "PLUMED's boxes: found hills on a GPU",
        ),
        (lambda hills, _: hills[np.arange(3)], "which are taken by slices"),
        (lambda hills, _: cyfes.bias(POINTS[:, 0], hills), "points: found none on a GPU"),
        (lambda hills, grid: cyfes.sum_hills(hills[:0], grid), "found no hills, expected at"),
        (lambda hills, _: cyfes.bias(hills.centers, hills[:0]), "found no hills, expected at"),
        (
            lambda hills, grid: cyfes.sum_hills(
                on_gpu(hills, kernel="gaussian", interval=(0.0, 0.5)), grid
            ),
            "found plain Gaussians and an INTERVAL",
        ),
        (lambda hills, grid: cyfes.sum_hills(hills, grid, "cpu"), "but the device 'cpu'"),
        (lambda hills, grid: cyfes.sum_hills(hills, grid, plan="nufft"), "arrays on the host only"),
        (lambda hills, grid: cyfes.sum_hills(hills, grid, plan="separable"), "separable path"),
        (
            lambda hills, grid: cyfes.sum_hills([hills, Hills(["x"], [0.0], 0.2, 1.0)], grid),
            "found a portion on the host",
        ),
        (
            lambda hills, grid: cyfes.sum_hills(
                [hills, Hills(["x"], [0.0, 1.0], 0.2, 1.0, kernel=KERNELS)], grid
            ),
            "found a portion of kernels",
        ),
        (
            lambda hills, grid: cyfes.sum_hills(hills, grid, out=np.empty(4)),
            "out: found a ndarray, expected an array on cuda:1",
        ),
        (
            lambda hills, grid: cyfes.sum_hills(hills, grid, out=Array(np.empty(3))),
            r"out: found shape \(3,\) of float64, expected \(4,\) of float64",
        ),
        (
            lambda hills, grid: cyfes.sum_hills(hills, grid, out=Array(np.empty(4, "float32"))),
            "of float32, expected",
        ),
        (
            lambda hills, grid: cyfes.sum_hills(hills, grid, out=Array(np.empty(8)[::2])),
            "out: found an array that is not C-contiguous",
        ),
        (
            lambda hills, grid: cyfes.sum_hills(hills, grid, gradient=True, out=Array(np.empty(4))),
            "out: found 1 arrays, expected a pair",
        ),
        (
            lambda _, __: cyfes.reweight_blocks(Array(POINTS), RING, 0.1, kT=1.0),
            "reweight_blocks: found arrays on a GPU",
        ),
    ],
)
def test_what_needs_hills_on_the_host_says_so(function: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        function(Hills(["x"], **GPU_HILLS_1D), Grid(-1.0, 1.0, 3))


@pytest.mark.usefixtures("gpu")
def test_a_plain_gaussian_wider_than_its_period_is_refused() -> None:
    hills = Hills(["x"], **{**GPU_HILLS_1D, "sigmas": 2.5}, kernel="gaussian", domain=[(-1, 1)])
    with pytest.raises(InputError, match=r"found a width of 2\.5 along axis 0"):
        cyfes.sum_hills(hills, Grid(-1.0, 1.0, 3, True), truncation="none")


@pytest.mark.usefixtures("gpu")
def test_arrays_of_another_device_are_not_copied() -> None:
    elsewhere = Foreign(np.ones(17))
    elsewhere.ordinal = ORDINAL + 1
    with pytest.raises(InputError, match="found arrays on cuda:1 and cuda:2"):
        Hills(["x"], Array(POINTS[:, 0]), 0.2, elsewhere)  # type: ignore[arg-type]


def test_without_cupy_and_pytorch_they_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingDependencyError, match="needs CuPy or PyTorch"):
        cyfes.bias(Array(POINTS), HILLS)


def test_the_library_itself_refuses_device_memory_on_the_cpu() -> None:
    """Up to the C call: an address of the device cannot be meant for the CPU."""
    array = np.zeros(4)
    with pytest.raises((InputError, DeviceError), match="device_memory is memory of a CUDA device"):
        wrapper("float64").sum_points_at(
            *(CPU, 1, (1, 1, 1), (array.ctypes.data,) * 5, np.zeros(1), 0)
        )
    grid = (np.zeros(1), np.ones(1), np.ones(1, dtype=np.int64))
    with pytest.raises((InputError, DeviceError), match="device_memory is memory of a CUDA device"):
        wrapper("float32").sum_grid_at(
            *(CPU, 1, (1, 1), (array.ctypes.data,) * 5, np.zeros(1), *grid, 0)
        )
