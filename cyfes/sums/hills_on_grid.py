"""Sums of hills on a grid, which are free-energy surfaces."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cyfes.base.arrays import precision
from cyfes.base.progress import part_of_progress
from cyfes.errors import InputError
from cyfes.model.grid import INTERVAL_BINS, Grid
from cyfes.model.hills import Hills
from cyfes.native import device_choice
from cyfes.native.constants import BOXED_GAUSSIAN, CPU, GAUSSIAN, STRETCHED_GAUSSIAN
from cyfes.sums.grid_sum import ComputeOptions, GridSum, only_writer, output_arrays
from cyfes.sums.hill_arrays import grid_periods, hills_arrays
from cyfes.sums.planning import Work, path_number
from cyfes.surface import FreeEnergySurface

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Optional

    from numpy.typing import NDArray

    from cyfes.base.choices import DeviceName, Plan, Precision, Truncation

    Progress = Optional[Callable[[float], object]]

# How many hills the estimate of a sum's time looks at.
_WIDTHS_LOOKED_AT = 1000


def sum_hills(
    hills: Hills | Iterable[Hills],
    grid: Grid | None = None,
    device: DeviceName = "auto",
    dtype: Precision = "float64",
    gradient: bool = False,
    truncation: Truncation = "plumed",
    *,
    plan: Plan = "auto",
    out: NDArray[Any] | tuple[NDArray[Any], NDArray[Any]] | None = None,
    progress: Progress = None,
) -> FreeEnergySurface:
    """Return the free-energy surface F = -Σ hills on a grid.

    With d = ½ Σ ((x - center) / sigma)², a hill of height h has one of these kernels:

    - ``stretched-gaussian``: h (A exp(-d) + B) if d < 6.25, otherwise 0. A is
      1.00193418799744762399, and B is 1 - A. PLUMED uses this kernel since version 2.8.
    - ``gaussian``: h exp(-d). PLUMED computes it only in a box of ceil(√12.5 sigma / spacing) bins
      on each side of the hill's own bin.

    Along a periodic axis, the nearest image of each hill counts.

    Parameters
    ----------
    hills : Hills, or iterable of Hills
        N hills of D collective variables (CVs). Or portions of hills, as `cyfes.iter_hills` yields
        them: they are summed one after the other, so that memory holds only one portion. If the
        arrays of the hills are on a CUDA device, the surface stays there; see `to_host`.
    grid : Grid, optional
        A grid over the same D variables. A periodic axis must be one period long, as the domain of
        the hills. By default, it is the grid that ``cyfes sum-hills`` and ``plumed sum_hills``
        choose: see `Grid.covering`. For portions of hills, and for hills on a CUDA device, you must
        give a grid.
    device : {"auto", "cpu", "cuda", "cuda:all"} or str
        The device that computes. "auto" is a GPU for large sums, otherwise the CPU. "cuda:1" is one
        GPU, "cuda:0,1" are two, and "cuda:all" are all of them; several GPUs compute one part of
        the grid each.
    dtype : {"float64", "float32"}
        The precision of the sum.
    gradient : bool
        Whether to compute dF/dCV too.
    truncation : {"plumed", "none", "boxes"}
        Where the plain Gaussian counts.

        - "plumed": inside PLUMED's box.
        - "none": everywhere. A hill that is wider than its period is then an error, because more
          images than the nearest one would count.
        - "boxes": as in PLUMED's ``sum_hills``, to the last digit. Multivariate hills of either
          kernel are cut at their boxes. If a box reaches around a periodic axis, the hill is added
          more than once to some points.
    plan : {"auto", "direct", "separable", "truncated", "nufft"}
        How the sum is computed. The attribute `plan` of the surface says what was done.

        - "auto": in the fastest of the following ways, except "nufft".
        - "direct": every hill at every point.
        - "separable": as products of one factor for each axis. For plain Gaussians everywhere.
        - "truncated": in tiles of the grid, each with the hills that reach it. For kernels with a
          cut-off.
        - "nufft": with a Fourier transform, by the package finufft (on a GPU by cufinufft). The
          error is at most 1e-11 of the largest value. For plain Gaussians of one width everywhere.
    out : ndarray, or pair of ndarrays, optional
        The array into which F is written, and with `gradient` also the one for the gradient. Their
        shapes are grid.shape and (D, *grid.shape), and they must be C-contiguous. They may be
        larger than memory: see `numpy.memmap`. For hills on a CUDA device, the arrays must be on
        the same device. While one sum writes to an array on the host, others are refused.
    progress : callable, optional
        Called from time to time with the part of the sum that is done, from 0 to 1. The part is nan
        for portions of hills, because their number is not known. An exception that it raises stops
        the sum.

    Returns
    -------
    FreeEnergySurface
        In the unit of the heights; its minimum is not shifted.

    Raises
    ------
    InputError
        If the hills do not fit the grid, an argument is unknown, the plan is not for this kernel,
        or the surface does not fit in memory.
    MissingDependencyError
        If the plan is "nufft", and finufft, or on a GPU cufinufft, is not installed.
    DeviceError
        If the device is missing, not supported or fails. It is a `DeviceMemoryError` if the memory
        of the device is too small.
    LibraryError
        If the compiled part of cyfes is missing.

    Notes
    -----
    F is -Σ hills also for well-tempered runs, because PLUMED writes rescaled heights.

    References
    ----------
    PLUMED 2.10, ``sum_hills``; A. Barducci, G. Bussi, M. Parrinello, Phys. Rev. Lett. 100, 020603
    (2008).

    Examples
    --------
    >>> hills = cyfes.Hills(["x"], [[-1.0], [1.0]], 0.3, [9.0, 6.0])
    >>> fes = cyfes.sum_hills(hills, cyfes.Grid(-2, 2, 4))
    >>> fes.values.round(3) + 0.0
    array([-0.017, -9.   , -0.029, -6.   , -0.012])
    """
    real = precision(dtype)
    path_number(plan)
    first, portions = _portions(hills)
    if grid is None:
        if portions is not None:
            raise InputError("found portions of hills without a grid, expected a grid with them")
        grid = usual_grid(first)
    kernels = _grid_kernels(first, truncation)
    periods = grid_periods(first, grid)
    if portions is not None and progress is not None:
        progress = _without_end(progress)
    if truncation == "boxes":
        first.check_on_host("PLUMED's boxes")
    if first.on_device:
        from cyfes.sums import gpu_sums

        gpu = gpu_sums.GpuOptions.of([first.centers], device, real, plan, progress)
        task = (kernels[0], periods, grid, gradient, out)
        return gpu_sums.sum_hills(_checked_portions(first, portions), *task, gpu)
    tasks = _tasks(first, grid, periods, real, truncation)
    # Only the choice of a device needs the estimate.
    seconds = _work(first, grid, kernels, gradient).seconds if device == "auto" else math.inf
    devices = device_choice.choose_all(
        "cpu" if plan == "nufft" and device == "auto" else device, seconds
    )
    values, slopes = output_arrays(grid, real, gradient, out)
    options = ComputeOptions(devices[: len(values)], path_number(plan), progress)
    compute = _nufft_sum if plan == "nufft" else _library_sum
    # Nobody else has new arrays.
    with only_writer(*(() if out is None else (values, slopes))):
        plan_used = compute(tasks, options, values, slopes, False)
        for portion in portions or ():
            _check_portion(portion, first)
            added = _tasks(portion, grid, periods, real, truncation)
            compute(added, options, values, slopes, True)
    if device == "auto" and CPU in devices and device_choice.is_small(seconds):
        plan_used += "; on the CPU, for so small a sum"
    return FreeEnergySurface(
        values,
        grid,
        first.names,
        slopes,
        first.domain,
        device_choice.name(options.devices),
        plan_used,
    )


def usual_grid(hills: Hills) -> Grid:
    """Return the grid that the command takes when no option names one."""
    if hills.interval is not None:
        low, high = (f"{end:g}" for end in hills.interval)
        return Grid.spanning(hills, [(low, high)], [INTERVAL_BINS])
    return Grid.covering(hills)


class SurfacePart(NamedTuple):
    """Some rows of a surface along its first axis."""

    values: NDArray[Any]
    gradient: NDArray[Any] | None
    names: tuple[str, ...]
    domain: tuple[Any, ...]
    device: str
    plan: str


def sum_rows(
    hills: Hills,
    grid: Grid,
    rows: tuple[int, int],
    device: str = "auto",
    dtype: Precision = "float64",
    gradient: bool = False,
    truncation: Truncation = "plumed",
    plan: Plan = "auto",
) -> SurfacePart:
    """Return the rows from `rows[0]` to before `rows[1]` of what `sum_hills` returns."""
    hills.check_on_host("parts of a surface")
    real = precision(dtype)
    kernels = _grid_kernels(hills, truncation)
    tasks = _tasks(hills, grid, grid_periods(hills, grid), real, truncation)
    if plan == "nufft":
        raise InputError('plan is "nufft", which has no parts; expected another')
    devices = device_choice.choose_all(device, _work(hills, grid, kernels, gradient).seconds)
    shape = (rows[1] - rows[0], *grid.shape[1:])
    values = np.empty(shape, dtype=real)
    slopes = np.empty((grid.ndim, *shape), dtype=real) if gradient else None
    options = ComputeOptions(devices[: len(values)], path_number(plan))
    plan_used = _library_sum(tasks, options, values, slopes, False, rows[0])
    names = device_choice.name(options.devices)
    return SurfacePart(values, slopes, hills.names, hills.domain, names, plan_used)


def joined(parts: Sequence[SurfacePart], grid: Grid) -> FreeEnergySurface:
    """Return the surface that parts make up, in order."""
    first = parts[0]
    slopes = None
    if first.gradient is not None:
        slopes = np.concatenate([part.gradient for part in parts if part.gradient is not None], 1)
    values = np.concatenate([part.values for part in parts])
    return FreeEnergySurface(
        values, grid, first.names, slopes, first.domain, first.device, first.plan
    )


def _portions(hills: Hills | Iterable[Hills]) -> tuple[Hills, Iterator[Hills] | None]:
    """Return the first hills, and an iterator over the others; None where there are no others."""
    if isinstance(hills, Hills):
        return hills, None
    if isinstance(hills, (str, os.PathLike)):
        raise InputError(f"hills: found the path {hills}, expected Hills: read_hills({hills!r})")
    portions = iter(hills)
    for first in portions:
        if not isinstance(first, Hills):
            raise InputError(f"hills: found a {type(first).__name__}, expected Hills")
        return first, portions
    raise InputError("hills: found no portion of hills, expected at least one")


def _checked_portions(first: Hills, portions: Iterable[Hills] | None) -> Iterator[Hills]:
    """Yield the first hills and the others, after a check that they fit the first."""
    yield first
    for portion in portions or ():
        _check_portion(portion, first, "kernels")
        yield portion


def _check_portion(hills: Hills, first: Hills, *more: str) -> None:
    """Refuse a portion of hills that cannot be summed with those before."""
    for what in ("names", "domain", "interval", *more):
        found, expected = getattr(hills, what), getattr(first, what)
        if found != expected:
            raise InputError(f"hills: found a portion of {what} {found}, expected {expected}")


def _without_end(progress: Callable[[float], object]) -> Callable[[float], object]:
    def report(_: float) -> None:
        progress(math.nan)

    return report


def _work(hills: Hills, grid: Grid, kernels: Sequence[int], gradient: bool) -> Work:
    """Return the sizes of a sum."""
    planes = 1 + grid.ndim if gradient else 1
    if set(kernels) == {GAUSSIAN} or not len(hills):
        return Work(len(hills), grid.shape, (), False, planes)
    rows = hills.width_rows if hills.cholesky is None else hills.sigmas
    # Some of the widths tell enough of all.
    some = rows[:: len(rows) // _WIDTHS_LOOKED_AT + 1]
    widths = (some[0] if len(some) == 1 else some.mean(axis=0)) / grid.spacing
    return Work(len(hills), grid.shape, widths.tolist(), True, planes)


def _tasks(
    hills: Hills, grid: Grid, periods: NDArray[np.float64], real: np.dtype[Any], truncation: str
) -> list[GridSum]:
    """Return the sums of negated hills that together are F."""
    alike = hills.by_kernel()
    if truncation != "boxes":
        return [_negated(part, periods, grid, real, truncation) for part in alike]
    return [task for part in alike for task in _in_boxes(part, periods, grid, real)]


def _in_boxes(
    hills: Hills, periods: NDArray[np.float64], grid: Grid, real: np.dtype[Any]
) -> list[GridSum]:
    """Return the sums of negated hills of one kernel, in PLUMED's boxes where these matter."""
    from cyfes.sums.boxes import boxes, needs_box

    apart = needs_box(hills, grid)
    # Hills that do not need their boxes are summed by a faster path.
    parts = [hills] if apart.all() or not apart.any() else [hills[~apart], hills[apart]]
    tasks = [_negated(part, periods, grid, real, "boxes") for part in parts]
    if apart.any():
        tasks[-1] = tasks[-1]._replace(boxes=boxes(parts[-1], grid))
    return tasks


