"""The boxes of grid points inside which PLUMED sums hills.

They matter in three cases. PLUMED's box of a multivariate hill may cut the hill where it is far
from zero. A box wider than a periodic axis has points twice, at which PLUMED adds the hill twice.
And under METAD's INTERVAL a hill that reaches beyond an end has as many bins as the grid has points
on either side of its own, which is not all of the grid if the hill lies outside. To get the
numbers of PLUMED, the same is done here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cyfes.errors import InputError
from cyfes.model.extent import support

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cyfes.model.grid import Grid
    from cyfes.model.hills import Hills

# Half of what the library can count in a box.
_MOST_BINS = 1 << 30


def needs_box(hills: Hills, grid: Grid) -> NDArray[np.bool_]:
    """Return which of N hills PLUMED's boxes change."""
    if hills.interval is not None:
        # The box does not change a stretched hill if it has all points of the grid, or of the hill.
        outside = (hills.centers < grid.lower) | (hills.centers >= grid.upper)
        return np.asarray(outside[:, 0] | (hills.kernel == "gaussian"))
    if hills.cholesky is not None:
        return np.ones(len(hills), dtype=bool)
    return wraps(hills, grid)


def wraps(hills: Hills, grid: Grid) -> NDArray[np.bool_]:
    """Return which of N hills have a box wider than a periodic axis of the grid."""
    points = 2.0 * _reach(hills, grid) + 1.0
    return np.asarray(((points > grid.shape) & grid.periodic).any(axis=1))


def boxes(hills: Hills, grid: Grid) -> NDArray[np.int32]:
    """Return the first and the last point of each hill's box, as cufes.h has them.

    Parameters
    ----------
    hills : Hills
        N hills of D variables.
    grid : Grid
        The grid, periodic where the hills are.

    Returns
    -------
    ndarray of int32, shape (N, D, 2)
        Places along each axis. On a periodic axis they go on around it; on any other the last is
        one before the first where a box has no point of the grid.

    Raises
    ------
    InputError
        If a hill is a thousand million bins wide or more.
    """
    reach = _reach(hills, grid)
    wide = ((reach >= _MOST_BINS) & grid.periodic).any(axis=1)
    if wide.any():
        hill = int(np.argmax(wide))
        raise InputError(
            f"found a hill, number {hill}, that reaches over {reach[hill].max():g} bins of the "
            f"grid, expected fewer than {_MOST_BINS}; use fewer bins"
        )
    own = np.floor((hills.centers - grid.lower) / grid.spacing)
    shape = np.array(grid.shape)
    own = np.where(grid.periodic, own % shape, own)
    first, last = own - reach, own + reach
    first = np.where(grid.periodic, first, np.clip(first, 0, shape))
    last = np.where(grid.periodic, last, np.clip(last, -1, shape - 1))
    return np.ascontiguousarray(np.stack([first, last], axis=-1).astype(np.int32))


def _reach(hills: Hills, grid: Grid) -> NDArray[np.float64]:
    """Return to how many bins on either side of its own PLUMED takes each hill, shape (N, D)."""
    distances = support(hills)
    reach = np.asarray(np.ceil(distances / grid.spacing))
    if hills.interval is None:
        return reach
    low, high = hills.interval
    beyond = (hills.centers + distances > high) | (hills.centers - distances < low)
    return np.where(beyond, grid.shape, reach)
