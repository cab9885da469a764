"""A sum of hills on a grid by libcufes, for all of the grid or some of its rows."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cyfes.base.arrays import name_of
from cyfes.base.progress import part_of_progress
from cyfes.errors import InputError
from cyfes.native import device_choice
from cyfes.native.constants import BOXED_GAUSSIAN, GAUSSIAN
from cyfes.native.extensions import wrapper
from cyfes.sums.planning import check_memory
from cyfes.sums.several_devices import on_each_device

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from cyfes.model.grid import Grid

# Where libcufes cannot write to the final array, pieces of at most so many bytes are copied there.
_PIECE = 1 << 26


class ComputeOptions(NamedTuple):
    """How to compute: the numbers of the devices, that of the path, and a progress function."""

    devices: Sequence[int]
    path: int = 0
    progress: Callable[[float], object] | None = None


class GridSum(NamedTuple):
    """Hills in one precision, and the grid to sum them on."""

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
    #: METAD's INTERVAL: beyond an end of it, the value is that at the end.
    interval: tuple[float, float] | None = None
    #: (N, D, 2), the first and the last point of each hill's box; see cufes.h.
    boxes: NDArray[np.int32] | None = None

    def compute(
        self,
        options: ComputeOptions,
        values: NDArray[Any],
        gradient: NDArray[Any] | None = None,
        first: int = 0,
    ) -> str:
        """Write the sum for the rows from `first` on that fit the arrays, and return the plan."""
        return self._on_all_devices(options, values, gradient, first, adding=False)

    def add(
        self,
        options: ComputeOptions,
        values: NDArray[Any],
        gradient: NDArray[Any] | None,
        first: int = 0,
    ) -> str:
        """Add the sum for the rows from `first` on to what the arrays hold; return the plan."""
        return self._on_all_devices(options, values, gradient, first, adding=True)

    def _on_all_devices(
        self,
        options: ComputeOptions,
        values: NDArray[Any],
        gradient: NDArray[Any] | None,
        first: int,
        adding: bool,
    ) -> str:
        """Compute some rows of the first axis on each device; return the plans."""

        def compute(device: int, rows: tuple[int, int], progress: Any) -> str:
            part = slice(*rows)
            slopes = None if gradient is None else gradient[:, part]
            alone = ComputeOptions([device], options.path, progress)
            return self._write_or_add(alone, values[part], slopes, first + rows[0], adding)

        return _described_plans(
            options.devices, on_each_device(options.devices, len(values), compute, options.progress)
        )

    def _write_or_add(
        self,
        options: ComputeOptions,
        values: NDArray[Any],
        gradient: NDArray[Any] | None,
        first: int,
        adding: bool,
    ) -> str:
        """Write or add the rows of one device; return the plan."""
        if not adding and (gradient is None or gradient.flags.c_contiguous):
            return self._write(options, values, gradient, first)
        # libcufes writes the planes of a gradient one after the other, which rows of a larger array
        # are not.
        plan, count = "", len(values)
        for start, stop in self._pieces(values, gradient):
            part = values[start:stop]
            room = np.empty_like(part) if adding else part
            slopes = None if gradient is None else np.empty_like(gradient[:, start:stop])
            report = part_of_progress(options.progress, start / count, stop / count)
            plan = self._write(options._replace(progress=report), room, slopes, first + start)
            if adding:
                part += room
            if gradient is not None and slopes is not None:
                if adding:
                    slopes += gradient[:, start:stop]
                gradient[:, start:stop] = slopes
        return plan

    def _write(
        self,
        options: ComputeOptions,
        values: NDArray[Any],
        gradient: NDArray[Any] | None,
        first: int,
    ) -> str:
        lower = self.grid.lower
        if first:
            lower = lower.copy()
            lower[0] += first * self.grid.spacing[0]
        shape = np.array((len(values), *self.grid.shape[1:]), dtype=np.int64)
        _, plan = wrapper(name_of(values.dtype)).sum_grid(
            options.devices[0],
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
            path=options.path,
            multivariate=self.multivariate,
            progress=options.progress,
            boxes=self._boxes_from(first),
        )
        if self.interval is not None:
            self._continue_beyond(self.interval, options, values, gradient, first)
        return str(plan)

    def _boxes_from(self, first: int) -> NDArray[np.int32] | None:
        """Return the boxes, with points along the first axis counted from a row of it."""
        if self.boxes is None or not first:
            return self.boxes
        moved: NDArray[np.int32] = self.boxes.copy()
        moved[:, 0] -= first
        return moved

    def _continue_beyond(
        self,
        interval: tuple[float, float],
        options: ComputeOptions,
        values: NDArray[Any],
        gradient: NDArray[Any] | None,
        start: int,
    ) -> None:
        where = self.grid.axes[0][start : start + len(values)]
        low, high = interval
        for end, beyond in ((low, where < low), (high, where > high)):
            for places, hills in self._points_by_hills(np.flatnonzero(beyond) + start):
                values[places - start] = self._value_at_end(options, end, hills, values.dtype)
        if gradient is not None:
            gradient[:, (where <= low) | (where >= high)] = 0.0

    def _points_by_hills(self, places: NDArray[np.intp]) -> Iterator[tuple[NDArray[np.intp], Any]]:
        """Yield groups of points that lie in the boxes of the same hills, and these hills."""
        if self.boxes is None:
            yield places, slice(None)
            return
        first, last = self.boxes[:, 0].T
        numbers = np.searchsorted(np.unique([first, last + 1]), places, side="right")
        for number in np.unique(numbers):
            points = places[numbers == number]
            yield points, (first <= points[0]) & (points[0] <= last)

    def _value_at_end(
        self, options: ComputeOptions, end: float, hills: Any, real: np.dtype[Any]
    ) -> Any:
        """Return the sum of some of the hills at an end of the interval."""
        heights = self.heights[hills]
        if not len(heights):
            return 0.0
        values = np.empty(1, dtype=real)
        wrapper(name_of(real)).sum_points(
            options.devices[0],
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


def _described_plans(devices: Sequence[int], plans: Sequence[str]) -> str:
    """Return the plan of one device, or the plans of several with the devices' names."""
    if len(plans) == 1:
        return plans[0]
    sharers = {
        plan: [device for device, theirs in zip(devices, plans) if theirs == plan] for plan in plans
    }
    return "; ".join(f"{plan}, on {device_choice.name(those)}" for plan, those in sharers.items())


