"""Every rpath entry is relative to the file itself, and there is one kind of rpath."""

from __future__ import annotations

from collections.abc import Iterator

from wheelkit.base.remedies import REPAIR
from wheelkit.checks import loader
from wheelkit.target.report import FAULT, WARNING, Fault
from wheelkit.wheel.reading import Wheel, is_relative

TITLE = "rpath entries"
IDS = ("rpath-and-runpath", "rpath-empty-entry", "rpath-absolute")

# Every user of a machine may make directories and files below these.
WRITABLE = ("/tmp/", "/var/tmp/", "/dev/shm/")  # noqa: S108 - they are looked for, not used


def faults(wheel: Wheel) -> Iterator[Fault]:
    """Every rpath entry is relative to the file itself, and there is one kind of rpath.

    An entry that leads to a directory where others may write is a fault if the loader looks there
    for anything: whoever plants a library has it loaded.
    """
    for member, file in wheel.elves.items():
        if file.rpath is not None and file.runpath is not None:
            found, expected = "DT_RPATH and DT_RUNPATH", "one of them"
            yield Fault(
                "rpath-and-runpath",
                member,
                found=found,
                expected=expected,
                remedy=REPAIR,
                severity=WARNING,
            )
        used = FAULT if loader.seeks_elsewhere(wheel, member) else WARNING
        for entry in dict.fromkeys((*(file.rpath or ()), *(file.runpath or ()))):
            if not entry:
                found, expected = (
                    "an empty entry",
                    "no empty entry, which means the working directory",
                )
                severity = used if entry in file.search_path else WARNING
                yield Fault(
                    "rpath-empty-entry",
                    member,
                    found=found,
                    expected=expected,
                    remedy=REPAIR,
                    severity=severity,
                )
            elif not is_relative(entry):
                open_to_all = not entry.startswith(("/", "$")) or entry.startswith(WRITABLE)
                severity = used if open_to_all and entry in file.search_path else WARNING
                yield Fault(
                    "rpath-absolute",
                    member,
                    found=entry,
                    expected="$ORIGIN/…",
                    remedy=REPAIR,
                    severity=severity,
                )
