"""Sums of hills: on a grid, as a free-energy surface, and at arbitrary points, as a bias."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cyfes.base.arrays import as_matrix, precision
from cyfes.errors import InputError
from cyfes.model.hills import Hills
from cyfes.native import device_choice
from cyfes.native.constants import BOXED_GAUSSIAN, CPU, GAUSSIAN, STRETCHED_GAUSSIAN
from cyfes.native.extensions import wrapper
from cyfes.native.gpu_arrays import on_device
from cyfes.sums.grid_sum import GridSum, Means, one_row, surface_room, within
from cyfes.sums.planning import Work, path_number
from cyfes.sums.sharing import shared
from cyfes.surface import FreeEnergySurface

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Optional

    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from cyfes.model.grid import Grid

    Progress = Optional[Callable[[float], object]]


def sum_hills(
    hills: Hills | Iterable[Hills],
    grid: Grid,
    device: str = "auto",
    dtype: DTypeLike = "float64",
    gradient: bool = False,
    truncation: str = "plumed",
    *,
    plan: str = "auto",
    out: NDArray[Any] | tuple[NDArray[Any], NDArray[Any]] | None = None,
    progress: Progress = None,
) -> FreeEnergySurface:
    """Return the free-energy surface F = -Σ hills on a grid.

    A hill of height h, with d = ½ Σ ((x - center) / sigma)² and minimum images along periodic axes,
    adds one of

    - ``stretched-gaussian``: h (A exp(-d) + B) for d < 6.25, 0 beyond, with
      A = 1.00193418799744762399 and B = 1 - A, as PLUMED deposits and sums hills since version 2.8;
    - ``gaussian``: h exp(-d), in PLUMED's sum only inside a box of ceil(√12.5 sigma / spacing) bins
      around the hill's own.

    PLUMED's ``sum_hills`` takes every hill in such a box. It may cut multivariate hills, and adds a
    hill as often as the box comes by a point on its way around a periodic axis.

    Parameters
    ----------
    hills : Hills, or iterable of Hills
        N hills of D collective variables; or portions of them, as from `cyfes.iter_hills`, which
        are summed one after the other, so that memory holds one at a time.
        Of hills whose arrays lie on a CUDA device the surface stays there; see `to_host`.
    grid : Grid
        A grid over the same D variables; a periodic axis covers the hills' domain once.
    device : str
        "auto", "cpu", "cuda", "cuda:N", or several CUDA devices: "cuda:N,M" or "cuda:all", each of
        which computes a part of the grid along its first axis. "auto" leaves a small sum to the
        CPU, and is never more than one device.
    dtype : {"float64", "float32"}
        The precision of the sum.
    gradient : bool
        Whether to compute dF/dCV too.
    truncation : {"plumed", "none", "boxes"}
        For the plain Gaussian kernel: inside PLUMED's box, or everywhere. Everywhere, a hill wider
        than its period is refused: its nearest image alone, which is summed, would be wrong.
        "boxes" is for the very numbers of PLUMED's ``sum_hills``: as "plumed", but multivariate
        hills of either kernel inside their boxes, and every hill as often as its box comes by.
    plan : {"auto", "direct", "separable", "truncated", "nufft"}
        How to compute: the fastest way; every hill at every point; products of a factor along each
        axis (for plain Gaussians everywhere); tiles of the grid with the hills that reach them (for
        kernels with a cut-off); or a Fourier transform, within 1e-11 of the largest value, by the
        optional packages finufft on the CPU, cufinufft on a GPU (for plain Gaussians of one width
        everywhere). The surface's `plan` says what was done.
    out : ndarray, or pair of ndarrays, optional
        Where to write F, and with `gradient` its gradient: C-contiguous arrays of the shapes
        grid.shape and (D, *grid.shape), such as a `numpy.memmap` larger than memory; for hills on
        a CUDA device, arrays on the same device.
    progress : callable, optional
        Called from time to time with the part done, 0 to 1, or nan for portions of hills, whose
        end is not known; what it raises stops the sum.

    Returns
    -------
    FreeEnergySurface
        In the unit of the heights; its minimum is not shifted.

    Raises
    ------
    InputError
        If hills and grid do not fit together, an argument is unknown, the plan cannot serve the
        kernel, or the surface does not fit in memory.
    MissingDependencyError
        If the plan is "nufft" and finufft, or on a GPU cufinufft, is not installed.
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
    path_number(plan)
    first, portions = _portions(hills)
    kernel = _grid_kernel(first, truncation)
    periods = grid_periods(first, grid)
    if portions is not None and progress is not None:
        progress = _endless(progress)
    if truncation == "boxes":
        first.check_on_host("PLUMED's boxes")
    if first.on_device:
        from cyfes.sums import gpu_sums

        place = gpu_sums.Place.of([first.centers], device, real, plan, progress)
        task = (kernel, periods, grid, gradient, out)
        return gpu_sums.sum_hills(_alike(first, portions), *task, place)
    tasks = _tasks(first, grid, real, truncation)
    seconds = _work(first, grid, kernel, gradient).seconds
    devices = device_choice.choose_all(
        "cpu" if plan == "nufft" and device == "auto" else device, seconds
    )
    values, slopes = surface_room(grid, real, gradient, out)
    means = Means(devices[: len(values)], path_number(plan), progress)
    compute = _nufft_sum if plan == "nufft" else _library_sum
    words = compute(tasks, means, values, slopes, False)
    for portion in portions or ():
        _check_alike(portion, first)
        compute(_tasks(portion, grid, real, truncation), means, values, slopes, True)
    if device == "auto" and CPU in devices and device_choice.is_small(seconds):
        words += "; on the CPU, for so small a sum"
    return FreeEnergySurface(
        values, grid, first.names, slopes, first.domain, device_choice.name(means.devices), words
    )


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
    dtype: DTypeLike = "float64",
    gradient: bool = False,
    truncation: str = "plumed",
    plan: str = "auto",
) -> SurfacePart:
    """Return the rows from `rows[0]` to before `rows[1]` of what `sum_hills` returns."""
    hills.check_on_host("parts of a surface")
    real = precision(dtype)
    kernel = _grid_kernel(hills, truncation)
    tasks = _tasks(hills, grid, real, truncation)
    if plan == "nufft":
        raise InputError('plan is "nufft", which has no parts; expected another')
    devices = device_choice.choose_all(device, _work(hills, grid, kernel, gradient).seconds)
    shape = (rows[1] - rows[0], *grid.shape[1:])
    values = np.empty(shape, dtype=real)
    slopes = np.empty((grid.ndim, *shape), dtype=real) if gradient else None
    means = Means(devices[: len(values)], path_number(plan))
    words = _library_sum(tasks, means, values, slopes, False, rows[0])
    names = device_choice.name(means.devices)
    return SurfacePart(values, slopes, hills.names, hills.domain, names, words)


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
    """Return the first hills, and those to come if there may be more."""
    if isinstance(hills, Hills):
        return hills, None
    portions = iter(hills)
    for first in portions:
        if not isinstance(first, Hills):
            raise InputError(f"hills: found a {type(first).__name__}, expected Hills")
        return first, portions
    raise InputError("hills: found no portion of hills, expected at least one")


