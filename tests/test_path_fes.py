"""PathFES against its formula, and what it refuses."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import reference

import cyfes

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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cv": np.zeros((5, 2))}, r"cv: found shape \(5, 2\), expected \(M, 3\)"),
        ({"crd": np.zeros((5, 2))}, r"crd: found shape \(5, 2\)"),
        ({"crd": np.full((1, 3), np.nan)}, r"crd: found .* in row 0, expected finite"),
        ({"crd": np.empty((0, 3))}, r"found 0 points and 7 samples"),
        ({"bias": np.zeros(6)}, r"bias: found 6 numbers for 7 samples"),
        ({"bias": np.full(7, np.inf)}, r"bias: found \[inf\] in row 0"),
        ({"bw": [1.0, 1.0]}, r"bw: found \[1\. 1\.\], expected 3 numbers"),
        ({"bw": [1.0, 0.0, 1.0]}, r"bw: found \[1\. 0\. 1\.\], expected 3 numbers above zero"),
        ({"kT": 0.0}, r"kT: found 0.0, expected"),
        ({"kT": math.nan}, r"kT: found nan, expected"),
    ],
)
def test_path_fes_refuses(change: dict[str, Any], message: str) -> None:
    with pytest.raises(cyfes.InputError, match=message):
        cyfes.PathFES(**{**samples(points=4, count=7), "device": "cpu", **change})
