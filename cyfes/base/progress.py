"""The progress of a long computation: a bar on a terminal, and parts of a whole."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from cyfes.base.optional_packages import need

if TYPE_CHECKING:
    from collections.abc import Callable

# A computation that takes less, in seconds, shows no bar.
_DELAY = 1.0

_LAYOUT = "cyfes: {desc} {percentage:3.0f} %|{bar}| {elapsed} elapsed, {remaining} to go"


class Progress:
    """A bar on standard error, by tqdm; to be used in a with statement.

    Parameters
    ----------
    when : {"auto", "always", "never"}
        "auto": on a terminal, after a second, and if tqdm is installed.
    what : str
        What is computed, for the text beside the bar.

    Raises
    ------
    MissingDependencyError
        If a bar is always wanted and tqdm is not installed.
    """

    def __init__(self, when: str, what: str) -> None:
        self._bar: Any = None
        if when == "never" or (when == "auto" and not sys.stderr.isatty()):
            return
        try:
            tqdm = need("tqdm", "a progress bar").tqdm
        except ImportError:
            if when == "always":
                raise
            return
        delay = 0.0 if when == "always" else _DELAY
        self._bar = tqdm(
            total=1.0, desc=what, delay=delay, bar_format=_LAYOUT, leave=False, file=sys.stderr
        )

    def __enter__(self) -> Progress:
        """Return the bar."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()

    def report(self, done: float) -> None:
        """Show the part that is done, 0 to 1; a smaller part than before changes nothing."""
        if self._bar is not None and done > self._bar.n:
            self._bar.update(done - self._bar.n)

    def part(self, start: float, end: float) -> Callable[[float], object] | None:
        """Return a function that takes how much of one part is done; None without a bar.

        Parameters
        ----------
        start, end : float
            Where the part begins and ends in the whole, 0 to 1.
        """
        return None if self._bar is None else part_of_progress(self.report, start, end)


def part_of_progress(
    progress: Callable[[float], object] | None, start: float, end: float
) -> Callable[[float], object] | None:
    """Return a function that takes how much of one part is done, and reports it for the whole.

    Parameters
    ----------
    progress : callable or None
        Takes how much of the whole is done, 0 to 1; None if nobody asks for it.
    start, end : float
        Where the part begins and ends in the whole, 0 to 1.

    Returns
    -------
    callable or None
        Takes how much of the part is done, 0 to 1; None if `progress` is.
    """
    if progress is None:
        return None
    return lambda done: progress(start + (end - start) * done)
