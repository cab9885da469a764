"""Every rpath entry leads to a directory of the wheel, and never above the prefix."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterator

from wheelkit.base.remedies import REPAIR
from wheelkit.checks import companions, layouts, loader
from wheelkit.target.report import FAULT, WARNING, Fault
from wheelkit.wheel.layouts import Installation
from wheelkit.wheel.reading import Wheel, resolve
from wheelkit.wheel.settings import Settings

TITLE = "rpaths in every layout"
IDS = ("rpath-escapes", "rpath-dangling")


def faults(wheel: Wheel, settings: Settings) -> Iterator[Fault]:
    """Every rpath entry leads to a directory of the wheel, and never above the prefix."""
    reached: dict[tuple[str, str], dict[Installation, str]] = defaultdict(dict)
    directories: dict[Installation, frozenset[str]] = {}
    for installation in layouts.distinct(wheel, settings):
        places = wheel.places(installation)
        directories[installation] = frozenset(map(posixpath.dirname, places.values()))
        for member in wheel.elves.keys() & places.keys():
            for entry in wheel.elves[member].search_path:
                target = resolve(entry, posixpath.dirname(places[member]))
                if target is not None:  # None is the matter of form()
                    reached[member, entry][installation] = target
    for (member, entry), ends in sorted(reached.items()):
        # Whoever plants a library there has it loaded, if the loader looks there for anything.
        severity = FAULT if loader.seeks_elsewhere(wheel, member) else WARNING
        for fault in _target_faults(member, entry, ends, directories, severity):
            if fault.id != "rpath-dangling" or not companions.leads_out(wheel, member, entry):
                yield fault


def _target_faults(
    member: str,
    entry: str,
    ends: dict[Installation, str],
    directories: dict[Installation, frozenset[str]],
    severity: str,
) -> Iterator[Fault]:
    above = [where for where, target in ends.items() if target.partition("/")[0] == ".."]
    if above:
        # What lies beside a folder of --target belongs to whoever chose that folder.
        if not any(where.directories["platlib"] for where in above):
            severity = WARNING
        found = f"{entry}, above the prefix in {layouts.names_of(above)}"
        expected = "a folder below the install prefix; above it, somebody else may place a library"
        yield Fault(
            "rpath-escapes",
            member,
            found=found,
            expected=expected,
            remedy=REPAIR,
            severity=severity,
        )
    # One that leads nowhere here may be meant for another layout.
    elif not any(target in directories[where] for where, target in ends.items()):
        expected = "a folder that the wheel or a companion installs, at least in one layout"
        yield Fault(
            "rpath-dangling",
            member,
            found=entry,
            expected=expected,
            remedy=REPAIR,
            severity=WARNING,
        )
