"""Every rpath entry is relative to the file itself, and there is one kind of rpath."""

from __future__ import annotations

from collections.abc import Iterator

from wheelkit.base.remedies import REPAIR
from wheelkit.target.report import Fault
from wheelkit.wheel.reading import Wheel, resolve

TITLE = "rpath entries"
IDS = ("rpath-and-runpath", "rpath-empty-entry", "rpath-absolute")


def faults(wheel: Wheel) -> Iterator[Fault]:
    """Every rpath entry is relative to the file itself, and there is one kind of rpath."""
    for member, file in wheel.elves.items():
        if file.rpath is not None and file.runpath is not None:
            found, expected = "DT_RPATH and DT_RUNPATH", "one of them"
            yield Fault("rpath-and-runpath", member, found, expected, REPAIR)
        for entry in (*(file.rpath or ()), *(file.runpath or ())):
            if not entry:
                expected = "no empty entry: it means the working directory"
                yield Fault("rpath-empty-entry", member, "an empty entry", expected, REPAIR)
            elif resolve(entry, "") is None:
                yield Fault("rpath-absolute", member, entry, "$ORIGIN/…", REPAIR)