def output_arrays(
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
    arrays = given_outputs(out, gradient)
    _check_out(arrays[0], grid.shape, real)
    if not gradient:
        return arrays[0], None
    _check_out(arrays[1], (grid.ndim, *grid.shape), real)
    return arrays[0], arrays[1]


# The memory to which sums write at this moment, as its first byte and the one behind its last.
_written: list[tuple[int, int]] = []
_written_lock = threading.Lock()


@contextlib.contextmanager
def only_writer(*arrays: NDArray[Any] | None) -> Iterator[None]:
    """Let no other sum write to these arrays of ``out=`` until the block ends.

    Without the check, two threads that pass the same array would get a mixture of both sums.

    Raises
    ------
    InputError
        If another sum writes to a part of this memory.
    """
    mine = [(a.ctypes.data, a.ctypes.data + a.nbytes) for a in arrays if a is not None]
    with _written_lock:
        if any(low < end and start < high for start, end in mine for low, high in _written):
            raise InputError(
                "out: found an array to which another sum writes at this moment, expected a "
                "separate array for each thread"
            )
        _written.extend(mine)
    try:
        yield
    finally:
        with _written_lock:
            for span in mine:
                _written.remove(span)


def given_outputs(out: Any, gradient: bool) -> tuple[Any, ...]:
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
        raise InputError(
            "out: found an array that is read-only or not C-contiguous, expected one that is "
            "writeable and C-contiguous"
        )
