"""Every file that claims to be an ELF file can be read as one."""

from __future__ import annotations

from collections.abc import Iterator

from wheelkit.target.report import Fault
from wheelkit.wheel.reading import Wheel

TITLE = "ELF files"
IDS = ("elf-unreadable",)


def faults(wheel: Wheel) -> Iterator[Fault]:
    """Every file that claims to be an ELF file can be read as one."""
    yield from wheel.unreadable
