"""Hills as the arrays that libcufes takes, and the check that they fit a grid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cyfes.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cyfes.model.grid import Grid
    from cyfes.model.hills import Hills


def hills_arrays(
    hills: Hills, heights: NDArray[np.float64], real: np.dtype[Any]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return centres, widths and heights in one precision; equal widths as one row."""
    arrays = (hills.centers, kernel_widths(hills), heights)
    centers, sigmas, scaled = (np.asarray(array, dtype=real) for array in arrays)
    return centers, sigmas, scaled


def kernel_widths(hills: Hills) -> NDArray[np.float64]:
    """Return the widths, or the factors of inverse matrices; one row where all are equal."""
    if hills.cholesky is None:
        widths: NDArray[np.float64] = one_row(hills.sigmas)
        return widths
    return _factors_of_inverses(one_row(hills.cholesky), hills.ndim)


def _factors_of_inverses(packed: NDArray[np.float64], ndim: int) -> NDArray[np.float64]:
    """Return the Cholesky factors of inverse matrices, from those of the matrices.

    Both are lower triangles, packed row by row.
    """
    rows, columns = np.tril_indices(ndim)
    factors = np.zeros((len(packed), ndim, ndim))
    factors[:, rows, columns] = packed
    inverses = np.linalg.inv(factors)
    precisions = inverses.transpose((0, 2, 1)) @ inverses
    return np.ascontiguousarray(np.linalg.cholesky(precisions)[:, rows, columns])


def one_row(widths: Any) -> Any:
    """Return the widths of N hills, one row where all are equal; an array on a device as it is."""
    alike = isinstance(widths, np.ndarray) and len(widths) > 1 and (widths == widths[0]).all()
    return widths[:1] if alike else widths


def grid_periods(hills: Hills, grid: Grid) -> NDArray[np.float64]:
    """Return the period of each axis of the grid, 0 where there is none."""
    if grid.ndim != hills.ndim:
        raise InputError(f"the grid has {grid.ndim} axes, the hills have {hills.ndim} variables")
    lengths = grid.upper - grid.lower
    for axis, (period, length) in enumerate(zip(hills.periods.tolist(), lengths.tolist())):
        periodic = grid.periodic[axis]
        if period and not periodic:
            raise InputError(
                f"{hills.names[axis]} is periodic, but axis {axis} of the grid is not; use "
                "Grid(…, periodic=True) over the whole domain"
            )
        if period and abs(length - period) > 1e-9 * period:
            raise InputError(
                f"axis {axis} of the grid is {length:g} long, but the period of "
                f"{hills.names[axis]} is {period:g}; a periodic axis covers its domain once"
            )
    return np.where(grid.periodic, lengths, 0.0)
