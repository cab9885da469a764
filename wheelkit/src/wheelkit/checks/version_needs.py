"""Every library of which symbol versions are wanted is NEEDED too.

glibc's loader looks for these versions in libraries that it has loaded by then; where there is
none of the name, it ends the process.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from fnmatch import fnmatchcase

from wheelkit.checks.loader import LOADED_FIRST
from wheelkit.target.report import Fault
from wheelkit.wheel.elf import Elf
from wheelkit.wheel.reading import Wheel

TITLE = "libraries of symbol versions"
IDS = ("version-without-needed",)

# What libraries of the system load in turn.
BROUGHT_ALONG = {"libstdc++.so.6": ("libm.so.6", "libgcc_s.so.1")}


def faults(wheel: Wheel) -> Iterator[Fault]:
    """Find symbol versions of a library that is not loaded."""
    own = _own(wheel)
    for member, file in wheel.elves.items():
        loaded = _loaded(file, own)
        for library in dict.fromkeys(library for library, _ in file.version_needs):
            if library not in loaded and not any(fnmatchcase(library, g) for g in LOADED_FIRST):
                versions = ", ".join(v for name, v in file.version_needs if name == library)
                found = f"needs {versions} of {library}, which is not NEEDED"
                expected = (
                    "NEEDED for every library whose symbol versions it needs, by the same name"
                )
                remedy = (
                    "rename the library with `patchelf --replace-needed`, which changes both; or "
                    "link again"
                )
                yield Fault(
                    "version-without-needed", member, found=found, expected=expected, remedy=remedy
                )


def _own(wheel: Wheel) -> dict[str, Elf]:
    names: dict[str, Elf] = {}
    for member, file in wheel.elves.items():
        names[posixpath.basename(member)] = file
        if file.soname:
            names[file.soname] = file
    return names


def _loaded(file: Elf, own: dict[str, Elf]) -> set[str]:
    """Return the names of everything that is loaded with a file."""
    loaded: set[str] = set()
    todo = list(file.needed)
    while todo:
        name = todo.pop()
        if name not in loaded:
            loaded.add(name)
            todo += own[name].needed if name in own else BROUGHT_ALONG.get(name, ())
    return loaded
