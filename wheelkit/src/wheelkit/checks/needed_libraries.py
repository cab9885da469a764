"""The loader finds every NEEDED library of every library, in every layout."""

from __future__ import annotations

import functools
import posixpath
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from wheelkit.base.remedies import REPAIR
from wheelkit.checks import companions, layouts, loader
from wheelkit.target.report import FAULT, WARNING, Fault
from wheelkit.wheel import loaded_before, platforms
from wheelkit.wheel.layouts import Installation
from wheelkit.wheel.reading import Wheel
from wheelkit.wheel.settings import Settings

TITLE = "needed libraries in every layout"
IDS = ("needed-not-found", "needed-not-in-wheel", *companions.LIBRARY_IDS)

OWN = "the wheel itself"
REQUIRE = (
    "require the distribution to whose folder the rpath leads, such as nvidia-cublas-cu12; or "
    "exclude the library if users have it themselves"
)


@dataclass
class _Lack:
    """Where a file lacks a library. `before` loads it beforehand, unless a user feels it."""

    where: list[Installation] = field(default_factory=list)
    felt: bool = False
    before: str | None = None


def faults(wheel: Wheel, settings: Settings) -> Iterator[Fault]:
    """Check that the loader finds every NEEDED library of every library, in every layout."""
    unproven: dict[str, list[str]] = defaultdict(list)
    # What is the same to say of several libraries that a file lacks is said once.
    alike: dict[tuple[str, object], list[str]] = defaultdict(list)
    lacking = _lacking(wheel, settings)
    for (member, name), lack in sorted(lacking.items()):
        about = _about(wheel, name)
        if about is None and wheel.companions.unproven(name):
            unproven[name].append(member)
        else:
            alike[member, (about, tuple(lack.where), lack.felt)].append(name)
    for (member, _), names in alike.items():
        yield _explained(wheel, member, names, lacking[member, names[0]])
    if unproven:
        yield companions.not_proven(wheel, unproven)


def _lacking(wheel: Wheel, settings: Settings) -> dict[tuple[str, str], _Lack]:
    """Return what is lacking, by the file that needs it and the name of the library."""
    found: dict[tuple[str, str], _Lack] = defaultdict(_Lack)
    of_own = functools.cache(functools.partial(loaded_before.of_own, wheel))
    for installation in layouts.distinct(wheel, settings):
        tree = loader.plant(wheel, installation)
        members = {tree.real(path): member for path, member in tree.libraries.items()}
        for opened, searches in loader.load_all(wheel, tree, settings.preloaded).items():
            for search in searches:
                if not search.failed or search.needer not in members:
                    continue
                lack = found[members[search.needer], search.name]
                # One layout once, however many libraries load the one that lacks something.
                if installation not in lack.where:
                    lack.where.append(installation)
                if _is_plugin(opened):
                    continue
                if before := of_own(opened, search.name):
                    lack.before = before
                else:
                    lack.felt = True
    for left_out in _left_out(wheel):
        found.setdefault(left_out, _Lack())
    return dict(found)


def _about(wheel: Wheel, name: str) -> str | None:
    """Return who has a library of a name, or another version of it; None if nobody has."""
    if _places(wheel, name):
        return OWN
    if companion := wheel.companions.having(name):
        return f"{companion}: {companion.folder_of(name)}"
    other = companions.of_other_name(wheel, name)
    return None if other is None else str(other)


def _places(wheel: Wheel, name: str) -> list[str]:
    return [other for other in wheel.archive.members if posixpath.basename(other) == name]


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


def _explained(wheel: Wheel, member: str, names: list[str], lack: _Lack) -> Fault:
    """Return the finding on libraries of which the same is to be said."""
    severity = FAULT if lack.felt else WARNING
    if _places(wheel, names[0]):
        return _not_found(wheel, member, names, lack, severity)
    companion = wheel.companions.having(names[0])
    if companion is not None:
        fault = companions.not_reached(wheel, member, names, lack.where, companion)
        return fault if lack.felt else replace(fault, severity=WARNING)
    other = companions.of_other_name(wheel, names[0])
    if other is not None:
        return companions.without_library(member, names, other, severity)
    return _not_in_wheel(wheel, member, names, lack, severity)


def _not_found(
    wheel: Wheel, member: str, names: Sequence[str], lack: _Lack, severity: str
) -> Fault:
    places = [" or ".join(_places(wheel, name)) for name in names]
    expected = f"an rpath that leads to {' and '.join(places)}"
    remedy = REPAIR
    if severity == WARNING and lack.before:
        opens = f"loads {names[0]} before" if lack.before.endswith(".py") else "opens"
        expected = f"{lack.before} {opens} this file, as it seems to do"
        remedy = f"if so, declare it in preloaded; otherwise {REPAIR}: it writes an rpath"
    return Fault(
        "needed-not-found",
        member,
        found=_found(wheel, member, names, lack),
        expected=expected,
        remedy=remedy,
        severity=severity,
    )


def _not_in_wheel(
    wheel: Wheel, member: str, names: Sequence[str], lack: _Lack, severity: str
) -> Fault:
    entries = wheel.elves[member].search_path
    folders = (companions.below_site_packages(wheel, member, entry) or "" for entry in entries)
    others = [f for f in folders if f.startswith("nvidia/") and not companions.owner(wheel, f)]
    return Fault(
        "needed-not-in-wheel",
        member,
        found=_found(wheel, member, names, lack),
        expected="a library of the wheel, or one that every system of the platform tag has",
        remedy=REQUIRE if others else REPAIR,
        severity=severity,
    )


def _found(wheel: Wheel, member: str, names: Sequence[str], lack: _Lack) -> str:
    rpath = ":".join(wheel.elves[member].search_path) or "none"
    where = layouts.names_of(lack.where)
    return f"NEEDED {', '.join(names)}, rpath {rpath}, not found in {where}"
