"""What auditwheel need not see, because it would hold each file in memory three times.

It gets a copy of the wheel without the large files that are no ELF files, and with large ELF files
folded. Both come back into what it has made of it.
"""

from __future__ import annotations

import csv
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wheelkit.repair import folding
from wheelkit.repair.folding import Hole
from wheelkit.wheel.reading import Wheel, reread

# The size from which a file is left out, in bytes.
LARGE = 1 << 25


@dataclass(frozen=True)
class Large:
    """The large members of a wheel: those to leave out, and what to leave out of ELF files."""

    left_out: tuple[str, ...]
    folded: Mapping[str, tuple[Hole, ...]]

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.left_out or self.folded)


def of_wheel(wheel: Wheel, *, whole_elves: bool) -> Large:
    """Return the large members of a wheel; `whole_elves` leaves ELF files as they are."""
    own = f"{wheel.archive.dist_info}/"
    left_out = tuple(
        member
        for member in wheel.archive.members
        if member not in wheel.elves
        and not member.startswith(own)
        and wheel.archive.file(member).stat().st_size >= LARGE
    )
    elves = () if whole_elves else wheel.elves
    holes = {member: folding.holes(wheel.archive.file(member)) for member in elves}
    return Large(left_out, {member: some for member, some in holes.items() if some})


def without(wheel: Wheel, large: Large, folder: Path) -> Path:
    """Write a copy of a wheel without its large members, neither in the archive nor in RECORD."""
    folder.mkdir()
    path = folder / wheel.archive.path.name
    record = f"{wheel.archive.dist_info}/RECORD"
    with zipfile.ZipFile(path, "w") as copy:
        for member in wheel.archive.members:
            if member in large.folded:
                small = folder / "folded"
                folding.fold(wheel.archive.file(member), small, large.folded[member])
                copy.write(small, member)
            elif member not in (*large.left_out, record):
                copy.write(wheel.archive.file(member), member)
        with wheel.archive.file(record).open(encoding="utf-8", newline="") as stream:
            rows = [row for row in csv.reader(stream) if row and row[0] not in large.left_out]
        with zipfile.Path(copy, record).open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream, lineterminator="\n").writerows(rows)
    return path


def bring_back(large: Large, given: Wheel, made: Wheel) -> Wheel:
    """Return a wheel with the large members of another, of which it was made without them."""
    for member in large.left_out:
        target = made.archive.file(member)
        target.parent.mkdir(parents=True, exist_ok=True)
        # The same file: a repair changes none but ELF files.
        os.link(given.archive.file(member), target)
    for member, holes in large.folded.items():
        folding.unfold(made.archive.file(member), given.archive.file(member), holes)
    return reread(made.archive, made.identity, made.excluded, made.companions)
