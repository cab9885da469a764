"""How far a long computation is, on a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from cyfes.base.optional_packages import need

if TYPE_CHECKING:
    from collections.abc import Callable

# Nobody looks at a bar for less.
_DELAY = 1.0

_LAYOUT = "cyfes: {desc} {percentage:3.0f} %|{bar}| {elapsed} elapsed, {remaining} to go"


class Progress:
    """A bar on standard error, by tqdm; to be used in a with statement.

    Parameters
    ----------
    when : {"auto", "always", "never"}
        "auto": on a terminal, after a second, and if tqdm is installed.
    what : str
        What is done.

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
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()

    def report(self, done: float) -> None:
        """Show the part that is done, 0 to 1; what goes back is not shown."""
        if self._bar is not None and done > self._bar.n:
            self._bar.update(done - self._bar.n)

    def within(self, start: float, end: float) -> Callable[[float], None] | None:
        """Return a function that reports the part done of what lies between two parts."""
        if self._bar is None:
            return None
        return lambda part: self.report(start + (end - start) * part)
