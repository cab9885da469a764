"""METADATA follows its specification, as the package index and installers read it."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.errors import ExceptionGroup
from packaging.metadata import InvalidMetadata, Metadata

from wheelkit.base.remedies import REBUILD
from wheelkit.target.report import FAULT, WARNING, Fault
from wheelkit.wheel.reading import Wheel

TITLE = "METADATA"
IDS = ("metadata-invalid",)

# Installers refuse a wheel in which one of these is invalid; the index alone reads the others.
READ_BY_INSTALLERS = frozenset(
    {"metadata-version", "name", "version", "requires-dist", "requires-python", "provides-extra"}
)


def faults(wheel: Wheel) -> Iterator[Fault]:
    """METADATA follows its specification."""
    file = f"{wheel.archive.dist_info}/METADATA"
    try:
        Metadata.from_email(wheel.archive.metadata("METADATA").read_bytes())
    except ExceptionGroup as group:
        for error in group.exceptions:
            field = error.field if isinstance(error, InvalidMetadata) else "a field"
            expected = f"a {field} that follows the core metadata specification"
            severity = FAULT if field in READ_BY_INSTALLERS else WARNING
            yield Fault(
                "metadata-invalid",
                file,
                found=str(error),
                expected=expected,
                remedy=REBUILD,
                severity=severity,
            )
