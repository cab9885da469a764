"""The rpath list: one entry for every install layout, all grafts staying in site-packages.

The published workaround for wheels with libraries outside of site-packages, made from the table
of layouts instead of by hand. It cannot reach every layout: an entry is left out if it would
leave the install prefix in any of them, because whoever may write there could plant a library.
"""

from __future__ import annotations

import posixpath

from wheelkit.repair.options import RepairedWheel
from wheelkit.repair.plan import Plan, changed, crossing, entries, far
from wheelkit.wheel.layouts import VENV, Installation
from wheelkit.wheel.reading import Wheel, entry_to, resolve


def plan(repaired: RepairedWheel) -> Plan:
    """Work out every rpath; no file is copied or moved."""
    wheel, elves = repaired.wheel, repaired.wheel.elves
    rpaths = {m: _united(entries(repaired, m, elves), reaching(repaired, m)) for m in elves}
    faults = (
        crossing(member, name, place)
        for member in elves
        for name, place in far(wheel, member, elves)
        if not _is_reached(wheel, member, posixpath.dirname(place), rpaths[member])
    )
    return Plan({}, changed(rpaths, elves), (), tuple(faults))


def _united(*lists: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(entry for entries in lists for entry in entries))


def reaching(repaired: RepairedWheel, member: str) -> list[str]:
    """Return the entries by which a file reaches what only other schemes have."""
    wheel = repaired.wheel
    found = far(wheel, member, wheel.elves)
    directories = dict.fromkeys(posixpath.dirname(place) for _, place in found)
    ways = (way for directory in directories for way in _ways(repaired, member, directory))
    return list(dict.fromkeys(ways))


def _ways(repaired: RepairedWheel, member: str, directory: str) -> list[str]:
    """Return an entry from a file to a directory of the archive for each layout, if it is safe.

    Only the layouts count that the project declares, if it does.
    """
    wheel = repaired.wheel
    known = repaired.options.declared.layouts
    every = (w for w in wheel.installations() if known is None or w.layout.name in known)
    pairs = [_ends(wheel, member, directory, where) for where in every]
    ways = dict.fromkeys(entry_to(end, start) for start, end in pairs)
    return [way for way in ways if not any(_leaves(way, start) for start, _ in pairs)]


def _ends(wheel: Wheel, member: str, directory: str, where: Installation) -> tuple[str, str]:
    """Return where a file's directory and another directory of the archive are installed."""
    scheme = wheel.root_scheme
    return posixpath.dirname(where.path(member, scheme)), where.path(directory, scheme)


def _is_reached(wheel: Wheel, member: str, directory: str, rpath: tuple[str, ...]) -> bool:
    """Whether a virtual environment, of every Python, is among the layouts that are reached."""
    venvs = [where for where in wheel.installations() if where.layout is VENV]
    pairs = [_ends(wheel, member, directory, where) for where in venvs]
    return all(end in [resolve(entry, start) for entry in rpath] for start, end in pairs)


def _leaves(entry: str, directory: str) -> bool:
    target = resolve(entry, directory)
    return target is None or target.partition("/")[0] == ".."
