"""Say what is being done: on a terminal one line, gone at the end; in a log a line now and then."""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from collections.abc import Iterator

from wheelkit.target.report import plain, say

CLEAR = "\r\x1b[K"
# The seconds that a log is left in silence.
SILENCE = 8.0

_spoken = time.monotonic()


def show(message: str) -> None:
    """Replace the line; where standard error is no terminal, add a line if it is time for one."""
    global _spoken  # noqa: PLW0603 - there is one standard error
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns - 1
        print(f"{CLEAR}{plain(message)[:width]}", end="", file=sys.stderr, flush=True)
    elif message and time.monotonic() - _spoken > SILENCE:
        _spoken = time.monotonic()
        say(message, error=True)


@contextlib.contextmanager
def line() -> Iterator[None]:
    """Clear the line at the end, whatever happens."""
    try:
        yield
    finally:
        show("")
