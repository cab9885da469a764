"""Writing the summary of a job of GitHub Actions, and the outputs of a step.

Elsewhere, where the variables that name those files are not set, nothing is written.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path


def set_output(name: str, value: str) -> None:
    """Set an output of the step; one line, because a line break would begin another output."""
    if "\n" in value or "\r" in value:
        raise ValueError(f"output {name} has more than one line: {value!r}")
    _append("GITHUB_OUTPUT", f"{name}={value}")


def add_summary(markdown: str) -> None:
    """Append Markdown to the summary of the job."""
    _append("GITHUB_STEP_SUMMARY", markdown)


def _append(variable: str, text: str) -> None:
    if path := os.environ.get(variable):
        with Path(path).open("a", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text + "\n")


@contextlib.contextmanager
def commands_stopped() -> Iterator[None]:
    """Let GitHub's runner take nothing for a command that other programs print meanwhile.

    A program that is tested may print what it likes. It cannot guess the token that ends this.
    """
    if not os.environ.get("GITHUB_ACTIONS"):
        yield
        return
    token = secrets.token_hex(16)
    print(f"::stop-commands::{token}", flush=True)
    try:
        yield
    finally:
        print(f"::{token}::", flush=True)
