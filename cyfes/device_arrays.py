"""Sums of hills over arrays that live on a CUDA device: nothing is copied to the host and back.

The public functions come here when they are given such arrays. The work is queued on the current
stream of the library that the arrays belong to, and results are arrays of that library.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from cyfes._arrays import Library
from cyfes._grid_sum import GAUSSIAN, LOG_GAUSSIAN, STRETCHED_GAUSSIAN
from cyfes._library import wrapper
from cyfes.errors import InputError
from cyfes.surface import FreeEnergySurface
from cyfes.units import check_positive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cyfes.grid import Grid
    from cyfes.hills import Hills

    Floats = NDArray[np.float64]
    # Kernel, centres, widths, heights, whether the widths are matrices, and the periods.
    Task = tuple[int, Any, Any, Any, bool, Floats]


def bias(points: Any, hills: Hills, heights: Floats, sigmas: Any, device: str, real: Any) -> Any:
    """Return the bias at points on a device; see `cyfes.bias`."""
    library = Library.of([points], device)
    where = _columns(library.take("points", points, real, 2), "points", hills.ndim)
    if hills.interval is not None:
        where = where.clip(*hills.interval)
    kernel = STRETCHED_GAUSSIAN if hills.kernel == "stretched-gaussian" else GAUSSIAN
    parts = [library.array(part, real) for part in (hills.centers, sigmas, heights)]
    return _at_points(
        library, real, (kernel, *parts, hills.cholesky is not None, hills.periods), where
    )


def path_fes(arrays: tuple[Any, Any, Any, Any], kT: float, device: str, real: Any) -> Any:
    """Return the free energy at points on a device; see `cyfes.PathFES`."""
    library, points, samples, biases = _path_arrays(arrays, kT, device, real)
    logarithms = (biases - biases.max()) / kT
    density = _at_points(library, real, _unit_widths(library, real, samples, logarithms), points)
    density *= -kT
    density -= density.min()
    return density


def path_bias(arrays: tuple[Any, Any, Any, Any], kT: float, device: str, real: Any) -> Any:
    """Return the sum of hills of height kT at points on a device; see `cyfes.FastBias`."""
    library, points, samples, _ = _path_arrays(arrays, kT, device, real)
    heights = library.empty((len(samples),), real)
    heights[:] = kT
    task = _unit_widths(library, real, samples, heights)
    return _at_points(library, real, (GAUSSIAN, *task[1:]), points)


def reweight(
    samples: Any,
    grid: Grid,
    bandwidth: Any,
    kT: float,
    bias: Any,
    names: Sequence[str] | None,
    device: str,
    real: np.dtype[Any],
) -> FreeEnergySurface:
    """Return the free energy of samples on a device; see `cyfes.reweight`."""
    library = Library.of([samples, bias], device)
    centers = _columns(library.take("samples", samples, real, 2), "samples", grid.ndim)
    check_positive("kT", kT)
    widths = np.asarray(bandwidth, dtype=np.float64)
    if widths.shape not in ((), (grid.ndim,)) or not (np.isfinite(widths) & (widths > 0)).all():
        raise InputError(
            f"bandwidth: found {widths}, expected a number above zero, or {grid.ndim} of them"
        )
    row = np.broadcast_to(widths, (1, grid.ndim))
    logarithms = library.empty((len(centers),), real)
    logarithms[:] = 0.0 if bias is None else _like(library, "bias", bias, centers, real) / kT
    largest = logarithms.max()
    norm = math.log(len(centers)) + float(np.log(np.sqrt(2.0 * np.pi) * row).sum())
    parts = [centers, library.array(row, real), logarithms - largest]
    periods = np.where(grid.periodic, grid.upper - grid.lower, 0.0)
    values, plan = _on_grid(library, real, (LOG_GAUSSIAN, *parts, False, periods), grid)
    values += largest - norm
    values *= -kT
    name = tuple(names or (f"cv{axis}" for axis in range(grid.ndim)))
    return FreeEnergySurface(
        values, grid, name, device=f"cuda:{library.ordinal}", plan=plan, kT=float(kT)
    )


def _at_points(library: Library, real: Any, task: Task, points: Any) -> Any:
    """Return the sum at points, shape (M,)."""
    values = library.empty((len(points),), real)
    kernel, centers, sigmas, heights, multivariate, periods = task
    wrapper(real.name).sum_points_at(
        library.number(),
        kernel,
        (len(centers), len(sigmas), len(points)),
        tuple(library.address(a) for a in (centers, sigmas, heights, points, values)),
        np.ascontiguousarray(periods, dtype=np.float64),
        library.stream(),
        multivariate=multivariate,
    )
    return values


def _on_grid(library: Library, real: Any, task: Task, grid: Grid) -> tuple[Any, str]:
    """Return the sum on a grid, shape grid.shape, and the plan."""
    values = library.empty(grid.shape, real)
    kernel, centers, sigmas, heights, multivariate, periods = task
    _, plan = wrapper(real.name).sum_grid_at(
        library.number(),
        kernel,
        (len(centers), len(sigmas)),
        tuple(library.address(array) for array in (centers, sigmas, heights, values)),
        np.ascontiguousarray(periods, dtype=np.float64),
        grid.lower,
        grid.spacing,
        np.array(grid.shape, dtype=np.int64),
        library.stream(),
        multivariate=multivariate,
    )
    return values, plan


def _path_arrays(
    arrays: tuple[Any, Any, Any, Any], kT: float, device: str, real: Any
) -> tuple[Library, Any, Any, Any]:
    crd, cv, bw, weights = arrays
    library = Library.of([crd, cv, weights], device)
    check_positive("kT", kT)
    points = _columns(library.take("crd", crd, real, 2), "crd", 3)
    samples = _columns(library.take("cv", cv, real, 2), "cv", 3)
    if len(np.shape(bw)) != 1 or len(bw) != 3:
        raise InputError(f"bw: found shape {np.shape(bw)}, expected (3,)")
    return library, points, samples, _like(library, "bias", weights, samples, real)


def _unit_widths(library: Library, real: Any, samples: Any, logarithms: Any) -> Task:
    widths = library.array(np.ones((1, 3)), real)
    return LOG_GAUSSIAN, samples, widths, logarithms, False, np.zeros(3)


def _columns(array: Any, name: str, columns: int) -> Any:
    shape = tuple(array.shape)
    if not shape[0] or shape[1] != columns:
        raise InputError(f"{name}: found shape {shape}, expected (at least 1, {columns})")
    return array


def _like(library: Library, name: str, array: Any, samples: Any, real: Any) -> Any:
    """Return one number for each sample."""
    taken = library.take(name, array, real, 1)
    if len(taken) != len(samples):
        raise InputError(f"{name}: found {len(taken)} numbers for {len(samples)} samples")
    return taken
