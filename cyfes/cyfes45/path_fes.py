"""Free energy and bias along a path of points, from samples of three collective variables.

The names and arguments are those of CyFES 4.5, and its numbers where they were right. Keyword-only
arguments are additions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cyfes.base.arrays import all_finite, as_matrix
from cyfes.base.numbers import check_positive
from cyfes.errors import InputError
from cyfes.native import device_choice
from cyfes.native.constants import GAUSSIAN, LOG_GAUSSIAN
from cyfes.native.gpu_arrays import on_device
from cyfes.sums.hills_at_points import sum_at
from cyfes.sums.planning import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

# kT in kcal/mol at 300 K, as CyFES 4.5 has it.
KT = 0.596128107


def PathFES(  # noqa: N802 - CyFES's name
    crd: ArrayLike,
    cv: ArrayLike,
    bw: ArrayLike,
    bias: ArrayLike,
    *,
    kT: float = KT,
    device: str = "auto",
) -> NDArray[np.float64]:
    """Return the free energy at M points from N weighted samples, in double precision.

    Arrays on a CUDA device stay there, and the result is on this device, too.

    F_m = -kT ln[(1/N) Σ_n h_n exp(-½ |crd_m - cv_n|²)] - min F, with
    h_n = exp(bias_n / kT) / ((2π)^{3/2} bw_0 bw_1 bw_2).

    `FastPathFES` and `StreamPathFES` are other names of this function.

    Parameters
    ----------
    crd : array_like, shape (M, 3)
        The points, in units of the bandwidth: the kernel has width 1.
    cv : array_like, shape (N, 3)
        The samples, in the same units.
    bw : array_like, shape (3,)
        The bandwidths. They multiply the density by a constant, on which F does not depend because
        its minimum is subtracted.
    bias : array_like, shape (N,)
        The bias at each sample, in the unit of kT.
    kT : float
        Boltzmann's constant times the temperature. The default is that of 300 K, in kcal/mol.
    device : str
        "auto", "cpu", "cuda", "cuda:N", or several CUDA devices that share the points: "cuda:N,M"
        or "cuda:all".

    Returns
    -------
    ndarray of float64, shape (M,)
        F in the unit of kT. It is finite and exact also far from all samples.

    Raises
    ------
    InputError
        If a shape is wrong, a number is not finite, a distance overflows, or there is no point or
        no sample.
    DeviceError
        If the device is missing, not supported, or fails.
    LibraryError
        If the compiled part of cyfes is missing.
    """
    return _where_arrays_are((crd, cv, bw, bias), kT, device, np.dtype("float64"), _path_fes)


def PathFES_f32(  # noqa: N802 - CyFES's name
    crd: ArrayLike,
    cv: ArrayLike,
    bw: ArrayLike,
    bias: ArrayLike,
    *,
    kT: float = KT,
    device: str = "auto",
) -> NDArray[np.float32]:
    """Return the free energy at M points from N weighted samples, in single precision.

    See `PathFES`; the result is of dtype float32. `FastPathFES_f32` and `StreamPathFES_f32` are
    other names of this function.
    """
    return _where_arrays_are((crd, cv, bw, bias), kT, device, np.dtype("float32"), _path_fes)


# In CyFES these split the same sum over kernel launches in other ways. Here one way serves all.
FastPathFES = StreamPathFES = PathFES
FastPathFES_f32 = StreamPathFES_f32 = PathFES_f32


def DevicePathFES(  # noqa: N802 - CyFES's name
    crd: ArrayLike,
    cv: ArrayLike,
    bw: ArrayLike,
    bias: ArrayLike,
    device_ids: ArrayLike,
    *,
    kT: float = KT,
) -> NDArray[np.float64]:
    """Return the free energy at M points, which are divided among several CUDA devices.

    Parameters
    ----------
    crd, cv, bw, bias, kT
        As in `PathFES`.
    device_ids : array_like of int, shape (K,)
        The numbers of K CUDA devices, such as ``[0, 1]`` for "cuda:0" and "cuda:1". Each device
        computes one part of the points.

    Returns
    -------
    ndarray of float64, shape (M,)
        F in the unit of kT.

    Raises
    ------
    InputError
        As `PathFES` does, or if the devices are not one or more whole numbers from 0.
    DeviceError
        If one of the devices is missing, not supported, or fails. Then the CPU does not compute
        instead.
    LibraryError
        If the compiled part of cyfes is missing.
    """
    return _path_fes(crd, cv, bw, bias, kT, _cuda_devices(device_ids), np.dtype("float64"))


def DevicePathFES_f32(  # noqa: N802 - as CyFES's names
    crd: ArrayLike,
    cv: ArrayLike,
    bw: ArrayLike,
    bias: ArrayLike,
    device_ids: ArrayLike,
    *,
    kT: float = KT,
) -> NDArray[np.float32]:
    """Return the free energy at M points from several CUDA devices, in single precision.

    See `DevicePathFES`; the result is of dtype float32.
    """
    return _path_fes(crd, cv, bw, bias, kT, _cuda_devices(device_ids), np.dtype("float32"))


def FastBias(  # noqa: N802 - CyFES's name
    crd: ArrayLike,
    cv: ArrayLike,
    bw: ArrayLike,
    bias: ArrayLike,
    *,
    kT: float = KT,
    device: str = "auto",
) -> NDArray[np.float64]:
    """Return the sum of N Gaussians of height kT at M points, in double precision.

    V_m = kT Σ_n exp(-½ |crd_m - cv_n|²). This is the bias of a metadynamics run that has deposited
    a hill of height kT at each sample.

    Parameters
    ----------
    crd : array_like, shape (M, 3)
        The points, in units of the bandwidth: the kernel has width 1.
    cv : array_like, shape (N, 3)
        The centres, in the same units.
    bw : array_like, shape (3,)
        The bandwidths. They have no effect, as in CyFES 4.5, because `crd` and `cv` are in units of
        the bandwidth.
    bias : array_like, shape (N,)
        This has no effect either, as in CyFES 4.5: all hills have the same height. To sum hills of
        different heights and widths, use `cyfes.bias`.
    kT : float
        The height. The default is the kT of CyFES 4.5, in kcal/mol.
    device : str
        "auto", "cpu", "cuda", "cuda:N", or several CUDA devices that share the points: "cuda:N,M"
        or "cuda:all".

    Returns
    -------
    ndarray of float64, shape (M,)
        V in the unit of kT.

    Raises
    ------
    InputError, DeviceError, LibraryError
        As `PathFES` does.
    """
    return _where_arrays_are((crd, cv, bw, bias), kT, device, np.dtype("float64"), _path_bias)


def FastBias_f32(  # noqa: N802 - as CyFES's names
    crd: ArrayLike,
    cv: ArrayLike,
    bw: ArrayLike,
    bias: ArrayLike,
    *,
    kT: float = KT,
    device: str = "auto",
) -> NDArray[np.float32]:
    """Return the sum of N Gaussians of height kT at M points, in single precision.

    See `FastBias`; the result is of dtype float32.
    """
    return _where_arrays_are((crd, cv, bw, bias), kT, device, np.dtype("float32"), _path_bias)


def _where_arrays_are(
    arrays: tuple[Any, Any, Any, Any],
    kT: float,
    device: str,
    real: np.dtype[Any],
    compute: Callable[..., NDArray[Any]],
) -> NDArray[Any]:
    """Compute on the CUDA device that holds the arrays, otherwise where it is faster."""
    if any(map(on_device, arrays)):
        from cyfes.sums import gpu_sums

        there = gpu_sums.path_fes if compute is _path_fes else gpu_sums.path_bias
        # An array of the caller's library, which can be computed with as NumPy's can.
        result: NDArray[Any] = there(arrays, kT, device, real)
        return result
    return compute(*arrays, kT, device_choice.choose_all(device, _seconds(*arrays[:2])), real)


def _seconds(crd: ArrayLike, cv: ArrayLike) -> float:
    """Return about how many seconds the CPU takes; the shapes are checked later."""
    points, samples = ((*np.shape(array), 0)[0] for array in (crd, cv))
    return Work(samples, (points,), None, False).seconds


def _cuda_devices(device_ids: ArrayLike) -> list[int]:
    ids = np.asarray(device_ids)
    if ids.dtype.kind not in "iu" or ids.ndim != 1 or not len(ids) or (ids < 0).any():
        raise InputError(
            f"device_ids: found {device_ids!r}, expected the numbers of CUDA devices, such as [0]"
        )
    return [device_choice.choose(f"cuda:{number}") for number in ids.tolist()]


def _path_fes(
    crd: ArrayLike,
    cv: ArrayLike,
    bw: ArrayLike,
    bias: ArrayLike,
    kT: float,
    devices: Sequence[int],
    real: np.dtype[Any],
) -> NDArray[Any]:
    points, samples, biases = _checked(crd, cv, bw, bias, kT, real)
    # What is the same at all points cancels with min F: the bandwidths, N, and the largest bias.
    # The latter is subtracted, so that the exponents keep their digits in single precision.
    logarithms = ((biases - biases.max()) / kT).astype(real)
    free_energy = _summed(devices, LOG_GAUSSIAN, points, samples, logarithms)
    # Until here, `free_energy` is the logarithm of the density.
    np.subtract(free_energy.max(), free_energy, out=free_energy)
    free_energy *= kT
    return free_energy


def _path_bias(
    crd: ArrayLike,
    cv: ArrayLike,
    bw: ArrayLike,
    bias: ArrayLike,
    kT: float,
    devices: Sequence[int],
    real: np.dtype[Any],
) -> NDArray[Any]:
    points, samples, _ = _checked(crd, cv, bw, bias, kT, real)
    return _summed(devices, GAUSSIAN, points, samples, np.full(len(samples), kT, dtype=real))


def _checked(
    crd: ArrayLike,
    cv: ArrayLike,
    bw: ArrayLike,
    bias: ArrayLike,
    kT: float,
    real: np.dtype[Any],
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64]]:
    points, samples = as_matrix("crd", crd, 3, real), as_matrix("cv", cv, 3, real)
    biases = as_matrix("bias", bias, 1, np.float64)[:, 0]
    bandwidths = as_matrix("bw", bw, 1, np.float64)[:, 0]
    if not len(points) or not len(samples):
        raise InputError(
            f"found {len(points)} points and {len(samples)} samples, expected at least one of each"
        )
    if len(biases) != len(samples):
        raise InputError(f"bias: found {len(biases)} numbers for {len(samples)} samples of cv")
    if len(bandwidths) != 3 or not (bandwidths > 0).all():
        raise InputError(f"bw: found {bandwidths}, expected 3 numbers above zero")
    check_positive("kT", kT)
    return points, samples, biases


def _summed(
    devices: Sequence[int],
    kernel: int,
    points: NDArray[Any],
    samples: NDArray[Any],
    heights: NDArray[Any],
) -> NDArray[Any]:
    """Return the sum of Gaussians of width 1 at the points, which are divided among the devices."""
    real = points.dtype
    hills = (samples, np.ones((1, 3), dtype=real), heights, np.zeros(3))
    values = sum_at(devices, kernel, hills, points)
    if not all_finite(values):
        raise InputError(
            f"crd, cv: found distances whose squares overflow {real.name}, expected coordinates "
            "in units of the bandwidth"
        )
    return values
