"""Minimum-energy paths: published saddle points, the way round a period, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from landscapes import (
    MB_MINIMA,
    MB_SADDLES,
    mueller_brown,
    surface_of,
    two_wells_across_the_boundary,
)

from cyfes.errors import InputError
from cyfes.landscape.basins import Landscape
from cyfes.landscape.interpolation import place_in_bins
from cyfes.landscape.minimum_path import _guess
from cyfes.model.grid import Grid
from cyfes.surface import FreeEnergySurface


@pytest.mark.parametrize("bins", [50, 100])
def test_path_leads_over_the_published_saddle_points(bins: int) -> None:
    (start, low), (end, high), _ = MB_MINIMA
    path = mueller_brown(bins).path(start, end)
    np.testing.assert_allclose(path.points[[0, -1]], [start, end], atol=1e-9)
    np.testing.assert_allclose(path.points[path.top], MB_SADDLES[0][0], atol=0.01)
    assert path.values[path.top] == pytest.approx(MB_SADDLES[0][1], abs=0.05)
    assert path.barrier == pytest.approx(MB_SADDLES[0][1] - low, abs=0.3)
    assert path.barrier_back == pytest.approx(MB_SADDLES[0][1] - high, abs=0.3)
    tops = [
        k
        for k in range(1, len(path.values) - 1)
        if path.values[k - 1] < path.values[k] > path.values[k + 1]
    ]
    assert len(tops) == 2
    np.testing.assert_allclose(path.points[tops[1]], MB_SADDLES[1][0], atol=0.01)
    assert path.values[tops[1]] == pytest.approx(MB_SADDLES[1][1], abs=0.05)


def test_the_way_back_is_the_same_way() -> None:
    surface = mueller_brown(100)
    ends = MB_MINIMA[0][0], MB_MINIMA[1][0]
    there, back = surface.path(*ends), surface.path(*reversed(ends))
    assert there.barrier == pytest.approx(back.barrier_back, abs=0.01)


def test_path_crosses_the_boundary_where_that_is_lower() -> None:
    surface = two_wells_across_the_boundary()
    left, right = sorted(m.position for m in surface.minima())
    path = surface.path(left, right)
    # cos 2φ + 2 cos φ + 3: minima 1.5 at cos φ = -1/2, saddles 2 at π and 6 at 0; less 2 along psi.
    assert path.barrier == pytest.approx(0.5, abs=0.01)
    assert path.points[:, 0].max() < -1.9
    assert path.points[-1, 0] == pytest.approx(right[0] - 2.0 * np.pi)
    assert np.abs(np.diff(path.points, axis=0)).max() < 0.1
    np.testing.assert_allclose(path.points[path.top], [-np.pi, 1.0], atol=0.02)


def test_a_path_in_one_dimension_is_the_line_itself() -> None:
    surface = surface_of(lambda x: (x * x - 1.0) ** 2, Grid(-1.5, 1.5, 60), ("d",))
    path = surface.path([-1.0], [1.0])
    assert path.barrier == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_allclose(path.values, (path.points[:, 0] ** 2 - 1.0) ** 2, atol=2e-3)
    assert "barrier 1" in repr(path)
    assert "highest at d" in repr(path)


def test_three_dimensions_and_ends_away_from_minima() -> None:
    surface = surface_of(
        lambda x, y, z: (x * x - 1.0) ** 2 + 2.0 * (y - 0.5 * x * x) ** 2 + z * z,
        Grid([-1.5] * 3, [1.5] * 3, [30] * 3),
    )
    path = surface.path([-1.2, 0.3, 0.4], [1.0, 0.5, 0.0])
    assert path.values[path.top] == pytest.approx(1.0, abs=0.02)
    np.testing.assert_allclose(path.points[path.top], [0.0, 0.0, 0.0], atol=0.05)
    np.testing.assert_allclose(path.points[0], [-1.2, 0.3, 0.4])


def test_a_path_from_a_point_to_itself_has_no_barrier() -> None:
    path = mueller_brown(50).path(MB_MINIMA[0][0], MB_MINIMA[0][0])
    assert path.barrier == pytest.approx(0.0, abs=1e-6)


def test_ends_off_the_grid_are_refused() -> None:
    with pytest.raises(InputError, match="found 3 in CV 0 of point 0"):
        mueller_brown(20).path((0.0, 0.0), (3.0, 0.0))
    with pytest.raises(InputError, match="expected"):
        mueller_brown(20).path((0.0,), (0.0, 0.0))


def test_an_end_where_nothing_was_sampled_is_refused() -> None:
    values = np.array([0.0, 1.0, np.inf, np.inf, 2.0, 1.5, 3.0])
    surface = FreeEnergySurface(values, Grid(0.0, 6.0, 6), ("x",))
    for ends in (([2.0], [0.0]), ([0.0], [2.0]), ([5.0], [3.0])):
        with pytest.raises(InputError, match="found an end of the path where F is infinite"):
            surface.path(*ends)


def test_a_path_along_a_free_end_stays_on_the_grid() -> None:
    # F falls towards y = 0, where the grid ends; the saddle point of that edge is at x = 0.
    surface = surface_of(
        lambda x, y: 4.0 * (x * x - 1.0) ** 2 + 2.0 * y, Grid([-1.5, 0.0], [1.5, 1.0], [30, 10])
    )
    path = surface.path([-1.0, 0.5], [1.0, 0.5])
    assert path.points[:, 1].min() == 0.0
    np.testing.assert_allclose(path.points[path.top], [0.0, 0.0], atol=0.02)
    assert path.values[path.top] == pytest.approx(4.0, abs=1e-3)


def test_a_steep_slope_without_curvature_does_not_throw_the_path_off() -> None:
    surface = surface_of(np.abs, Grid(-1.0, 1.0, 40, periodic=True))
    path = surface.path([0.8], [0.3])
    assert path.barrier == pytest.approx(0.0, abs=1e-9)
    assert path.points.min() > -0.05
    assert path.points.max() == pytest.approx(0.8)


@pytest.mark.parametrize("first", [(0.1, 0.2), (0.123, 0.456)])
def test_the_first_guess_passes_no_point_twice(first: tuple[float, float]) -> None:
    grid = Grid([0.0, 0.0], [1.0, 1.0], [20, 20], periodic=[True, False])
    values = np.random.default_rng(6).normal(size=grid.shape)
    ends = np.concatenate([place_in_bins(point, grid) for point in (first, (0.77, 0.81))])
    guess = _guess(Landscape.of(values, grid), ends, grid)
    inner = np.rint(guess[1:-1]).astype(int) % grid.shape
    assert len({tuple(place) for place in inner.tolist()}) == len(inner) > 10
    np.testing.assert_allclose(guess[0], ends[0])
    # The last end may be an image; and no step is longer than to a neighbour.
    periods = (guess[-1] - ends[1]) / [20, 1]
    np.testing.assert_allclose(periods, [round(periods[0]), 0], atol=1e-9)
    assert np.abs(np.diff(guess, axis=0)).max() < 1.0 + 1e-9
