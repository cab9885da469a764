"""Saying on a terminal what is being done: one line, which is gone at the end."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Iterator

CLEAR = "\r\x1b[K"


def show(message: str) -> None:
    """Replace the line; nothing at all where standard error is no terminal."""
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns - 1
        print(f"{CLEAR}{message[:width]}", end="", file=sys.stderr, flush=True)


@contextlib.contextmanager
def line() -> Iterator[None]:
    """Clear the line at the end, whatever happens."""
    try:
        yield
    finally:
        show("")
