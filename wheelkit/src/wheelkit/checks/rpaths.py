"""Rpaths and what they lead to, in every install layout."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterable, Iterator

from wheelkit.base.remedies import REPAIR
from wheelkit.checks import loader
from wheelkit.target.report import Fault
from wheelkit.wheel.layouts import Installation
from wheelkit.wheel.reading import Subject, resolve
from wheelkit.wheel.settings import Settings


def form(subject: Subject) -> Iterator[Fault]:
    """Every rpath entry is relative to the file itself, and there is one kind of rpath."""
    for member, file in subject.elves.items():
        if file.rpath is not None and file.runpath is not None:
            found, expected = "DT_RPATH and DT_RUNPATH", "one of them"
            yield Fault("rpath-and-runpath", member, found, expected, REPAIR)
        for entry in (*(file.rpath or ()), *(file.runpath or ())):
            if not entry:
                expected = "no empty entry: it means the working directory"
                yield Fault("rpath-empty-entry", member, "an empty entry", expected, REPAIR)
            elif resolve(entry, "") is None:
                yield Fault("rpath-absolute", member, entry, "$ORIGIN/…", REPAIR)


def chosen(subject: Subject, settings: Settings) -> tuple[Installation, ...]:
    """Return every layout in which the wheel must load, for each Python that it is for."""
    every = subject.installations()
    return tuple(i for i in every if settings.layouts is None or i.layout.name in settings.layouts)


def targets(subject: Subject, settings: Settings) -> Iterator[Fault]:
    """Every rpath entry leads to a directory of the wheel, and never above the prefix."""
    reached: dict[tuple[str, str], dict[Installation, str]] = defaultdict(dict)
    directories: dict[Installation, frozenset[str]] = {}
    for installation in chosen(subject, settings):
        places = subject.places(installation)
        directories[installation] = frozenset(map(posixpath.dirname, places.values()))
        for member in subject.elves.keys() & places.keys():
            for entry in subject.elves[member].search_path:
                target = resolve(entry, posixpath.dirname(places[member]))
                if target is not None:  # None is the matter of form()
                    reached[member, entry][installation] = target
    for (member, entry), ends in sorted(reached.items()):
        yield from _target_faults(member, entry, ends, directories)


def _target_faults(
    member: str,
    entry: str,
    ends: dict[Installation, str],
    directories: dict[Installation, frozenset[str]],
) -> Iterator[Fault]:
    above = [where for where, target in ends.items() if target.partition("/")[0] == ".."]
    if above:
        found = f"{entry}, above the prefix in {_list(above)}"
        expected = "a directory below the install prefix: others may plant a library there"
        yield Fault("rpath-escapes", member, found, expected, REPAIR)
    # One that leads nowhere here may be meant for another layout.
    elif not any(target in directories[where] for where, target in ends.items()):
        expected = "a directory that the wheel installs, in one layout at least"
        yield Fault("rpath-dangling", member, entry, expected, REPAIR)


def needed(subject: Subject, settings: Settings) -> Iterator[Fault]:
    """Check that the loader finds every NEEDED library of every library, in every layout."""
    missing: dict[tuple[str, str], list[Installation]] = defaultdict(list)
    for installation in chosen(subject, settings):
        tree = loader.plant(subject, installation)
        for path, member in tree.libraries.items():
            searches = loader.load(tree, path, subject.is_system, settings.preloaded)
            real = tree.real(path)
            # What a library lacks that is needed in turn is listed where that one is loaded.
            for search in searches:
                if search.failed and search.needer == real:
                    missing[member, search.name].append(installation)
    for (member, name), where in sorted(missing.items()):
        yield _missing(subject, member, name, where)


def _missing(subject: Subject, member: str, name: str, where: list[Installation]) -> Fault:
    have = [other for other in subject.wheel.members if posixpath.basename(other) == name]
    rpath = ":".join(subject.elves[member].search_path) or "none"
    found = f"NEEDED {name}, rpath {rpath}, not found in {_list(where)}"
    if have:
        expected = f"an rpath that leads to {' or '.join(have)}"
        return Fault("needed-not-found", member, found, expected, REPAIR)
    expected = "a library of the wheel, or one that the platform tag promises"
    return Fault("needed-not-in-wheel", member, found, expected, REPAIR)


def lost(subject: Subject, settings: Settings) -> Iterator[Fault]:
    """Every installer installs every file."""
    for installation in chosen(subject, settings):
        places = subject.places(installation)
        gone = [member for member in subject.wheel.members if member not in places]
        if gone:
            found = f"{len(gone)} files that {installation.layout.name} leaves out"
            expected = "no directory that packages and the data scheme share"
            remedy = f"give it a name of its own in one of the two; {installation.layout.source}"
            yield Fault("lost-in-layout", gone[0], found, expected, remedy)


def _list(where: Iterable[Installation]) -> str:
    """Return the layouts, each once, with a Python that stands for all that the wheel is for."""
    return ", ".join(dict.fromkeys(installation.layout.name for installation in where))
