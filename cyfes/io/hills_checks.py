"""Checks of hills while they are read: what looks like a mistake of the run or of its files.

Each kind is told once for each file, with the line and the time of the first place. The rows are
looked at once, and no more than a few numbers are kept of them.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from cyfes.errors import CyfesWarning

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

#: A height is told if it is larger than any before by this factor.
HEIGHT_FACTOR = 10.0

#: A time between two hills is told if it is longer than the usual one by this factor.
GAP_FACTOR = 5.0

#: A width is told if it differs from the usual one by this factor.
WIDTH_FACTOR = 10.0


class HillsFileCheck:
    """Looks at the rows of one HILLS file, and warns at its end.

    Parameters
    ----------
    path : Path
        The file, for the messages.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        #: How many places of each kind were found, and what the first one is.
        self._found: dict[str, tuple[int, str]] = {}
        self._last_time = np.nan
        self._usual_step = np.nan
        self._usual_widths: NDArray[np.float64] | None = None
        self._largest = 0.0
        #: How many hills there are of the time now, and of each time before; None if it differs.
        self._at_this_time = 0
        self._per_time: int | None = 0
        self._first_repeat: tuple[int, float] | None = None

    def look(
        self,
        times: NDArray[np.float64],
        widths: NDArray[np.float64],
        heights: NDArray[np.float64],
        line_of: Callable[[int], int],
    ) -> None:
        """Look at some rows.

        Parameters
        ----------
        times, heights : ndarray of float64, shape (N,)
            The times, nan where the file does not say, and the heights.
        widths : ndarray of float64, shape (N, D)
            The widths, all above zero.
        line_of : callable
            Returns the number of the line of a row.
        """
        if not np.isnan(times).any():
            self._look_at_times(times, line_of)
        self._look_at_heights(times, np.abs(heights), line_of)
        self._look_at_widths(times, widths, line_of)

    def warn(self) -> None:
        """Warn of what was found, at the end of the file."""
        if self._first_repeat is not None and self._per_time is None:
            line, time = self._first_repeat
            self._found["repeat"] = (
                1,
                f"{line}: time {time:g}: found more than one hill of this time; it may count twice",
            )
        for count, message in self._found.values():
            more = f" (and {count - 1} more such places)" if count > 1 else ""
            warnings.warn(CyfesWarning(f"{self._path}:{message}{more}"), stacklevel=2)

    def _note(self, kind: str, rows: NDArray[np.intp], message: Callable[[int], str]) -> None:
        if len(rows):
            count, first = self._found.get(kind, (0, ""))
            self._found[kind] = (count + len(rows), first or message(int(rows[0])))

    def _look_at_times(self, times: NDArray[np.float64], line_of: Callable[[int], int]) -> None:
        before = np.concatenate([[self._last_time], times[:-1]])
        steps = times - before
        rising = steps[steps > 0.0]
        if np.isnan(self._usual_step) and len(rising):
            self._usual_step = float(np.median(rising))
        self._note(
            "fall",
            np.flatnonzero(steps < 0.0),
            lambda row: (
                f"{line_of(row)}: time {times[row]:g}: found a time that falls, from "
                f"{before[row]:g}; if a restarted run wrote hills again, they count twice"
            ),
        )
        self._note(
            "gap",
            np.flatnonzero(steps > GAP_FACTOR * self._usual_step),
            lambda row: (
                f"{line_of(row)}: time {times[row]:g}: found no hills since time "
                f"{before[row]:g}, but usually one every {self._usual_step:g}; some may be missing"
            ),
        )
        self._count_repeats(times, steps, line_of)
        self._last_time = float(times[-1])

    def _count_repeats(
        self,
        times: NDArray[np.float64],
        steps: NDArray[np.float64],
        line_of: Callable[[int], int],
    ) -> None:
        """Look whether all times have equally many hills, as those of walkers in one file have."""
        repeats = np.flatnonzero(steps == 0.0)
        if len(repeats) and self._first_repeat is None:
            row = int(repeats[0])
            self._first_repeat = (line_of(row), float(times[row]))
        starts = np.flatnonzero(steps != 0.0)
        if not len(starts):
            self._at_this_time += len(times)
            return
        # The last group may go on in the next rows.
        groups = np.diff(starts)
        if self._at_this_time:
            groups = np.concatenate([[self._at_this_time + starts[0]], groups])
        for size in np.unique(groups).tolist():
            if self._per_time == 0:
                self._per_time = int(size)
            elif size != self._per_time:
                self._per_time = None
        self._at_this_time = int(len(times) - starts[-1])

    def _look_at_heights(
        self,
        times: NDArray[np.float64],
        heights: NDArray[np.float64],
        line_of: Callable[[int], int],
    ) -> None:
        largest = np.maximum.accumulate(np.concatenate([[self._largest], heights]))
        before = largest[:-1]
        self._note(
            "height",
            np.flatnonzero((before > 0.0) & (heights > HEIGHT_FACTOR * before)),
            lambda row: (
                f"{line_of(row)}: time {times[row]:g}: found the height {heights[row]:g}, but at "
                f"most {before[row]:g} before"
            ),
        )
        self._largest = float(largest[-1])

    def _look_at_widths(
        self,
        times: NDArray[np.float64],
        widths: NDArray[np.float64],
        line_of: Callable[[int], int],
    ) -> None:
        if self._usual_widths is None:
            self._usual_widths = np.median(widths, axis=0)
        usual = self._usual_widths
        odd = (widths > WIDTH_FACTOR * usual) | (widths * WIDTH_FACTOR < usual)
        if odd.any():
            self._note(
                "width",
                np.flatnonzero(odd.any(axis=1)),
                lambda row: (
                    f"{line_of(row)}: time {times[row]:g}: found the width "
                    f"{widths[row][odd[row]][0]:g}, but usually {usual[odd[row]][0]:g}"
                ),
            )
