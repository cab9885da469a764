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
from cyfes.model.grid import Grid


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
