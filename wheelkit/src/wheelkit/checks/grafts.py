"""Libraries from elsewhere that a wheel brings along."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from wheelkit.target.report import Fault
from wheelkit.wheel import platforms
from wheelkit.wheel.elf import Elf
from wheelkit.wheel.grafts import is_graft
from wheelkit.wheel.reading import Subject
from wheelkit.wheel.settings import Settings

# Two of these in one process do not share their state: device contexts, thread pools.
SINGLETONS = ("libcudart", "libgomp")


def driver(subject: Subject) -> Iterator[Fault]:
    """No part of the driver is in the wheel, nor a stub of one."""
    for member, file in subject.elves.items():
        stems = {platforms.stem(name) for name in _names(member, file)}
        if stems & set(platforms.DRIVER_STEMS):
            remedy = "repair with --exclude for it; never link a stub by its path"
            expected = "not in a wheel: it is part of the NVIDIA driver"
            found = f"a driver library or its stub, SONAME {file.soname}"
            yield Fault("driver-library-grafted", member, found, expected, remedy)


def singletons(subject: Subject) -> Iterator[Fault]:
    """No library that must be single is there in two versions."""
    for stem in SINGLETONS:
        have = {posixpath.basename(m): m for m, f in subject.elves.items() if _is(stem, m, f)}
        if len(have) > 1:
            found, expected = ", ".join(sorted(have)), f"one version of {stem}"
            remedy = "link every library of the wheel against the same one"
            yield Fault("graft-twice", min(have.values()), found, expected, remedy)


def declared(subject: Subject, settings: Settings) -> Iterator[Fault]:
    """Check that the grafts are those that the project declares."""
    if settings.grafts is None:
        return
    grafts = {m: platforms.stem(posixpath.basename(m)) for m in subject.elves if is_graft(m)}
    expected = ", ".join(settings.grafts) or "none"
    for member, stem in grafts.items():
        if stem not in settings.grafts:
            remedy = "see which library needs it; declare it, exclude it, or link without it"
            yield Fault("graft-unexpected", member, f"a graft, {stem}", expected, remedy)
    for stem in settings.grafts:
        if stem not in grafts.values():
            found = f"no {stem} among {', '.join(sorted(set(grafts.values()))) or 'no grafts'}"
            remedy = "see whether it was linked statically or excluded; repair or declare anew"
            yield Fault("graft-missing", subject.wheel.path.name, found, expected, remedy)


def _names(member: str, file: Elf) -> set[str]:
    return {posixpath.basename(member), file.soname or ""}


def _is(stem: str, member: str, file: Elf) -> bool:
    return stem in {platforms.stem(name) for name in _names(member, file)}
