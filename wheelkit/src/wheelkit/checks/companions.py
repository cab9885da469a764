"""What a wheel counts on of other distributions: they are required, and have the libraries."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence

from packaging.requirements import Requirement

from wheelkit.base.remedies import REPAIR
from wheelkit.checks import layouts
from wheelkit.install.companion_wheels import missing
from wheelkit.target.report import FAULT, WARNING, Fault
from wheelkit.wheel import loaded_before, platforms
from wheelkit.wheel.companions import Companion, claims
from wheelkit.wheel.layouts import VENV, Installation, venv
from wheelkit.wheel.reading import Wheel

TITLE = "companions"
IDS = ("companion-not-required", "companion-unfit", "companion-not-proven")
# Folders of the prefix where programs of others have their libraries.
SHARED = ("lib", "lib64")
# An rpath from site-packages to another scheme leads above the install prefix in some layouts.
BEFORE = (
    "load {} before the import, and declare it in preloaded; or repair for the layouts that you "
    "declare in [tool.wheelkit]: in others, the way there leads above the install prefix"
)
# How many files a message lists.
SHOWN = 3
# Of libraries that a file needs; `needed_libraries` finds out which are missing.
LIBRARY_IDS = ("companion-not-reached", "companion-without-library", "companion-not-proven")


def faults(wheel: Wheel) -> Iterator[Fault]:
    """Every companion is required, in a version that is there, and rpaths lead to it."""
    beside, file = wheel.companions, f"{wheel.archive.dist_info}/METADATA"
    for name in beside.named:
        if name not in beside.required and name != wheel.identity.name:
            expected = f"Requires-Dist: {name}, so that it is installed with the wheel"
            remedy = f"add {name} to the dependencies, or exclude its libraries if users have them"
            yield Fault(
                "companion-not-required", file, found=f"no {name}", expected=expected, remedy=remedy
            )
    lacking = [library for library in missing(wheel) if not beside.having(library)]
    may_help = {name for library in lacking for name in beside.unproven(library)}
    for name, there in beside.unfit.items():
        looked_at = any(companion.name == name for companion in beside.found)
        if not looked_at and name not in (*beside.named, *may_help):
            continue
        # What a companion requires in turn is not in the METADATA of the wheel.
        stated = beside.required.get(name, f"{name} (a companion requires it)")
        found = f"Requires-Dist: {stated}; the wheel there is {there}"
        remedy = "correct the requirement, or verify with a wheel whose version it allows"
        severity = FAULT if looked_at and name in beside.required else WARNING
        yield Fault(
            "companion-unfit",
            file,
            found=found,
            expected="a version that the requirement allows",
            remedy=remedy,
            severity=severity,
        )
    # What the files need of those that may help is said by `needed_libraries`.
    led = {name: entry for name in beside.unseen for entry in led_to(wheel, name)}
    if unseen := {name: entry for name, entry in led.items() if name not in may_help}:
        found = "; ".join(
            f"rpath {entry} ({name}: {beside.unseen[name]})" for name, entry in unseen.items()
        )
        yield _not_proven(wheel, found, list(unseen))


def led_to(wheel: Wheel, name: str) -> Iterator[str]:
    """Yield the rpath entries that lead to a folder of a distribution, judged by its name."""
    for member, file in wheel.elves.items():
        for entry in file.search_path:
            folder = below_site_packages(wheel, member, entry)
            if folder is not None and claims(name, folder):
                yield entry


def below_site_packages(wheel: Wheel, member: str, entry: str) -> str | None:
    """Return the directory that an entry names, seen from site-packages of a venv."""
    where = _venv(wheel)
    site, target = where.directories["platlib"], wheel.leads(member, entry).get(where)
    below = target is not None and target.startswith(f"{site}/")
    return posixpath.relpath(str(target), site) if below else None


def _venv(wheel: Wheel) -> Installation:
    identity = wheel.identity
    return venv(identity.pythons[0], identity.spelling)


def leads_out(wheel: Wheel, member: str, entry: str) -> bool:
    """Whether an rpath entry leads to a companion's libraries, or to a folder that all share.

    NVIDIA's folder counts in any case: JAX's pjrt opens its libraries by name there, and another
    distribution requires them.
    """
    folder = below_site_packages(wheel, member, entry)
    if folder is not None and (owner(wheel, folder) is not None or folder.startswith("nvidia/")):
        return True
    ends = wheel.leads(member, entry)
    beside = any(
        target in companion.folders(where)
        for companion in wheel.companions.found
        for where, target in ends.items()
    )
    return beside or ends.get(_venv(wheel)) in SHARED


def owner(wheel: Wheel, folder: str) -> Companion | str | None:
    """Return the companion with libraries in a folder of site-packages.

    Of a requirement whose wheel was not looked at, the name alone says so.
    """
    where = _venv(wheel)
    path = posixpath.join(where.directories["platlib"], folder)
    for companion in wheel.companions.found:
        if path in companion.folders(where):
            return companion
    return wheel.companions.claiming(folder)


def counted_on(wheel: Wheel) -> list[Companion | str]:
    """Return the distributions whose libraries the wheel uses.

    One whose wheel was not looked at is there by its name.
    """
    used: dict[str, Companion | str] = {}
    own = set(map(posixpath.basename, wheel.archive.members))
    for member, file in wheel.elves.items():
        folders = (below_site_packages(wheel, member, entry) for entry in file.search_path)
        owners = [owner(wheel, folder) for folder in folders if folder is not None]
        owners += [wheel.companions.having(name) for name in file.needed if name not in own]
        used |= {str(owner): owner for owner in owners if owner is not None}
    return [used[name] for name in sorted(used)]


def not_beside(wheel: Wheel, companion: Companion) -> list[Installation]:
    """Return the layouts in which no rpath of the wheel leads to a companion that it counts on."""
    entries = {(m, entry) for m, file in wheel.elves.items() for entry in file.search_path}
    ends = [wheel.leads(member, entry) for member, entry in sorted(entries)]
    lacking = []
    for where in wheel.installations():
        places = companion.places(where)
        folders = {posixpath.dirname(places[m]) for m in companion.elves if m in places}
        if not any(end.get(where) in folders for end in ends):
            lacking.append(where)
    return lacking


def not_reached(
    wheel: Wheel,
    member: str,
    names: Sequence[str],
    where: Sequence[Installation],
    companion: Companion,
) -> Fault:
    """Return what is to be said of libraries in one folder of a companion that a file lacks."""
    rpath = ":".join(wheel.elves[member].search_path) or "none"
    needed = ", ".join(names)
    found = f"NEEDED {needed} of {companion}, rpath {rpath}, not found in {layouts.names_of(where)}"
    folder = companion.folder_of(names[0])
    own_scheme = wheel.scheme_path(member).scheme
    shared = folder.scheme not in ("platlib", "purelib", own_scheme)
    place = f"{folder.path} of the {folder.scheme} scheme" if shared else folder.path
    severity = WARNING
    if not any(installation.layout is VENV for installation in where):
        expected = f"an rpath that leads to {place} if both are installed in the same prefix"
        remedy = f"no rpath can lead there in these layouts: have the package load {needed} first"
    elif code := loading(wheel, member, names):
        expected = f"{code} loads the library first: the code names it, or its distribution"
        remedy = (
            f"if so, declare it in preloaded; otherwise {REPAIR}: it writes an rpath to {place}"
        )
    else:
        severity = FAULT
        expected = f"an rpath that leads to {place}"
        remedy = BEFORE.format(needed) if shared else REPAIR
    return Fault(
        "companion-not-reached",
        member,
        found=found,
        expected=expected,
        remedy=remedy,
        severity=severity,
    )


def loading(wheel: Wheel, member: str, names: Sequence[str]) -> str | None:
    """Return the code of the wheel that loads each of these libraries of companions, if it does."""
    beside, needed = wheel.companions, wheel.elves[member].needed
    lacking = [name for name in missing(wheel) if name in needed and not beside.having(name)]
    unseen = [name for name in lacking if beside.unproven(name)]
    files = [loaded_before.by_code(wheel, name, *unseen) for name in names]
    return files[0] if all(files) else None


def of_other_name(wheel: Wheel, name: str) -> Companion | None:
    """Return the companion that has a library in another version than the one that is needed."""
    return next((c for c in wheel.companions.found if _versions(c, platforms.stem(name))), None)


def _versions(companion: Companion, stem: str) -> list[str]:
    """Return the names by which a companion has a library."""
    return sorted(name for name in companion.libraries if platforms.stem(name) == stem)


def without_library(
    member: str, names: Sequence[str], companion: Companion, severity: str
) -> Fault:
    """Return what is to be said of libraries that a companion has in other versions."""
    stems = sorted({platforms.stem(name) for name in names})
    have = [version for stem in stems for version in _versions(companion, stem)]
    return Fault(
        "companion-without-library",
        member,
        found=f"NEEDED {', '.join(names)}; {companion} has {', '.join(have)}",
        expected="a required distribution that has a library of exactly this name",
        remedy="require another version of the distribution, or link with the library that it has",
        severity=severity,
    )


def not_proven(wheel: Wheel, files: Mapping[str, Iterable[str]]) -> Fault:
    """Return what is to be said of libraries that distributions may have which nobody looked at.

    `files` are the files that need each of them.
    """
    reasons = wheel.companions.not_looked_at
    members = {member for some in files.values() for member in some}
    names = list(dict.fromkeys(n for library in files for n in wheel.companions.unproven(library)))
    why = "; ".join(f"{name}: {reasons[name]}" for name in names)
    found = f"NEEDED {', '.join(sorted(files))}, in {listed(sorted(members))}; {why}"
    return _not_proven(wheel, found, names)


def listed(names: Sequence[str]) -> str:
    """Return the first of some names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _not_proven(wheel: Wheel, found: str, names: Sequence[str]) -> Fault:
    required = wheel.companions.required
    every = [required.get(name, Requirement(name)) for name in names]
    words = " ".join(f"'{_word(requirement)}'" for requirement in every)
    # What an extra of the metapackage brings is what it requires.
    alone = "" if any(requirement.extras for requirement in every) else "--no-deps "
    return Fault(
        "companion-not-proven",
        f"{wheel.archive.dist_info}/METADATA",
        found=found,
        expected="the wheels of the distributions that the wheel requires, to look for the library",
        remedy=f"pip download {alone}--dest DIR {words}, then "
        f"wheelkit verify --companions DIR {wheel.archive.path.name}",
        severity=WARNING,
    )


def _word(requirement: Requirement) -> str:
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}{requirement.specifier}"
