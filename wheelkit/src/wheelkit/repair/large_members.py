"""Members that auditwheel need not see, because it would hold each of them in memory whole.

Only ELF files matter to it. It gets a copy of the wheel without the large other files, which come
back into what it has made of it.
"""

from __future__ import annotations

import csv
import os
import zipfile
from pathlib import Path

from wheelkit.wheel.reading import Wheel, reread

# auditwheel takes about three times the size of the largest member that it sees, in bytes.
LARGE = 1 << 25


def of_wheel(wheel: Wheel) -> tuple[str, ...]:
    """Return the large members that are no ELF files."""
    own = f"{wheel.archive.dist_info}/"
    return tuple(
        member
        for member in wheel.archive.members
        if member not in wheel.elves
        and not member.startswith(own)
        and wheel.archive.file(member).stat().st_size >= LARGE
    )


def without(wheel: Wheel, left_out: tuple[str, ...], folder: Path) -> Path:
    """Write a copy of a wheel without some members, neither in the archive nor in RECORD."""
    folder.mkdir()
    path = folder / wheel.archive.path.name
    record = f"{wheel.archive.dist_info}/RECORD"
    with zipfile.ZipFile(path, "w") as copy:
        for member in wheel.archive.members:
            if member not in (*left_out, record):
                copy.write(wheel.archive.file(member), member)
        with wheel.archive.file(record).open(encoding="utf-8", newline="") as stream:
            rows = [row for row in csv.reader(stream) if row and row[0] not in left_out]
        with zipfile.Path(copy, record).open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream, lineterminator="\n").writerows(rows)
    return path


def bring_back(members: tuple[str, ...], given: Wheel, made: Wheel) -> Wheel:
    """Return a wheel with the members of another, of which it was made without them."""
    for member in members:
        target = made.archive.file(member)
        target.parent.mkdir(parents=True, exist_ok=True)
        # The same file: a repair changes none but ELF files.
        os.link(given.archive.file(member), target)
    return reread(made.archive, made.identity, made.excluded, made.companions)
