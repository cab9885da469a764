"""What the caller asks to be changed in a wheel before auditwheel repairs it.

A library that is opened by name gets its place beside the one that opens it, so that auditwheel
grafts what it needs; machine code in purelib moves to platlib.
"""

from __future__ import annotations

import posixpath
import shutil
from dataclasses import replace
from pathlib import Path

from wheelkit.repair.options import RepairedWheel, RepairOptions
from wheelkit.repair.patch import Patcher
from wheelkit.repair.refusal import search_folders
from wheelkit.target.report import Fault, FaultyError, MisusedError
from wheelkit.wheel import archive, elf
from wheelkit.wheel.reading import ORIGIN, Wheel, reread


def changed(repaired: RepairedWheel) -> Wheel:
    """Return the wheel that auditwheel is to repair: the given one, or a changed copy.

    Raises
    ------
    MisusedError
        A library of `--also` does not exist.
    FaultyError
        The wheel has no such file as `--also` names, or has the library already.
    """
    given, options = repaired.given, repaired.options
    if not options.also and not (options.platlib and _is_pure(given)):
        return given
    root = repaired.folder / "asked" / "files"
    shutil.copytree(given.archive.root, root)
    changing = replace(given.archive, root=root)
    wheel = reread(changing, given.identity, given.excluded, given.companions)
    if options.platlib:
        _to_platlib(wheel)
    for library, beside in _pairs(options):
        _add(wheel, library, beside)
    path = repaired.folder / "asked" / given.archive.path.name
    archive.pack(root, path, archive.build_date(given.archive.latest))
    changing = replace(changing, path=path)
    return reread(changing, given.identity, given.excluded, given.companions)


def _pairs(options: RepairOptions) -> list[tuple[Path, str]]:
    pairs = []
    for word in options.also:
        name, _, beside = word.rpartition("=")
        places = [Path(name)] if "/" in name else [f / name for f in search_folders(options)]
        path = next((place for place in places if place.is_file()), None)
        if not name or not beside or path is None:
            looked = ", ".join(map(str, places)) or "nowhere"
            raise MisusedError(f"--also {word!r}: expected LIB=BESIDE; looked for LIB at {looked}")
        pairs.append((path, beside))
    return pairs


def _add(wheel: Wheel, library: Path, beside: str) -> None:
    """Put a library beside the one that opens it by name, which looks for it there."""
    own = [member for member in wheel.elves if posixpath.basename(member) == beside]
    members = [beside] if beside in wheel.elves else own
    if len(members) != 1:
        found = f"--also {library.name}={beside}: {', '.join(members) or 'no such library'}"
        expected = f"one of {', '.join(wheel.elves)}"
        remedy = "give the path in the archive of the library that opens it"
        raise FaultyError(
            [
                Fault(
                    "also-beside",
                    wheel.archive.path.name,
                    found=found,
                    expected=expected,
                    remedy=remedy,
                )
            ]
        )
    (member,) = members
    target = wheel.archive.file(posixpath.join(posixpath.dirname(member), library.name))
    if target.exists():
        found, expected = (
            f"{library.name}, in the wheel already",
            "a library that the wheel does not have",
        )
        remedy = "leave --also out"
        raise FaultyError(
            [Fault("also-beside", member, found=found, expected=expected, remedy=remedy)]
        )
    shutil.copyfile(library, target)
    file = elf.read(wheel.archive.file(member))
    entries = file.search_path if file else ()
    if ORIGIN not in entries:
        patcher = Patcher(wheel.archive.root)
        patcher.set_rpath(member, (*entries, ORIGIN))
        patcher.apply()


def _is_pure(wheel: Wheel) -> bool:
    """Whether machine code is in purelib."""
    return any(wheel.scheme_path(member).scheme == "purelib" for member in wheel.elves)


def _to_platlib(wheel: Wheel) -> None:
    """Say in WHEEL that the root is platlib, and move what is in the purelib scheme there."""
    file = wheel.archive.metadata("WHEEL")
    lines = file.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.lower().startswith("root-is-purelib:")]
    file.write_text("\n".join([kept[0], "Root-Is-Purelib: false", *kept[1:], ""]), encoding="utf-8")
    for folder in wheel.archive.root.glob("*.data/purelib"):
        shutil.copytree(folder, wheel.archive.root, dirs_exist_ok=True)
        shutil.rmtree(folder)
        if not any(folder.parent.iterdir()):
            folder.parent.rmdir()
