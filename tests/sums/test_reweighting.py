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
    periodic: list[bool], dtype: Any, tolerance: float, device: str
) -> None:
    ndim = len(periodic)
    samples, bias = run_of(ndim)
    grid = cyfes.Grid([-math.pi] * ndim, [math.pi] * ndim, range(9, 9 + ndim), periodic)
    surface = cyfes.reweight(samples, grid, 0.3, kT=KT, bias=bias, device=device, dtype=dtype)
    assert surface.values.dtype == dtype
    assert surface.names == tuple(f"cv{axis}" for axis in range(ndim))
    expected = plain(samples, grid, 0.3, bias)
    np.testing.assert_allclose(surface.values, expected, rtol=tolerance, atol=tolerance * 10)


def _colvar() -> cyfes.Colvar:
    rng = np.random.default_rng(5)
    values = np.column_stack([rng.uniform(-3.0, 3.0, (50, 2)), rng.uniform(0.0, 5.0, (50, 2))])
    names = ("phi", "d", "metad.rbias", "wall.bias")
    return cyfes.Colvar(names, values, (("-pi", "pi"), None, None, None), None)


def test_columns_of_a_colvar_are_cvs_and_bias() -> None:
    table = _colvar()
    named = cyfes.reweight(
        table, bandwidth=[0.2, 0.3], kT=KT, names=["phi", "d"], bias=["metad.rbias", "wall.bias"]
    )
    assert named.names == ("phi", "d")
    assert named.domain == (("-pi", "pi"), None)
    assert named.shape == (100, 101)
    assert named.grid.periodic == (True, False)
    low, high = table["d"].min() - 0.9, table["d"].max() + 0.9
    np.testing.assert_allclose((named.grid.lower[1], named.grid.upper[1]), (low, high), rtol=1e-5)
    expected = plain(table.values[:, :2], named.grid, [0.2, 0.3], table.values[:, 2:].sum(axis=1))
    np.testing.assert_allclose(named.values, expected, rtol=1e-12, atol=1e-11)
    # All columns but the bias, if none is named.
    grid = cyfes.Grid(["-pi", -4, -1], ["pi", 4, 6], [9, 8, 7], [True, False, False])
    rest = cyfes.reweight(table, grid, 0.3, kT=KT, bias="metad.rbias")
    assert rest.names == ("phi", "d", "wall.bias")
    blocked = cyfes.reweight_blocks(
        table, bandwidth=[0.2, 0.3], kT=KT, names=["phi", "d"], bias="metad.rbias", blocks=5
    )
    assert blocked.surface.names == ("phi", "d")
    assert blocked.surface.error is not None
    np.testing.assert_array_equal(blocked.surface.error, blocked.error())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bandwidth": None}, "bandwidth: found none"),
        ({"names": ["phi", "w"]}, "found no column w, expected one of phi, d"),
        ({"names": ["phi", "phi"]}, "names: found phi, phi, expected different columns"),
        ({"bias": "phi", "names": ["phi"]}, "names: found phi, expected different columns"),
        ({"grid": cyfes.Grid(-1, 1, 5), "names": "phi"}, "phi is periodic from -pi to pi"),
        # A period that is typed with few digits, and one that is off by 1 %.
        (
            {"grid": cyfes.Grid(-3.14159, 3.14159, 5, True), "names": "phi"},
            "phi is periodic from -pi to pi, expected a periodic axis of that length",
        ),
        ({"grid": cyfes.Grid("-pi", 3.0787, 5, True), "names": "phi"}, "axis of that length"),
        ({"bandwidth": [0.1, 0.2, 0.3]}, r"bandwidth: found shape \(3,\), expected"),
        ({"grid": cyfes.Grid(-1, 1, 5)}, "found the columns phi, d, .* for a grid of 1 axes"),
    ],
)
def test_columns_that_cannot_be_reweighted_are_refused(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(cyfes.InputError, match=message):
        cyfes.reweight(_colvar(), **{"bandwidth": 0.2, "kT": KT, **options})


def test_an_array_has_no_columns() -> None:
    with pytest.raises(cyfes.InputError, match="bias: found the name 'rbias' for samples in an"):
        cyfes.reweight(np.zeros(3), bandwidth=0.2, kT=KT, bias="rbias")


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-5)])
def test_tails_are_finite_and_keep_their_digits(dtype: Any, tolerance: float, device: str) -> None:
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


@pytest.mark.parametrize("device", DEVICES)
def test_a_large_bias_costs_single_precision_no_more_than_the_last_digit(device: str) -> None:
    # Numbers from 2^14 to 2^15 are 2^-9 apart. The sums are rounded to them once: the weights,
    # which have as many digits before they are summed, are not rounded, too.
    samples = np.linspace(0.0, 63.0, 64)[:, np.newaxis]
    bias = 17000.0 + np.random.default_rng(3).uniform(0.0, 1.0, 64)
    grid = cyfes.Grid(-0.25, 63.5, 255)
    surface = cyfes.reweight(samples, grid, 0.25, kT=1.0, bias=bias, device=device, dtype="float32")
    apart = np.abs(surface.values - plain(samples, grid, 0.25, bias, kT=1.0))
    assert apart.max() < 0.55 * 2.0**-9


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
