"""No library that must be single is there in two versions."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from wheelkit.target.report import WARNING, Fault
from wheelkit.wheel import platforms
from wheelkit.wheel.elf import Elf
from wheelkit.wheel.reading import Wheel

TITLE = "one CUDA runtime, one libgomp"
IDS = ("graft-twice",)

# Two of these in one process do not share their state: device contexts, thread pools.
SINGLETONS = ("libcudart", "libgomp")


def faults(wheel: Wheel) -> Iterator[Fault]:
    """No library that must be single is there in two versions."""
    for stem in SINGLETONS:
        have = {posixpath.basename(m): m for m, f in wheel.elves.items() if _is(stem, m, f)}
        if len(have) > 1:
            found, expected = ", ".join(sorted(have)), f"one version of {stem}"
            remedy = "link every library of the wheel with the same version"
            yield Fault(
                "graft-twice",
                min(have.values()),
                found=found,
                expected=expected,
                remedy=remedy,
                severity=WARNING,
            )


def _is(stem: str, member: str, file: Elf) -> bool:
    return stem in {platforms.stem(name) for name in _names(member, file)}


def _names(member: str, file: Elf) -> set[str]:
    return {name for name in (posixpath.basename(member), file.soname) if name}
