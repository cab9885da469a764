"""Sums of plain Gaussians of one width on a grid, by a non-uniform fast Fourier transform (NUFFT).

V(x) = Σ_n h_n G(x - c_n) is a convolution: the transform of V is that of the point charges h_n at
c_n, which the optional package finufft computes, on a CUDA device cufinufft, times that of a
Gaussian. Its cost hardly grows with the number of hills. Axes that are not periodic are made
so long that no periodic image of a hill reaches the grid.

The packages come with ``pip install cyfes[nufft]`` and, for a GPU, ``cyfes[nufft-cuda]``.
"""

from __future__ import annotations

import ctypes
import math
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cyfes.base.optional_packages import need
from cyfes.errors import DeviceError, DeviceMemoryError, InputError
from cyfes.native import device_choice
from cyfes.native.constants import CPU, GAUSSIAN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from cyfes.sums.grid_sum import ComputeOptions, GridSum

# exp(-½ r²) is below 1e-16 for larger r: r is a distance over sigma, or a frequency times sigma.
_VANISHES = 8.6

# The accuracy that is asked for; the transforms reach some 1e-13 of the largest value.
_TOLERANCE = 1e-14

# The libraries that cufinufft needs but does not find by itself, and the packages that hold them.
_LIBRARIES = {"nvidia.cuda_runtime": "libcudart.so.12", "nvidia.cufft": "libcufft.so.11"}


class Engine(NamedTuple):
    """A library of arrays, and a library of transforms on them."""

    #: NumPy or CuPy.
    arrays: Any
    #: finufft or cufinufft, whose functions have the same names and arguments.
    transforms: Any
    #: Further arguments of the transforms.
    options: dict[str, Any]
    #: Converts an array of the library to NumPy.
    to_host: Callable[[Any], NDArray[Any]]


class _Axis(NamedTuple):
    """One axis, made periodic: its origin and period, the points on it, and the frequencies."""

    lower: float
    period: float
    sigma: float
    #: The number of points of the longer, periodic axis, and of the axis of the grid.
    points: int
    wanted: int
    #: Frequencies from -modes to modes.
    modes: int

    @property
    def frequencies(self) -> NDArray[np.float64]:
        """The frequencies, shape (2 modes + 1,)."""
        modes = np.arange(-self.modes, self.modes + 1, dtype=np.float64)
        return 2.0 * math.pi / self.period * modes

    @property
    def damping(self) -> NDArray[np.float64]:
        """The Fourier coefficients of a Gaussian of height 1."""
        scale = math.sqrt(2.0 * math.pi) * self.sigma / self.period
        damping: NDArray[np.float64] = scale * np.exp(-0.5 * (self.frequencies * self.sigma) ** 2)
        return damping

    @property
    def derivative(self) -> NDArray[np.complex128]:
        """The factor of a derivative at each frequency."""
        return 1.0j * self.frequencies.astype(np.complex128)


def add_by_fourier_transform(
    task: GridSum, options: ComputeOptions, values: NDArray[Any], gradient: NDArray[Any] | None
) -> str:
    """Add the sum to `values`, and its gradient to `gradient`, and return the plan.

    Raises
    ------
    InputError
        If the hills are not plain Gaussians of one width in up to three dimensions, narrow against
        their periods, or there are several devices.
    MissingDependencyError
        If finufft is not installed, or for a CUDA device cufinufft.
    DeviceError
        If the device fails; `DeviceMemoryError` if it is too small.
    """
    _check_served(task, options)
    axes = [_axis(task, i) for i in range(task.grid.ndim)]
    with _engine(options.devices[0]) as engine:
        spectrum = _spectrum(engine, task, axes)
        values += _on_grid(engine, spectrum, axes)
        for i, slopes in enumerate(() if gradient is None else gradient):
            np.add(slopes, _on_grid(engine, _derived(engine, spectrum, axes, i), axes), out=slopes)
    modes = " x ".join(str(2 * axis.modes + 1) for axis in axes)
    library = engine.transforms
    return f"nufft, {modes} modes, {library.__name__} {library.__version__}"


def _engine(device: int) -> AbstractContextManager[Engine]:
    return _host_engine() if device == CPU else cuda_engine(device)


@contextmanager
def _host_engine() -> Iterator[Engine]:
    yield Engine(np, need("finufft", "the nufft plan"), {}, np.asarray)


@contextmanager
def cuda_engine(device: int) -> Iterator[Engine]:
    """Provide CuPy and cufinufft for a device, which is the current one of CuPy meanwhile.

    Raises
    ------
    MissingDependencyError
        If CuPy or cufinufft is not installed, or a library that it needs.
    DeviceError
        If a transform fails; `DeviceMemoryError` if the memory of the device is too small.
    """
    cupy = need("cupy", "the nufft plan on a GPU")
    _load_libraries()
    cufinufft = need("cufinufft", "the nufft plan on a GPU")
    where = device_choice.name([device])
    try:
        # cufinufft works on the default stream, and its plans belong to the current device.
        with cupy.cuda.Device(device), cupy.cuda.Stream.null:
            yield Engine(cupy, cufinufft, {"gpu_device_id": device}, cupy.asnumpy)
    except cupy.cuda.memory.OutOfMemoryError as error:
        raise DeviceMemoryError(
            f"{where} has too little free memory for the nufft plan: {error}; use another plan, a "
            'coarser grid, or device="cpu"'
        ) from error
    except RuntimeError as error:
        # cufinufft's message only says which of its steps failed.
        raise DeviceError(
            f"the nufft plan failed on {where}: {error}; its memory may be too small for the "
            'transform; use another plan, or device="cpu"'
        ) from error


