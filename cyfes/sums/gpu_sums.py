"""Sums over arrays on a CUDA device, which are not copied to the host and back.

The public functions call these when they are given such arrays. The work is queued on the current
stream of the library that the arrays belong to, and results are arrays of that library.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cyfes.base.arrays import bandwidth_rows, name_of
from cyfes.base.numbers import check_positive
from cyfes.errors import InputError
from cyfes.native.constants import GAUSSIAN, LOG_GAUSSIAN, STRETCHED_GAUSSIAN
from cyfes.native.extensions import wrapper
from cyfes.native.gpu_arrays import ArrayLibrary, on_device
from cyfes.sums.grid_sum import given_outputs
from cyfes.sums.hill_arrays import kernel_widths
from cyfes.sums.planning import path_number
from cyfes.surface import FreeEnergySurface

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from cyfes.model.grid import Grid
    from cyfes.model.hills import Hills

    Floats = NDArray[np.float64]
    # Values, and the gradient if there is one.
    Outputs = tuple[Any, ...]

# What makes heights of hills those of F = -Σ hills.
_OF_F = np.array([-1.0])


class GpuOptions(NamedTuple):
    """How to compute on a GPU: the array library with its device, the precision and the path."""

    library: ArrayLibrary
    real: np.dtype[Any]
    #: The number of the path.
    path: int = 0
    progress: Callable[[float], object] | None = None

    @classmethod
    def of(
        cls,
        arrays: Sequence[object],
        device: str,
        real: np.dtype[Any],
        plan: str = "auto",
        progress: Callable[[float], object] | None = None,
    ) -> GpuOptions:
        """Return the options for the device of the first array that lies on one."""
        if plan == "nufft":
            raise InputError(
                'plan is "nufft", which takes arrays on the host only; expected another'
            )
        return cls(ArrayLibrary.of(arrays, device), real, path_number(plan), progress)


class GpuHills(NamedTuple):
    """Hills to sum, as arrays of the device's library."""

    kernel: int
    centers: Any
    sigmas: Any
    heights: Any
    multivariate: bool
    periods: Floats


def bias(points: Any, hills: Hills, gpu: GpuOptions) -> Any:
    """Return the bias at points on a device; see `cyfes.bias`."""
    if not on_device(points):
        raise InputError("points: found none on a GPU, where the hills are; expected both there")
    where = gpu.library.checked("points", points, gpu.real, 2)
    where = _columns(where, "points", hills.ndim)
    if hills.interval is not None:
        where = where.clip(*hills.interval)
    kernel = STRETCHED_GAUSSIAN if hills.kernel == "stretched-gaussian" else GAUSSIAN
    return _at_points(gpu, _hills_task(gpu, kernel, hills, hills.bias_scale, hills.periods), where)


def sum_hills(
    portions: Iterable[Hills],
    kernel: int,
    periods: Floats,
    grid: Grid,
    gradient: bool,
    out: Any,
    gpu: GpuOptions,
) -> FreeEnergySurface:
    """Return the surface of portions of hills on a device; see `cyfes.sum_hills`."""
    outputs = _output_arrays(gpu, grid, gradient, out)
    for k, hills in enumerate(portions):
        if not hills.on_device:
            raise InputError("hills: found a portion on the host, expected each on the GPU")
        task = _hills_task(gpu, kernel, hills, _OF_F, periods)
        part = _output_arrays(gpu, grid, gradient, None) if k else outputs
        plan = _hills_on_grid(gpu, task, grid, hills.interval, part)
        for plane, added in enumerate(part if k else ()):
            outputs[plane][...] += added
    slopes = outputs[1] if gradient else None
    device = f"cuda:{gpu.library.ordinal}"
    return FreeEnergySurface(outputs[0], grid, hills.names, slopes, hills.domain, device, plan)


def path_fes(arrays: tuple[Any, Any, Any, Any], kT: float, device: str, real: Any) -> Any:
    """Return the free energy at points on a device; see `cyfes.PathFES`."""
    gpu, points, samples, biases = _path_arrays(arrays, kT, device, real)
    logarithms = (biases - biases.max()) / kT
    density = _at_points(gpu, _unit_widths(gpu, LOG_GAUSSIAN, samples, logarithms), points)
    density *= -kT
    density -= density.min()
    return density


def path_bias(arrays: tuple[Any, Any, Any, Any], kT: float, device: str, real: Any) -> Any:
    """Return the sum of hills of height kT at points on a device; see `cyfes.FastBias`."""
    gpu, points, samples, _ = _path_arrays(arrays, kT, device, real)
    heights = gpu.library.empty((len(samples),), real)
    heights[:] = kT
    return _at_points(gpu, _unit_widths(gpu, GAUSSIAN, samples, heights), points)


