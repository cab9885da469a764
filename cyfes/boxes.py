"""Sums of hills as PLUMED makes them: each inside a box of grid points of its own.

That matters in two cases. PLUMED's box of a multivariate hill may cut the hill where it is far from
zero. And a box wider than a periodic axis has points twice, at which PLUMED adds the hill twice.
PLUMED's surfaces cannot be had without doing the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cyfes.extent import support

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cyfes.grid import Grid
    from cyfes.hills import Hills

    Floats = NDArray[np.float64]

# The stretched Gaussian A exp(-d) + B below d = 6.25.
_CUT_OFF = 6.25
_A = 1.00193418799744762399
_B = 1.0 - _A

# So many grid points of boxes are worked on at a time.
_BATCH = 1 << 20


class _Batch(NamedTuple):
    """Hills whose boxes have the same number of points along each axis."""

    heights: Floats
    #: The inverse covariance matrices, shape (N, D, D).
    metric: Floats
    #: For each axis: the way from the centre to each point, shape (N, points of the box).
    ways: list[Floats]
    #: For each axis: the places of the points on the axis, and whether they are on it.
    places: list[NDArray[np.int64]]
    inside: list[NDArray[np.bool_]]


def boxed_sum(hills: Hills, grid: Grid) -> tuple[Floats, Floats]:
    """Return the sum of hills on a grid, and its gradient.

    Parameters
    ----------
    hills : Hills
        Hills of D variables.
    grid : Grid
        The grid, periodic where the hills are.

    Returns
    -------
    values : ndarray of float64, shape grid.shape
        The sum.
    gradient : ndarray of float64, shape (D, *grid.shape)
        Its derivative along each axis.
    """
    values = np.zeros(grid.size)
    gradient = np.zeros((grid.ndim, grid.size))
    for batch in _batches(hills, grid):
        index, inside = _flat_index(batch, grid)
        value, slopes = _evaluated(batch, hills.kernel)
        points = index[inside]
        values += np.bincount(points, value[inside], grid.size)
        for axis, slope in enumerate(slopes):
            gradient[axis] += np.bincount(points, slope[inside], grid.size)
    return values.reshape(grid.shape), gradient.reshape((grid.ndim, *grid.shape))


def _batches(hills: Hills, grid: Grid) -> Iterator[_Batch]:
    reach = _reach(hills, grid)
    metric = _inverse_covariances(hills)
    reaches, kind = np.unique(reach, axis=0, return_inverse=True)
    for number, bins in enumerate(reaches):
        rows = np.flatnonzero(kind.ravel() == number)
        # Boxes larger than the batch are still taken one by one.
        size = max(1, _BATCH // int(np.prod(2.0 * bins + 1.0)))
        for start in range(0, len(rows), size):
            chosen = rows[start : start + size]
            axes = [
                _along_axis(grid, axis, hills.centers[chosen, axis], int(bins[axis]))
                for axis in range(grid.ndim)
            ]
            ways, places, inside = (list(entry) for entry in zip(*axes))
            yield _Batch(hills.heights[chosen], metric[chosen], ways, places, inside)


def wraps(hills: Hills, grid: Grid) -> NDArray[np.bool_]:
    """Return which hills, of N, have a box wider than a periodic axis of the grid."""
    points = 2 * _reach(hills, grid) + 1
    return np.asarray(((points > grid.shape) & grid.periodic).any(axis=1))


def work(hills: Hills, grid: Grid) -> float:
    """Return how many points the boxes of hills have together."""
    return float(np.prod(2.0 * _reach(hills, grid) + 1.0, axis=1).sum())


def _reach(hills: Hills, grid: Grid) -> NDArray[np.int64]:
    return np.asarray(np.ceil(support(hills) / grid.spacing).astype(np.int64))


def _inverse_covariances(hills: Hills) -> Floats:
    if hills.cholesky is None:
        return np.asarray(np.eye(hills.ndim) / hills.sigmas[:, :, np.newaxis] ** 2)
    rows, columns = np.tril_indices(hills.ndim)
    lower = np.zeros((len(hills), hills.ndim, hills.ndim))
    lower[:, rows, columns] = hills.cholesky
    inverse = np.linalg.inv(lower)
    return np.asarray(inverse.transpose(0, 2, 1) @ inverse)


def _along_axis(
    grid: Grid, axis: int, centers: Floats, bins: int
) -> tuple[Floats, NDArray[np.int64], NDArray[np.bool_]]:
    """Return the points of boxes along one axis: ways from the centres, places, which are there."""
    low, spacing = grid.lower[axis], grid.spacing[axis]
    points = grid.shape[axis]
    own = np.floor((centers - low) / spacing).astype(np.int64)
    places = own[:, np.newaxis] + np.arange(-bins, bins + 1)
    inside = np.ones(places.shape, dtype=bool)
    if grid.periodic[axis]:
        places %= points
    else:
        inside = (places >= 0) & (places < points)
    ways = low + places * spacing - centers[:, np.newaxis]
    if grid.periodic[axis]:
        period = grid.upper[axis] - low
        ways -= period * np.rint(ways / period)
    return ways, places, inside


def _spread(entry: NDArray[Any], axis: int, ndim: int) -> NDArray[Any]:
    """Return an array of shape (N, n) as one that broadcasts along an axis of the boxes."""
    return entry.reshape([len(entry), *(entry.shape[1] if a == axis else 1 for a in range(ndim))])


def _flat_index(batch: _Batch, grid: Grid) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the place of every point of the boxes in the grid, and whether it is there."""
    index, inside = np.zeros(1, dtype=np.int64), np.ones(1, dtype=bool)
    for axis in range(grid.ndim):
        stride = int(np.prod(grid.shape[axis + 1 :]))
        index = index + stride * _spread(batch.places[axis], axis, grid.ndim)
        inside = inside & _spread(batch.inside[axis], axis, grid.ndim)
    return index, inside


def _evaluated(batch: _Batch, kernel: str) -> tuple[Floats, list[Floats]]:
    """Return the hills at the points of their boxes, and their derivatives."""
    ndim = len(batch.ways)
    ways = [_spread(way, axis, ndim) for axis, way in enumerate(batch.ways)]
    metric = batch.metric.reshape([len(batch.metric), ndim, ndim, *[1] * ndim])
    pulls = [np.asarray(sum(metric[:, i, j] * ways[j] for j in range(ndim))) for i in range(ndim)]
    half = 0.5 * np.asarray(sum(way * pull for way, pull in zip(ways, pulls)))
    height = batch.heights.reshape([-1, *[1] * ndim])
    exponential = height * np.exp(-half)
    if kernel == "gaussian":
        return exponential, [-exponential * pull for pull in pulls]
    near = half < _CUT_OFF
    value = np.where(near, _A * exponential + _B * height, 0.0)
    slope = np.where(near, -_A * exponential, 0.0)
    return value, [slope * pull for pull in pulls]
