"""The loader finds every NEEDED library of every library, in every layout."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterator

from wheelkit.base.remedies import REPAIR
from wheelkit.checks import companions, layouts, loader
from wheelkit.target.report import FAULT, WARNING, Fault
from wheelkit.wheel import platforms
from wheelkit.wheel.layouts import Installation
from wheelkit.wheel.reading import Wheel
from wheelkit.wheel.settings import Settings

TITLE = "needed libraries in every layout"
IDS = ("needed-not-found", "needed-not-in-wheel", *companions.LIBRARY_IDS)

REQUIRE = (
    "require the distribution to whose folder the rpath leads, such as nvidia-cublas-cu12; or "
    "exclude the library if users have it themselves"
)


def faults(wheel: Wheel, settings: Settings) -> Iterator[Fault]:
    """Check that the loader finds every NEEDED library of every library, in every layout."""
    missing: dict[tuple[str, str], list[Installation]] = defaultdict(list)
    felt: set[tuple[str, str]] = set()
    for installation in layouts.distinct(wheel, settings):
        tree = loader.plant(wheel, installation)
        members = {tree.real(path): member for path, member in tree.libraries.items()}
        for opened, searches in loader.load_all(wheel, tree, settings.preloaded).items():
            for search in searches:
                if not search.failed or search.needer not in members:
                    continue
                # One layout once, however many libraries load the one that lacks something.
                where = missing[members[search.needer], search.name]
                if installation not in where:
                    where.append(installation)
                if not _is_plugin(opened):
                    felt.add((members[search.needer], search.name))
    for left_out in _left_out(wheel):
        missing.setdefault(left_out, [])
    for (member, name), where in sorted(missing.items()):
        severity = FAULT if (member, name) in felt else WARNING
        explained = companions.of_library(wheel, member, name, where, severity)
        yield explained or _missing(wheel, member, name, where, severity)


def _left_out(wheel: Wheel) -> Iterator[tuple[str, str]]:
    """Yield what files need that the caller excludes, if a companion not looked at may have it."""
    tags = wheel.identity.platforms
    for member, file in wheel.elves.items():
        for name in file.needed:
            outside = wheel.is_system(name) and not platforms.is_system(name, tags)
            if outside and wheel.companions.unproven(name):
                yield member, name


def _is_plugin(member: str) -> bool:
    """Whether a library is for a host that opens it by name, as those of Qt are.

    The host has loaded its own libraries by then, and does without a plugin that does not load.
    """
    *folders, name = member.split("/")
    return "plugin" in name.lower() or not {"plugins", "qml"}.isdisjoint(folders)


def _missing(
    wheel: Wheel, member: str, name: str, where: list[Installation], severity: str
) -> Fault:
    have = [other for other in wheel.archive.members if posixpath.basename(other) == name]
    rpath = ":".join(wheel.elves[member].search_path) or "none"
    found = f"NEEDED {name}, rpath {rpath}, not found in {layouts.names_of(where)}"
    if have:
        expected = f"an rpath that leads to {' or '.join(have)}"
        return Fault(
            "needed-not-found",
            member,
            found=found,
            expected=expected,
            remedy=REPAIR,
            severity=severity,
        )
    expected = "a library of the wheel, or one that every system of the platform tag has"
    entries = wheel.elves[member].search_path
    folders = (companions.below_site_packages(wheel, member, entry) or "" for entry in entries)
    others = [f for f in folders if f.startswith("nvidia/") and not companions.owner(wheel, f)]
    remedy = REQUIRE if others else REPAIR
    return Fault(
        "needed-not-in-wheel",
        member,
        found=found,
        expected=expected,
        remedy=remedy,
        severity=severity,
    )
