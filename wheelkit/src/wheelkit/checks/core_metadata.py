"""METADATA as the package index and installers read it."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.errors import ExceptionGroup
from packaging.metadata import InvalidMetadata, Metadata, parse_email
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from wheelkit.base.remedies import REBUILD
from wheelkit.target.report import Fault
from wheelkit.wheel.reading import Subject


def valid(subject: Subject) -> Iterator[Fault]:
    """METADATA follows its specification."""
    file = f"{subject.wheel.dist_info}/METADATA"
    try:
        Metadata.from_email(subject.wheel.metadata("METADATA").read_bytes())
    except ExceptionGroup as group:
        for error in group.exceptions:
            field = error.field if isinstance(error, InvalidMetadata) else "a field"
            expected = f"a {field} by the core metadata specification"
            yield Fault("metadata-invalid", file, str(error), expected, REBUILD)


def requires_python(subject: Subject) -> Iterator[Fault]:
    """Requires-Python is there, and admits an interpreter that the tags admit."""
    file = f"{subject.wheel.dist_info}/METADATA"
    raw, _ = parse_email(subject.wheel.metadata("METADATA").read_bytes())
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
    pythons = [python.rstrip("t") for python in subject.identity.pythons]
    # A release in the midst of the series stands for all of it.
    if not any(wanted.contains(f"{python}.50") for python in pythons if python[0].isdigit()):
        expected = f"a range that has {', '.join(pythons)}, as the tags"
        yield Fault("requires-python", file, stated, expected, remedy)
