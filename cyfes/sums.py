"""Sums of hills: on a grid, as a free-energy surface, and at arbitrary points, as a bias."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cyfes import _device
from cyfes._library import wrapper
from cyfes.errors import InputError
from cyfes.surface import FreeEnergySurface

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from cyfes.grid import Grid
    from cyfes.hills import Hills

# The numbers of cufes_kernel in cufes.h.
STRETCHED_GAUSSIAN = 0
GAUSSIAN = 1
BOXED_GAUSSIAN = 2
LOG_GAUSSIAN = 3


def sum_hills(
    hills: Hills,
    grid: Grid,
    device: str = "auto",
    dtype: DTypeLike = "float64",
    gradient: bool = False,
    truncation: str = "plumed",
) -> FreeEnergySurface:
    """Return the free-energy surface F = -Σ hills on a grid.

    A hill of height h, with d = ½ Σ ((x - center) / sigma)² and minimum images along periodic axes,
    adds one of

    - ``stretched-gaussian``: h (A exp(-d) + B) for d < 6.25, 0 beyond, with
      A = 1.00193418799744762399 and B = 1 - A, as PLUMED deposits and sums hills since version 2.8;
    - ``gaussian``: h exp(-d), in PLUMED's sum only inside a box of ceil(√12.5 sigma / spacing) bins
      around the hill's own.

    Parameters
    ----------
    hills : Hills
        N hills of D collective variables.
    grid : Grid
        A grid over the same D variables; a periodic axis covers the hills' domain once.
    device : str
        "auto", "cpu", "cuda" or "cuda:N".
    dtype : {"float64", "float32"}
        The precision of the sum.
    gradient : bool
        Whether to compute dF/dCV too.
    truncation : {"plumed", "none"}
        For the plain Gaussian kernel: inside PLUMED's box, or everywhere.

    Returns
    -------
    FreeEnergySurface
        In the unit of the heights; its minimum is not shifted.

    Raises
    ------
    InputError
        If hills and grid do not fit together, or an argument is unknown.
    DeviceError
        If the device is absent, unsupported or fails; `DeviceMemoryError` if it is too small.
    LibraryError
        If the compiled part of cyfes is missing.

    References
    ----------
    PLUMED 2.10, ``sum_hills``; A. Barducci, G. Bussi, M. Parrinello, Phys. Rev. Lett. 100, 020603
    (2008) for why -Σ hills is F: the heights of a well-tempered HILLS file are already rescaled.
    """
    real = precision(dtype)
    _refuse_unsupported(hills)
    kernel = _grid_kernel(hills.kernel, truncation)
    periods = _grid_periods(hills, grid)
    number = _device.choose(device)
    values = np.empty(grid.size, dtype=real)
    slopes = np.empty((grid.ndim, grid.size), dtype=real) if gradient else None
    wrapper(real.name).sum_grid(
        number,
        kernel,
        *_hills_arrays(hills, hills.heights, real),
        periods,
        grid.lower,
        grid.spacing,
        np.array(grid.shape, dtype=np.int64),
        values,
        slopes,
    )
    # In place: a surface may fill half the memory.
    np.negative(values, out=values)
    if slopes is not None:
        np.negative(slopes, out=slopes)
        slopes = slopes.reshape((grid.ndim, *grid.shape))
    return FreeEnergySurface(
        values.reshape(grid.shape), grid, hills.names, slopes, hills.domain, _device.name(number)
    )


def bias(
    points: ArrayLike, hills: Hills, device: str = "auto", dtype: DTypeLike = "float64"
) -> NDArray[Any]:
    """Return the bias potential V at arbitrary points.

    V = Σ hills (`sum_hills` has the kernels; the plain Gaussian is not cut off here). The heights
    of hills with a bias factor γ > 1 are those of F and are multiplied by (γ - 1) / γ.

    Parameters
    ----------
    points : array_like, shape (M, D)
        Where, in the units of the D collective variables. Shape (M,) will do for one variable.
    hills : Hills
        The hills.
    device : str
        "auto", "cpu", "cuda" or "cuda:N".
    dtype : {"float64", "float32"}
        The precision of the sum.

    Returns
    -------
    ndarray, shape (M,)
        V, in the unit of the heights.

    Raises
    ------
    InputError
        If the points have another number of variables than the hills, or are not finite.
    DeviceError
        If the device is absent, unsupported or fails.
    LibraryError
        If the compiled part of cyfes is missing.
    """
    real = precision(dtype)
    _refuse_unsupported(hills)
    where = as_matrix("points", points, hills.ndim, real)
    kernel = STRETCHED_GAUSSIAN if hills.kernel == "stretched-gaussian" else GAUSSIAN
    number = _device.choose(device)
    values = np.empty(len(where), dtype=real)
    arrays = _hills_arrays(hills, _bias_heights(hills), real)
    wrapper(real.name).sum_points(number, kernel, *arrays, hills.periods, where, values)
    return values


def precision(dtype: DTypeLike) -> np.dtype[Any]:
    """Return the NumPy dtype of a precision; refuse any other than single and double."""
    real = np.dtype(dtype)
    if real.name not in ("float64", "float32"):
        raise InputError(f'dtype is {real.name}, expected "float64" or "float32"')
    return real


def as_matrix(name: str, values: ArrayLike, columns: int, dtype: DTypeLike) -> NDArray[Any]:
    """Return finite real numbers as an (M, `columns`) array; strides are kept where they fit."""
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        raise InputError(f"{name}: found numbers of type {array.dtype}, expected real numbers")
    if array.ndim == 1 and columns == 1:
        array = array[:, np.newaxis]
    if array.ndim != 2 or array.shape[1] != columns:
        raise InputError(f"{name}: found shape {array.shape}, expected (M, {columns})")
    if not np.isfinite(array).all():
        row = int(np.argmin(np.isfinite(array).all(axis=1)))
        raise InputError(f"{name}: found {array[row]} in row {row}, expected finite numbers")
    return array.astype(dtype, copy=False)


def _refuse_unsupported(hills: Hills) -> None:
    if hills.cholesky is not None or hills.interval is not None:
        raise InputError(
            "found multivariate hills, or hills of METAD's INTERVAL, which this version reads but "
            "does not sum; sum them with PLUMED's sum_hills"
        )


def _hills_arrays(
    hills: Hills, heights: NDArray[np.float64], real: np.dtype[Any]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    arrays = (hills.centers, hills.sigmas, heights)
    centers, sigmas, scaled = (np.asarray(array, dtype=real) for array in arrays)
    return centers, sigmas, scaled


def _bias_heights(hills: Hills) -> NDArray[np.float64]:
    factors = hills.bias_factors
    tempered = factors > 1.0
    scale = np.where(tempered, 1.0 - 1.0 / np.where(tempered, factors, 1.0), 1.0)
    return hills.heights * scale


def _grid_kernel(kernel: str, truncation: str) -> int:
    if truncation not in ("plumed", "none"):
        raise InputError(f'truncation is {truncation!r}, expected "plumed" or "none"')
    if kernel == "gaussian":
        return BOXED_GAUSSIAN if truncation == "plumed" else GAUSSIAN
    if truncation == "none":
        raise InputError(
            f'truncation is "none", but hills of kernel {kernel} end at d = 6.25 by definition; '
            'use kernel="gaussian"'
        )
    return STRETCHED_GAUSSIAN


def _grid_periods(hills: Hills, grid: Grid) -> NDArray[np.float64]:
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
