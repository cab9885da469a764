"""One sum on several devices: each computes some of the rows, in a thread of its own.

Each row is computed by one device, so the numbers do not depend on how many devices there are.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Optional

    Progress = Optional[Callable[[float], object]]
    Rows = tuple[int, int]

T = TypeVar("T")

# The time between two calls of `progress`, in seconds.
_PERIOD = 0.05


class _StoppedError(Exception):
    """Ends the part of a device, because another device failed or the caller stopped the sum."""


def on_each_device(
    devices: Sequence[int],
    rows: int,
    compute: Callable[[int, Rows, Progress], T],
    progress: Progress = None,
) -> list[T]:
    """Return what `compute` returns for the rows of each device, in the order of the rows.

    Parameters
    ----------
    devices : sequence of int
        The devices; the first ones, if there are more than rows.
    rows : int
        How many rows there are.
    compute : callable
        Called with a device, the first row and the one after the last, and a function that is to
        be called from time to time with the part done; what that raises must end the call.
    progress : callable, optional
        Called from this thread with the part of the whole that is done; what it raises stops the
        sum.

    Raises
    ------
    Exception
        The first that `compute` or `progress` raises, once all devices have stopped.
    """
    count = max(1, min(len(devices), rows))
    ends = [rows * part // count for part in range(count + 1)]
    parts = list(zip(devices, zip(ends, ends[1:])))
    if count == 1:
        return [compute(*parts[0], progress)]
    return _in_threads(parts, compute, progress)


def _in_threads(
    parts: Sequence[tuple[int, Rows]],
    compute: Callable[[int, Rows, Progress], T],
    progress: Progress,
) -> list[T]:
    # Imported here, because it is seldom needed and its import takes time.
    from concurrent.futures import ThreadPoolExecutor

    done = [0.0] * len(parts)
    stopped = threading.Event()

    def run(number: int) -> T:
        def watch(part: float) -> None:
            done[number] = part
            if stopped.is_set():
                raise _StoppedError

        return compute(*parts[number], watch)

    with ThreadPoolExecutor(len(parts)) as threads:
        try:
            running = [threads.submit(run, number) for number in range(len(parts))]
            _await(running, done, progress)
        except BaseException:
            stopped.set()
            raise
    return [part.result() for part in running]


def _await(running: Sequence[Any], done: Sequence[float], progress: Progress) -> None:
    """Wait for all parts, or for the first failure, which is raised."""
    from concurrent.futures import FIRST_EXCEPTION, wait

    pending = True
    while pending:
        pending = bool(wait(running, _PERIOD, FIRST_EXCEPTION).not_done)
        for part in running:
            if part.done():
                part.result()
        if progress is not None:
            progress(sum(done) / len(done))
