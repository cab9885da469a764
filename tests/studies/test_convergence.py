"""Convergence: running sums equal to sums anew, distances and differences over time."""

from __future__ import annotations

import numpy as np
import pytest
from double_well import short_run
from landscapes import basins_of_depth

import cyfes
from cyfes.errors import InputError
from cyfes.model.grid import Grid
from cyfes.model.hills import Hills
from cyfes.studies.convergence import Convergence, convergence

GRID = Grid(-2.0, 2.0, 60)


def _hills() -> Hills:
    return short_run(steps=4500).hills[0]


@pytest.mark.parametrize(
    ("options", "counts"),
    [
        ({"stride": 10}, [10, 20, 30, 40, 45]),
        ({"stride": 15}, [15, 30, 45]),
        ({"stride": 100}, [45]),
        ({"portions": 4}, [12, 24, 36, 45]),
        ({"portions": 1000}, list(range(1, 46))),
    ],
)
def test_each_surface_is_the_sum_of_the_hills_so_far(
    options: dict[str, int], counts: list[int]
) -> None:
    hills = _hills()
    series = convergence(hills, GRID, device="cpu", **options)
    assert series.counts.tolist() == counts
    assert series.times is not None
    assert series.times.tolist() == [100.0 * count for count in counts]
    for count, surface in zip(counts, series.surfaces):
        anew = cyfes.sum_hills(hills[:count], GRID, device="cpu")
        np.testing.assert_allclose(surface.values, anew.values, rtol=0, atol=1e-11)
    assert len(series) == len(counts)
    assert f"{len(counts)} portions" in repr(series)


def test_units_are_those_of_every_surface() -> None:
    plain = convergence(_hills(), GRID, portions=5, device="cpu")
    named = plain.with_units("kJ/mol", temperature=300)
    assert {(surface.unit, surface.kT) for surface in named.surfaces} == {
        ("kJ/mol", 2.494338785445972)
    }
    assert all(a.values is b.values for a, b in zip(plain.surfaces, named.surfaces))
    assert named.times is plain.times
    assert named.counts is plain.counts
    left, right = (cyfes.box(GRID, [ends]) for ends in ((-2.0, 0.0), (0.0, 2.0)))
    expected = plain.differences(left, right, kT=2.494338785445972)
    assert named.differences(left, right).tolist() == expected.tolist()
    assert plain.with_units(kT=2.5).surfaces[0].kT == 2.5
    with pytest.raises(InputError, match="unit"):
        plain.with_units("J")  # type: ignore[arg-type]


def test_distances_ignore_constants_and_end_at_zero() -> None:
    series = convergence(_hills(), GRID, portions=9, device="cpu")
    changes = series.changes()
    assert changes[-1] == 0.0
    assert (changes[:-1] > 0.0).all()
    first, last = series.surfaces[0].values, series.surfaces[-1].values
    assert changes[0] == pytest.approx(np.std(first - last))
    inside = last <= last.min() + 5.0
    assert series.changes(limit=5.0)[0] == pytest.approx(np.std((first - last)[inside]))


def test_differences_are_those_of_each_surface_in_the_last_ones_basins() -> None:
    series = convergence(_hills(), GRID, portions=5, device="cpu")
    halves = [cyfes.box(GRID, [ends]) for ends in ((-2.0, 0.0), (0.0, 2.0))]
    found = series.differences(*halves, kT=2.5)
    expected = [surface.difference(*halves, kT=2.5) for surface in series.surfaces]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    with pytest.raises(InputError, match="expected kT"):
        series.differences(*halves)


def test_points_stand_for_basins_of_minima_as_deep_as_asked() -> None:
    expected, surface = basins_of_depth(2.5)
    series = Convergence(np.array([1]), None, (surface,))
    (found,) = series.differences([1.0], [5.0], depth=1.5)
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("options", [{"stride": 0}, {"portions": 0}])
def test_portions_of_nothing_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(InputError, match="found 0, expected a whole number above zero"):
        convergence(_hills(), GRID, **options)
    with pytest.raises(InputError, match="found no hills"):
        convergence(_hills()[:0], GRID)
