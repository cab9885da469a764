"""Smooth interpolation of values on a grid: cubic convolution along each axis.

The interpolant of R. Keys, IEEE Trans. Acoust. 29, 1153 (1981): it goes through the values of the
grid, and its gradient is continuous.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cyfes.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from cyfes.model.grid import Grid

    Floats = NDArray[np.float64]

# Four points to each axis: the cell's two and one more on either side.
BEFORE, AFTER = 1, 2

# Rows are Keys' weights of these points as polynomials in the place t within the cell, 0 to 1.
_KEYS = 0.5 * np.array(
    [
        [0.0, -1.0, 2.0, -1.0],
        [2.0, 0.0, -5.0, 3.0],
        [0.0, 1.0, 4.0, -3.0],
        [0.0, 0.0, -1.0, 1.0],
    ]
)


class Interpolant:
    """Values of a grid between its points, in coordinates that count bins from the lower end.

    Parameters
    ----------
    values : ndarray, shape grid.shape
        The values, finite.
    grid : Grid
        The grid of D axes; periodic ones go on beyond their ends, any others end there.
    """

    def __init__(self, values: NDArray[np.floating[Any]], grid: Grid) -> None:
        self._grid = grid
        self._padded = padded(np.asarray(values, dtype=np.float64), grid)

    def __call__(self, places: Floats) -> Floats:
        """Return the values at places in bins, shape (M, D); clipped at free ends."""
        cells, inside = cells_of(places, self._grid)
        return self._contract(cells, [keys_weights(t) for t in inside.T])

    def gradient(self, places: Floats) -> Floats:
        """Return the gradient per bin at places in bins, both of shape (M, D)."""
        cells, inside = cells_of(places, self._grid)
        weights = [keys_weights(t) for t in inside.T]
        columns = []
        for axis, t in enumerate(inside.T):
            changed = [*weights[:axis], keys_slopes(t), *weights[axis + 1 :]]
            columns.append(self._contract(cells, changed))
        return np.stack(columns, axis=-1)

    def _contract(self, cells: NDArray[np.intp], weights: Sequence[Floats]) -> Floats:
        ndim = len(weights)
        reach = np.arange(BEFORE + 1 + AFTER)
        index = []
        for axis in range(ndim):
            shape = [len(cells)] + [1] * ndim
            shape[1 + axis] = len(reach)
            index.append((cells[:, axis, np.newaxis] + reach).reshape(shape))
        block: Floats = self._padded[tuple(index)]
        for axis in reversed(range(ndim)):
            block = np.einsum("m...k,mk->m...", block, weights[axis])
        return block


def padded(values: Floats, grid: Grid) -> Floats:
    """Return values with the points beyond either end of each of the last D axes."""
    for axis, wraps in enumerate(grid.periodic, values.ndim - grid.ndim):
        width = [(0, 0)] * values.ndim
        width[axis] = (BEFORE, AFTER)
        # Beyond an end that is not periodic, values are continued linearly.
        how: dict[str, Any] = {"mode": "reflect", "reflect_type": "odd"}
        values = np.pad(values, width, **({"mode": "wrap"} if wraps else how))
    return values


def cells_of(places: Floats, grid: Grid) -> tuple[NDArray[np.intp], Floats]:
    """Return the cell of each place in bins, and where in the cell it is, 0 to 1."""
    points = np.array(grid.shape)
    drawn = np.where(grid.periodic, np.mod(places, points), np.clip(places, 0.0, points - 1))
    last_cell = np.where(grid.periodic, points - 1, points - 2)
    cells = np.minimum(np.floor(drawn).astype(np.intp), last_cell)
    return cells, drawn - cells


def keys_weights(t: Floats) -> Floats:
    """Return the weights of the four points around places t, 0 to 1, in a cell: shape (M, 4)."""
    powers = np.stack([np.ones_like(t), t, t * t, t**3], axis=-1)
    result: Floats = powers @ _KEYS.T
    return result


def keys_slopes(t: Floats) -> Floats:
    """Return the derivatives of `keys_weights`, per bin."""
    powers = np.stack([np.zeros_like(t), np.ones_like(t), 2.0 * t, 3.0 * t * t], axis=-1)
    result: Floats = powers @ _KEYS.T
    return result


def places_in_bins(points: ArrayLike, grid: Grid) -> Floats:
    """Return points in bins from the lower end of a grid.

    Parameters
    ----------
    points : array_like, shape (M, D), or (D,) for a single one
        The points, in the CVs' units.
    grid : Grid
        The grid.

    Returns
    -------
    ndarray of float64, shape (M, D)
        The places; those along a periodic axis lie within the domain.

    Raises
    ------
    InputError
        If a point has another number of CVs, is not finite, or lies outside of the grid.
    """
    array = np.atleast_2d(np.asarray(points, dtype=np.float64))
    if array.ndim != 2 or array.shape[1] != grid.ndim:
        raise InputError(f"points: found shape {np.shape(points)}, expected (M, {grid.ndim})")
    places = (array - grid.lower) / grid.spacing
    bins = np.array(grid.bins, dtype=np.float64)
    places = np.where(grid.periodic, np.mod(places, bins), places)
    # Ends such as pi may be typed with few digits.
    inside = np.isfinite(places) & (places > -1e-6) & (places < bins + 1e-6)
    if not inside.all():
        row, axis = np.argwhere(~inside)[0]
        low, high = grid.lower[axis], grid.upper[axis]
        raise InputError(
            f"points: found {array[row, axis]:g} in CV {axis} of point {row}, expected "
            f"{low:g} to {high:g} as the grid"
        )
    result: Floats = np.where(grid.periodic, places, np.clip(places, 0.0, bins))
    return result


def place_in_bins(point: ArrayLike, grid: Grid) -> Floats:
    """Return a single point in bins, shape (1, D); see `places_in_bins`."""
    places = places_in_bins(point, grid)
    if len(places) != 1:
        raise InputError(f"found {len(places)} points, expected one")
    return places
