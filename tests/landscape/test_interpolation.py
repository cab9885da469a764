"""Interpolation on grids: exact where it must be, across the boundary, and at free ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from cyfes.errors import InputError
from cyfes.landscape.interpolation import Interpolant, places_in_bins
from cyfes.model.grid import Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIXED = Grid([-np.pi, 0.0], [np.pi, 2.0], [40, 20], [True, False])


def _smooth(points: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y = points.T
    values: NDArray[np.float64] = np.cos(x) * (1.0 + y) + y * y
    return values


def _interpolant() -> Interpolant:
    return Interpolant(_smooth(MIXED.points()).reshape(MIXED.shape), MIXED)


def test_grid_points_keep_their_values() -> None:
    found = _interpolant()(places_in_bins(MIXED.points(), MIXED))
    np.testing.assert_allclose(found, _smooth(MIXED.points()), atol=1e-12)


def test_between_points_it_is_close_and_crosses_the_boundary() -> None:
    rng = np.random.default_rng(1)
    # Three periods along phi; away from the free ends, where the order is lower.
    points = np.column_stack([rng.uniform(-9.0, 9.0, 500), rng.uniform(0.2, 1.8, 500)])
    found = _interpolant()(places_in_bins(points, MIXED))
    np.testing.assert_allclose(found, _smooth(points), atol=3e-3)


def test_gradient_is_that_of_the_interpolant() -> None:
    rng = np.random.default_rng(2)
    places = rng.uniform(0.0, 19.0, (50, 2))
    surface = _interpolant()
    step = 1e-5
    for axis in range(2):
        shift = np.eye(2)[axis] * step
        slope = (surface(places + shift) - surface(places - shift)) / (2.0 * step)
        np.testing.assert_allclose(surface.gradient(places)[:, axis], slope, atol=1e-7)


@pytest.mark.parametrize("ndim", [1, 3, 4])
def test_a_plane_is_exact_in_any_dimension(ndim: int) -> None:
    grid = Grid([0.0] * ndim, [1.0] * ndim, [3] * ndim)
    slopes = np.arange(1.0, ndim + 1.0)
    surface = Interpolant((grid.points() @ slopes).reshape(grid.shape), grid)
    points = np.random.default_rng(3).uniform(0.0, 1.0, (20, ndim))
    places = places_in_bins(points, grid)
    np.testing.assert_allclose(surface(places), points @ slopes, atol=1e-12)
    np.testing.assert_allclose(surface.gradient(places), np.tile(slopes / 3.0, (20, 1)), atol=1e-12)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([[0.0, 2.5]], r"found 2.5 in CV 1 of point 0, expected 0 to 2 as the grid"),
        ([[0.0, np.nan]], "found nan in CV 1"),
        ([[np.inf, 1.0]], "found .* in CV 0"),
        ([[0.0]], r"found shape \(1, 1\), expected \(M, 2\)"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_points_off_the_grid_are_refused(points: list[list[float]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        places_in_bins(points, MIXED)
