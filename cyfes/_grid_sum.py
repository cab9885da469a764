"""A sum of hills on a grid, in the terms of libcufes: whole, by parts of the grid, or portioned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cyfes._library import wrapper
from cyfes._planning import check_memory
from cyfes.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from cyfes.grid import Grid

# The numbers of cufes_kernel in cufes.h.
STRETCHED_GAUSSIAN = 0
GAUSSIAN = 1
BOXED_GAUSSIAN = 2
LOG_GAUSSIAN = 3

# Portions of hills are added to a surface by parts of at most as many bytes.
_PART = 1 << 26


class Means(NamedTuple):
    """How to compute: the number of the device and of the path, and who hears how far it is."""

    device: int
    path: int = 0
    progress: Callable[[float], object] | None = None


class GridSum(NamedTuple):
    """Hills in one precision, and the grid that they are to be summed on."""

    kernel: int
    #: (N, D)
    centers: NDArray[Any]
    #: (N or 1, D), or (N or 1, D (D + 1) / 2) where multivariate.
    sigmas: NDArray[Any]
    #: (N,)
    heights: NDArray[Any]
    multivariate: bool
    #: (D,), 0 for an axis that is not periodic.
    periods: NDArray[np.float64]
    grid: Grid
    #: Beyond these ends of the only axis the sum is what it is at them.
    interval: tuple[float, float] | None = None

    def compute(
        self,
        means: Means,
        values: NDArray[Any],
        gradient: NDArray[Any] | None = None,
        rows: tuple[int, int] | None = None,
    ) -> str:
        """Write the sum, or some rows of it along the first axis, and return the plan."""
        start, stop = rows or (0, self.grid.shape[0])
        lower = self.grid.lower.copy()
        lower[0] += start * self.grid.spacing[0]
        shape = np.array((stop - start, *self.grid.shape[1:]), dtype=np.int64)
        _, plan = wrapper(values.dtype.name).sum_grid(
            means.device,
            self.kernel,
            self.centers,
            self.sigmas,
            self.heights,
            self.periods,
            lower,
            self.grid.spacing,
            shape,
            values.reshape(-1),
            None if gradient is None else gradient.reshape((self.grid.ndim, -1)),
            path=means.path,
            multivariate=self.multivariate,
            progress=means.progress,
        )
        if self.interval is not None:
            self._hold_beyond(self.interval, means, values, gradient, start)
        return str(plan)

    def _hold_beyond(
        self,
        interval: tuple[float, float],
        means: Means,
        values: NDArray[Any],
        gradient: NDArray[Any] | None,
        start: int,
    ) -> None:
        ends, held = np.array(interval, dtype=values.dtype), np.empty(2, dtype=values.dtype)
        arrays = (self.centers, self.sigmas, self.heights, self.periods)
        wrapper(values.dtype.name).sum_points(
            means.device,
            self.kernel,
            *arrays,
            ends[:, np.newaxis],
            held,
            multivariate=self.multivariate,
        )
        where = self.grid.axes[0][start : start + len(values)]
        values[where < interval[0]] = held[0]
        values[where > interval[1]] = held[1]
        if gradient is not None:
            gradient[:, (where <= interval[0]) | (where >= interval[1])] = 0.0

    def add(self, means: Means, values: NDArray[Any], gradient: NDArray[Any] | None) -> str:
        """Add the sum to what the arrays hold, and return the plan."""
        plan = ""
        for start, stop in self._parts(values, gradient):
            room = np.empty_like(values[start:stop])
            slopes = None if gradient is None else np.empty_like(gradient[:, start:stop])
            plan = self.compute(means, room, slopes, (start, stop))
            values[start:stop] += room
            if gradient is not None and slopes is not None:
                gradient[:, start:stop] += slopes
        return plan

    def _parts(
        self, values: NDArray[Any], gradient: NDArray[Any] | None
    ) -> Iterator[tuple[int, int]]:
        points = len(values)
        planes = 1 if gradient is None else 1 + self.grid.ndim
        rows = max(1, _PART // max(1, planes * values.nbytes // points))
        for start in range(0, points, rows):
            yield start, min(start + rows, points)


def surface_room(
    grid: Grid, real: np.dtype[Any], gradient: bool, out: Any = None
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Return the arrays that a surface is written to: new ones, or those of ``out=``.

    Raises
    ------
    InputError
        If new arrays do not fit in memory, or those given are not writeable C-contiguous arrays of
        the right shapes and type.
    """
    if out is None:
        check_memory(grid, 1 + grid.ndim if gradient else 1, real.itemsize)
        slopes = np.empty((grid.ndim, *grid.shape), dtype=real) if gradient else None
        return np.empty(grid.shape, dtype=real), slopes
    arrays = tuple(out) if isinstance(out, (tuple, list)) else (out,)
    if len(arrays) != 1 + gradient:
        expected = "a pair of arrays, for F and its gradient" if gradient else "one array, for F"
        raise InputError(f"out: found {len(arrays)} arrays, expected {expected}")
    _check_out(arrays[0], grid.shape, real)
    if not gradient:
        return arrays[0], None
    _check_out(arrays[1], (grid.ndim, *grid.shape), real)
    return arrays[0], arrays[1]


def _check_out(array: Any, shape: tuple[int, ...], real: np.dtype[Any]) -> None:
    if not isinstance(array, np.ndarray):
        raise InputError(f"out: found a {type(array).__name__}, expected a NumPy array")
    if array.shape != shape or array.dtype != real:
        raise InputError(
            f"out: found shape {array.shape} of {array.dtype}, expected {shape} of {real}"
        )
    if not (array.flags.c_contiguous and array.flags.writeable):
        raise InputError("out: found an array that is read-only or not C-contiguous")
