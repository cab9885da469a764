"""Reweighting by kernel density estimation against its formula in the logarithm."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import reference

import cyfes

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
KT = 2.494


def plain(samples: Any, grid: cyfes.Grid, sigmas: Any, bias: Any = 0.0, kT: float = KT) -> Any:
    """Return F by logarithms alone, which neither overflow nor vanish."""
    periods = np.where(grid.periodic, grid.upper - grid.lower, 0.0)
    sigmas = np.broadcast_to(sigmas, samples.shape)
    scaled = reference.differences(grid.points(), samples, periods) / sigmas
    norms = np.log(len(samples)) + np.log(math.sqrt(2 * math.pi) * sigmas).sum(axis=1)
    exponents = np.asarray(bias) / kT - norms - 0.5 * (scaled**2).sum(axis=2)
    largest = exponents.max(axis=1, keepdims=True)
    logs = largest[:, 0] + np.log(np.exp(exponents - largest).sum(axis=1))
    return -kT * logs.reshape(grid.shape)


def run_of(ndim: int, count: int = 400) -> tuple[Any, Any]:
    rng = np.random.default_rng(ndim)
    return rng.normal(size=(count, ndim)), rng.uniform(0.0, 20.0, count)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 2e-5)])
@pytest.mark.parametrize("periodic", [[False], [True, False], [False, True, False]])
def test_free_energy_equals_its_formula(
    periodic: list[bool], dtype: str, tolerance: float, device: str
) -> None:
    ndim = len(periodic)
    samples, bias = run_of(ndim)
    grid = cyfes.Grid([-math.pi] * ndim, [math.pi] * ndim, range(9, 9 + ndim), periodic)
    surface = cyfes.reweight(samples, grid, 0.3, kT=KT, bias=bias, device=device, dtype=dtype)
    assert surface.values.dtype == dtype
    assert surface.names == tuple(f"cv{axis}" for axis in range(ndim))
    expected = plain(samples, grid, 0.3, bias)
    np.testing.assert_allclose(surface.values, expected, rtol=tolerance, atol=tolerance * 10)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-5)])
def test_tails_are_finite_and_keep_their_digits(dtype: str, tolerance: float, device: str) -> None:
    samples, bias = run_of(2)
    grid = cyfes.Grid([-100.0, -50.0], [60.0, 100.0], [16, 15])
    # Whole numbers are the same in single precision; far away nothing else would be compared.
    samples = np.round(samples)
    surface = cyfes.reweight(samples, grid, 0.5, kT=KT, bias=bias, device=device, dtype=dtype)
    expected = plain(samples, grid, 0.5, bias)
    assert expected.max() / KT > 10_000
    np.testing.assert_allclose(surface.values, expected, rtol=tolerance)


@pytest.mark.parametrize("device", DEVICES)
def test_huge_bias_gives_no_inf(device: str) -> None:
    samples, _ = run_of(1)
    bias = np.linspace(0.0, 1e5, len(samples))
    grid = cyfes.Grid(-3.0, 3.0, 20)
    surface = cyfes.reweight(samples, grid, 0.3, kT=KT, bias=bias, device=device)
    np.testing.assert_allclose(surface.values, plain(samples, grid, 0.3, bias), rtol=1e-12)


def test_density_of_unbiased_samples_integrates_to_one() -> None:
    samples, _ = run_of(2)
    grid = cyfes.Grid(-8.0, 8.0, [160, 160])
    surface = cyfes.reweight(samples, grid, [0.3, 0.5], kT=1.0, device="cpu")
    assert np.exp(-surface.values).sum() * 0.1**2 == pytest.approx(1.0, abs=1e-10)


def test_bandwidth_of_each_sample_is_honoured() -> None:
    samples, bias = run_of(2)
    sigmas = np.random.default_rng(0).uniform(0.2, 0.9, samples.shape)
    grid = cyfes.Grid([-2, -2], [2, 2], 8)
    surface = cyfes.reweight(samples, grid, sigmas, kT=KT, bias=bias, device="cpu")
    np.testing.assert_allclose(surface.values, plain(samples, grid, sigmas, bias), rtol=1e-12)


def test_names_are_taken() -> None:
    grid = cyfes.Grid(-1.0, 1.0, 4)
    assert cyfes.reweight([0.0], grid, 1, kT=1, names=["phi"], device="cpu").names == ("phi",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"samples": np.zeros((5, 3))}, r"samples: found shape \(5, 3\), expected \(M, 2\)"),
        ({"samples": np.zeros((0, 2))}, r"samples: found none"),
        ({"samples": [[0.0, math.nan]]}, r"samples: found .* in row 0, expected finite"),
        ({"bandwidth": [0.1, 0.2, 0.3]}, r"bandwidth: found shape \(3,\), expected \(\), \(2,\)"),
        ({"bandwidth": 0.0}, r"bandwidth: found a number that is not above zero"),
        ({"bandwidth": math.nan}, r"bandwidth: found a number that is not above zero, or not"),
        ({"bias": [0.0, 1.0]}, r"bias: found 2 numbers for 5 samples"),
        ({"bias": [math.inf] * 5}, r"bias: found \[inf\] in row 0"),
        ({"kT": 0.0}, r"kT: found 0.0, expected a number above zero"),
        ({"dtype": "int32"}, r"dtype is int32"),
        ({"names": ["a"]}, r"names: found 1, expected 2"),
    ],
)
def test_reweight_refuses(change: dict[str, Any], message: str) -> None:
    arguments = {
        "samples": np.zeros((5, 2)),
        "grid": cyfes.Grid([0, 0], [1, 1], 2),
        "bandwidth": 0.1,
        "kT": 1.0,
        "device": "cpu",
    }
    with pytest.raises(cyfes.InputError, match=message):
        cyfes.reweight(**{**arguments, **change})
