"""The minimum-energy path between two points of a surface, and its barrier.

The way over the lowest passes of the grid (`basins`) is the first guess. The simplified string
method (W. E, W. Ren, E. Vanden-Eijnden, J. Chem. Phys. 126, 164103 (2007)) then lets its
images slide downhill on the interpolated surface, the ends held, and spaces them evenly again. The
metric is that of the grid: one bin of each axis counts as the same length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cyfes.errors import InputError
from cyfes.landscape.basins import Landscape, nearest_point
from cyfes.landscape.interpolation import Interpolant, place_in_bins

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from cyfes.model.grid import Grid

    Floats = NDArray[np.float64]

# Images to a bin of the first guess, and how many there are at least and at most.
_IMAGES_PER_BIN, _FEWEST, _MOST = 1.5, 25, 241

# The size of a step, as a part of the largest step at which the iteration is stable.
_STEP = 0.4

# The iteration ends when no image moves by more than this in a step, in bins, or after so many
# steps.
_RESTING, _MOST_STEPS = 1e-4, 4000

# The finished path is sampled this much more finely than the images, to find its highest point.
_FINER = 8


@dataclass(frozen=True, eq=False, repr=False)
class EnergyPath:
    """A minimum-energy path.

    Attributes
    ----------
    points : ndarray of float64, shape (K, D)
        The path from the first to the last point, in the CVs' units. It is continuous: if it
        crosses the end of a periodic domain, the coordinates go on beyond this end.
    values : ndarray of float64, shape (K,)
        F along the path, in the unit of the surface.
    names : tuple of str
        The D collective variables.
    unit : str or None
        The unit of F.
    top : int
        The number of the highest point, the transition state.
    """

    points: Floats
    values: Floats
    names: tuple[str, ...]
    unit: str | None

    @property
    def top(self) -> int:
        """The number of the highest point."""
        return int(np.argmax(self.values))

    @property
    def barrier(self) -> float:
        """How far F rises from the first point to the highest."""
        return float(self.values[self.top] - self.values[0])

    @property
    def barrier_back(self) -> float:
        """How far F rises from the last point to the highest."""
        return float(self.values[self.top] - self.values[-1])

    def __repr__(self) -> str:
        """Return a line with the barriers."""
        unit = f" {self.unit}" if self.unit else ""
        place = ", ".join(f"{n} {x:.4g}" for n, x in zip(self.names, self.points[self.top]))
        return (
            f"<EnergyPath: barrier {self.barrier:.4g}{unit}, back {self.barrier_back:.4g}{unit}, "
            f"highest at {place}>"
        )


def minimum_path(
    values: NDArray[np.floating[Any]],
    grid: Grid,
    first: ArrayLike,
    last: ArrayLike,
    landscape: Landscape | None = None,
) -> tuple[Floats, Floats]:
    """Return the points of a minimum-energy path, shape (K, D), and the values along it.

    Parameters
    ----------
    values : ndarray, shape grid.shape
        The surface.
    grid : Grid
        Its grid.
    first, last : array_like, shape (D,)
        The ends, in the CVs' units.
    landscape : Landscape, optional
        That of the surface, where it is known already.

    Returns
    -------
    points : ndarray of float64, shape (K, D)
        The path; see `EnergyPath`.
    values : ndarray of float64, shape (K,)
        The values along it.

    Raises
    ------
    InputError
        If an end is outside of the grid, or no path leads from one to the other.
    """
    ends = np.concatenate([place_in_bins(end, grid) for end in (first, last)])
    guess = _guess(landscape or Landscape.of(values, grid), ends, grid)
    finite = np.where(
        np.isfinite(values), values, np.max(values, initial=-np.inf, where=np.isfinite(values))
    )
    surface = Interpolant(finite, grid)
    images = _relaxed(surface, _resampled(guess, _image_count(guess)), grid)
    fine = _resampled(images, _FINER * (len(images) - 1) + 1)
    return grid.lower + fine * grid.spacing, surface(fine)


def _guess(landscape: Landscape, ends: Floats, grid: Grid) -> Floats:
    """Return the way over the lowest passes in bins, continuous across periodic ends."""
    first, last = (nearest_point(grid.lower + end * grid.spacing, grid) for end in ends)
    for point in (first, last):
        if not np.isfinite(landscape.values[point]):
            raise InputError("found an end of the path where F is infinite, expected a finite F")
    route = landscape.descent(first)
    for crossing in landscape.chain(int(landscape.labels[first]), int(landscape.labels[last])):
        one, other = crossing.points
        route += landscape.descent(one)[-2::-1]
        route += landscape.descent(other)
    route += landscape.descent(last)[-2::-1]
    places = np.stack(np.unravel_index(route, grid.shape), axis=-1).astype(np.float64)
    # The ends follow later: after them, the numbers of one point would differ by rounding.
    places = _without_loops(_unwrapped(places, grid))
    return _unwrapped(np.concatenate([ends[:1], places, ends[1:]]), grid)


def _unwrapped(places: Floats, grid: Grid) -> Floats:
    """Move points by whole periods, so that each is the image nearest to the one before."""
    bins = np.array(grid.bins, dtype=np.float64)
    steps = np.diff(places, axis=0)
    steps -= np.where(grid.periodic, bins * np.rint(steps / bins), 0.0)
    return np.concatenate([places[:1], places[:1] + np.cumsum(steps, axis=0)])


def _without_loops(places: Floats) -> Floats:
    """Cut out what lies between two visits of one point."""
    last_visit = {tuple(place): k for k, place in enumerate(places.tolist())}
    kept = []
    k = 0
    while k < len(places):
        k = last_visit[tuple(places[k].tolist())]
        kept.append(places[k])
        k += 1
    return np.array(kept)


def _image_count(guess: Floats) -> int:
    length = np.linalg.norm(np.diff(guess, axis=0), axis=1).sum()
    return int(np.clip(_IMAGES_PER_BIN * length, _FEWEST, _MOST))


def _resampled(places: Floats, count: int) -> Floats:
    """Return points at even distances along a broken line."""
    lengths = np.linalg.norm(np.diff(places, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    wanted = np.linspace(0.0, along[-1], count)
    return np.stack([np.interp(wanted, along, axis) for axis in places.T], axis=-1)


def _relaxed(surface: Interpolant, images: Floats, grid: Grid) -> Floats:
    """Return the string after it has converged, or after the largest number of steps."""
    step = _STEP * 2.0 / _steepest_curvature(surface, images)
    top = np.where(grid.periodic, np.inf, np.array(grid.shape) - 1.0)
    bottom = np.where(grid.periodic, -np.inf, 0.0)
    for _ in range(_MOST_STEPS):
        moved = images.copy()
        # However steep the slope, no image moves by more than half a bin.
        moved[1:-1] -= np.clip(step * surface.gradient(images[1:-1]), -0.5, 0.5)
        moved = _resampled(np.clip(moved, bottom, top), len(images))
        rests = np.abs(moved - images).max() < _RESTING
        images = moved
        if rests:
            break
    return images


def _steepest_curvature(surface: Interpolant, images: Floats) -> float:
    """Return a bound of the curvature near the images, per bin squared."""
    ndim = images.shape[1]
    curvatures = np.zeros(len(images))
    for axis in range(ndim):
        shift = np.zeros(ndim)
        shift[axis] = 1.0
        second = surface(images + shift) - 2.0 * surface(images) + surface(images - shift)
        curvatures += np.abs(second)
    return max(float(curvatures.max()), 1e-12 + 1e-9 * float(np.ptp(surface(images))))