def reweight(
    samples: Any,
    grid: Grid,
    bandwidth: Any,
    kT: float,
    bias: Any,
    names: Sequence[str] | None,
    out: Any,
    gpu: GpuOptions,
) -> FreeEnergySurface:
    """Return the free energy of samples on a device; see `cyfes.reweight`."""
    if not on_device(samples):
        raise InputError("samples: found none on a GPU, where others are; expected them there, too")
    library, real = gpu.library, gpu.real
    centers = _columns(library.checked("samples", samples, real, 2), "samples", grid.ndim)
    check_positive("kT", kT)
    widths = _bandwidth_rows(bandwidth, (len(centers), grid.ndim))
    values = _output_arrays(gpu, grid, False, out)[0]
    logarithms = library.empty((len(centers),), real)
    logarithms[:] = (
        0.0 if bias is None else _one_per_sample(library, "bias", bias, centers, real) / kT
    )
    logarithms -= _log_norms(gpu, widths)
    largest = logarithms.max()
    logarithms -= largest
    if not on_device(widths):
        _check_images(widths.max(axis=0), grid.periods)
    rows = library.contiguous(widths, real)
    task = GpuHills(LOG_GAUSSIAN, centers, rows, logarithms, False, grid.periods)
    plan = _on_grid(gpu, task, grid, (values,))
    values += largest - math.log(len(centers))
    values *= -kT
    name = tuple(names or (f"cv{axis}" for axis in range(grid.ndim)))
    return FreeEnergySurface(
        values, grid, name, device=f"cuda:{library.ordinal}", plan=plan, kT=float(kT)
    )


def _bandwidth_rows(bandwidth: Any, shape: tuple[int, int]) -> Any:
    """Return one row of bandwidths, or one for each sample, where they are."""
    if on_device(bandwidth):
        if tuple(bandwidth.shape) != shape:
            raise InputError(
                f"bandwidth: found shape {tuple(bandwidth.shape)} on a GPU, expected {shape}"
            )
        return bandwidth
    return bandwidth_rows(bandwidth, shape)


def _log_norms(gpu: GpuOptions, widths: Any) -> Any:
    """Return ln Π √(2π) σ of each row of widths."""
    if on_device(widths):
        rows = gpu.library.contiguous(widths, gpu.real)
        return gpu.library.module.log(rows * math.sqrt(2.0 * math.pi)).sum(axis=1)
    norms: Any = np.log(np.sqrt(2.0 * np.pi) * widths).sum(axis=1)
    return float(norms[0]) if len(norms) == 1 else gpu.library.contiguous(norms, gpu.real)


def _check_images(widest: Floats, periods: Floats) -> None:
    """Refuse plain Gaussians wider than their period."""
    for axis, (width, period) in enumerate(zip(widest.tolist(), periods.tolist())):
        if period and width > period:
            raise InputError(
                f"found a width of {width:g} along axis {axis}, expected at most the period, "
                f"{period:g}. A plain Gaussian has no cut-off, so the other periodic images of a "
                "wider hill would not be negligible"
            )


def _hills_task(
    gpu: GpuOptions, kernel: int, hills: Hills, scale: Floats, periods: Floats
) -> GpuHills:
    """Return hills as arrays on the device, their heights multiplied by one number or by N."""
    if not len(hills):
        raise InputError("found no hills, expected at least one")
    # Widths on a device are not looked at.
    if kernel == GAUSSIAN and isinstance(hills.sigmas, np.ndarray):
        _check_images(hills.widest, periods)
    library, real = gpu.library, gpu.real
    # On another stream the arrays may not be there yet.
    key = (type(library), library.ordinal, library.stream, name_of(real), scale is _OF_F)
    task: GpuHills | None = hills.placed.get(key)
    if task is None:
        factor = float(scale[0]) if len(scale) == 1 else library.contiguous(scale, real)
        heights = library.contiguous(hills.heights, real) * factor
        rows = library.contiguous(kernel_widths(hills), real)
        centers = library.contiguous(hills.centers, real)
        task = GpuHills(kernel, centers, rows, heights, hills.cholesky is not None, periods)
        # Those of hills on the host would fill the device's memory unasked.
        if hills.on_device:
            hills.placed.clear()
            hills.placed[key] = task
    return task._replace(kernel=kernel, periods=periods)


