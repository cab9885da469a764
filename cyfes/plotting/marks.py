"""Minima and paths as they are marked in pictures of one or two of their CVs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cyfes.errors import InputError
from cyfes.plotting.picture import ORANGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cyfes.landscape.basins import Minimum
    from cyfes.landscape.minimum_path import EnergyPath
    from cyfes.model.surface_data import SurfaceData


class Marks(NamedTuple):
    """Minima and a path of a surface, of which a picture may show fewer CVs."""

    names: tuple[str, ...]
    minima: Sequence[Minimum]
    path: EnergyPath | None

    def check(self) -> None:
        """Refuse minima or a path of another surface."""
        for minimum in self.minima:
            if len(minimum.position) != len(self.names):
                raise InputError(
                    f"minima: found {minimum!r}, expected minima over {', '.join(self.names)}"
                )
        if self.path is not None and self.path.names != self.names:
            raise InputError(
                f"path: found one over {', '.join(self.path.names)}, expected "
                f"{', '.join(self.names)}"
            )

    def columns(self, shown: tuple[str, ...]) -> list[int]:
        """Return the numbers of the CVs that are shown."""
        return [self.names.index(name) for name in shown]


def mark_map(axes: Any, surface: SurfaceData, marks: Marks, place: dict[str, float]) -> None:
    """Mark minima by their numbers, and draw the path, on a map of two CVs.

    Of a surface of more CVs, the projections are drawn: a minimum in front of or behind the plane
    has a broken ring, and such a path is dashed.
    """
    shown = marks.columns(surface.names)
    if marks.path is not None:
        points = _broken_at_ends(surface, marks.path.points[:, shown])
        dashes = {"linestyle": "--"} if place else {}
        axes.plot(*points.T, color="white", linewidth=2.4)
        axes.plot(*points.T, color=ORANGE, linewidth=1.4, **dashes)
    for number, minimum in enumerate(marks.minima, 1):
        position = dict(zip(marks.names, minimum.position))
        in_plane = all(abs(position[name] - x) < 1e-6 * (1.0 + abs(x)) for name, x in place.items())
        axes.annotate(
            str(number),
            [minimum.position[k] for k in shown],
            ha="center",
            va="center",
            fontsize=6.5,
            bbox={
                "boxstyle": "circle,pad=0.2",
                "fc": "white",
                "ec": "black",
                "lw": 0.5,
                "ls": "-" if in_plane else ":",
                "alpha": 1.0 if in_plane else 0.6,
            },
        )


def mark_curve(
    axes: Any, x: NDArray[Any], values: NDArray[Any], surface: Any, marks: Marks
) -> None:
    """Mark minima by their numbers, and the path, on the curve of one CV."""
    (column,) = marks.columns(surface.names)
    if marks.path is not None:
        points = _broken_at_ends(surface, marks.path.points[:, [column]])[:, 0]
        axes.plot(points, np.interp(points, x, values), color=ORANGE, linewidth=1.8)
    for number, minimum in enumerate(marks.minima, 1):
        place = minimum.position[column]
        axes.annotate(
            str(number),
            (place, float(np.interp(place, x, values))),
            xytext=(0, -4),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=6.5,
            bbox={"boxstyle": "circle,pad=0.2", "fc": "white", "ec": "black", "lw": 0.5},
        )


def _broken_at_ends(surface: SurfaceData, points: NDArray[Any]) -> NDArray[np.float64]:
    """Return a path within the domain, with a gap where it goes on at the other end."""
    grid = surface.grid
    length = grid.upper - grid.lower
    wrapped = np.where(grid.periodic, grid.lower + np.mod(points - grid.lower, length), points)
    jumps = (np.abs(np.diff(wrapped, axis=0)) > length / 2.0).any(axis=1)
    return np.insert(wrapped, np.flatnonzero(jumps) + 1, np.nan, axis=0)
