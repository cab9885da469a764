"""Sums of hills at arbitrary points, which are biases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cyfes.base.arrays import as_matrix, name_of, precision
from cyfes.base.progress import part_of_progress
from cyfes.native import device_choice
from cyfes.native.constants import GAUSSIAN, STRETCHED_GAUSSIAN
from cyfes.native.extensions import wrapper
from cyfes.native.gpu_arrays import on_device
from cyfes.sums.hill_arrays import hills_arrays
from cyfes.sums.planning import Work
from cyfes.sums.several_devices import on_each_device

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Optional

    from numpy.typing import ArrayLike, NDArray

    from cyfes.base.choices import DeviceName, Precision
    from cyfes.model.hills import Hills

    Progress = Optional[Callable[[float], object]]


def bias(
    points: ArrayLike,
    hills: Hills,
    device: DeviceName = "auto",
    dtype: Precision = "float64",
    *,
    progress: Progress = None,
) -> NDArray[Any]:
    """Return the bias potential V at arbitrary points.

    V is the sum of all hills, with the kernels that `cyfes.sum_hills` describes. The plain Gaussian
    has no cut-off here. If the bias factor γ of a hill is above 1, its height is that of F, and it
    is multiplied by (γ - 1) / γ.

    Parameters
    ----------
    points : array_like, shape (M, D)
        The points, in the units of the D collective variables. For one variable, the shape may be
        (M,). If the array is on a CUDA device, the result is there, too.
    hills : Hills
        The hills. They may be multivariate.
    device : {"auto", "cpu", "cuda", "cuda:all"} or str
        As for `cyfes.sum_hills`; several devices share the points.
    dtype : {"float64", "float32"}
        The precision of the sum. In single precision, the error of V is about 1e-6 of its largest
        value.
    progress : callable, optional
        Called from time to time with the part of the sum that is done, from 0 to 1. An exception
        that it raises stops the sum.

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
        If the device is missing, not supported, or fails.
    LibraryError
        If the compiled part of cyfes is missing.

    Examples
    --------
    >>> hills = cyfes.Hills(["x"], [[-1.0], [1.0]], 0.3, [9.0, 6.0])
    >>> cyfes.bias([[-1.0], [-0.7], [0.0]], hills).round(3)
    array([9.   , 5.452, 0.029])
    """
    real = precision(dtype)
    alike = hills.by_kernel()
    if len(alike) > 1:
        count, done, total = len(hills), 0, []
        for part in alike:
            report = part_of_progress(progress, done / count, (done + len(part)) / count)
            total.append(bias(points, part, device, dtype, progress=report))
            done += len(part)
        return np.asarray(sum(total))
    if on_device(points) or hills.on_device:
        from cyfes.sums import gpu_sums

        gpu = gpu_sums.GpuOptions.of([points, hills.centers], device, real, progress=progress)
        there: NDArray[Any] = gpu_sums.bias(points, hills, gpu)
        return there
    where = as_matrix("points", points, hills.ndim, real)
    if hills.interval is not None:
        where = np.clip(where, *hills.interval)
    kernel = STRETCHED_GAUSSIAN if hills.kernel == "stretched-gaussian" else GAUSSIAN
    devices = device_choice.choose_all(device, Work(len(hills), (len(where),), None, False).seconds)
    arrays = (*hills_arrays(hills, hills.bias_heights, real), hills.periods)
    multivariate = hills.cholesky is not None
    return sum_at(devices, kernel, arrays, where, multivariate=multivariate, progress=progress)


def sum_at(
    devices: Sequence[int],
    kernel: int,
    hills: tuple[NDArray[Any], ...],
    points: NDArray[Any],
    **options: Any,
) -> NDArray[Any]:
    """Return the sum of hills at points, which are divided among the devices.

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
        wrapper(name_of(points.dtype)).sum_points(
            device, kernel, *hills, points[part], values[part], progress=report, **options
        )

    on_each_device(devices, len(points), compute, progress)
    return values
