"""Free energy along a path of points, from samples of three collective variables.

The names and arguments are those of CyFES 4.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cyfes import _device
from cyfes._library import wrapper
from cyfes.errors import InputError
from cyfes.sums import LOG_GAUSSIAN, as_matrix

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

# kT in kcal/mol at 300 K, as CyFES 4.5 has it.
KT = 0.596128107


def PathFES(  # noqa: N802 - CyFES's name
    crd: ArrayLike,
    cv: ArrayLike,
    bw: ArrayLike,
    bias: ArrayLike,
    kT: float = KT,
    device: str = "auto",
) -> NDArray[np.float64]:
    """Return the free energy at M points from N weighted samples, in double precision.

    F_m = -kT ln[(1/N) Σ_n h_n exp(-½ |crd_m - cv_n|²)] - min F, with
    h_n = exp(bias_n / kT) / ((2π)^{3/2} bw_0 bw_1 bw_2).

    Parameters
    ----------
    crd : array_like, shape (M, 3)
        The points, in units of the bandwidth: the kernel has width 1.
    cv : array_like, shape (N, 3)
        The samples, in the same units.
    bw : array_like, shape (3,)
        The bandwidths. They scale the density by a constant, which min F takes away again.
    bias : array_like, shape (N,)
        The bias at each sample, in the unit of kT.
    kT : float
        Boltzmann's constant times the temperature; by default 300 K in kcal/mol.
    device : str
        "auto", "cpu", "cuda" or "cuda:N".

    Returns
    -------
    ndarray of float64, shape (M,)
        F in the unit of kT. Far from every sample too it is finite and keeps its digits.

    Raises
    ------
    InputError
        If a shape is wrong, a number is not finite, or there is no point or no sample.
    DeviceError
        If the device is absent, unsupported or fails.
    LibraryError
        If the compiled part of cyfes is missing.
    """
    return _path_fes(crd, cv, bw, bias, kT, _device.choose(device), np.dtype("float64"))


def PathFES_f32(  # noqa: N802 - CyFES's name
    crd: ArrayLike,
    cv: ArrayLike,
    bw: ArrayLike,
    bias: ArrayLike,
    kT: float = KT,
    device: str = "auto",
) -> NDArray[np.float32]:
    """Return the free energy at M points from N weighted samples, in single precision.

    See `PathFES`; the result is of dtype float32.
    """
    return _path_fes(crd, cv, bw, bias, kT, _device.choose(device), np.dtype("float32"))


def _path_fes(
    crd: ArrayLike,
    cv: ArrayLike,
    bw: ArrayLike,
    bias: ArrayLike,
    kT: float,
    device: int,
    real: np.dtype[Any],
) -> NDArray[Any]:
    points = as_matrix("crd", crd, 3, real)
    samples = as_matrix("cv", cv, 3, real)
    biases = as_matrix("bias", bias, 1, np.float64)[:, 0]
    _check(points, samples, biases, as_matrix("bw", bw, 1, np.float64), kT)
    # What is constant over the points drops out with min F: the bandwidths, N, and the largest
    # bias, without which the exponents keep their digits in single precision too.
    logarithms = ((biases - biases.max()) / kT).astype(real)
    sigmas = np.ones((1, 3), dtype=real)
    free_energy = np.empty(len(points), dtype=real)
    wrapper(real.name).sum_points(
        device, LOG_GAUSSIAN, samples, sigmas, logarithms, np.zeros(3), points, free_energy
    )
    # So far it is the logarithm of the density.
    free_energy *= -kT
    free_energy -= np.min(free_energy)
    return free_energy


def _check(
    points: NDArray[Any],
    samples: NDArray[Any],
    biases: NDArray[Any],
    bandwidths: NDArray[Any],
    kT: float,
) -> None:
    if not len(points) or not len(samples):
        raise InputError(f"found {len(points)} points and {len(samples)} samples, expected some")
    if len(biases) != len(samples):
        raise InputError(f"bias: found {len(biases)} numbers for {len(samples)} samples of cv")
    if len(bandwidths) != 3 or not (bandwidths > 0).all():
        raise InputError(f"bw: found {bandwidths.ravel()}, expected 3 numbers above zero")
    if not (np.isfinite(kT) and kT > 0):
        raise InputError(f"kT: found {kT}, expected a number above zero")
