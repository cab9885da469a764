"""Sums of plain Gaussians of one width on a grid, by a non-uniform fast Fourier transform (NUFFT).

V(x) = Σ_n h_n G(x - c_n) is a convolution: the transform of V is that of the point charges h_n at
c_n, which the optional package finufft computes, times that of a Gaussian. Its cost hardly grows
with the number of hills. Axes that are not periodic are continued until no image is felt.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cyfes._device import CPU
from cyfes._extras import need
from cyfes.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cyfes._grid_sum import GridSum, Means

# exp(-½ r²) is below 1e-16 of its maximum beyond, both in space and, by 1/sigma, in frequency.
_VANISHES = 8.6

# What finufft is asked for; it reaches some 1e-13 of the largest value.
_TOLERANCE = 1e-14


class _Axis(NamedTuple):
    """One axis, made periodic: its origin and period, the points on it, and the frequencies."""

    lower: float
    period: float
    sigma: float
    #: Of the continued grid, and of the grid that is wanted.
    points: int
    wanted: int
    #: Frequencies from -modes to modes.
    modes: int

    @property
    def damping(self) -> NDArray[np.float64]:
        """The Fourier coefficients of a Gaussian of height 1."""
        frequency = 2.0 * math.pi / self.period * np.arange(-self.modes, self.modes + 1)
        scale = math.sqrt(2.0 * math.pi) * self.sigma / self.period
        damping: NDArray[np.float64] = scale * np.exp(-0.5 * (frequency * self.sigma) ** 2)
        return damping

    @property
    def derivative(self) -> NDArray[np.complex128]:
        """What a derivative multiplies each frequency with."""
        frequency = 2.0 * math.pi / self.period * np.arange(-self.modes, self.modes + 1)
        return 1.0j * frequency.astype(np.complex128)


def add_by_fourier_transform(
    task: GridSum, means: Means, values: NDArray[Any], gradient: NDArray[Any] | None
) -> str:
    """Add the sum to `values`, and its gradient to `gradient`, and return the plan.

    Raises
    ------
    InputError
        If the hills are not plain Gaussians of one width in up to three dimensions, narrow against
        their periods, or the device is not the CPU.
    MissingDependencyError
        If finufft is not installed.
    """
    _check_served(task, means)
    finufft = need("finufft", "the nufft plan")
    axes = [_axis(task, i) for i in range(task.grid.ndim)]
    spectrum = _spectrum(finufft, task, axes)
    values += _on_grid(spectrum, axes)
    if gradient is not None:
        gradient += [_on_grid(_derived(spectrum, axes, i), axes) for i in range(len(axes))]
    modes = " x ".join(str(2 * axis.modes + 1) for axis in axes)
    return f"nufft, {modes} modes, finufft {finufft.__version__}"


def _check_served(task: GridSum, means: Means) -> None:
    from cyfes._grid_sum import GAUSSIAN

    if tuple(means.devices) != (CPU,):
        raise InputError('the nufft plan computes on the CPU; use device="cpu" or another plan')
    if task.kernel != GAUSSIAN or task.multivariate or len(task.sigmas) != 1:
        raise InputError(
            'the nufft plan sums plain Gaussians that all have the same widths (kernel="gaussian", '
            'truncation="none"); use another plan'
        )
    if task.grid.ndim > 3:
        raise InputError(f"the nufft plan serves up to 3 axes, found {task.grid.ndim}")
    for axis, (sigma, period) in enumerate(zip(task.sigmas[0], task.periods)):
        if 0.0 < period < 2.0 * _VANISHES * sigma:
            raise InputError(
                f"the nufft plan sums all images of a hill, which differs from the nearest one for "
                f"the sigma {sigma:g} of axis {axis} with the period {period:g}; use another plan"
            )


def _axis(task: GridSum, i: int) -> _Axis:
    spacing, wanted = float(task.grid.spacing[i]), task.grid.shape[i]
    sigma, period, points = float(task.sigmas[0, i]), float(task.periods[i]), wanted
    if period == 0.0:
        # Hills far outside still have their own place on the circle.
        low = min(float(task.centers[:, i].min()), float(task.grid.lower[i]))
        high = max(float(task.centers[:, i].max()), float(task.grid.upper[i]))
        points = math.ceil((high - low + 2.0 * _VANISHES * sigma) / spacing) + 1
        period = points * spacing
    modes = math.ceil(_VANISHES / sigma * period / (2.0 * math.pi))
    return _Axis(float(task.grid.lower[i]), period, sigma, points, wanted, modes)


def _spectrum(finufft: Any, task: GridSum, axes: list[_Axis]) -> NDArray[np.complex128]:
    """Return the Fourier coefficients of the sum; the origin is the corner of the grid."""
    angles = [
        _angle((task.centers[:, i].astype(np.float64) - axis.lower) / axis.period)
        for i, axis in enumerate(axes)
    ]
    charges = task.heights.astype(np.complex128)
    transform = getattr(finufft, f"nufft{len(axes)}d1")
    shape = tuple(2 * axis.modes + 1 for axis in axes)
    size = shape[0] if len(shape) == 1 else shape
    spectrum: NDArray[np.complex128] = transform(
        *angles, charges, size, eps=_TOLERANCE, isign=-1, modeord=0
    )
    for i, axis in enumerate(axes):
        spectrum *= _along(axis.damping, i, len(axes))
    return spectrum


def _angle(turns: NDArray[np.float64]) -> NDArray[np.float64]:
    angle: NDArray[np.float64] = 2.0 * math.pi * (turns - np.round(turns))
    return angle


def _along(numbers: NDArray[Any], i: int, ndim: int) -> NDArray[Any]:
    """Return one number for each place along axis i, to multiply an array with."""
    return numbers.reshape([-1 if axis == i else 1 for axis in range(ndim)])


def _derived(spectrum: NDArray[np.complex128], axes: list[_Axis], i: int) -> NDArray[np.complex128]:
    derived: NDArray[np.complex128] = spectrum * _along(axes[i].derivative, i, len(axes))
    return derived


def _on_grid(spectrum: NDArray[np.complex128], axes: list[_Axis]) -> NDArray[np.float64]:
    """Return the function with these Fourier coefficients at the points of the grid."""
    for i, axis in enumerate(axes):
        spectrum = _folded(spectrum, i, axis)
        spectrum = np.fft.ifft(spectrum, axis=i) * axis.points
        spectrum = spectrum[(slice(None),) * i + (slice(axis.wanted),)]
    return np.ascontiguousarray(spectrum.real)


def _folded(spectrum: NDArray[np.complex128], i: int, axis: _Axis) -> NDArray[np.complex128]:
    """Return the coefficients on a grid: frequencies that its points cannot tell apart, added."""
    shape = list(spectrum.shape)
    shape[i] = axis.points
    folded = np.zeros(shape, dtype=np.complex128)
    places = np.arange(-axis.modes, axis.modes + 1) % axis.points
    moved, target = np.moveaxis(spectrum, i, 0), np.moveaxis(folded, i, 0)
    for start in range(0, len(places), axis.points):
        # Within as many as there are points, every place comes once.
        target[places[start : start + axis.points]] += moved[start : start + axis.points]
    return folded