def _load_libraries() -> None:
    """Load the libraries of CUDA that are installed as packages, so that cufinufft finds them."""
    for package, library in _LIBRARIES.items():
        for folder in _folders(package):
            path = Path(folder) / "lib" / library
            if path.is_file():
                ctypes.CDLL(str(path))
                break


def _folders(package: str) -> list[str]:
    try:
        spec = find_spec(package)
    except ModuleNotFoundError:
        # The package that it is a part of is not installed.
        return []
    return [] if spec is None else list(spec.submodule_search_locations or ())


def _check_served(task: GridSum, options: ComputeOptions) -> None:
    if len(options.devices) > 1:
        raise InputError(
            "the nufft plan computes on one device, found "
            f"{device_choice.name(options.devices)}; use one of them, or another plan"
        )
    if task.kernel != GAUSSIAN or task.multivariate or len(task.sigmas) != 1:
        raise InputError(
            'the nufft plan sums plain Gaussians that all have the same widths (kernel="gaussian", '
            'truncation="none"); use another plan'
        )
    if task.grid.ndim > 3:
        raise InputError(f"the nufft plan computes up to 3 CVs, found {task.grid.ndim}")
    for axis, (sigma, period) in enumerate(zip(task.sigmas[0], task.periods)):
        if 0.0 < period < 2.0 * _VANISHES * sigma:
            raise InputError(
                f"the nufft plan adds every periodic image of a hill, not only the nearest one. "
                f"For the sigma {sigma:g} of axis {axis} and the period {period:g}, this gives "
                "another sum; use another plan"
            )


def _axis(task: GridSum, i: int) -> _Axis:
    spacing, wanted = float(task.grid.spacing[i]), task.grid.shape[i]
    sigma, period, points = float(task.sigmas[0, i]), float(task.periods[i]), wanted
    if period == 0.0:
        # The axis is long enough for hills far outside of the grid, too.
        low = min(float(task.centers[:, i].min()), float(task.grid.lower[i]))
        high = max(float(task.centers[:, i].max()), float(task.grid.upper[i]))
        points = math.ceil((high - low + 2.0 * _VANISHES * sigma) / spacing) + 1
        period = points * spacing
    modes = math.ceil(_VANISHES / sigma * period / (2.0 * math.pi))
    return _Axis(float(task.grid.lower[i]), period, sigma, points, wanted, modes)


def _spectrum(engine: Engine, task: GridSum, axes: list[_Axis]) -> Any:
    """Return the Fourier coefficients of the sum; the origin is the corner of the grid."""
    arrays = engine.arrays
    angles = [_angles(arrays, task.centers[:, i], axis) for i, axis in enumerate(axes)]
    charges = arrays.asarray(task.heights).astype(np.complex128)
    transform = getattr(engine.transforms, f"nufft{len(axes)}d1")
    shape = tuple(2 * axis.modes + 1 for axis in axes)
    size = shape[0] if len(shape) == 1 else shape
    spectrum = transform(
        *angles, charges, size, eps=_TOLERANCE, isign=-1, modeord=0, **engine.options
    )
    for i, axis in enumerate(axes):
        spectrum *= _along(arrays.asarray(axis.damping), i, len(axes))
    return spectrum


def _angles(arrays: Any, centers: NDArray[Any], axis: _Axis) -> Any:
    """Return the centres as angles on the periodic axis, from -π to π."""
    turns = (arrays.asarray(centers).astype(np.float64) - axis.lower) / axis.period
    return 2.0 * math.pi * (turns - arrays.rint(turns))


def _along(numbers: Any, i: int, ndim: int) -> Any:
    """Return one number for each place along axis i, to multiply an array with."""
    return numbers.reshape([-1 if axis == i else 1 for axis in range(ndim)])


def _derived(engine: Engine, spectrum: Any, axes: list[_Axis], i: int) -> Any:
    return spectrum * _along(engine.arrays.asarray(axes[i].derivative), i, len(axes))


def _on_grid(engine: Engine, spectrum: Any, axes: list[_Axis]) -> NDArray[np.float64]:
    """Return the function with these Fourier coefficients at the points of the grid."""
    arrays = engine.arrays
    for i, axis in enumerate(axes):
        spectrum = _folded(arrays, spectrum, i, axis)
        spectrum = arrays.fft.ifft(spectrum, axis=i) * axis.points
        spectrum = spectrum[(slice(None),) * i + (slice(axis.wanted),)]
    return engine.to_host(arrays.ascontiguousarray(spectrum.real))


def _folded(arrays: Any, spectrum: Any, i: int, axis: _Axis) -> Any:
    """Return the coefficients on a grid: frequencies that its points cannot tell apart, added."""
    shape = list(spectrum.shape)
    shape[i] = axis.points
    folded = arrays.zeros(shape, dtype=np.complex128)
    moved, target = arrays.moveaxis(spectrum, i, 0), arrays.moveaxis(folded, i, 0)
    # Neighbouring frequencies have neighbouring points; after the last point comes the first.
    start, stop = 0, len(moved)
    while start < stop:
        place = (start - axis.modes) % axis.points
        count = min(stop - start, axis.points - place)
        target[place : place + count] += moved[start : start + count]
        start += count
    return folded
