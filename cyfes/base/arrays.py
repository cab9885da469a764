"""Checks of arrays that are given as arguments: each returns them in a form that can be used."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from cyfes.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray

# From so many numbers on, their sum is faster than a look at each.
_MANY = 1 << 14


def precision(dtype: DTypeLike) -> np.dtype[Any]:
    """Return the NumPy dtype of a precision; refuse any other than single and double."""
    real = np.dtype(dtype)
    if real.char not in "df":
        raise InputError(f'dtype is {real.name}, expected "float64" or "float32"')
    return real


def name_of(real: np.dtype[Any]) -> str:
    """Return "float64" or "float32", which takes NumPy longer."""
    return "float64" if real.char == "d" else "float32"


def all_finite(array: NDArray[Any]) -> bool:
    """Whether no number of a real array is nan or infinite."""
    if array.size < _MANY:
        return bool(np.isfinite(array).all())
    # A sum with such a number is such a number itself, and takes less time than a look at each. A
    # sum of others can become infinite.
    with np.errstate(over="ignore", invalid="ignore"):
        total = np.add.reduce(array, axis=None)
    return math.isfinite(total) or bool(np.isfinite(array).all())


def as_matrix(name: str, values: ArrayLike, columns: int, dtype: DTypeLike) -> NDArray[Any]:
    """Return finite real numbers as an (M, `columns`) array; strides are kept where they fit."""
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        raise InputError(f"{name}: found numbers of type {array.dtype}, expected real numbers")
    if array.ndim == 1 and columns == 1:
        array = array[:, np.newaxis]
    if array.ndim != 2 or array.shape[1] != columns:
        raise InputError(f"{name}: found shape {array.shape}, expected (M, {columns})")
    if not all_finite(array):
        row = int(np.argmin(np.isfinite(array).all(axis=1)))
        raise InputError(f"{name}: found {array[row]} in row {row}, expected finite numbers")
    return array.astype(dtype, copy=False)


def checked_array(name: str, value: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return finite numbers, as they were given, that can be broadcast to `shape`."""
    try:
        given = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: found no array of numbers ({error})") from error
    # A column may not be stretched into a matrix: (N, 1) is a mistake where (N, D) is meant.
    if given.ndim and given.shape != shape[-given.ndim :]:
        raise InputError(f"{name}: found shape {given.shape}, expected {shape}")
    if not all_finite(given):
        raise InputError(f"{name}: found nan or inf, expected finite numbers")
    return given


def bandwidth_rows(bandwidth: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return one row of bandwidths, or one for each sample."""
    given = np.asarray(bandwidth, dtype=np.float64)
    expected = {(): (1, shape[1]), (shape[1],): (1, shape[1]), shape: shape}
    if given.shape not in expected:
        raise InputError(
            f"bandwidth: found shape {given.shape}, expected (), ({shape[1]},) or {shape}"
        )
    if not (np.isfinite(given) & (given > 0)).all():
        raise InputError("bandwidth: found a number that is not above zero, or not finite")
    return np.ascontiguousarray(np.broadcast_to(given, expected[given.shape]))