def _alike(first: Hills, portions: Iterable[Hills] | None) -> Iterator[Hills]:
    """Yield the first hills, and those to come once they are known to fit them."""
    yield first
    for portion in portions or ():
        _check_alike(portion, first)
        yield portion


def _check_alike(hills: Hills, first: Hills) -> None:
    """Refuse a portion of hills that cannot be summed with those before."""
    for what in ("names", "kernel", "domain", "interval"):
        found, expected = getattr(hills, what), getattr(first, what)
        if found != expected:
            raise InputError(f"hills: found a portion of {what} {found}, expected {expected}")


def _endless(progress: Callable[[float], object]) -> Callable[[float], object]:
    def report(_: float) -> None:
        progress(math.nan)

    return report


def _work(hills: Hills, grid: Grid, kernel: int, gradient: bool) -> Work:
    widths = hills.sigmas.mean(axis=0) / grid.spacing if len(hills) else np.ones(grid.ndim)
    planes = 1 + grid.ndim if gradient else 1
    return Work(len(hills), grid.shape, widths.tolist(), kernel != GAUSSIAN, planes)


def _tasks(hills: Hills, grid: Grid, real: np.dtype[Any], truncation: str) -> list[GridSum]:
    """Return the sums that make up that of -hills: F itself, without another pass over it."""
    periods = grid_periods(hills, grid)
    if truncation != "boxes":
        return [_negated(hills, periods, grid, real, truncation)]
    from cyfes.sums.boxes import boxes, needs_box

    apart = needs_box(hills, grid)
    # The others take a faster way.
    parts = [hills] if apart.all() or not apart.any() else [hills[~apart], hills[apart]]
    tasks = [_negated(part, periods, grid, real, truncation) for part in parts]
    if apart.any():
        tasks[-1] = tasks[-1]._replace(boxes=boxes(parts[-1], grid))
    return tasks


