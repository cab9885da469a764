"""Error bars from blocks: against formulas, against what they claim, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from double_well import double_well
from landscapes import basins_of_depth

import cyfes
from cyfes.errors import InputError
from cyfes.landscape.regions import box, log_population
from cyfes.model.grid import Grid
from cyfes.studies.blocks import BlockedSurface, reweight_blocks
from cyfes.studies.langevin import metadynamics
from cyfes.surface import FreeEnergySurface

if TYPE_CHECKING:
    from numpy.typing import NDArray

KT = 2.5
GRID = Grid(-2.0, 2.0, 40)
HALVES = [box(GRID, [ends]) for ends in ((-2.0, 0.0), (0.0, 2.0))]

# Two-sided quantiles of Student's distribution with 9 degrees of freedom.
T9 = {0.68: 1.053, 0.95: 2.262}


def _blocked(seed: int = 0, count: int = 2000, **changes: Any) -> BlockedSurface:
    rng = np.random.default_rng(seed)
    given: dict[str, Any] = {"kT": KT, "bias": rng.normal(size=count), "device": "cpu"}
    given["bandwidth"] = 0.2
    return reweight_blocks(rng.normal(size=(count, 1)), GRID, **{**given, **changes})


def test_surface_is_that_of_all_samples_at_once() -> None:
    rng = np.random.default_rng(1)
    samples, bias = rng.normal(size=(501, 2)), 1000.0 * rng.normal(size=501)
    grid = Grid([-2.0, -2.0], [2.0, 2.0], [12, 9], [True, False])
    expected = cyfes.reweight(samples, grid, 0.3, kT=KT, bias=bias, device="cpu")
    for blocks in (2, 7, rng.integers(3, size=501)):
        found = reweight_blocks(
            samples, grid, 0.3, kT=KT, bias=bias, blocks=blocks, names=["a", "b"], device="cpu"
        )
        np.testing.assert_allclose(found.surface.values, expected.values, rtol=1e-9)
        assert found.surface.names == ("a", "b")
        assert found.surface.kT == KT
    assert "3 blocks of <FreeEnergySurface over a, b" in repr(found)


def test_bandwidths_of_each_sample_go_to_their_blocks() -> None:
    rng = np.random.default_rng(2)
    samples, widths = rng.normal(size=(60, 1)), rng.uniform(0.1, 0.5, (60, 1))
    expected = cyfes.reweight(samples, GRID, widths, kT=KT, device="cpu")
    found = reweight_blocks(samples, GRID, widths, kT=KT, blocks=4, device="cpu")
    np.testing.assert_allclose(found.surface.values, expected.values, rtol=1e-9)


def test_jackknife_leaves_out_each_block_in_turn() -> None:
    blocked = _blocked(blocks=6)
    sums = np.exp(blocked.log_sums)
    left_out = []
    for k in range(6):
        values = -KT * np.log(np.delete(sums, k, axis=0).sum(axis=0))
        left_out.append(values + KT * log_population(values / -KT, GRID))
    expected = np.sqrt(5.0 * np.var(left_out, axis=0))
    np.testing.assert_allclose(blocked.error(), expected, rtol=1e-8)


def test_both_errors_of_a_difference_agree_on_independent_samples() -> None:
    blocked = _blocked(count=4000, blocks=40)
    block = blocked.difference(*HALVES)
    drawn = blocked.difference(*HALVES, method="bootstrap")
    assert block.value == drawn.value
    assert block.value == pytest.approx(blocked.surface.difference(*HALVES), abs=1e-9)
    assert drawn.error == pytest.approx(block.error, rel=0.25)
    assert (block.blocks, drawn.blocks) == (40, 40)
    assert drawn == blocked.difference(*HALVES, method="bootstrap")


def test_error_of_a_difference_is_the_binomial_one() -> None:
    # Without weights, the populations of the halves are counts: var ln(p/q) = 1 / (N p q).
    errors = [
        _blocked(seed, count=2000, bias=None, blocks=20).difference(*HALVES).error
        for seed in range(6)
    ]
    assert np.mean(errors) == pytest.approx(KT / np.sqrt(2000 * 0.25), rel=0.15)


def _two_blocks() -> tuple[BlockedSurface, list[NDArray[np.bool_]]]:
    """Return blocks whose populations of two regions are 1 and 2, and 4 and 1."""
    log_sums = np.log([[1.0, 2.0], [4.0, 1.0]])
    surface = FreeEnergySurface(
        -KT * np.logaddexp.reduce(log_sums), Grid(0.0, 1.0, 1), ("x",), kT=KT
    )
    return BlockedSurface(surface, log_sums), [np.array([True, False]), np.array([False, True])]


def test_the_bootstraps_error_is_the_standard_deviation_over_all_draws() -> None:
    blocked, regions = _two_blocks()
    # The four ways to draw two blocks: the first twice, both in two orders, the last twice.
    exact = KT * np.std(np.log([1.0 / 2.0, 5.0 / 3.0, 5.0 / 3.0, 4.0 / 1.0]))
    many = blocked.difference(*regions, method="bootstrap", draws=20_000)
    assert many.value == pytest.approx(KT * np.log(5.0 / 3.0))
    assert many.error == pytest.approx(exact, rel=0.02)
    # With Bessel's correction, the mean square of errors from few draws is the variance.
    errors = [
        blocked.difference(*regions, method="bootstrap", draws=2, seed=seed).error
        for seed in range(1000)
    ]
    assert len(set(errors)) > 1
    assert np.mean(np.square(errors)) == pytest.approx(exact**2, rel=0.1)


def test_points_stand_for_basins_of_minima_as_deep_as_asked() -> None:
    expected, surface = basins_of_depth(KT)
    halves = np.stack([surface.values / -KT + np.log(0.5)] * 2)
    found = BlockedSurface(surface, halves).difference([1.0], [5.0], depth=1.5)
    assert found.value == pytest.approx(expected, rel=1e-12)


def test_merged_blocks_sum_to_the_same_surface() -> None:
    blocked = _blocked(blocks=10)
    merged = blocked.merged(2)
    assert len(merged) == 5
    np.testing.assert_allclose(
        np.logaddexp.reduce(merged.log_sums), np.logaddexp.reduce(blocked.log_sums), rtol=1e-12
    )
    # Three blocks and three, and the four that are left at the end.
    sums = np.exp(blocked.log_sums)
    expected = [sums[:3].sum(axis=0), sums[3:6].sum(axis=0), sums[6:].sum(axis=0)]
    np.testing.assert_allclose(np.exp(blocked.merged(3).log_sums), expected, rtol=1e-12)
    with pytest.raises(InputError, match="found 10 blocks, expected at least 12"):
        blocked.merged(6)


def test_blocks_shorter_than_the_correlation_betray_themselves() -> None:
    rng = np.random.default_rng(3)
    # Each sample stays for 50 steps, longer than a block of 10.
    samples = np.repeat(rng.normal(size=80), 50)[:, np.newaxis]
    fine = reweight_blocks(samples, GRID, 0.2, kT=KT, blocks=400, device="cpu")
    coarse = fine.merged(10)
    assert coarse.difference(*HALVES).error > 1.4 * fine.difference(*HALVES).error


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blocks": 1}, "blocks: found 1 for 2000 samples"),
        ({"blocks": 2001}, "blocks: found 2001"),
        ({"blocks": 2.5}, "blocks: found 2.5"),
        ({"blocks": np.zeros(2000, dtype=int)}, "found 1 different, expected at least 2"),
        ({"blocks": np.zeros(3, dtype=int)}, r"blocks: found shape \(3,\)"),
        ({"blocks": np.zeros(2000)}, "whole numbers"),
        # As many widths as a block has samples, or for another number of variables.
        ({"bandwidth": np.full((200, 1), 0.2)}, r"bandwidth: found shape \(200, 1\), expected"),
        ({"bandwidth": [0.2, 0.3]}, r"bandwidth: found shape \(2,\), expected"),
        ({"bias": np.zeros(3)}, r"bias: found shape \(3,\), expected \(2000,\)"),
    ],
)
def test_blocks_that_are_none_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        _blocked(**changes)


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(InputError, match="method: found 'magic'"):
        _blocked().difference(*HALVES, method="magic")  # type: ignore[arg-type]


def test_error_bars_hold_for_independent_samples() -> None:
    """100 seeds: the share of error bars that cover the truth is what they promise."""
    truth = _truth(lambda x: 0.5 * KT * x[:, 0] ** 2 / (1.0 + 0.2**2))
    within = {level: [] for level in T9}  # type: dict[float, list[bool]]
    for seed in range(100):
        blocked = _blocked(seed, count=1000, bias=None, blocks=10)
        off = np.abs(_normalised(blocked.surface.values) - truth) / blocked.error()
        found = blocked.difference(*HALVES)
        offs = [abs(found.value - _difference(truth)) / found.error, off[20], off[12]]
        for level, t in T9.items():
            within[level] += [value < t for value in offs]
    # 300 trials, of which those of one seed are correlated: three binomial deviations of 100.
    assert 0.54 < np.mean(within[0.68]) < 0.82
    assert 0.885 < np.mean(within[0.95]) <= 1.0


@pytest.mark.slow
def test_known_surface_is_recovered_within_its_error_bars() -> None:
    """100 metadynamics runs on a known surface: coverage of F(x) and of ΔF."""
    run = metadynamics(
        double_well,
        GRID,
        [-1.0],
        steps=80000,
        kT=KT,
        height=1.0,
        sigma=0.15,
        bias_factor=6.0,
        step=0.08,
        runs=100,
        walkers=4,
        seed=7,
    )
    truth = _truth(double_well)
    # Where the true F lies within 6 kT; not the end points, where kernels lack a neighbour.
    inside = (truth < truth.min() + 6.0 * KT) & (np.abs(GRID.axes[0]) < 1.6)
    start = run.samples.shape[2] // 5
    offs, points = [], []
    for k in range(100):
        # In the order of time, all walkers of a time together.
        samples = run.samples[k, :, start:, 0].T.reshape(-1, 1)
        bias = run.rbias[k, :, start:].T.ravel()
        blocked = reweight_blocks(samples, GRID, 0.03, kT=KT, bias=bias, blocks=10, device="cpu")
        found = blocked.difference(*HALVES)
        offs.append((found.value - _difference(truth)) / found.error)
        error = blocked.error()[inside]
        points.append((_normalised(blocked.surface.values) - truth)[inside] / error)
    for z in (np.array(offs), np.array(points)):
        shares = {level: float(np.mean(np.abs(z) < t)) for level, t in T9.items()}
        print("share of error bars that cover the truth:", shares)
        # Three binomial deviations of 100 runs.
        assert 0.54 < shares[0.68] < 0.82
        assert 0.885 < shares[0.95] <= 1.0


def _truth(energy: Any) -> NDArray[np.float64]:
    return _normalised(energy(GRID.points()))


def _normalised(values: NDArray[Any]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = values + KT * log_population(values / -KT, GRID)
    return result


def _difference(values: NDArray[np.float64]) -> float:
    return FreeEnergySurface(values, GRID, ("x",), kT=KT).difference(*HALVES)
