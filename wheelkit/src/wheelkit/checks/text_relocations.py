"""No library has its code changed while it is loaded."""

from __future__ import annotations

from collections.abc import Iterator

from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.enums import ENUM_DT_FLAGS

from wheelkit.target.report import WARNING, Fault
from wheelkit.wheel.reading import Wheel

TITLE = "text relocations"
IDS = ("text-relocations",)


def faults(wheel: Wheel) -> Iterator[Fault]:
    """No library has its code changed while it is loaded."""
    for member in wheel.elves:
        if _has_text_relocations(wheel, member):
            expected = "no text relocations, which make the code writable and use more memory"
            remedy = "compile everything in it with -fPIC"
            yield Fault(
                "text-relocations",
                member,
                found="DT_TEXTREL",
                expected=expected,
                remedy=remedy,
                severity=WARNING,
            )


def _has_text_relocations(wheel: Wheel, member: str) -> bool:
    with wheel.archive.file(member).open("rb") as stream:
        segments = ELFFile(stream).iter_segments("PT_DYNAMIC")
        tags = [
            tag.entry for s in segments if isinstance(s, DynamicSegment) for tag in s.iter_tags()
        ]
    flags = [tag.d_val for tag in tags if tag.d_tag == "DT_FLAGS"]
    marked = any(value & ENUM_DT_FLAGS["DF_TEXTREL"] for value in flags)
    return marked or any(tag.d_tag == "DT_TEXTREL" for tag in tags)