def _negated(
    hills: Hills, periods: NDArray[np.float64], grid: Grid, real: np.dtype[Any], truncation: str
) -> GridSum:
    kernel = _grid_kernel(hills, truncation)
    centers, sigmas, heights = hills_arrays(hills, -hills.heights, real)
    multivariate = hills.cholesky is not None
    return GridSum(kernel, centers, sigmas, heights, multivariate, periods, grid, hills.interval)


def _library_sum(
    tasks: Sequence[GridSum],
    means: Means,
    values: NDArray[Any],
    gradient: NDArray[Any] | None,
    more: bool,
    first: int = 0,
) -> str:
    """Write the sum of some sums, or add it if there is `more` in the arrays; return the plans."""
    words = []
    total = max(1, sum(len(task.heights) for task in tasks))
    done = 0
    for task in tasks:
        start, done = done, done + len(task.heights)
        part = means._replace(progress=within(means.progress, start / total, done / total))
        words.append((task.add if more else task.compute)(part, values, gradient, first))
        more = True
    return "; ".join(words)


def _nufft_sum(
    tasks: Sequence[GridSum],
    means: Means,
    values: NDArray[Any],
    gradient: NDArray[Any] | None,
    more: bool,
) -> str:
    from cyfes.sums.nufft import add_by_fourier_transform

    for array in (values, gradient):
        if array is not None and not more:
            array[...] = 0.0
    # Hills in boxes, which alone are summed apart, are refused there.
    return add_by_fourier_transform(tasks[0], means, values, gradient)


def bias(
    points: ArrayLike,
    hills: Hills,
    device: str = "auto",
    dtype: DTypeLike = "float64",
    *,
    progress: Progress = None,
) -> NDArray[Any]:
    """Return the bias potential V at arbitrary points.

    V = Σ hills (`sum_hills` has the kernels; the plain Gaussian is not cut off here). The heights
    of hills with a bias factor γ > 1 are those of F and are multiplied by (γ - 1) / γ.

    Parameters
    ----------
    points : array_like, shape (M, D)
        Where, in the units of the D collective variables. Shape (M,) will do for one variable. An
        array on a CUDA device stays there, and so does the result.
    hills : Hills
        The hills; multivariate ones, too.
    device : str
        As for `sum_hills`; several devices share the points.
    dtype : {"float64", "float32"}
        The precision of the sum. In single precision the exponentials are, too: V is within some
        1e-6 of its largest value.
    progress : callable, optional
        Called from time to time with the part done, 0 to 1; what it raises stops the sum.

    Returns
    -------
    ndarray, shape (M,)
        V, in the unit of the heights.

    Raises
    ------
    InputError
        If the points have another number of variables than the hills, or are not finite, or if a
        plain Gaussian is wider than its period.
    DeviceError
        If the device is absent, unsupported or fails.
    LibraryError
        If the compiled part of cyfes is missing.
    """
    real = precision(dtype)
    if on_device(points) or hills.on_device:
        from cyfes.sums import gpu_sums

        place = gpu_sums.Place.of([points, hills.centers], device, real, progress=progress)
        widths, scale = _kernel_widths(hills), _bias_scale(hills)
        there: NDArray[Any] = gpu_sums.bias(points, hills, widths, scale, place)
        return there
    where = as_matrix("points", points, hills.ndim, real)
    if hills.interval is not None:
        where = np.clip(where, *hills.interval)
    kernel = STRETCHED_GAUSSIAN if hills.kernel == "stretched-gaussian" else GAUSSIAN
    devices = device_choice.choose_all(device, Work(len(hills), (len(where),), None, False).seconds)
    heights = hills.heights * _bias_scale(hills)
    arrays = (*hills_arrays(hills, heights, real), hills.periods)
    multivariate = hills.cholesky is not None
    return sum_at(devices, kernel, arrays, where, multivariate=multivariate, progress=progress)


