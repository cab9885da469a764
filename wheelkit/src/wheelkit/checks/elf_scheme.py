"""Machine code is in a scheme for machine code.

It is found in purelib too; but there, auditwheel refuses to repair the wheel.
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelkit.target.report import WARNING, Fault
from wheelkit.wheel.reading import Wheel

TITLE = "scheme of ELF files"
IDS = ("elf-in-purelib",)


def faults(wheel: Wheel) -> Iterator[Fault]:
    """Machine code is in a scheme for machine code."""
    for member in wheel.elves:
        if wheel.scheme_path(member).scheme == "purelib":
            remedy = "build it as a platform wheel: Root-Is-Purelib: false"
            found, expected = "machine code in purelib", "platlib"
            yield Fault(
                "elf-in-purelib",
                member,
                found=found,
                expected=expected,
                remedy=remedy,
                severity=WARNING,
            )
