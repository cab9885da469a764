"""Free energy from weighted samples of a biased run, by kernel density estimation (KDE)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cyfes import _device
from cyfes._library import wrapper
from cyfes.errors import InputError
from cyfes.sums import GAUSSIAN, LOG_GAUSSIAN, as_matrix, precision
from cyfes.surface import FreeEnergySurface

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from cyfes.grid import Grid

# Below this density, in units of the largest sample's, terms of the sum may have vanished; there
# the logarithms are summed instead. Far enough above the smallest number for sums of any length.
_FAINT = {"float64": 1e-280, "float32": 1e-25}


def reweight(
    samples: ArrayLike,
    grid: Grid,
    bandwidth: ArrayLike,
    *,
    kT: float,
    bias: ArrayLike | None = None,
    names: Sequence[str] | None = None,
    device: str = "auto",
    dtype: DTypeLike = "float64",
) -> FreeEnergySurface:
    """Return the free energy of samples, each with the weight exp(V / kT), on a grid.

    F(x) = -kT ln[ Σ_j exp(V_j / kT) Π_i exp(-½ ((x_i - s_ji) / σ_i)²) / (N Π_i √(2π) σ_i) ], with
    minimum images along the periodic axes of the grid. The weights and the density may be of any
    size: F neither overflows nor loses its digits in the tails.

    Parameters
    ----------
    samples : array_like, shape (N, D)
        The collective variables (CVs) of N samples. Shape (N,) will do for one variable.
    grid : Grid
        A grid over the D variables.
    bandwidth : array_like, shape (), (D,) or (N, D)
        The standard deviation σ of each sample's Gaussian, in the CVs' units.
    kT : float
        Boltzmann's constant times the temperature, in the unit that F is to have.
    bias : array_like, shape (N,), optional
        The bias V at each sample, in the unit of kT; 0 by default.
    names : sequence of D str, optional
        The names of the variables; "cv0", "cv1" and so on by default.
    device : str
        "auto", "cpu", "cuda" or "cuda:N".
    dtype : {"float64", "float32"}
        The precision of the sum.

    Returns
    -------
    FreeEnergySurface
        In the unit of kT; its minimum is not shifted.

    Raises
    ------
    InputError
        If shapes disagree, a number is not finite, a bandwidth or kT is not above zero, or there
        is no sample.
    DeviceError
        If the device is absent, unsupported or fails.
    LibraryError
        If the compiled part of cyfes is missing.
    """
    number = _device.choose(device)
    real = precision(dtype)
    centers = as_matrix("samples", samples, grid.ndim, np.float64)
    if not len(centers):
        raise InputError("samples: found none, expected at least one")
    sigmas = _bandwidths(bandwidth, centers.shape)
    logarithms = _log_weights(bias, sigmas, len(centers), _positive("kT", kT))
    density = _log_density(number, real, (centers, sigmas, logarithms), grid)
    density *= -kT
    return FreeEnergySurface(
        density.reshape(grid.shape),
        grid,
        tuple(names or (f"cv{axis}" for axis in range(grid.ndim))),
        device=_device.name(number),
        kT=float(kT),
    )


def _positive(name: str, value: float) -> float:
    if not (np.isfinite(value) and value > 0):
        raise InputError(f"{name}: found {value}, expected a number above zero")
    return value


def _bandwidths(bandwidth: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
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


def _log_weights(
    bias: ArrayLike | None,
    sigmas: NDArray[np.float64],
    count: int,
    kT: float,
) -> NDArray[np.float64]:
    """Return ln[exp(V / kT) / (N Π √(2π) σ)] of each sample."""
    norms: NDArray[np.float64] = np.log(np.sqrt(2.0 * np.pi) * sigmas).sum(axis=1) + np.log(count)
    if bias is None:
        return np.broadcast_to(-norms, (count,))
    biases = as_matrix("bias", bias, 1, np.float64)[:, 0]
    if len(biases) != count:
        raise InputError(f"bias: found {len(biases)} numbers for {count} samples")
    logarithms: NDArray[np.float64] = biases / kT - norms
    return logarithms


def _log_density(
    device: int,
    real: np.dtype[Any],
    samples: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    grid: Grid,
) -> NDArray[Any]:
    """Return the logarithm of the density at each grid point."""
    centers, sigmas, logarithms = samples
    largest = logarithms.max()
    shifted = logarithms - largest
    arrays = [np.asarray(array, dtype=real) for array in (centers, sigmas)]
    periods = np.where(grid.periodic, grid.upper - grid.lower, 0.0)
    density = np.empty(grid.size, dtype=real)
    wrapper(real.name).sum_grid(
        device,
        GAUSSIAN,
        *arrays,
        np.exp(shifted).astype(real),
        periods,
        grid.lower,
        grid.spacing,
        np.array(grid.shape, dtype=np.int64),
        density,
    )
    faint = np.flatnonzero(density < _FAINT[real.name])
    with np.errstate(divide="ignore"):
        np.log(density, out=density)
    if len(faint):
        points = grid.points()[faint].astype(real)
        sums = np.empty(len(faint), dtype=real)
        weights = shifted.astype(real)
        wrapper(real.name).sum_points(device, LOG_GAUSSIAN, *arrays, weights, periods, points, sums)
        density[faint] = sums
    density += real.type(largest)
    return density
