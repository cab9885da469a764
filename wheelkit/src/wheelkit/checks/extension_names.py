"""The names of extension modules are those that the interpreters of the tags look for.

CPython 3.11 imports ``mod.cpython-311-….so``, ``mod.abi3.so`` and ``mod.so``, and passes over
``mod.cpython-312-….so``: the module is missing.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from wheelkit.checks import interpreters, machines
from wheelkit.target.report import FAULT, WARNING, Fault
from wheelkit.wheel.reading import Wheel

TITLE = "names of extension modules"
IDS = ("extension-name",)

# CPython 3.14 is the first whose free-threaded build is not an experiment.
EXPERIMENTAL = frozenset({"3.13t"})

_NAME = re.compile(
    r"(?P<stem>.*)\.(?P<kind>cpython-|pypy)(?P<major>\d)(?P<minor>\d+)(?P<threads>t?)[a-z]*-(?P<system>[^/.]*)\.so"
)
# The architecture of a platform tag, and what the names of modules call it.
MACHINES = {
    **{arch: arch for arch in machines.MACHINES},
    **{"i686": "i386", "armv7l": "arm", "ppc64le": "powerpc64le", "ppc64": "powerpc64"},
}
_FOR_ALL = re.compile(r"(?P<stem>(?:.*/)?[^/.]*)(\.abi3)?\.so")


def faults(wheel: Wheel) -> Iterator[Fault]:
    """Find modules that an interpreter which installs the wheel would pass over."""
    named: dict[str, dict[str, str]] = defaultdict(dict)
    for member in wheel.elves:
        if match := _NAME.fullmatch(member):
            prefix = "pypy" if match["kind"] == "pypy" else ""
            python = f"{prefix}{match['major']}.{match['minor']}{match['threads']}"
            if not _is_here(wheel, match["system"]):
                python = f"{python} on {match['system']}"
            named[match["stem"]][python] = member
    for_all = {m["stem"] for m in map(_FOR_ALL.fullmatch, wheel.elves) if m}
    pythons = interpreters.admitted(wheel)
    for stem, files in named.items():
        without = [python for python in pythons if python not in files]
        if without and stem not in for_all:
            file = next(iter(files.values()))
            found = f"a module for {', '.join(files)} alone; {', '.join(without)} cannot import it"
            expected = f"a name that every Python of the tags looks for: {_tags(wheel)}"
            remedy = (
                "build it with the interpreter of the tag, or name it .abi3.so if it uses only the "
                "stable ABI"
            )
            severity = WARNING if set(without) <= EXPERIMENTAL else FAULT
            yield Fault(
                "extension-name",
                file,
                found=found,
                expected=expected,
                remedy=remedy,
                severity=severity,
            )


def _is_here(wheel: Wheel, system: str) -> bool:
    """Whether the interpreters of the tags are those of a system such as ``x86_64-linux-gnu``.

    For musl, names had no ``musl`` before CPython 3.11; with glibc they never have.
    """
    platforms = wheel.identity.platforms
    words = set(system.split("-"))
    named = words.intersection(MACHINES.values())
    here = {MACHINES.get(platform.arch) for platform in platforms}
    glibc = {platform.family for platform in platforms} <= {"manylinux", "linux"}
    return not platforms or ((not named or bool(named & here)) and not (glibc and "musl" in words))


def _tags(wheel: Wheel) -> str:
    return ", ".join(sorted({f"{tag.interpreter}-{tag.abi}" for tag in wheel.identity.tags}))
