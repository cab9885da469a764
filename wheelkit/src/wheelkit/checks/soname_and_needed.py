"""SONAME and NEEDED are file names; a path in them is one of the build machine."""

from __future__ import annotations

from collections.abc import Iterator

from wheelkit.target.report import FAULT, WARNING, Fault
from wheelkit.wheel.reading import Wheel

TITLE = "SONAME and NEEDED"
IDS = ("path-as-name",)


def faults(wheel: Wheel) -> Iterator[Fault]:
    """SONAME and NEEDED are file names; a path in them is one of the build machine."""
    for member, file in wheel.elves.items():
        for name in (*file.needed, file.soname or ""):
            if "/" in name:
                # What others are linked with has its SONAME for a NEEDED; by itself it is harmless.
                kind, severity = ("SONAME", WARNING) if name == file.soname else ("NEEDED", FAULT)
                remedy = "link with -L and -l, and give the other library a SONAME"
                expected = "a file name; with a path, the loader looks only at this path"
                found = f"{kind} {name}"
                yield Fault(
                    "path-as-name",
                    member,
                    found=found,
                    expected=expected,
                    remedy=remedy,
                    severity=severity,
                )
