"""Requires-Python is there, and admits an interpreter that the tags admit."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.metadata import parse_email
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from wheelkit.target.report import Fault
from wheelkit.wheel.reading import Wheel

TITLE = "Requires-Python"
IDS = ("requires-python",)


def faults(wheel: Wheel) -> Iterator[Fault]:
    """Requires-Python is there, and admits an interpreter that the tags admit."""
    file = f"{wheel.archive.dist_info}/METADATA"
    raw, _ = parse_email(wheel.archive.metadata("METADATA").read_bytes())
    stated = raw.get("requires_python")
    remedy = "state requires-python in pyproject.toml, and build for interpreters within it"
    if stated is None:
        expected = "Requires-Python: installers choose old releases for old interpreters by it"
        yield Fault("requires-python", file, "none", expected, remedy)
        return
    try:
        wanted = SpecifierSet(stated)
    except InvalidSpecifier:
        return  # valid() has said so
    pythons = [python.rstrip("t") for python in wheel.identity.pythons]
    # A specifier admits releases and no series: 3.10.50 is taken for any release of 3.10.
    if not any(wanted.contains(f"{python}.50") for python in pythons if python[0].isdigit()):
        expected = f"a range that has {', '.join(pythons)}, as the tags"
        yield Fault("requires-python", file, stated, expected, remedy)
