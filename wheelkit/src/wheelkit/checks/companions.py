"""What a wheel counts on of other distributions: they are required, and have the libraries."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import replace

from wheelkit.base.remedies import REPAIR
from wheelkit.checks import layouts
from wheelkit.target.report import FAULT, WARNING, Fault
from wheelkit.wheel import platforms
from wheelkit.wheel.companions import Companion, claims
from wheelkit.wheel.layouts import VENV, Installation
from wheelkit.wheel.reading import Wheel

TITLE = "companions"
IDS = ("companion-not-required", "companion-unfit", "companion-not-proven")
# Of one library that a file needs; `needed_libraries` finds out which are missing.
# Folders of the prefix where programs of others have their libraries.
SHARED = ("lib", "lib64")
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
    for name, there in beside.unfit.items():
        looked_at = any(companion.name == name for companion in beside.found)
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
    if unseen := {name: entry for name in beside.unseen for entry in led_to(wheel, name)}:
        found = "; ".join(
            f"rpath {e} ({name}: {beside.unseen[name]})" for name, e in unseen.items()
        )
        yield _not_proven(wheel, file, found, list(unseen))


def led_to(wheel: Wheel, name: str) -> Iterator[str]:
    """Yield the rpath entries that lead to a folder of a distribution, judged by its name."""
    for member, file in wheel.elves.items():
        for entry in file.search_path:
            folder = below_site_packages(wheel, member, entry)
            if folder is not None and claims(name, folder):
                yield entry


def below_site_packages(wheel: Wheel, member: str, entry: str) -> str | None:
    """Return the directory that an entry names, seen from site-packages of a venv."""
    for where, target in wheel.leads(member, entry).items():
        site = where.directories["platlib"]
        if where.layout is VENV and target.startswith(f"{site}/"):
            return posixpath.relpath(target, site)
    return None


def leads_out(wheel: Wheel, member: str, entry: str) -> bool:
    """Whether an rpath entry leads to a companion's libraries, or to a folder that all share.

    NVIDIA's folder counts in any case: JAX's pjrt opens its libraries by name there, and another
    distribution requires them.
    """
    folder = below_site_packages(wheel, member, entry)
    if folder is not None and (owner(wheel, folder) is not None or folder.startswith("nvidia/")):
        return True
    ends = wheel.leads(member, entry)
    return any(where.layout is VENV and target in SHARED for where, target in ends.items())


def owner(wheel: Wheel, folder: str) -> Companion | str | None:
    """Return the companion with libraries in a folder of site-packages.

    Of a requirement whose wheel was not looked at, the name alone says so.
    """
    for companion in wheel.companions.found:
        if any(posixpath.dirname(member) == folder for member in companion.elves):
            return companion
    return wheel.companions.claiming(folder)


def counted_on(wheel: Wheel) -> list[Companion | str]:
    """Return the distributions whose libraries the wheel uses.

    One whose wheel was not looked at is there by its name.
    """
    used: dict[str, Companion | str] = {}
    for member, file in wheel.elves.items():
        folders = (below_site_packages(wheel, member, entry) for entry in file.search_path)
        owners = [owner(wheel, folder) for folder in folders if folder is not None]
        owners += [wheel.companions.having(name) for name in file.needed]
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


def of_library(
    wheel: Wheel, member: str, name: str, where: Sequence[Installation], severity: str
) -> Fault | None:
    """Return what is to be said of a library that a file lacks, if companions explain it.

    `severity` is that of a library that nobody has.
    """
    if any(posixpath.basename(other) == name for other in wheel.archive.members):
        return None
    companion = wheel.companions.having(name)
    if companion is not None:
        fault = _not_reached(wheel, member, name, where, companion)
        return fault if severity == FAULT else replace(fault, severity=WARNING)
    for other in wheel.companions.found:
        stem = platforms.stem(name)
        if have := sorted(n for n in other.libraries if platforms.stem(n) == stem):
            found = f"NEEDED {name}; {other} has {', '.join(have)}"
            expected = "a required distribution that has a library of exactly this name"
            remedy = (
                "require another version of the distribution, or link with the library that it has"
            )
            return Fault(
                "companion-without-library",
                member,
                found=found,
                expected=expected,
                remedy=remedy,
                severity=severity,
            )
    if names := wheel.companions.unproven(name):
        why = "; ".join(f"{each}: {wheel.companions.unseen[each]}" for each in names)
        return _not_proven(wheel, member, f"NEEDED {name}; {why}", names)
    return None


def _not_reached(
    wheel: Wheel, member: str, name: str, where: Sequence[Installation], companion: Companion
) -> Fault:
    rpath = ":".join(wheel.elves[member].search_path) or "none"
    found = f"NEEDED {name} of {companion}, rpath {rpath}, not found in {layouts.names_of(where)}"
    place = posixpath.dirname(companion.libraries[name])
    in_venv = any(installation.layout is VENV for installation in where)
    if not in_venv:
        expected = f"an rpath that leads to {place} if both are installed in the same prefix"
        remedy = f"no rpath can lead there in these layouts: have the package load {name} first"
        return Fault(
            "companion-not-reached",
            member,
            found=found,
            expected=expected,
            remedy=remedy,
            severity=WARNING,
        )
    beside = wheel.companions
    unseen = [n for n in wheel.elves[member].needed if not beside.having(n) and beside.unproven(n)]
    if code := wheel.code_naming(name, *unseen):
        expected = f"{code} loads the library first: the code names it, or its distribution"
        remedy = (
            f"if so, declare it in preloaded; otherwise {REPAIR}: it writes an rpath to {place}"
        )
        return Fault(
            "companion-not-reached",
            member,
            found=found,
            expected=expected,
            remedy=remedy,
            severity=WARNING,
        )
    return Fault(
        "companion-not-reached",
        member,
        found=found,
        expected=f"an rpath that leads to {place}",
        remedy=REPAIR,
    )


def _not_proven(wheel: Wheel, file: str, found: str, names: Sequence[str]) -> Fault:
    expected = "the wheels of the distributions that the wheel requires, to look for the library"
    required = wheel.companions.required
    specifiers = {name: required[name].specifier if name in required else "" for name in names}
    words = " ".join(f"'{name}{specifier}'" for name, specifier in specifiers.items())
    remedy = (
        f"pip download --no-deps --dest DIR {words}, then "
        f"wheelkit verify --companions DIR {wheel.archive.path.name}"
    )
    return Fault(
        "companion-not-proven",
        file,
        found=found,
        expected=expected,
        remedy=remedy,
        severity=WARNING,
    )