def sum_at(
    devices: Sequence[int],
    kernel: int,
    hills: tuple[NDArray[Any], ...],
    points: NDArray[Any],
    **options: Any,
) -> NDArray[Any]:
    """Return the sum of hills at points, which the devices share.

    Parameters
    ----------
    devices : sequence of int
        Their numbers.
    kernel : int
        The number of the kernel.
    hills : tuple of ndarray
        Centres, widths, heights and periods, as `sum_points` of the extensions takes them.
    points : ndarray, shape (M, D)
        The points; the result is of their type.
    **options
        `multivariate` and `progress`, as there.
    """
    values = np.empty(len(points), dtype=points.dtype)
    progress = options.pop("progress", None)

    def compute(device: int, rows: tuple[int, int], report: Progress) -> None:
        part = slice(*rows)
        wrapper(points.dtype.name).sum_points(
            device, kernel, *hills, points[part], values[part], progress=report, **options
        )

    shared(devices, len(points), compute, progress)
    return values


def hills_arrays(
    hills: Hills, heights: NDArray[np.float64], real: np.dtype[Any]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return centres, widths and heights in one precision; one row of widths where all agree."""
    arrays = (hills.centers, _kernel_widths(hills), heights)
    centers, sigmas, scaled = (np.asarray(array, dtype=real) for array in arrays)
    return centers, sigmas, scaled


def _kernel_widths(hills: Hills) -> NDArray[np.float64]:
    """Return the widths, or the factors of inverse matrices; one row where all agree."""
    if hills.cholesky is None:
        widths: NDArray[np.float64] = one_row(hills.sigmas)
        return widths
    return _inverse_factors(one_row(hills.cholesky), hills.ndim)


def _inverse_factors(packed: NDArray[np.float64], ndim: int) -> NDArray[np.float64]:
    """Return the Cholesky factors of inverse matrices, from those of the matrices.

    Both are lower triangles, packed row by row.
    """
    rows, columns = np.tril_indices(ndim)
    factors = np.zeros((len(packed), ndim, ndim))
    factors[:, rows, columns] = packed
    inverses = np.linalg.inv(factors)
    precisions = inverses.transpose((0, 2, 1)) @ inverses
    return np.ascontiguousarray(np.linalg.cholesky(precisions)[:, rows, columns])


def _bias_scale(hills: Hills) -> NDArray[np.float64]:
    """Return what heights are multiplied by to be those of the bias."""
    factors = hills.bias_factors
    tempered = factors > 1.0
    return np.where(tempered, 1.0 - 1.0 / np.where(tempered, factors, 1.0), 1.0)


def _grid_kernel(hills: Hills, truncation: str) -> int:
    if truncation not in ("plumed", "none", "boxes"):
        raise InputError(f'truncation is {truncation!r}, expected "plumed", "none" or "boxes"')
    if hills.kernel == "gaussian" and truncation == "none":
        return GAUSSIAN
    if hills.kernel == "gaussian":
        if hills.interval is not None and truncation != "boxes":
            raise InputError(
                "found plain Gaussians with an INTERVAL, whose cut-off at a box has no meaning "
                'beyond it; expected stretched ones, or truncation="none" or "boxes"'
            )
        return BOXED_GAUSSIAN
    if truncation == "none":
        raise InputError(
            f'truncation is "none", but hills of kernel {hills.kernel} end at d = 6.25 by '
            'definition; use kernel="gaussian"'
        )
    return STRETCHED_GAUSSIAN


def grid_periods(hills: Hills, grid: Grid) -> NDArray[np.float64]:
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
