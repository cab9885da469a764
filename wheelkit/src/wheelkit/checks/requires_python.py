"""Requires-Python is there, and admits an interpreter that the tags admit."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.metadata import parse_email

from wheelkit.checks import interpreters
from wheelkit.target.report import WARNING, Fault
from wheelkit.wheel.reading import Wheel

TITLE = "Requires-Python"
IDS = ("requires-python",)


def faults(wheel: Wheel) -> Iterator[Fault]:
    """Requires-Python is there, and admits an interpreter that the tags admit."""
    file = f"{wheel.archive.dist_info}/METADATA"
    raw, _ = parse_email(wheel.archive.metadata("METADATA").read_bytes())
    stated = raw.get("requires_python")
    remedy = "write requires-python in pyproject.toml, and build for interpreters within this range"
    if stated is None:
        expected = "Requires-Python, which tells installers which release is for which Python"
        yield Fault(
            "requires-python",
            file,
            found="none",
            expected=expected,
            remedy=remedy,
            severity=WARNING,
        )
        return
    wanted = interpreters.requires_python(wheel)
    pythons = wheel.identity.pythons
    # That it is invalid is another finding.
    if wanted is not None and not any(interpreters.within(wanted, python) for python in pythons):
        expected = f"a range that contains {', '.join(pythons)}, as the tags say"
        yield Fault("requires-python", file, found=stated, expected=expected, remedy=remedy)
