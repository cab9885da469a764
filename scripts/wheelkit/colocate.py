"""Co-location: putting what a displaced library needs beside it.

auditwheel writes rpaths for places inside the archive. They hold after installation only within
one install scheme. So a library of another scheme gets its own copies of its grafts, in ``.libs``
beside it: that way is the same in every install layout.
"""

from __future__ import annotations

import posixpath
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import filterfalse

from wheelkit.elf import Elf
from wheelkit.patch import Patcher
from wheelkit.report import Fault
from wheelkit.subject import Subject, entry_to, resolve

GRAFT_DIRECTORY = ".libs"


@dataclass(frozen=True)
class Plan:
    """What co-location will do to a wheel; all paths are archive names.

    `copies` maps each new file to the graft it comes from, `rpaths` each file whose rpath must
    change to its entries, and `removals` are the grafts that nothing needs where they were.
    """

    copies: dict[str, str]
    rpaths: dict[str, tuple[str, ...]]
    removals: tuple[str, ...]
    faults: tuple[Fault, ...]


def plan(subject: Subject) -> Plan:
    """Work out where each graft goes and every rpath that follows from it."""
    grafts = _grafts(subject)
    copies = dict(_copies(subject, grafts))
    removals = _removals(subject, grafts, set(copies.values()))
    after = subject.elves | {new: subject.elves[graft] for new, graft in copies.items()}
    after = {member: file for member, file in after.items() if member not in removals}
    rpaths = {member: tuple(_entries(subject, member, after)) for member in after}
    changes = {member: r for member, r in rpaths.items() if not _has(after[member], r)}
    return Plan(copies, changes, removals, tuple(_crossing(subject, after)))


def apply(chosen: Plan, subject: Subject, patcher: Patcher) -> None:
    """Carry out a plan on the unpacked wheel."""
    for new, graft in chosen.copies.items():
        target = subject.wheel.file(new)
        target.parent.mkdir(exist_ok=True)
        shutil.copy2(subject.wheel.file(graft), target)
    for member in chosen.removals:
        subject.wheel.file(member).unlink()
    for member, entries in chosen.rpaths.items():
        patcher.set_rpath(subject.wheel.file(member), entries)
    patcher.apply()


def _grafts(subject: Subject) -> dict[str, str]:
    """Return the grafted libraries by file name: those of the top-level ``*.libs`` directories."""
    return {
        posixpath.basename(member): member
        for member in sorted(subject.elves, reverse=True)
        if member.partition("/")[0].endswith(GRAFT_DIRECTORY)
    }


def _copies(subject: Subject, grafts: dict[str, str]) -> Iterator[tuple[str, str]]:
    for member, file in subject.elves.items():
        if subject.place(member).displaced:
            missing = (n for n in file.needed if not _nearest(subject, member, n, subject.elves))
            for name in _reached(subject, grafts, missing):
                yield posixpath.join(_graft_directory(member), name), grafts[name]


def _graft_directory(member: str) -> str:
    """Return where the grafts of a displaced library go; grafts lie beside each other."""
    directory = posixpath.dirname(member)
    beside = posixpath.basename(directory) == GRAFT_DIRECTORY
    return directory if beside else posixpath.join(directory, GRAFT_DIRECTORY)


def _reached(subject: Subject, grafts: dict[str, str], needed: Iterable[str]) -> list[str]:
    """Return the names of the grafts among `needed` and among all that those need in turn."""
    queue = [name for name in needed if name in grafts]
    reached: dict[str, None] = {}
    while queue:
        name = queue.pop(0)
        if name not in reached:
            reached[name] = None
            queue += [n for n in subject.elves[grafts[name]].needed if n in grafts]
    return list(reached)


def _removals(subject: Subject, grafts: dict[str, str], copied: set[str]) -> tuple[str, ...]:
    """Return the copied grafts that no other library needs where they were."""
    others = (
        name
        for member, file in subject.elves.items()
        if not subject.place(member).displaced and member not in copied
        for name in file.needed
    )
    fixed = {grafts[name] for name in _reached(subject, grafts, others)}
    return tuple(sorted(copied - fixed))


def _entries(subject: Subject, member: str, after: dict[str, Elf]) -> list[str]:
    """Return the rpath of a file: its own entries that stay valid, then what it lacks.

    An entry is valid if it names a directory of the wheel in the file's own scheme that holds
    another library: such a one may be needed, or opened by name at run time.
    """
    directory = posixpath.dirname(member)
    others = {posixpath.dirname(name) for name in after if name != member}
    targets = [resolve(entry, directory) for entry in after[member].search_path]
    kept = [t for t in targets if t in others and _same_scheme(subject, member, t)]
    for name in filterfalse(subject.is_system, after[member].needed):
        found = _nearest(subject, member, name, after)
        if found is not None and not any(posixpath.join(t, name) in after for t in kept):
            kept.append(posixpath.dirname(found))
    return list(dict.fromkeys(entry_to(target, directory) for target in kept))


def _nearest(subject: Subject, member: str, name: str, elves: dict[str, Elf]) -> str | None:
    """Return the library `name` of the scheme of `member`, the one that is meant for it first."""
    directory = posixpath.dirname(member)
    ranks = [_graft_directory(member), directory]
    found = [
        candidate
        for candidate in elves
        if posixpath.basename(candidate) == name and _same_scheme(subject, member, candidate)
    ]
    return min(found, key=lambda c: (_rank(posixpath.dirname(c), ranks), c), default=None)


def _rank(directory: str, ranks: list[str]) -> int:
    return ranks.index(directory) if directory in ranks else len(ranks)


def _same_scheme(subject: Subject, member: str, path: str) -> bool:
    return subject.place(member).root == subject.place(path).root


def _has(file: Elf, entries: tuple[str, ...]) -> bool:
    """Whether a file has exactly this rpath, in one tag only."""
    return file.search_path == entries and (file.rpath is None or file.runpath is None)


def _crossing(subject: Subject, after: dict[str, Elf]) -> Iterator[Fault]:
    """Find libraries that need one of another scheme, which no rpath reaches everywhere."""
    own = {posixpath.basename(name): name for name in sorted(after)}
    for member, file in after.items():
        for name in file.needed:
            far = own.get(name)
            if far and not subject.is_system(name) and not _nearest(subject, member, name, after):
                yield Fault(
                    "needed-in-other-scheme",
                    member,
                    f"NEEDED {name}, which the wheel has as {far}",
                    "a library in the same install scheme",
                    "install both in one scheme, or open the library by path at run time",
                )
