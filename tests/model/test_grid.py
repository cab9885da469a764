"""Grids: their points, what they refuse, and the one that PLUMED would choose."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from cyfes.errors import InputError
from cyfes.model.grid import Grid
from cyfes.model.hills import Hills


def test_a_periodic_axis_has_as_many_points_as_bins_any_other_one_more() -> None:
    grid = Grid([-1.0, 0.0], [1.0, 3.0], [4, 3], [True, False])
    assert grid.shape == (4, 4)
    assert grid.size == 16
    assert grid.ndim == 2
    assert grid.spacing.tolist() == [0.5, 1.0]
    assert [axis.tolist() for axis in grid.axes] == [[-1.0, -0.5, 0.0, 0.5], [0.0, 1.0, 2.0, 3.0]]


def test_points_run_in_c_order() -> None:
    points = Grid([0.0, 10.0], [1.0, 12.0], [1, 2]).points()
    assert points.tolist() == [[0, 10], [0, 11], [0, 12], [1, 10], [1, 11], [1, 12]]
    assert points.flags.c_contiguous


def test_single_values_serve_all_axes() -> None:
    grid = Grid(-1, 1, [5, 6, 7], periodic=True)
    assert grid == Grid([-1.0] * 3, [1.0] * 3, (5, 6, 7), [True] * 3)
    assert grid.shape == (5, 6, 7)


def test_one_dimension_may_be_given_by_scalars() -> None:
    grid = Grid(0, 2, 4)
    assert grid.shape == (5,)
    assert grid.points().tolist() == [[0.0], [0.5], [1.0], [1.5], [2.0]]


def test_literals_are_understood_and_kept() -> None:
    grid = Grid(["-pi", 0.5], ["2*pi", 1], 3)
    assert grid.lower.tolist() == [-math.pi, 0.5]
    assert grid.upper.tolist() == [2.0 * math.pi, 1.0]
    assert grid.bounds == (("-pi", "2*pi"), ("0.5", "1"))


def test_numpy_values_are_taken() -> None:
    grid = Grid(np.zeros(2), np.ones(2), np.array([2, 3]), np.array([True, False]))
    assert grid.bins == (2, 3)
    assert grid.periodic == (True, False)
    assert all(type(count) is int for count in grid.bins)


def test_a_grid_cannot_be_changed() -> None:
    grid = Grid(0, 1, 2)
    with pytest.raises(FrozenInstanceError):
        grid.bins = (3,)  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        grid.lower[0] = 5.0


def test_equal_grids_are_equal_and_hash_alike() -> None:
    grid = Grid(0, 1, 2)
    assert grid == Grid(0.0, 1.0, [2])
    assert hash(grid) == hash(Grid(0.0, 1.0, [2]))
    assert grid != Grid(0, 1, 3)
    assert grid != Grid(0, 1, 2, periodic=True)
    assert grid != "grid"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 0, 3), "axis 0: found the upper end 0 and the lower end 0"),
        (([0, 1], [1, -1], 3), "axis 1: found the upper end -1"),
        ((0, 1, 0), "bins: found 0, expected at least 1"),
        ((0, 1, -2), "bins: found -2"),
        ((0, 1, 2.5), "bins: .*float"),
        ((0, math.inf, 2), "upper: found inf, expected a finite number"),
        ((math.nan, 1, 2), "lower: found nan"),
        (("x", 1, 2), "lower: found 'x', expected a number or a multiple of pi"),
        ((None, 1, 2), "lower: "),
        (([0, 0], [1, 1, 1], 2), "found lengths lower 2, upper 3"),
        (([0, 0], [1, 1], [2]), "found lengths lower 2, upper 2, bins 1"),
        (([], [], []), "found 0 axes, expected 1 to 16"),
        (([0] * 17, 1, 1), "found 17 axes"),
        ((0, 1, 2, "no"), "periodic: found 'no', expected True or False"),
        ((0, 1, 2, 1), "periodic: found 1"),
        ((0, 1, [2**21, 2**20, 2**20]), r"found \d+ grid points, expected at most"),
    ],
)
def test_what_makes_no_grid_is_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Grid(*arguments)


def test_the_automatic_grid_is_the_one_that_plumed_chooses() -> None:
    # PLUMED 2.10 makes 23 points from 0.726691 to 1.4841 of these hills.
    hills = Hills(("d",), [1.130546, 1.097928, 1.080244, 1.086855], 0.1, 100.0)
    grid = Grid.covering(hills)
    assert grid.bounds == (("0.726691", "1.4841"),)
    assert grid.shape == (23,)
    assert grid.upper[0] == 1.4841


def test_the_automatic_grid_of_a_periodic_cv_covers_its_domain() -> None:
    domain = [("-pi", "pi"), None]
    hills = Hills(("phi", "d"), [[3.0, 1.0], [0.0, 2.0]], [0.3, 0.1], 1.0, domain=domain)
    grid = Grid.covering(hills)
    reach = 0.3 * math.sqrt(12.5)
    assert grid.bounds[0] == ("-pi", "pi")
    assert grid.periodic == (True, False)
    # As PLUMED: counted over what the hills reach within the domain.
    assert grid.bins[0] == math.ceil((math.pi + reach) / (reach / 10.0))
    assert grid.bins[1] == math.ceil((1.0 + 2 * 0.1 * math.sqrt(12.5)) / (0.1 * math.sqrt(0.125)))


def test_bins_and_spacing_refine_the_automatic_grid() -> None:
    hills = Hills(("phi",), [0.0], 0.3, 1.0, domain=[("-pi", "pi")])
    assert Grid.covering(hills, bins=[7]).bins == (7,)
    assert Grid.covering(hills, spacing=[0.1]).bins == (63,)
    assert Grid.covering(hills, bins=[70], spacing=[0.1]).bins == (70,)
    assert Grid.covering(hills, bins=[50], spacing=[0.1]).bins == (63,)


def test_spanning_counts_bins_from_the_spacing() -> None:
    hills = Hills(("d",), [1.0], 0.1, 1.0)
    grid = Grid.spanning(hills, [("0", "10")], spacing=[0.1])
    assert grid.shape == (101,)
    assert grid.bounds == (("0", "10"),)
    with pytest.raises(InputError, match="found neither bins nor spacing"):
        Grid.spanning(hills, [("0", "10")])
    with pytest.raises(InputError, match="found lengths"):
        Grid.spanning(hills, [("0", "10"), ("0", "1")], bins=[2, 2])


def test_no_grid_covers_no_hills() -> None:
    with pytest.raises(InputError, match="found no hills"):
        Grid.covering(Hills(("d",), np.empty((0, 1)), 0.1, 1.0))


def test_repr_makes_the_same_grid() -> None:
    grid = Grid(["-pi", -1.5], ["pi", 2], [60, 7], [True, False])
    assert repr(grid) == "Grid(['-pi', '-1.5'], ['pi', '2'], [60, 7], [True, False])"
    assert eval(repr(grid)) == grid  # noqa: S307 - the text above
