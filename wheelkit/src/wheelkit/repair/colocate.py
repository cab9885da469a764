"""Co-location: putting what a displaced library needs beside it.

auditwheel writes rpaths for places inside the archive. They hold after installation only within
one install scheme. So a library of another scheme gets its own copies of its grafts, in
``.NAME.libs`` beside it: that way is the same in every install layout.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import replace

from wheelkit.repair.options import RepairedWheel
from wheelkit.repair.plan import (
    Plan,
    changed,
    crossing,
    entries,
    far,
    grafts,
    nearest,
)
from wheelkit.wheel import platforms
from wheelkit.wheel.grafts import DIRECTORY, beside, is_graft
from wheelkit.wheel.reading import Wheel


def plan(repaired: RepairedWheel) -> Plan:
    """Work out where each graft goes and every rpath that follows from it."""
    across = _across(repaired.wheel) if repaired.options.copy_across else {}
    elves = repaired.wheel.elves | {new: repaired.wheel.elves[old] for new, old in across.items()}
    wheel = replace(repaired.wheel, elves=elves)
    repaired = replace(repaired, wheel=wheel)
    grafted = grafts(wheel)
    copies = dict(_copies(wheel, grafted))
    removals = _removals(wheel, grafted, set(copies.values()))
    after = wheel.elves | {new: wheel.elves[graft] for new, graft in copies.items()}
    after = {member: file for member, file in after.items() if member not in removals}
    rpaths = {member: tuple(entries(repaired, member, after)) for member in after}
    faults = (crossing(m, *needed) for m in after for needed in far(wheel, m, after))
    return Plan(across | copies, changed(rpaths, after), removals, tuple(faults))


def _across(wheel: Wheel) -> dict[str, str]:
    """Return copies of the libraries that are needed in another scheme than the one they are in.

    Those that site-packages needs go into NAME.libs, those of a program or of a displaced library
    beside it. A process loads one library of a SONAME, so that two files of it do no harm.
    """
    grafted = grafts(wheel)
    copies: dict[str, str] = {}
    elves = dict(wheel.elves)
    queue = list(elves)
    while queue:
        member = queue.pop()
        for name, place in far(wheel, member, elves):
            displaced = wheel.scheme_path(member).displaced
            # What a displaced library needs of the grafts is copied in any case.
            if displaced and name in grafted:
                continue
            spelling = wheel.identity.spelling
            folder = beside(member, spelling) if displaced else f"{spelling}{DIRECTORY}"
            new = posixpath.join(folder, name)
            copies[new] = place
            elves[new] = elves[place]
            queue.append(new)
    return copies


def colocated(wheel: Wheel) -> tuple[str, ...]:
    """Return the grafts that lie beside a displaced library: what this strategy leaves."""
    return tuple(
        member
        for member in sorted(wheel.elves)
        if wheel.scheme_path(member).displaced
        and is_graft(member)
        and _has_hash(posixpath.basename(member))
    )


def _has_hash(name: str) -> bool:
    """Whether the file name is one that auditwheel gave: libgomp-a34b3233.so.1.0.0."""
    return not name.startswith(f"{platforms.stem(name)}.so")


def _copies(wheel: Wheel, grafted: dict[str, str]) -> Iterator[tuple[str, str]]:
    for member, file in wheel.elves.items():
        if wheel.scheme_path(member).displaced:
            missing = (n for n in file.needed if not nearest(wheel, member, n, wheel.elves))
            for name in _reached(wheel, grafted, missing):
                yield posixpath.join(beside(member, wheel.identity.spelling), name), grafted[name]


def _reached(wheel: Wheel, grafted: dict[str, str], needed: Iterable[str]) -> list[str]:
    """Return the names of the grafts among `needed` and among all that those need in turn."""
    queue = [name for name in needed if name in grafted]
    reached: dict[str, None] = {}
    while queue:
        name = queue.pop(0)
        if name not in reached:
            reached[name] = None
            queue += [n for n in wheel.elves[grafted[name]].needed if n in grafted]
    return list(reached)


def _removals(wheel: Wheel, grafted: dict[str, str], copied: set[str]) -> tuple[str, ...]:
    """Return the copied grafts that no other library needs where they were."""
    others = (
        name
        for member, file in wheel.elves.items()
        if not wheel.scheme_path(member).displaced and member not in copied
        for name in file.needed
    )
    fixed = {grafted[name] for name in _reached(wheel, grafted, others)}
    return tuple(sorted(copied - fixed))
