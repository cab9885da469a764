"""Regions and free-energy differences: against integrals that are known."""

from __future__ import annotations

import numpy as np
import pytest
from landscapes import basins_of_depth, surface_of, two_wells_across_the_boundary

from cyfes.errors import InputError
from cyfes.landscape.regions import box, log_population
from cyfes.model.grid import Grid
from cyfes.surface import FreeEnergySurface

PERIODIC = Grid(["-pi", 0.0], ["pi", 1.0], [8, 4], [True, False])


def _two_parabolas(kT: float = 2.5) -> tuple[float, FreeEnergySurface]:
    """Wells of widths 0.1 and 0.2, of which the second is 3 higher: ΔF = 3 - kT ln 2."""
    surface = surface_of(
        lambda x: np.minimum(
            0.5 * kT * ((x + 2) / 0.1) ** 2, 3.0 + 0.5 * kT * ((x - 2) / 0.2) ** 2
        ),
        Grid(-4.0, 4.0, 1600),
    )
    return 3.0 - kT * np.log(2.0), surface.with_units(kT=kT)


def test_difference_of_two_wells_is_that_of_their_integrals() -> None:
    expected, surface = _two_parabolas()
    assert surface.difference([-2.0], [2.0]) == pytest.approx(expected, abs=1e-6)
    halves = [box(surface.grid, [ends]) for ends in ((-4.0, 0.0), (0.0, 4.0))]
    assert surface.difference(*halves) == pytest.approx(expected, abs=1e-6)


def test_basins_of_a_difference_are_those_of_minima_as_deep_as_asked() -> None:
    expected, surface = basins_of_depth(2.5)
    assert surface.difference([1.0], [5.0], depth=1.5) == pytest.approx(expected, rel=1e-12)
    # A point between two of the grid lies in the basin of the nearer one.
    assert surface.difference([3.4], [3.6], depth=1.5) == pytest.approx(expected, rel=1e-12)


def test_difference_needs_a_temperature() -> None:
    surface = two_wells_across_the_boundary()
    left, right = (m.position for m in surface.minima())
    with pytest.raises(InputError, match="unknown temperature, expected kT"):
        surface.difference(left, right)
    assert surface.difference(left, right, kT=1.0) == pytest.approx(0.0, abs=0.05)
    with pytest.raises(InputError, match="kT: found -1"):
        surface.difference(left, right, kT=-1.0)


def test_the_same_basin_twice_is_refused() -> None:
    surface = two_wells_across_the_boundary()
    left = surface.minima()[0].position
    with pytest.raises(InputError, match="share"):
        surface.difference(left, left, kT=1.0)


@pytest.mark.parametrize(
    ("ranges", "columns", "rows"),
    [
        ([None, None], range(8), range(5)),
        ([(-np.pi / 2, np.pi / 2), (0.25, 0.5)], [2, 3, 4, 5], [1]),
        ([(3.0, -2.2), None], [0, 1], range(5)),
        ([(np.pi, -np.pi / 2), None], [0, 1], range(5)),
        ([(-np.pi, np.pi), (1.0, 2.0)], range(8), [4]),
    ],
)
def test_boxes(
    ranges: list[tuple[float, float] | None], columns: list[int], rows: list[int]
) -> None:
    expected = np.zeros(PERIODIC.shape, dtype=bool)
    expected[np.ix_(list(columns), list(rows))] = True
    assert (box(PERIODIC, ranges) == expected).all()


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ([None], "found 1 ranges, expected 2"),
        ([None, (0.6, 0.4)], "found the range 0.6 to 0.4, expected its lower end first"),
        ([None, (0.6, 0.7)], "no grid point within"),
        ([(np.nan, 1.0), None], "found the range nan to 1"),
    ],
)
def test_boxes_that_are_none_are_refused(
    ranges: list[tuple[float, float] | None], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        box(PERIODIC, ranges)


@pytest.mark.parametrize(
    ("region", "message"),
    [
        (np.zeros((60, 60), dtype=bool), "empty mask"),
        (np.ones((3, 3), dtype=bool), r"mask of shape \(3, 3\), expected \(60, 60\)"),
        ([9.0], r"expected \(M, 2\)"),
    ],
)
def test_regions_that_are_none_are_refused(region: object, message: str) -> None:
    surface = two_wells_across_the_boundary()
    with pytest.raises(InputError, match=message):
        surface.difference(region, [2.0, 1.0], kT=1.0)  # type: ignore[arg-type]


def test_populations_of_any_size_are_summed() -> None:
    grid = Grid([0.0, 0.0], [2.0, 3.0], [4, 3], [False, True])
    assert log_population(np.full(grid.shape, 5000.0), grid) == pytest.approx(5000.0 + np.log(6.0))
    assert log_population(np.full(grid.shape, -np.inf), grid) == -np.inf
