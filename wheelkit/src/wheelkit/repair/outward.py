"""Rpath entries that lead out of the wheel: which are kept, which are written, which are dropped.

An entry may lead to the libraries of a companion, or to a folder that everybody shares, from where
a library is opened by name at run time. It must not lead above the install prefix in a layout that
the wheel is for, because whoever may write there could plant a library.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping

from wheelkit.checks import layouts
from wheelkit.checks.companions import leads_out
from wheelkit.repair.options import RepairedWheel
from wheelkit.wheel.companions import Companion
from wheelkit.wheel.elf import Elf
from wheelkit.wheel.layouts import Installation
from wheelkit.wheel.reading import ORIGIN, entry_to, is_relative


def tidy(entry: str) -> str:
    """Return an entry that is relative to ``$ORIGIN`` in its shortest form."""
    rest = posixpath.normpath(f"./{entry.partition('/')[2]}")
    return ORIGIN if rest == "." else f"{ORIGIN}/{rest}"


def holds(repaired: RepairedWheel, member: str, entry: str) -> bool:
    """Whether an entry that leads out of the wheel is right in the installed place."""
    if not is_relative(entry) or above(repaired, member, entry):
        return False
    return leads_out(repaired.wheel, member, entry)


def above(repaired: RepairedWheel, member: str, entry: str) -> list[Installation]:
    """Return the layouts that the wheel is for in which an entry leads above the prefix."""
    ends = repaired.wheel.leads(member, entry)
    meant = layouts.chosen(repaired.wheel, repaired.options.declared)
    return [where for where in meant if where in ends and ends[where].partition("/")[0] == ".."]


def reaching(
    repaired: RepairedWheel, member: str, after: Mapping[str, Elf], kept: Iterable[str]
) -> list[str]:
    """Return what the rpath of a file lacks in order to find the libraries of companions."""
    wheel, entries = repaired.wheel, list(kept)
    own = {posixpath.basename(other) for other in after}
    count = len(entries)
    for name in after[member].needed:
        companion = None if name in own else wheel.companions.having(name)
        for where, place in _places(repaired, companion, name):
            folder = posixpath.dirname(place)
            if any(wheel.leads(member, entry).get(where) == folder for entry in entries):
                continue
            start = posixpath.dirname(where.path(member, wheel.root_scheme))
            way = entry_to(folder, start)
            if not above(repaired, member, way):
                entries.append(way)
    return entries[count:]


def _places(
    repaired: RepairedWheel, companion: Companion | None, name: str
) -> Iterator[tuple[Installation, str]]:
    """Yield the path of a companion's library in each layout that puts it beside the wheel."""
    meant = layouts.chosen(repaired.wheel, repaired.options.declared)
    for where in meant if companion else ():
        place = companion and companion.places(where).get(companion.libraries[name])
        if place:
            yield where, place


def dropped(repaired: RepairedWheel) -> Iterator[tuple[str, str, str]]:
    """Yield every rpath entry of the given wheel that is gone: the file, the entry, the reason."""
    for member, file in repaired.given.elves.items():
        now = repaired.wheel.elves.get(member)
        for entry in dict.fromkeys((*(file.rpath or ()), *(file.runpath or ()))):
            same = tidy(entry) if is_relative(entry) else entry
            if now is not None and same not in now.search_path:
                yield member, entry, _reason(repaired, member, entry)


def _reason(repaired: RepairedWheel, member: str, entry: str) -> str:
    if not entry:
        return "it is empty, which means the working directory"
    if not is_relative(entry):
        return "it is not relative to $ORIGIN, but a path of the machine that built it"
    if where := above(repaired, member, entry):
        names = layouts.names_of(where)
        return (
            f"it leads above the install prefix in {names}, where somebody else may place a library"
        )
    return "no library of the wheel or of a companion (--companion) is there"
