"""The loader finds every NEEDED library of every library, in every layout."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterator

from wheelkit.base.remedies import REPAIR
from wheelkit.checks import layouts, loader
from wheelkit.target.report import Fault
from wheelkit.wheel.layouts import Installation
from wheelkit.wheel.reading import Wheel
from wheelkit.wheel.settings import Settings

TITLE = "needed libraries in every layout"
IDS = ("needed-not-found", "needed-not-in-wheel")


def faults(wheel: Wheel, settings: Settings) -> Iterator[Fault]:
    """Check that the loader finds every NEEDED library of every library, in every layout."""
    missing: dict[tuple[str, str], list[Installation]] = defaultdict(list)
    for installation in layouts.chosen(wheel, settings):
        tree = loader.plant(wheel, installation)
        for path, member in tree.libraries.items():
            searches = loader.load(tree, path, wheel.is_system, settings.preloaded)
            real = tree.real(path)
            # What a library lacks that is needed in turn is listed where that one is loaded.
            for search in searches:
                if search.failed and search.needer == real:
                    missing[member, search.name].append(installation)
    for (member, name), where in sorted(missing.items()):
        yield _missing(wheel, member, name, where)


def _missing(wheel: Wheel, member: str, name: str, where: list[Installation]) -> Fault:
    have = [other for other in wheel.archive.members if posixpath.basename(other) == name]
    rpath = ":".join(wheel.elves[member].search_path) or "none"
    found = f"NEEDED {name}, rpath {rpath}, not found in {layouts.names_of(where)}"
    if have:
        expected = f"an rpath that leads to {' or '.join(have)}"
        return Fault("needed-not-found", member, found, expected, REPAIR)
    expected = "a library of the wheel, or one that the platform tag promises"
    return Fault("needed-not-in-wheel", member, found, expected, REPAIR)
