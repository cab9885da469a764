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


def kernel_widths(hills: Hills) -> Any:
    """Return the widths, or the factors of inverse matrices; one row where all are equal."""
    return hills.width_rows if hills.cholesky is None else hills.inverse_factors


def grid_periods(hills: Hills, grid: Grid) -> NDArray[np.float64]:
    """Return the period of each axis of the grid, 0 where there is none."""
    if grid.ndim != hills.ndim:
        raise InputError(f"the grid has {grid.ndim} axes, the hills have {hills.ndim} variables")
    lengths = (grid.upper - grid.lower).tolist()
    for axis, (period, length) in enumerate(zip(hills.periods.tolist(), lengths)):
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
    return grid.periods
