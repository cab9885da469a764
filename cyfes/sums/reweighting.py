"""Free energy from weighted samples of a biased run, by kernel density estimation (KDE)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cyfes.base.arrays import as_matrix, bandwidth_rows, precision
from cyfes.base.numbers import check_positive
from cyfes.errors import InputError
from cyfes.model.domains import period
from cyfes.native import device_choice
from cyfes.native.constants import LOG_GAUSSIAN
from cyfes.native.gpu_arrays import on_device
from cyfes.sums.grid_sum import ComputeOptions, GridSum, only_writer, output_arrays
from cyfes.sums.planning import Work, path_number
from cyfes.sums.samples import named_samples, usual_grid
from cyfes.surface import FreeEnergySurface

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from cyfes.base.choices import DeviceName, Plan, Precision
    from cyfes.model.grid import Grid
    from cyfes.sums.samples import Bias, NamedSamples, Samples


def reweight(
    samples: Samples,
    grid: Grid | None = None,
    bandwidth: ArrayLike | None = None,
    *,
    kT: float,
    bias: Bias = None,
    names: Sequence[str] | None = None,
    device: DeviceName = "auto",
    dtype: Precision = "float64",
    plan: Plan = "auto",
    out: NDArray[Any] | None = None,
    progress: Callable[[float], object] | None = None,
) -> FreeEnergySurface:
    """Return the free energy of samples, each with the weight exp(V / kT), on a grid.

    F(x) = -kT ln[ Σ_j exp(V_j / kT) Π_i exp(-½ ((x_i - s_ji) / σ_i)²) / (N Π_i √(2π) σ_i) ]

    Along a periodic axis of the grid, the nearest image of each sample counts. F is exact even if
    the density is very small or the bias is very large.

    Parameters
    ----------
    samples : Colvar, or array_like, shape (N, D)
        The collective variables (CVs) of N samples: what `cyfes.read_colvar` returns, or an array.
        For one variable, the shape may be (N,). If the array is on a CUDA device, the values of the
        surface stay there, too; see `to_host`.
    grid : Grid, optional
        A grid over the D variables. By default, it is the grid of ``cyfes reweight``: it covers the
        domain of a periodic CV of a Colvar, and otherwise the samples and three bandwidths beyond
        them. It has 100 bins along each axis, or 50 bins for three or more CVs.
    bandwidth : array_like, shape (), (D,) or (N, D)
        The standard deviation σ of each sample's Gaussian, in the CVs' units.
    kT : float
        Boltzmann's constant times the temperature. F gets the same unit.
    bias : str, sequence of str, or array_like, shape (N,), optional
        The bias V at each sample, in the unit of kT. By default, it is 0. For a Colvar, you may
        give the names of columns, such as "metad.rbias"; several columns are added.
    names : sequence of D str, optional
        The names of the variables. By default, they are "cv0", "cv1" and so on. For a Colvar, they
        say which columns are the variables; by default, these are all except the bias.
    device : {"auto", "cpu", "cuda", "cuda:all"} or str
        As for `cyfes.sum_hills`: "auto", "cpu", "cuda", "cuda:N", "cuda:N,M" or "cuda:all".
    dtype : {"float64", "float32"}
        The precision of the sum.
    plan : {"auto", "direct", "separable"}
        How the sum is computed, as in `cyfes.sum_hills`.
    out : ndarray, optional
        The array into which F is written: C-contiguous, of shape grid.shape. It may be larger than
        memory: see `numpy.memmap`. For samples on a CUDA device, it must be on the same device.
        While one sum writes to an array on the host, others are refused.
    progress : callable, optional
        Called from time to time with the part of the sum that is done, from 0 to 1. An exception
        that it raises stops the sum.

    Returns
    -------
    FreeEnergySurface
        In the unit of kT; its minimum is not shifted.

    Raises
    ------
    InputError
        If shapes disagree, a number is not finite, a bandwidth or kT is not above zero, there is no
        sample, a bandwidth is larger than the period of its axis, or F does not fit in memory.
    DeviceError
        If the device is missing, not supported, or fails.
    LibraryError
        If the compiled part of cyfes is missing.

    Examples
    --------
    Ten thousand samples of a harmonic well, F = ½ x² kT:

    >>> samples = np.random.default_rng(0).normal(size=10_000)
    >>> fes = cyfes.reweight(samples, cyfes.Grid(-2, 2, 40), 0.1, kT=2.494).shift_to_zero()
    >>> print(f"{fes.at([1.0])[0]:.1f} kJ/mol, expected {0.5 * 2.494:.1f}")
    1.2 kJ/mol, expected 1.2
    """
    real = precision(dtype)
    path = path_number(plan)
    if bandwidth is None:
        raise InputError("bandwidth: found none, expected the width of each sample's Gaussian")
    named = named_samples(samples, bias, names)
    points, bias, names = named.values, named.bias, named.names
    if grid is None:
        if on_device(points):
            raise InputError("found samples on a GPU without a grid, expected a grid with them")
        grid = usual_grid(named, bandwidth)
    _check_fits(named, grid)
    if plan == "nufft":
        raise InputError('plan is "nufft", which loses the tails of a density; expected another')
    if any(map(on_device, (points, bandwidth, bias))):
        from cyfes.sums import gpu_sums

        gpu = gpu_sums.GpuOptions.of([points, bandwidth, bias], device, real, plan, progress)
        return gpu_sums.reweight(points, grid, bandwidth, kT, bias, names, out, gpu)
    centers = as_matrix("samples", points, grid.ndim, np.float64)
    if not len(centers):
        raise InputError("samples: found none, expected at least one")
    sigmas = bandwidth_rows(bandwidth, centers.shape)
    logarithms = _log_weights(bias, sigmas, len(centers), check_positive("kT", kT))
    # The largest is subtracted, so that the exponents keep their digits in single precision. It is
    # rounded before, because what is added to the sums must be what was subtracted.
    largest = float(real.type(logarithms.max())) if real.char == "f" else 0.0
    devices = device_choice.choose_all(device, Work(len(centers), grid.shape, (), False).seconds)
    values, _ = output_arrays(grid, real, False, out)
    centers, sigmas = centers.astype(real, copy=False), sigmas.astype(real, copy=False)
    shifted = np.ascontiguousarray(logarithms - largest if largest else logarithms, dtype=real)
    task = GridSum(LOG_GAUSSIAN, centers, sigmas, shifted, False, grid.periods, grid)
    options = ComputeOptions(devices[: len(values)], path, progress)
    # Nobody else has a new array.
    with only_writer(*(() if out is None else (values,))):
        plan_used = task.compute(options, values)
        # Until here, `values` are the logarithms of the density.
        if largest:
            values += real.type(largest)
        values *= -kT
    return FreeEnergySurface(
        values,
        grid,
        tuple(names or (f"cv{axis}" for axis in range(grid.ndim))),
        domain=named.domain,
        device=device_choice.name(options.devices),
        plan=plan_used,
        kT=float(kT),
    )


def _check_fits(samples: NamedSamples, grid: Grid) -> None:
    """Refuse columns of a Colvar that a grid does not fit."""
    if samples.domain is None or samples.names is None:
        return
    if len(samples.names) != grid.ndim:
        raise InputError(
            f"found the columns {', '.join(samples.names)} for a grid of {grid.ndim} axes, "
            "expected a column for each; names=[…] chooses them, bias=… names the bias"
        )
    for name, domain, length, wraps in zip(
        samples.names, samples.domain, (grid.upper - grid.lower).tolist(), grid.periodic
    ):
        if domain is not None and (not wraps or abs(length - period(domain)) > 1e-9 * length):
            raise InputError(
                f"{name} is periodic from {domain[0]} to {domain[1]}, expected a periodic axis of "
                "that length; use Grid(…, periodic=True) over the whole domain"
            )


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
