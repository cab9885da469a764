"""Metadynamics on a known surface: the right distribution, the right files, the surface back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from double_well import KT, short_run

import cyfes
from cyfes.errors import InputError
from cyfes.model.grid import Grid

if TYPE_CHECKING:
    from pathlib import Path


def test_without_hills_it_samples_boltzmanns_distribution() -> None:
    # Harmonic, σ = 0.3 in both, in a period and between walls; hills of no height.
    run = short_run(
        potential=lambda x: 0.5 * KT * ((x / 0.3) ** 2).sum(axis=1),
        grid=Grid([-2.0, -2.0], [2.0, 2.0], [10, 10], [True, False]),
        start=[0.0, 0.0],
        height=1e-12,
        pace=2000,
        walkers=400,
        steps=2000,
        names=None,
    )
    late = run.samples[0, :, 10:].reshape(-1, 2)
    assert run.names == ("cv0", "cv1")
    np.testing.assert_allclose(late.mean(axis=0), 0.0, atol=0.01)
    np.testing.assert_allclose(late.std(axis=0), 0.3, rtol=0.01)


def test_bias_felt_is_the_sum_of_the_hills_laid_before() -> None:
    run = short_run(pace=50, stride=7, walkers=3, runs=2)
    for k in range(2):
        hills = run.hills[k]
        assert hills.times is not None
        for number in (100, 250):
            time = run.times[number]
            before = hills.times < time
            laid = cyfes.Hills(
                hills.names,
                hills.centers[before],
                hills.sigmas[before],
                hills.heights[before],
                bias_factors=6.0,
            )
            expected = cyfes.bias(run.samples[k, :, number], laid, device="cpu")
            np.testing.assert_allclose(run.bias[k, :, number], expected, atol=5e-3)
    assert not np.allclose(run.samples[0], run.samples[1])


def test_heights_fall_as_well_tempered_ones_do() -> None:
    hills = short_run().hills[0]
    scale = 6.0 / 5.0
    assert hills.heights[0] == pytest.approx(scale, rel=1e-12)
    laid = cyfes.Hills(
        hills.names, hills.centers[:-1], hills.sigmas[:-1], hills.heights[:-1], bias_factors=6.0
    )
    felt = cyfes.bias(hills.centers[-1:], laid, device="cpu")[0]
    assert hills.heights[-1] == pytest.approx(scale * np.exp(-felt / (5.0 * KT)), rel=5e-3)


def test_offset_is_that_of_the_hills() -> None:
    run = short_run()
    x = np.linspace(-2.0, 2.0, 2001)
    hills = run.hills[0]
    # The last sample was taken before the last hill was laid.
    laid = cyfes.Hills(
        hills.names, hills.centers[:-1], hills.sigmas[:-1], hills.heights[:-1], bias_factors=6.0
    )
    bias = cyfes.bias(x[:, np.newaxis], laid, device="cpu")
    total = KT * (
        np.log(np.exp(6.0 / 5.0 * bias / KT).sum()) - np.log(np.exp(bias / 5.0 / KT).sum())
    )
    assert run.offset[0, -1] == pytest.approx(total, abs=0.05)
    assert (np.diff(run.offset[0]) > -1e-9).all()
    np.testing.assert_allclose(run.rbias[0, 0], run.bias[0, 0] - run.offset[0])


def test_offset_of_a_high_bias_is_finite() -> None:
    run = short_run(steps=3, pace=1, stride=1, height=5000.0, step=1e-3)
    x = np.linspace(-2.0, 2.0, 2001)
    assert run.offset[0, 0] == 0.0
    for count in (1, 2):
        bias = cyfes.bias(x[:, np.newaxis], run.hills[0][:count], device="cpu") / KT
        # The largest of these numbers is the logarithm of one that no float64 holds.
        upper, lower = (np.logaddexp.reduce(factor * bias) for factor in (6.0 / 5.0, 1.0 / 5.0))
        assert run.offset[0, count] == pytest.approx(KT * (upper - lower), rel=2e-3)


def test_same_seed_same_run() -> None:
    runs = [short_run(seed=seed, steps=200) for seed in (1, 1, 2)]
    assert (runs[0].samples == runs[1].samples).all()
    assert (runs[0].samples != runs[2].samples).any()


def test_walkers_stay_within_walls_and_period() -> None:
    run = short_run(
        potential=lambda x: np.zeros(len(x)),
        grid=Grid(["-pi", 0.0], ["pi", 1.0], [20, 20], [True, False]),
        start=[3.0, 0.9],
        step=[0.5, 0.3],
        sigma=[0.4, 0.2],
        names=["phi", "d"],
    )
    phi, d = run.samples[0, 0].T
    assert (np.abs(phi) <= np.pi).all()
    assert (d >= 0.0).all()
    assert (d <= 1.0).all()
    assert phi.min() < -3.0 < 3.0 < phi.max()
    assert run.hills[0].domain == (("-pi", "pi"), None)


def test_files_are_read_as_plumeds(tmp_path: Path) -> None:
    run = short_run(walkers=2)
    run.write(tmp_path / "HILLS", tmp_path / "COLVAR")
    hills = cyfes.read_hills(tmp_path / "HILLS")
    np.testing.assert_allclose(hills.centers, run.hills[0].centers, rtol=1e-11)
    np.testing.assert_allclose(hills.heights, run.hills[0].heights, rtol=1e-11)
    assert hills.names == ("d",)
    assert hills.kernel == "stretched-gaussian"
    for walker in range(2):
        table = np.loadtxt(tmp_path / f"COLVAR.{walker}")
        np.testing.assert_allclose(table[:, 1], run.samples[0, walker, :, 0], rtol=1e-11)
        np.testing.assert_allclose(table[:, 4], run.rbias[0, walker], rtol=1e-9, atol=1e-9)
    header = (tmp_path / "COLVAR.0").read_text().splitlines()[0]
    assert header == "#! FIELDS time d metad.bias metad.rct metad.rbias"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kT": 0.0}, "kT: found 0.0"),
        ({"height": -1.0}, "height: found -1.0"),
        ({"bias_factor": 1.0}, "bias_factor"),
        ({"start": [3.0]}, "found 3 in CV 0"),
    ],
)
def test_runs_that_cannot_be_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        short_run(**changes)
