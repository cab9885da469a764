"""PathFES, FastBias and their kin against their formulas, and what they refuse."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import reference

import cyfes
from cyfes.cyfes45 import path_fes
from cyfes.native import device_choice
from cyfes.native.constants import CPU

if TYPE_CHECKING:
    from collections.abc import Callable

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def samples(points: Any = 300, count: int = 2000, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "crd": rng.normal(size=(points, 3)),
        "cv": rng.normal(size=(count, 3)),
        "bw": np.array([0.1, 0.2, 0.3]),
        "bias": rng.uniform(0.0, 5.0, count),
    }


def expected(data: dict[str, Any]) -> Any:
    return reference.path_fes(data["crd"], data["cv"], data["bw"], data["bias"])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("function", "dtype", "tolerance"),
    [(cyfes.PathFES, "float64", 1e-10), (cyfes.PathFES_f32, "float32", 1e-4)],
)
def test_free_energy_equals_its_formula(
    function: Callable[..., Any], dtype: str, tolerance: float, device: str
) -> None:
    data = samples()
    found = function(**data, device=device)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected(data), rtol=0, atol=tolerance)
    assert found.min() == 0


@pytest.mark.parametrize("device", DEVICES)
def test_huge_bias_does_not_overflow(device: str) -> None:
    data = samples()
    data["bias"] = data["bias"] + 1e5
    np.testing.assert_allclose(
        cyfes.PathFES(**data, device=device), expected(data), rtol=0, atol=1e-8
    )


def test_other_temperature_is_honoured() -> None:
    data = samples(points=20, count=50)
    data["bias"] = np.zeros(50)
    doubled = cyfes.PathFES(**data, kT=2.0, device="cpu")
    np.testing.assert_allclose(doubled, 2.0 * cyfes.PathFES(**data, kT=1.0, device="cpu"))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("function", "tolerance"), [(cyfes.PathFES, 1e-13), (cyfes.PathFES_f32, 1e-6)]
)
def test_tails_keep_their_digits(
    function: Callable[..., Any], tolerance: float, device: str
) -> None:
    data = samples(points=4, count=300)
    data["crd"] = data["crd"] * [[1.0], [10.0], [100.0], [1000.0]]
    points, centers = data["crd"].astype("float32"), data["cv"].astype("float32")
    exponents = data["bias"] / reference.PATH_FES_KT
    exponents = exponents - 0.5 * ((points[:, None] - centers.astype(float)) ** 2).sum(axis=2)
    largest = exponents.max(axis=1)
    energies = largest + np.log(np.exp(exponents - largest[:, None]).sum(axis=1))
    energies = reference.PATH_FES_KT * (energies.max() - energies)
    found = function(**{**data, "crd": points, "cv": centers}, device=device)
    np.testing.assert_allclose(found, energies, rtol=tolerance, atol=10 * tolerance)


def expected_bias(data: dict[str, Any]) -> Any:
    square = ((data["crd"][:, None, :] - data["cv"][None, :, :]) ** 2).sum(axis=2)
    return reference.PATH_FES_KT * np.exp(-0.5 * square).sum(axis=1)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("function", "dtype", "tolerance"),
    [(cyfes.FastBias, "float64", 1e-13), (cyfes.FastBias_f32, "float32", 1e-4)],
)
def test_fast_bias_equals_its_formula(
    function: Callable[..., Any], dtype: str, tolerance: float, device: str
) -> None:
    data = samples()
    found = function(**data, device=device)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected_bias(data), rtol=tolerance)


def test_fast_bias_depends_on_neither_bandwidth_nor_bias() -> None:
    data = samples(points=20, count=50)
    other = {**data, "bw": [7.0, 8.0, 9.0], "bias": np.full(50, 1e5)}
    first, second = (cyfes.FastBias(**each, device="cpu") for each in (data, other))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(cyfes.FastBias(**data, kT=1.0, device="cpu") * path_fes.KT, first)


@pytest.mark.gpu
@pytest.mark.parametrize("device_ids", [[0], (0, 0, 0), np.array([0, 0], dtype=np.int32)])
@pytest.mark.parametrize(
    ("function", "dtype", "tolerance"),
    [(cyfes.DevicePathFES, "float64", 1e-10), (cyfes.DevicePathFES_f32, "float32", 1e-4)],
)
def test_cuda_devices_share_the_points(
    function: Callable[..., Any], dtype: str, tolerance: float, device_ids: Any
) -> None:
    data = samples()
    found = function(**data, device_ids=device_ids)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected(data), rtol=0, atol=tolerance)


@pytest.mark.gpu
def test_all_cuda_devices_at_once_equal_one() -> None:
    count = sum(device.usable for device in cyfes.devices()) - 1
    data = samples(points=5000)
    shared = cyfes.DevicePathFES(**data, device_ids=range(count))
    np.testing.assert_allclose(shared, cyfes.PathFES(**data, device="cuda:0"), rtol=0, atol=1e-12)


@pytest.mark.parametrize("count", [2, 3, 50])
def test_points_are_dealt_out_and_put_together_in_order(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def choose(device: str) -> int:
        asked.append(device)
        # The CPU computes for each of the devices.
        return CPU

    monkeypatch.setattr(device_choice, "choose", choose)
    data = samples(points=40, count=30)
    found = cyfes.DevicePathFES(**data, device_ids=range(count))
    assert asked == [f"cuda:{number}" for number in range(count)]
    np.testing.assert_allclose(found, expected(data), rtol=0, atol=1e-12)


@pytest.mark.parametrize("device_ids", [[], [-1], [0.0], 0, "0", [[0]], ["cuda:0"], [True]])
def test_device_path_fes_refuses_what_is_no_list_of_devices(device_ids: Any) -> None:
    with pytest.raises(cyfes.InputError, match=r"device_ids: found .*, expected the numbers of"):
        cyfes.DevicePathFES(**samples(points=4, count=7), device_ids=device_ids)


def test_an_absent_cuda_device_is_an_error() -> None:
    with pytest.raises(cyfes.DeviceError, match=r"99|CUDA|driver"):
        cyfes.DevicePathFES(**samples(points=4, count=7), device_ids=[99])


def laid_out(matrix: Any) -> dict[str, Any]:
    """Return the same numbers in layouts that are not plain rows."""
    wide = np.full((2 * len(matrix), 2 * matrix.shape[1]), np.nan)
    wide[::2, ::2] = matrix
    frozen = matrix.copy()
    frozen.flags.writeable = False
    return {
        "strided": wide[::2, ::2],
        "reversed": matrix[::-1].copy()[::-1],
        "Fortran": np.asfortranarray(matrix),
        "read-only": frozen,
        "big-endian": matrix.astype(">f8"),
        "memoryview": np.ascontiguousarray(matrix).data,
        "list": matrix.tolist(),
    }


@pytest.mark.parametrize("layout", sorted(laid_out(np.zeros((2, 3)))))
@pytest.mark.parametrize("function", [cyfes.PathFES, cyfes.PathFES_f32, cyfes.FastBias])
def test_cyfes45_ignoring_strides_is_mended(function: Callable[..., Any], layout: str) -> None:
    data = samples(points=30, count=70)
    others = {
        name: laid_out(data[name] if data[name].ndim == 2 else data[name][:, None])[layout]
        for name in ("crd", "cv", "bias", "bw")
    }
    found = function(**others, device="cpu")
    np.testing.assert_array_equal(found, function(**data, device="cpu"))


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint16", "float16", "float32", "longdouble"])
def test_any_real_dtype_is_taken(dtype: str) -> None:
    rng = np.random.default_rng(0)
    data = {
        "crd": rng.integers(0, 5, (10, 3)),
        "cv": rng.integers(0, 5, (20, 3)),
        "bw": np.ones(3),
        "bias": rng.integers(0, 3, 20),
    }
    other: dict[str, Any] = {name: values.astype(dtype) for name, values in data.items()}
    found = cyfes.PathFES(**other, device="cpu")
    np.testing.assert_allclose(found, expected(data), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("function", "distance"),
    [(cyfes.PathFES, 1e200), (cyfes.PathFES_f32, 1e30), (cyfes.DevicePathFES_f32, 1e30)],
)
def test_a_distance_that_overflows_is_refused_and_gives_no_inf(
    function: Callable[..., Any], distance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = samples(points=4, count=7)
    data["crd"][2, 1] = distance
    device: dict[str, Any] = {"device": "cpu"}
    if function is cyfes.DevicePathFES_f32:
        device = {"device_ids": [0]}
        monkeypatch.setattr(device_choice, "choose", lambda _: CPU)
    with pytest.raises(cyfes.InputError, match=r"crd, cv: found distances whose squares overflow"):
        function(**data, **device)


@pytest.mark.parametrize("function", [cyfes.PathFES, cyfes.PathFES_f32, cyfes.FastBias])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cv": np.zeros((5, 2))}, r"cv: found shape \(5, 2\), expected \(M, 3\)"),
        ({"crd": np.zeros((5, 2))}, r"crd: found shape \(5, 2\)"),
        ({"crd": np.zeros(3)}, r"crd: found shape \(3,\), expected \(M, 3\)"),
        ({"cv": np.zeros((7, 3), dtype=complex)}, r"cv: found numbers of type complex128"),
        ({"cv": [["a", "b", "c"]] * 7}, r"cv: found numbers of type <U1, expected real"),
        ({"cv": np.zeros((7, 3), dtype=object)}, r"cv: found numbers of type object"),
        ({"cv": np.full((7, 3), np.inf)}, r"cv: found .* in row 0, expected finite"),
        ({"crd": np.full((1, 3), np.nan)}, r"crd: found .* in row 0, expected finite"),
        ({"crd": np.empty((0, 3))}, r"found 0 points and 7 samples"),
        ({"cv": np.empty((0, 3)), "bias": []}, r"found 4 points and 0 samples"),
        ({"bias": np.zeros(6)}, r"bias: found 6 numbers for 7 samples"),
        ({"bias": np.full(7, np.inf)}, r"bias: found \[inf\] in row 0"),
        ({"bw": [1.0, 1.0]}, r"bw: found \[1\. 1\.\], expected 3 numbers"),
        ({"bw": [1.0, 1.0, math.nan]}, r"bw: found \[nan\] in row 2, expected finite"),
        ({"bw": [1.0, 0.0, 1.0]}, r"bw: found \[1\. 0\. 1\.\], expected 3 numbers above zero"),
        ({"kT": 0.0}, r"kT: found 0.0, expected"),
        ({"kT": math.nan}, r"kT: found nan, expected"),
    ],
)
def test_bad_input_is_refused(
    function: Callable[..., Any], change: dict[str, Any], message: str
) -> None:
    with pytest.raises(cyfes.InputError, match=message):
        function(**{**samples(points=4, count=7), "device": "cpu", **change})


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("function", "tolerance"), [(cyfes.PathFES, 1e-10), (cyfes.PathFES_f32, 1e-4)]
)
def test_order_of_far_and_near_samples_does_not_matter(
    function: Callable[..., Any], tolerance: float, device: str
) -> None:
    data = samples(points=9, count=1000)
    # The terms of the near ones are exp(5000) times those that come before them.
    data["cv"][:600] += 100.0
    data["bias"] = np.zeros(1000)
    backward = {**data, "cv": data["cv"][::-1]}
    found = [function(**order, device=device) for order in (data, backward)]
    for one in found:
        np.testing.assert_allclose(one, expected(data), rtol=0, atol=tolerance)
