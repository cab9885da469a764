"""Which points of a surface no hill or sample has reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cyfes.model.grid import Grid

# Values this close to the highest one, as a part of the range, count as equal to it: the tail of an
# untruncated Gaussian is never exactly 0.
_CLOSE = 1e-9


def not_sampled(values: NDArray[np.floating[Any]], grid: Grid) -> NDArray[np.bool_]:
    """Return the points that hold no information on F.

    These are the points where F is not finite, and those of a flat top: where no hill reaches,
    -Σ hills is 0, its highest value, over whole areas. A single highest point, or a ridge of them,
    is no such area: at least one point and all of its neighbours must be as high.

    Parameters
    ----------
    values : ndarray, shape grid.shape
        F.
    grid : Grid
        The grid.

    Returns
    -------
    ndarray of bool, shape grid.shape
        The points.
    """
    unknown: NDArray[np.bool_] = ~np.isfinite(values)
    if unknown.all():
        return unknown
    finite = values[~unknown]
    low, high = float(finite.min()), float(finite.max())
    if high == low:
        return unknown
    highest = ~unknown & (values >= high - _CLOSE * (high - low))
    inner = highest
    for axis, wraps in enumerate(grid.periodic):
        width = [(0, 0)] * grid.ndim
        width[axis] = (1, 1)
        # Beyond an end that is not periodic, there is no neighbour that could be lower.
        beside = np.pad(inner, width, mode="wrap" if wraps else "edge")
        count = grid.shape[axis]
        shifted = (np.take(beside, range(k, k + count), axis=axis) for k in range(3))
        inner = np.logical_and.reduce(list(shifted))
    return unknown | highest if inner.any() else unknown
