"""Several biased runs together, on a surface that is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import cyfes
from cyfes.errors import InputError
from cyfes.studies.mbar import HarmonicBias, mbar

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

KT = 2.494
CENTERS = np.linspace(-1.5, 1.5, 13)
GRID = cyfes.Grid(-1.4, 1.4, 56)


@pytest.fixture(autouse=True)
def pymbar(extra: Callable[[str], Any]) -> Any:
    return extra("pymbar")


def energy(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """A double well whose barrier of 8 kT no window crosses."""
    return 20.0 * (x * x - 1.0) ** 2 + 3.0 * x


def drawn(total: Callable[[Any], Any], count: int, seed: int) -> NDArray[np.float64]:
    """Return independent samples of exp(-total / kT), by the inverse of its distribution."""
    x = np.linspace(-2.5, 2.5, 20001)
    weights = np.exp(-(total(x) - total(x).min()) / KT)
    cumulated = np.cumsum(weights) / weights.sum()
    return np.interp(np.random.default_rng(seed).random(count), cumulated, x)


def biased_energy(bias: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: energy(x) + bias(x[:, np.newaxis])


def windows(seed: int = 0, count: int = 300) -> tuple[list[Any], list[Any]]:
    biases = [HarmonicBias(center, 140.0) for center in CENTERS]
    samples = [
        drawn(biased_energy(bias), count + 10 * k, 100 * seed + k) for k, bias in enumerate(biases)
    ]
    return samples, biases


def true_surface(bandwidth: float) -> NDArray[np.float64]:
    """Return -kT ln of the density, smoothed as the samples are, with ∫ exp(-F / kT) = 1."""
    fine = np.linspace(-2.5, 2.5, 5001)
    density = np.exp(-(energy(fine) - energy(fine).min()) / KT)
    apart = (GRID.axes[0][:, np.newaxis] - fine) / bandwidth
    smooth = np.exp(-0.5 * apart**2) @ density
    total = GRID.spacing[0] * (smooth.sum() - 0.5 * (smooth[0] + smooth[-1]))
    return np.asarray(-KT * np.log(smooth / total))


def test_umbrella_windows_give_the_known_surface_and_its_error() -> None:
    samples, biases = windows()
    surface = mbar(samples, biases, GRID, 0.03, kT=KT, draws=15)
    assert surface.error is not None
    assert surface.kT == KT
    off = surface.values - true_surface(0.03)
    assert np.abs(off).max() < 1.5
    assert (np.abs(off) < 4.0 * surface.error).mean() > 0.98
    assert 0.03 < np.median(surface.error) < 0.5
    assert np.median(np.abs(off) / surface.error) < 2.0


def test_the_error_is_that_of_repeated_runs() -> None:
    many = [mbar(*windows(seed, 200), GRID, 0.05, kT=KT, draws=0) for seed in range(8)]
    assert many[0].error is None
    scatter = np.std([surface.values for surface in many], axis=0, ddof=1)
    error = mbar(*windows(99, 200), GRID, 0.05, kT=KT, draws=20).error
    assert error is not None
    assert 0.6 < np.median(error / scatter) < 1.6


def test_the_error_is_an_unbiased_standard_deviation_over_draws_of_the_seed() -> None:
    # One run of two blocks without a bias, of which the mean of exp(-F / kT) is a Gaussian's: the
    # first block lies in one point of the grid, and the last in the other.
    run, grid = np.repeat([0.0, 1.0], 4), cyfes.Grid(0.0, 1.0, 1)
    energies = np.zeros((1, len(run)))

    def error(draws: int, seed: int) -> float:
        options: dict[str, Any] = {"kT": 1.0, "blocks": 2, "device": "cpu"}
        surface = mbar([run], energies, grid, 0.5, draws=draws, seed=seed, **options)
        assert surface.error is not None
        return float(surface.error[0])

    # F at the first point, from the part of the samples that lie there: all, half twice, none.
    here, there = 1.0, np.exp(-0.5 / 0.5**2)
    parts = np.array([1.0, 0.5, 0.5, 0.0])
    density = parts * here + (1.0 - parts) * there
    other = parts * there + (1.0 - parts) * here
    exact = np.std(-np.log(density / (0.5 * (density + other))))
    assert error(2000, 0) == pytest.approx(exact, rel=0.05)
    errors = [error(2, seed) for seed in range(400)]
    assert len(set(errors)) > 1
    assert np.mean(np.square(errors)) == pytest.approx(exact**2, rel=0.15)


def test_energies_may_be_given_as_numbers() -> None:
    samples, biases = windows(count=100)
    everywhere = np.concatenate(samples)[:, np.newaxis]
    energies = [bias(everywhere) for bias in biases]
    one = mbar(samples, energies, GRID, 0.05, kT=KT, draws=2)
    other = mbar([s[:, np.newaxis] for s in samples], biases, GRID, 0.05, kT=KT, draws=2)
    np.testing.assert_array_equal(one.values, other.values)


def test_one_run_is_reweighted_with_its_bias() -> None:
    samples, (bias, *_) = windows(count=100)
    one = mbar(samples[:1], [bias], GRID, 0.05, kT=KT, draws=0)
    expected = cyfes.reweight(samples[0], GRID, 0.05, kT=KT, bias=bias(samples[0][:, np.newaxis]))
    apart = one.values - expected.values
    np.testing.assert_allclose(apart, apart[0], atol=1e-9)


def test_final_biases_of_metadynamics_are_hills() -> None:
    hills = cyfes.Hills(["x"], CENTERS, 0.3, 14.0, kernel="gaussian")

    biased = biased_energy(lambda points: cyfes.bias(points, hills))
    samples = [drawn(energy, 400, 1), drawn(biased, 800, 2)]
    table = [
        cyfes.Colvar(("x", "y"), np.stack([s, s], axis=1), (None, None), None) for s in samples
    ]
    biases: list[Any] = [lambda points: np.zeros(len(points)), hills]
    surface = mbar(table, biases, GRID, 0.05, kT=KT, names=["x"], draws=0)
    assert surface.names == ("x",)
    off = surface.values - true_surface(0.05)
    assert np.abs(off[surface.values < surface.values.min() + 3 * KT]).max() < 1.0


def test_a_window_across_the_boundary_uses_the_nearest_image() -> None:
    bias = HarmonicBias([3.0, 1.0], [2.0, 10.0], [("-pi", "pi"), None])
    far = 2.0 * np.pi - 6.0
    points = np.array([[-3.0, 1.0], [3.0, 2.0]])
    assert bias(points) == pytest.approx([0.5 * 2.0 * far**2, 5.0])
    assert repr(bias) == "<HarmonicBias at [3.0, 1.0], kappa [2.0, 10.0]>"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"biases": np.zeros((2, 5))}, r"biases: found shape \(2, 5\), expected \(13, 4680\)"),
        ({"biases": np.full((13, 4680), np.nan)}, "biases: found energies that are not finite"),
        ({"samples": []}, "samples: found no runs"),
        ({"samples": [np.zeros((3, 2)), np.zeros(3)]}, r"samples: found shapes \(3, 2\), \(3, 1\)"),
        ({"bandwidth": None}, "bandwidth: found none"),
        # Widths of each sample would be those of other samples in the bootstrap.
        ({"bandwidth": np.full((4680, 1), 0.1)}, r"bandwidth: found shape \(4680, 1\), expected"),
        ({"kT": 0.0}, "kT: found 0"),
        ({"blocks": 1}, "blocks: found 1 for runs of 300 samples and more"),
        ({"blocks": 301}, "blocks: found 301"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    samples, biases = windows()
    given: dict[str, Any] = {"samples": samples, "biases": biases, "grid": GRID, "bandwidth": 0.1}
    with pytest.raises(InputError, match=message):
        mbar(**{**given, "kT": KT, **changes})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.0, 1.0], [1.0, 2.0, 3.0]), "expected a number for each CV"),
        ((0.0, -1.0), "a kappa below zero"),
        ((np.inf, 1.0), "a center that is not finite"),
        ((0.0, 1.0, []), "domain: found 0 entries, expected 1"),
    ],
)
def test_wrong_windows_are_refused(arguments: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        HarmonicBias(*arguments)
