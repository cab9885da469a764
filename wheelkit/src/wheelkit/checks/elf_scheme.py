"""Machine code is in a scheme for machine code."""

from __future__ import annotations

from collections.abc import Iterator

from wheelkit.target.report import Fault
from wheelkit.wheel.reading import Wheel

TITLE = "scheme of ELF files"
IDS = ("elf-in-purelib",)


def faults(wheel: Wheel) -> Iterator[Fault]:
    """Machine code is in a scheme for machine code."""
    for member in wheel.elves:
        if wheel.scheme_path(member).scheme == "purelib":
            remedy = "build it as a platform wheel: Root-Is-Purelib: false"
            yield Fault("elf-in-purelib", member, "machine code in purelib", "platlib", remedy)