def _negated(
    hills: Hills, periods: NDArray[np.float64], grid: Grid, real: np.dtype[Any], truncation: str
) -> GridSum:
    kernel = _grid_kernels(hills, truncation)[0]
    centers, sigmas, heights = hills_arrays(hills, hills.negated_heights, real)
    multivariate = hills.cholesky is not None
    return GridSum(kernel, centers, sigmas, heights, multivariate, periods, grid, hills.interval)


def _library_sum(
    tasks: Sequence[GridSum],
    options: ComputeOptions,
    values: NDArray[Any],
    gradient: NDArray[Any] | None,
    adding: bool,
    first: int = 0,
) -> str:
    """Write the total of some sums, or add it to the arrays if `adding`; return the plans."""
    plans = []
    total = max(1, sum(len(task.heights) for task in tasks))
    done = 0
    for task in tasks:
        start, done = done, done + len(task.heights)
        part = options._replace(
            progress=part_of_progress(options.progress, start / total, done / total)
        )
        plans.append((task.add if adding else task.compute)(part, values, gradient, first))
        adding = True
    return "; ".join(plans)


def _nufft_sum(
    tasks: Sequence[GridSum],
    options: ComputeOptions,
    values: NDArray[Any],
    gradient: NDArray[Any] | None,
    adding: bool,
) -> str:
    from cyfes.sums.nufft import add_by_fourier_transform

    for array in (values, gradient):
        if array is not None and not adding:
            array[...] = 0.0
    plans = [add_by_fourier_transform(task, options, values, gradient) for task in tasks]
    return "; ".join(plans)


def _grid_kernels(hills: Hills, truncation: str) -> list[int]:
    """Return the number of each kernel of the hills."""
    return [_grid_kernel(kernel, hills.interval, truncation) for kernel in hills.kernels]


def _grid_kernel(kernel: str, interval: tuple[float, float] | None, truncation: str) -> int:
    if truncation not in ("plumed", "none", "boxes"):
        raise InputError(f'truncation is {truncation!r}, expected "plumed", "none" or "boxes"')
    if kernel == "gaussian" and truncation == "none":
        return GAUSSIAN
    if kernel == "gaussian":
        if interval is not None and truncation != "boxes":
            raise InputError(
                "found plain Gaussians and an INTERVAL. Their cut-off, a box around the hill, is "
                "not defined beyond the INTERVAL; expected stretched Gaussians, or "
                'truncation="none" or "boxes"'
            )
        return BOXED_GAUSSIAN
    if truncation == "none":
        raise InputError(
            f'truncation is "none", but the kernel {kernel} has a cut-off by definition; use '
            'another truncation, or hills with kernel="gaussian"'
        )
    return STRETCHED_GAUSSIAN
