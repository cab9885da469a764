"""Arrays on a GPU: taken where they are, on the current stream; here with a stand-in for CuPy."""

from __future__ import annotations

import sys
from typing import Any

import fake_cuda
import numpy as np
import pytest
from fake_cuda import ORDINAL, STREAM, Foreign

import cyfes
from cyfes import _arrays, _device, device_arrays
from cyfes._library import wrapper
from cyfes.errors import DeviceError, InputError, MissingDependencyError
from cyfes.grid import Grid
from cyfes.hills import Hills
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


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> dict[str, fake_cuda.Calls]:
    """A machine with a second GPU and CuPy, as far as the package can tell."""
    monkeypatch.setitem(sys.modules, "cupy", fake_cuda.cupy)
    calls = {name: fake_cuda.Calls(wrapper(name), name) for name in ("float64", "float32")}
    monkeypatch.setattr(device_arrays, "wrapper", calls.__getitem__)
    choose = _device.choose

    def pretend(name: str, *seconds: float) -> int:
        return int(name[-1]) if name.startswith("cuda:") else choose(name, *seconds)

    monkeypatch.setattr(_device, "choose", pretend)
    return calls


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_bias_reads_the_points_where_they_are(gpu: dict[str, fake_cuda.Calls], dtype: str) -> None:
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
    gpu: dict[str, fake_cuda.Calls], dtype: str
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
    assert not _arrays.on_device(surface)
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
        ({"bandwidth": -1.0}, "bandwidth: found -1.0"),
        ({"bandwidth": np.ones(3)}, "expected a number above zero, or 2 of them"),
        ({"kT": 0.0}, "kT: found 0.0"),
        ({"plan": "direct"}, "found samples on a GPU with out, progress or plan"),
    ],
)
def test_reweighting_refuses_what_does_not_fit(changes: dict[str, Any], message: str) -> None:
    grid = Grid([-1.0, -1.0], [1.0, 1.0], [3, 3])
    given: dict[str, Any] = {"samples": Array(POINTS), "grid": grid, "bandwidth": 0.3, "kT": 1.0}
    with pytest.raises(InputError, match=message):
        cyfes.reweight(**{**given, **changes})


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
            *(_device.CPU, 1, (1, 1, 1), (array.ctypes.data,) * 5, np.zeros(1), 0)
        )
    grid = (np.zeros(1), np.ones(1), np.ones(1, dtype=np.int64))
    with pytest.raises((InputError, DeviceError), match="device_memory is memory of a CUDA device"):
        wrapper("float32").sum_grid_at(
            *(_device.CPU, 1, (1, 1), (array.ctypes.data,) * 4, np.zeros(1), *grid, 0)
        )
