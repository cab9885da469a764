"""Regions of a surface, and the difference of free energy between two of them.

F_A = -kT ln ∫_A exp(-F / kT), by the trapezoidal rule on the grid, and ΔF = F_B - F_A.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from cyfes.errors import InputError
from cyfes.landscape.basins import Minimum, is_number

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Union

    from numpy.typing import NDArray

    from cyfes.landscape.basins import Basins, Place
    from cyfes.model.grid import Grid

    Mask = NDArray[np.bool_]
    Region = Union["Place", Mask]
    Range = Union["tuple[float, float]", None]


def box(grid: Grid, ranges: Sequence[tuple[float, float] | None]) -> Mask:
    """Return the points of a grid that lie within a range of each CV.

    Parameters
    ----------
    grid : Grid
        The grid of D axes.
    ranges : sequence of D (float, float) or None
        The two ends along each axis; None is the whole axis. A point at the upper end does not
        belong to the range, unless the grid ends there; so two neighbouring ranges share no point.
        On a periodic axis, the range goes upwards from the first end to the second one. It may
        cross the boundary.

    Returns
    -------
    ndarray of bool, shape grid.shape
        True at the points within the ranges.

    Raises
    ------
    InputError
        If the number of ranges is wrong, a range does not have two ascending ends, or no point lies
        inside.

    Examples
    --------
    >>> grid = cyfes.Grid([-2.0, 0.0], [2.0, 1.0], [4, 2])
    >>> cyfes.box(grid, [(-2.0, 0.0), None])[:, 0]
    array([ True,  True, False, False, False])
    """
    if len(ranges) != grid.ndim:
        raise InputError(f"found {len(ranges)} ranges, expected {grid.ndim}, one for each CV")
    mask = np.ones(grid.shape, dtype=bool)
    for axis, bounds in enumerate(ranges):
        if bounds is not None:
            inside = _inside(grid, axis, *map(float, bounds))
            mask &= inside.reshape([-1 if k == axis else 1 for k in range(grid.ndim)])
    if not mask.any():
        raise InputError(f"found no grid point within {list(ranges)}, expected a larger region")
    return mask


def _inside(grid: Grid, axis: int, low: float, high: float) -> Mask:
    if not (np.isfinite([low, high]).all() and (low < high or grid.periodic[axis])):
        raise InputError(f"found the range {low:g} to {high:g}, expected its lower end first")
    x = grid.axes[axis]
    # A point that differs from an end only by rounding is at the end.
    slack = 1e-9 * float(grid.spacing[axis])
    if grid.periodic[axis]:
        period = float(grid.upper[axis] - grid.lower[axis])
        extent = period if abs(high - low) > period - slack else (high - low) % period
        inside: Mask = np.mod(x - low + slack, period) < extent
    else:
        last = np.arange(len(x)) == len(x) - 1
        inside = (x >= low - slack) & ((x < high - slack) | (last & (x <= high + slack)))
    return inside


def masks(grid: Grid, regions: Sequence[Region], basins: Basins | None) -> list[Mask]:
    """Return the points of each region, which must not be empty nor overlap.

    Parameters
    ----------
    grid : Grid
        The grid.
    regions : sequence of ndarray of bool, array_like, Minimum or int
        Masks of shape grid.shape; or points of shape (D,), minima or numbers of minima (1 is the
        lowest), which stand for their basins.
    basins : Basins or None
        The basins, where any but a mask is among the regions.

    Returns
    -------
    list of ndarray of bool
        A mask for each.

    Raises
    ------
    InputError
        If a region is neither, is empty, or shares a point with another.
    """
    found = [_mask(grid, region, basins) for region in regions]
    taken = np.zeros(grid.shape, dtype=int)
    for mask in found:
        taken += mask
    if (taken > 1).any():
        raise InputError(
            f"found regions that share {(taken > 1).sum()} grid points, expected separate ones; "
            "points in the same basin stand for the same region"
        )
    return found


def is_mask(region: Region) -> bool:
    """Whether a region is a mask, not a place that stands for its basin."""
    place = isinstance(region, Minimum) or is_number(region)
    return not place and np.asarray(region).dtype == bool


def _mask(grid: Grid, region: Region, basins: Basins | None) -> Mask:
    if is_mask(region):
        array = np.asarray(region)
        if array.shape != grid.shape:
            raise InputError(f"region: found a mask of shape {array.shape}, expected {grid.shape}")
        if not array.any():
            raise InputError("region: found an empty mask, expected at least one grid point")
        return array
    if basins is None:
        raise InputError(
            "region: found a point, expected a mask: there is no surface to find a basin on"
        )
    return cast("Mask", basins.labels == basins.containing(basins.point(region)))


def log_weights(grid: Grid) -> NDArray[np.float64]:
    """Return the logarithm of each point's volume; ends that are not periodic have half a cell."""
    total: NDArray[np.float64] = np.zeros(grid.shape)
    for axis, (step, wraps) in enumerate(zip(grid.spacing, grid.periodic)):
        lengths = np.full(grid.shape[axis], float(step))
        if not wraps:
            lengths[[0, -1]] /= 2.0
        total += np.log(lengths).reshape([-1 if k == axis else 1 for k in range(grid.ndim)])
    return total


def log_population(log_density: NDArray[Any], grid: Grid, mask: Mask | None = None) -> float:
    """Return ln ∫ p over a region, or over the grid, from ln p."""
    terms = (np.asarray(log_density, dtype=np.float64) + log_weights(grid))[
        mask if mask is not None else ...
    ]
    highest = float(np.max(terms))
    if not np.isfinite(highest):
        return highest
    return highest + float(np.log(np.exp(terms - highest).sum()))