def _hills_on_grid(
    gpu: GpuOptions,
    task: GpuHills,
    grid: Grid,
    interval: tuple[float, float] | None,
    outputs: Outputs,
) -> str:
    """Write the sum of hills; beyond an end of an interval, the value is that at the end."""
    plan = _on_grid(gpu, task, grid, outputs)
    if interval is not None:
        where, (low, high) = grid.axes[0], interval
        ends = gpu.library.contiguous(np.array([[low], [high]]), gpu.real)
        held = _at_points(gpu._replace(progress=None), task, ends)
        outputs[0][: int((where < low).sum())] = held[:1]
        outputs[0][int((where <= high).sum()) :] = held[1:]
        for slopes in outputs[1:]:
            slopes[:, : int((where <= low).sum())] = 0.0
            slopes[:, int((where < high).sum()) :] = 0.0
    return plan


def _output_arrays(gpu: GpuOptions, grid: Grid, gradient: bool, out: Any) -> Outputs:
    """Return the arrays that a surface is written to: new ones, or those of ``out=``."""
    shapes: list[tuple[int, ...]] = [grid.shape]
    if gradient:
        shapes.append((grid.ndim, *grid.shape))
    if out is None:
        return tuple(gpu.library.empty(shape, gpu.real) for shape in shapes)
    pairs = zip(given_outputs(out, gradient), shapes)
    return tuple(gpu.library.checked_output("out", *pair, gpu.real) for pair in pairs)


def _at_points(gpu: GpuOptions, task: GpuHills, points: Any) -> Any:
    """Return the sum at points, shape (M,)."""
    library = gpu.library
    values = library.empty((len(points),), gpu.real)
    wrapper(name_of(gpu.real)).sum_points_at(
        library.number(),
        task.kernel,
        (task.centers.shape[0], task.sigmas.shape[0], points.shape[0]),
        tuple(map(library.address, (task.centers, task.sigmas, task.heights, points, values))),
        np.ascontiguousarray(task.periods, dtype=np.float64),
        library.stream,
        multivariate=task.multivariate,
        progress=gpu.progress,
    )
    return values


def _on_grid(gpu: GpuOptions, task: GpuHills, grid: Grid, outputs: Outputs) -> str:
    """Write the sum on a grid, and its gradient if there is an array for it; return the plan."""
    library = gpu.library
    addresses = list(map(library.address, (task.centers, task.sigmas, task.heights, *outputs)))
    _, plan = wrapper(name_of(gpu.real)).sum_grid_at(
        library.number(),
        task.kernel,
        (task.centers.shape[0], task.sigmas.shape[0]),
        (*addresses, 0)[:5],
        np.ascontiguousarray(task.periods, dtype=np.float64),
        grid.lower,
        grid.spacing,
        np.array(grid.shape, dtype=np.int64),
        library.stream,
        path=gpu.path,
        multivariate=task.multivariate,
        progress=gpu.progress,
    )
    return str(plan)


def _path_arrays(
    arrays: tuple[Any, Any, Any, Any], kT: float, device: str, real: Any
) -> tuple[GpuOptions, Any, Any, Any]:
    crd, cv, bw, weights = arrays
    library = ArrayLibrary.of([crd, cv, weights], device)
    check_positive("kT", kT)
    points = _columns(library.checked("crd", crd, real, 2), "crd", 3)
    samples = _columns(library.checked("cv", cv, real, 2), "cv", 3)
    if len(np.shape(bw)) != 1 or len(bw) != 3:
        raise InputError(f"bw: found shape {np.shape(bw)}, expected (3,)")
    biases = _one_per_sample(library, "bias", weights, samples, real)
    return GpuOptions(library, real), points, samples, biases


def _unit_widths(gpu: GpuOptions, kernel: int, samples: Any, heights: Any) -> GpuHills:
    widths = gpu.library.contiguous(np.ones((1, 3)), gpu.real)
    return GpuHills(kernel, samples, widths, heights, False, np.zeros(3))


def _columns(array: Any, name: str, columns: int) -> Any:
    shape = tuple(array.shape)
    if not shape[0] or shape[1] != columns:
        raise InputError(f"{name}: found shape {shape}, expected (at least 1, {columns})")
    return array


def _one_per_sample(library: ArrayLibrary, name: str, array: Any, samples: Any, real: Any) -> Any:
    """Return one number for each sample."""
    taken = library.checked(name, array, real, 1)
    if len(taken) != len(samples):
        raise InputError(f"{name}: found {len(taken)} numbers for {len(samples)} samples")
    return taken
