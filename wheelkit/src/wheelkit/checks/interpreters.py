"""The interpreters that install a wheel."""

from __future__ import annotations

from packaging.metadata import parse_email
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from wheelkit.wheel.reading import Wheel


def requires_python(wheel: Wheel) -> SpecifierSet | None:
    """Return what Requires-Python says; None if it says nothing, or nothing valid."""
    raw, _ = parse_email(wheel.archive.metadata("METADATA").read_bytes())
    try:
        return SpecifierSet(raw["requires_python"]) if "requires_python" in raw else None
    except InvalidSpecifier:
        return None


def within(wanted: SpecifierSet, python: str) -> bool:
    """Whether a version such as ``3.13t`` is in a range.

    A specifier admits releases and no series: 3.10.50 is taken for any release of 3.10.
    """
    return wanted.contains(f"{python.removeprefix('pypy').removesuffix('t')}.50")


def admitted(wheel: Wheel) -> tuple[str, ...]:
    """Return the versions of Python that both the tags and Requires-Python admit."""
    wanted = requires_python(wheel)
    pythons = wheel.identity.pythons
    return tuple(python for python in pythons if wanted is None or within(wanted, python))
