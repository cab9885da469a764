"""The package index accepts METADATA and renders its description."""

from __future__ import annotations

import re
from collections.abc import Iterator

from wheelkit.base.programs import last_words
from wheelkit.checks import other_tools
from wheelkit.target.report import WARNING, Fault, LackingError
from wheelkit.wheel.reading import Wheel

TITLE = "twine check"
IDS = ("twine-check",)

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def faults(wheel: Wheel) -> Iterator[Fault]:
    """Have ``twine check`` tell whether the package index accepts METADATA and renders it."""
    answer = other_tools.run("twine", "twine", "check", wheel=wheel)
    if answer.returncode == 0:
        return
    # Every message begins with its level, after "Checking WHEEL:" or on a line of its own.
    text = _COLOUR.sub("", answer.stdout)
    _, error, message = " ".join(text.split()).partition("ERROR ")
    if not error:
        raise LackingError(f"twine check failed: {last_words(answer)}")
    file = f"{wheel.archive.dist_info}/METADATA"
    remedy = "correct the readme file that pyproject.toml names, or this field"
    yield Fault(
        "twine-check",
        file,
        found=message,
        expected="twine check passes",
        remedy=remedy,
        severity=WARNING,
    )
