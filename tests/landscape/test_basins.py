"""Minima, basins and passes: published ones, across boundaries, on plateaus and in noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from landscapes import (
    MB_MINIMA,
    MB_SADDLES,
    mueller_brown,
    two_wells_across_the_boundary,
)

from cyfes.errors import InputError
from cyfes.landscape.basins import Landscape
from cyfes.model.grid import Grid
from cyfes.surface import FreeEnergySurface

if TYPE_CHECKING:
    from pathlib import Path


def test_minima_are_the_published_ones() -> None:
    minima = mueller_brown(200).minima()
    assert len(minima) == len(MB_MINIMA)
    for found, (place, value) in zip(minima, MB_MINIMA):
        np.testing.assert_allclose(found.position, place, atol=0.015)
        assert found.value == pytest.approx(value, abs=0.3)
        assert not found.at_edge
    assert minima[0].depth == np.inf
    # The shallow one in between overflows at the lower saddle.
    assert minima[2].depth == pytest.approx(MB_SADDLES[1][1] - MB_MINIMA[2][1], abs=0.3)


def test_shallow_minima_join_the_basin_that_they_overflow_into() -> None:
    surface = mueller_brown(100)
    basins = surface.basins(depth=10.0)
    assert len(basins) == 2
    # The shallow minimum drains to the one on the right, over the lower saddle.
    assert basins.containing(MB_MINIMA[2][0]) == basins.containing(MB_MINIMA[1][0]) == 1
    assert basins.containing(MB_MINIMA[0][0]) == 0
    assert set(np.unique(basins.labels)) == {0, 1}


@pytest.mark.parametrize("roll", [0, 7, 31, 59])
def test_minima_do_not_depend_on_where_the_period_begins(roll: int) -> None:
    surface = two_wells_across_the_boundary()
    shifted = np.roll(surface.values, (roll, -roll), axis=(0, 1))
    found = FreeEnergySurface(shifted, surface.grid, surface.names).minima()
    expected = surface.minima()
    assert [m.value for m in found] == pytest.approx([m.value for m in expected])
    assert [m.depth for m in found] == pytest.approx([m.depth for m in expected])
    assert len(found) == 2
    assert not any(m.at_edge for m in found)


def test_brute_force_finds_the_same_minima_in_noise() -> None:
    rng = np.random.default_rng(4)
    grid = Grid([0.0] * 3, [1.0] * 3, [7, 8, 9], [True, False, True])
    values = rng.normal(size=grid.shape)
    expected = set()
    for index in np.ndindex(*grid.shape):
        around = [
            tuple(int(i + step) % n if wraps else i + step for i, step, n, wraps in moves)
            for offset in np.ndindex(3, 3, 3)
            for moves in [list(zip(index, np.array(offset) - 1, grid.shape, grid.periodic))]
        ]
        inside = [p for p in around if all(0 <= i < n for i, n in zip(p, grid.shape))]
        if values[index] == min(values[p] for p in inside):
            expected.add(float(values[index]))
    found = FreeEnergySurface(values, grid, ("x", "y", "z")).minima()
    assert {m.value for m in found} == expected
    assert len(found) == len(expected) > 5


def test_depths_in_one_dimension_are_those_seen_by_eye() -> None:
    grid = Grid(0.0, 8.0, 8)
    values = np.array([5.0, 1.0, 3.0, 2.0, 6.0, 0.0, 4.0, 3.5, 9.0])
    minima = FreeEnergySurface(values, grid, ("x",)).minima()
    assert [(m.value, m.depth) for m in minima] == [
        (0.0, np.inf),
        (1.0, 5.0),
        (2.0, 1.0),
        (3.5, 0.5),
    ]


def test_a_plateau_is_one_minimum_and_its_end_is_at_the_edge() -> None:
    grid = Grid([0.0, 0.0], [1.0, 1.0], [30, 30])
    values = np.zeros(grid.shape)
    values[3:9, 4:20] = -1.0
    values[3:20, 14:20] = -1.0
    values[25:, 25:] = -2.0
    minima = FreeEnergySurface(values, grid, ("x", "y")).minima()
    assert [m.value for m in minima] == [-2.0, -1.0]
    assert not minima[1].at_edge
    flat = FreeEnergySurface(np.zeros(grid.shape), grid, ("x", "y"))
    assert len(flat.minima()) == 1
    assert flat.minima()[0].at_edge


def test_points_of_infinite_free_energy_belong_to_no_basin() -> None:
    grid = Grid(0.0, 6.0, 6)
    values = np.array([0.0, 1.0, np.inf, np.inf, 2.0, 1.5, 3.0])
    surface = FreeEnergySurface(values, grid, ("x",))
    basins = surface.basins()
    assert basins.labels.tolist() == [0, 0, -1, -1, 1, 1, 1]
    assert [m.depth for m in basins.minima] == [np.inf, np.inf]
    with pytest.raises(InputError, match="where F is infinite"):
        basins.containing([2.0])
    with pytest.raises(InputError, match="no path between the points"):
        surface.path([0.0], [5.0])


def test_points_that_nothing_has_sampled_are_no_minimum() -> None:
    # From the first point on, no neighbour is lower.
    values = np.array([np.inf, np.inf, np.inf, 1.0, 0.0, 2.0])
    basins = FreeEnergySurface(values, Grid(0.0, 5.0, 5), ("x",)).basins()
    assert [(m.position, m.value) for m in basins.minima] == [((4.0,), 0.0)]
    assert basins.labels.tolist() == [-1, -1, -1, 0, 0, 0]


def test_a_point_lies_in_the_basin_of_the_nearest_grid_point() -> None:
    grid = Grid(0.0, 4.0, 4, periodic=True)
    basins = FreeEnergySurface(np.array([0.0, 3.0, 1.0, 3.5]), grid, ("x",)).basins()
    assert basins.labels.tolist() == [0, 0, 1, 0]
    assert [basins.containing([x]) for x in (1.4, 1.6, 2.4, 2.6, 3.6)] == [0, 1, 1, 0, 0]


@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_nan_and_minus_infinity_are_refused(bad: float) -> None:
    values = np.array([0.0, bad, 1.0])
    with pytest.raises(InputError, match="nan or -inf"):
        FreeEnergySurface(values, Grid(0.0, 1.0, 2), ("x",)).minima()


def test_a_negative_depth_is_refused() -> None:
    with pytest.raises(InputError, match="depth: found -1"):
        mueller_brown(20).minima(-1.0)


def test_the_tree_climbs_least_between_any_two_minima() -> None:
    rng = np.random.default_rng(5)
    grid = Grid([0, 0], [1, 1], [12, 9], periodic=True)
    surface = FreeEnergySurface(rng.normal(size=grid.shape), grid, ("x", "y"))
    landscape = Landscape.of(surface.values, surface.grid)
    last = len(landscape.minima) - 1
    highest = max(step.value for step in landscape.chain(0, last))
    # Flooding: the level at which both minima are in one pool.
    for level in np.sort(surface.values.ravel()):
        if _connected(surface.values <= level, landscape.minima[0], landscape.minima[last]):
            break
    assert highest == level


def _connected(open_points: np.ndarray, first: int, last: int) -> bool:
    reached = np.zeros_like(open_points)
    reached.flat[first] = True
    for _ in range(open_points.size):
        grown = reached.copy()
        for dx in (-1, 0, 1):
            for dy in (-1, 0, 1):
                grown |= np.roll(reached, (dx, dy), axis=(0, 1))
        grown &= open_points
        if (grown == reached).all():
            break
        reached = grown
    return bool(reached.flat[last])


def test_alanine_has_its_known_minima(shared_data: Path) -> None:
    import cyfes

    hills = cyfes.read_hills(shared_data / "HILLS_acealanme")
    surface = cyfes.sum_hills(hills, Grid(["-pi"] * 2, ["pi"] * 2, [100, 100], True), device="cpu")
    minima = surface.minima(depth=5.0)
    # C7eq and C5 (one broad basin), alpha-R and alpha-L, in kJ/mol above the lowest.
    assert len(minima) == 4
    np.testing.assert_allclose(minima[0].position, (-1.2, 2.6), atol=0.2)
    assert minima[1].value - minima[0].value == pytest.approx(2.7, abs=0.3)
