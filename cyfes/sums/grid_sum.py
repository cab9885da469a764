"""A sum of hills on a grid, in the terms of libcufes: by parts of the grid, or of the hills."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cyfes.errors import InputError
from cyfes.native import device_choice
from cyfes.native.constants import BOXED_GAUSSIAN, GAUSSIAN
from cyfes.native.extensions import wrapper
from cyfes.sums.planning import check_memory
from cyfes.sums.sharing import shared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from cyfes.model.grid import Grid

# What cannot be written in its place goes there by pieces of at most as many bytes.
_PIECE = 1 << 26


class Means(NamedTuple):
    """How to compute: the numbers of the devices and of the path, and who hears how far it is."""

    devices: Sequence[int]
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
    #: (N, D, 2), the first and the last point of each hill's box; see cufes.h.
    boxes: NDArray[np.int32] | None = None

    def compute(
        self,
        means: Means,
        values: NDArray[Any],
        gradient: NDArray[Any] | None = None,
        first: int = 0,
    ) -> str:
        """Write the sum, or the rows of it that begin with the first, and return the plan."""
        return self._shared(means, values, gradient, first, more=False)

    def add(
        self,
        means: Means,
        values: NDArray[Any],
        gradient: NDArray[Any] | None,
        first: int = 0,
    ) -> str:
        """Add the sum, or the rows of it that begin with the first, to what the arrays hold."""
        return self._shared(means, values, gradient, first, more=True)

    def _shared(
        self,
        means: Means,
        values: NDArray[Any],
        gradient: NDArray[Any] | None,
        first: int,
        more: bool,
    ) -> str:
        """Let every device see to its rows, along the first axis; return the plans."""

        def compute(device: int, rows: tuple[int, int], progress: Any) -> str:
            part = slice(*rows)
            slopes = None if gradient is None else gradient[:, part]
            alone = Means([device], means.path, progress)
            return self._put(alone, values[part], slopes, first + rows[0], more)

        return _told(means.devices, shared(means.devices, len(values), compute, means.progress))

    def _put(
        self,
        means: Means,
        values: NDArray[Any],
        gradient: NDArray[Any] | None,
        first: int,
        more: bool,
    ) -> str:
        """Write or add the rows of one device."""
        if not more and (gradient is None or gradient.flags.c_contiguous):
            return self._write(means, values, gradient, first)
        # libcufes writes the planes of a gradient one behind the other: not to a part of each.
        plan, count = "", len(values)
        for start, stop in self._pieces(values, gradient):
            part = values[start:stop]
            room = np.empty_like(part) if more else part
            slopes = None if gradient is None else np.empty_like(gradient[:, start:stop])
            report = within(means.progress, start / count, stop / count)
            plan = self._write(means._replace(progress=report), room, slopes, first + start)
            if more:
                part += room
            if gradient is not None and slopes is not None:
                if more:
                    slopes += gradient[:, start:stop]
                gradient[:, start:stop] = slopes
        return plan

    def _write(
        self, means: Means, values: NDArray[Any], gradient: NDArray[Any] | None, first: int
    ) -> str:
        lower = self.grid.lower.copy()
        lower[0] += first * self.grid.spacing[0]
        shape = np.array((len(values), *self.grid.shape[1:]), dtype=np.int64)
        _, plan = wrapper(values.dtype.name).sum_grid(
            means.devices[0],
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
            boxes=self._boxes_from(first),
        )
        if self.interval is not None:
            self._hold_beyond(self.interval, means, values, gradient, first)
        return str(plan)

    def _boxes_from(self, first: int) -> NDArray[np.int32] | None:
        """Return the boxes on the part of the grid from a row of its first axis on."""
        if self.boxes is None or not first:
            return self.boxes
        moved: NDArray[np.int32] = self.boxes.copy()
        moved[:, 0] -= first
        return moved

    def _hold_beyond(
        self,
        interval: tuple[float, float],
        means: Means,
        values: NDArray[Any],
        gradient: NDArray[Any] | None,
        start: int,
    ) -> None:
        where = self.grid.axes[0][start : start + len(values)]
        low, high = interval
        for end, beyond in ((low, where < low), (high, where > high)):
            for places, hills in self._held_alike(np.flatnonzero(beyond) + start):
                values[places - start] = self._held(means, end, hills, values.dtype)
        if gradient is not None:
            gradient[:, (where <= low) | (where >= high)] = 0.0

    def _held_alike(self, places: NDArray[np.intp]) -> Iterator[tuple[NDArray[np.intp], Any]]:
        """Yield the points of an axis by the hills whose boxes they lie in, and these."""
        if self.boxes is None:
            yield places, slice(None)
            return
        first, last = self.boxes[:, 0].T
        numbers = np.searchsorted(np.unique([first, last + 1]), places, side="right")
        for number in np.unique(numbers):
            alike = places[numbers == number]
            yield alike, (first <= alike[0]) & (alike[0] <= last)

    def _held(self, means: Means, end: float, hills: Any, real: np.dtype[Any]) -> Any:
        """Return the sum of some of the hills at an end of the interval."""
        heights = self.heights[hills]
        if not len(heights):
            return 0.0
        values = np.empty(1, dtype=real)
        wrapper(real.name).sum_points(
            means.devices[0],
            GAUSSIAN if self.kernel == BOXED_GAUSSIAN else self.kernel,
            self.centers[hills],
            self.sigmas if len(self.sigmas) == 1 else self.sigmas[hills],
            heights,
            self.periods,
            np.array([[end]], dtype=real),
            values,
            multivariate=self.multivariate,
        )
        return values[0]

    def _pieces(
        self, values: NDArray[Any], gradient: NDArray[Any] | None
    ) -> Iterator[tuple[int, int]]:
        points = len(values)
        planes = 1 if gradient is None else 1 + self.grid.ndim
        rows = max(1, _PIECE // max(1, planes * values.nbytes // points))
        for start in range(0, points, rows):
            yield start, min(start + rows, points)


def within(progress: Any, start: float, end: float) -> Callable[[float], object] | None:
    """Return what reports the part done of what lies between two parts of the whole."""
    if progress is None:
        return None
    return lambda part: progress(start + (end - start) * part)


def _told(devices: Sequence[int], plans: Sequence[str]) -> str:
    """Return the plan of a device, or those of several with their names."""
    if len(plans) == 1:
        return plans[0]
    sharers = {
        plan: [device for device, theirs in zip(devices, plans) if theirs == plan] for plan in plans
    }
    return "; ".join(f"{plan}, on {device_choice.name(those)}" for plan, those in sharers.items())


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
    arrays = out_arrays(out, gradient)
    _check_out(arrays[0], grid.shape, real)
    if not gradient:
        return arrays[0], None
    _check_out(arrays[1], (grid.ndim, *grid.shape), real)
    return arrays[0], arrays[1]


def out_arrays(out: Any, gradient: bool) -> tuple[Any, ...]:
    """Return the arrays of ``out=``: one for F, and one for its gradient."""
    arrays = tuple(out) if isinstance(out, (tuple, list)) else (out,)
    if len(arrays) != 1 + gradient:
        expected = "a pair of arrays, for F and its gradient" if gradient else "one array, for F"
        raise InputError(f"out: found {len(arrays)} arrays, expected {expected}")
    return arrays


def _check_out(array: Any, shape: tuple[int, ...], real: np.dtype[Any]) -> None:
    if not isinstance(array, np.ndarray):
        raise InputError(f"out: found a {type(array).__name__}, expected a NumPy array")
    if array.shape != shape or array.dtype != real:
        raise InputError(
            f"out: found shape {array.shape} of {array.dtype}, expected {shape} of {real}"
        )
    if not (array.flags.c_contiguous and array.flags.writeable):
        raise InputError("out: found an array that is read-only or not C-contiguous")
