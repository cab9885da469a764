"""Why auditwheel refuses a wheel, said with the file and with what to do about it."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from packaging.tags import Tag

from wheelkit.checks import platform_tag
from wheelkit.repair.options import RepairOptions
from wheelkit.target.report import Fault
from wheelkit.wheel import elf, platforms
from wheelkit.wheel.platforms import Platform
from wheelkit.wheel.reading import Wheel

ID = "auditwheel-refused"
EXPECTED = "a wheel that auditwheel can repair"

# What auditwheel says, and what to do; the first that occurs counts.
REMEDIES = (
    (
        "could not be located",
        "name its folder in LD_LIBRARY_PATH. If users have the library themselves, exclude it "
        "(--exclude). If another distribution brings it, name this distribution (--companion)",
    ),
    ("detect libc", "name the platform with --plat, or link the extension with -lc"),
    ("ISA extension", "compile without -march, or repair with --disable-isa-ext-check"),
    ("purelib", "build it as a platform wheel, or repair it with --platlib"),
    ("no ELF", "a wheel without machine code needs no repair: publish it as it is"),
    ("platform-independent", "a wheel without machine code needs no repair: publish it as it is"),
    ("too-recent", f"{platform_tag.OLDER}, or name a newer platform with --plat"),
    ("black-listed", "link with your own copy of the library; the repair grafts it"),
)


def faults(given: Wheel, options: RepairOptions, words: str) -> Iterator[Fault]:
    """Explain auditwheel's last words."""
    found = list(_causes(given, options, words))
    for one in found:
        yield replace(one, id=ID, found=f"{one.found}; auditwheel says: {words}")
    if not found:
        yield Fault(ID, options.wheel.name, found=words, expected=EXPECTED, remedy=_remedy(words))


def _remedy(words: str) -> str:
    found = (remedy for part, remedy in REMEDIES if part.lower() in words.lower())
    return next(found, "see the message")


def foreign(given: Wheel) -> Iterator[Fault]:
    """Refuse a wheel for another system than Linux."""
    tags = sorted({tag.platform for tag in given.identity.tags})
    others = [tag for tag in tags if tag != "any" and platforms.parse(tag) is None]
    if others:
        tool = {"win": "delvewheel", "mac": "delocate"}.get(others[0][:3], "a tool of that system")
        remedy = f"repair it with {tool}; auditwheel knows Linux alone"
        yield Fault(
            ID,
            given.archive.path.name,
            found=", ".join(others),
            expected="a wheel for Linux",
            remedy=remedy,
        )


def _causes(given: Wheel, options: RepairOptions, words: str) -> Iterator[Fault]:
    if "ISA extension" in words:
        for member, file in given.elves.items():
            if file.isa_level > 1:
                found, remedy = f"marked to need x86-64-v{file.isa_level}", _remedy(words)
                yield Fault(ID, member, found=found, expected="x86-64, the baseline", remedy=remedy)
    if options.plat is not None and ("too-recent" in words or "black-listed" in words):
        tags = frozenset({Tag("py3", "none", str(options.plat))})
        asked = replace(given, identity=replace(given.identity, tags=tags))
        yield from platform_tag.too_new(asked)
        if "too-recent" in words:
            yield from _outside(given, options, options.plat)


def _outside(given: Wheel, options: RepairOptions, plat: Platform) -> Iterator[Fault]:
    """Find too recent symbols in the libraries that auditwheel would graft."""
    own = {posixpath.basename(member) for member in given.elves}
    queue = [name for file in given.elves.values() for name in file.needed]
    seen = set(own)
    while queue:
        name = queue.pop()
        if name in seen or given.is_system(name):
            continue
        seen.add(name)
        path = next((f / name for f in search_folders(options) if (f / name).is_file()), None)
        file = _read(path)
        if path is None or file is None:
            continue
        queue += file.needed
        for library, version in file.version_needs:
            if not platforms.promises(plat, version):
                found = f"needs {version} of {library}, which {plat} does not promise"
                expected = f"symbols that every {plat} has"
                remedy = f"take {name} from an older system, or name a newer platform with --plat"
                yield Fault(ID, str(path), found=found, expected=expected, remedy=remedy)
                break


def _read(path: Path | None) -> elf.Elf | None:
    try:
        return elf.read(path) if path is not None else None
    except elf.UnreadableElfError:
        return None


def search_folders(options: RepairOptions) -> list[Path]:
    """Return the folders where auditwheel looks for libraries, the caller's first."""
    told = options.ldpaths or os.environ.get("LD_LIBRARY_PATH", "")
    machine = os.uname().machine
    system = [f"/lib/{machine}-linux-gnu", f"/usr/lib/{machine}-linux-gnu", "/lib64", "/usr/lib64"]
    system += ["/lib", "/usr/lib", "/usr/local/lib", "/usr/local/lib64"]
    return [Path(folder) for folder in (*told.split(":"), *system) if folder]
