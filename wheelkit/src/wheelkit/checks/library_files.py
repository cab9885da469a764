"""Every file that is named as a library is one."""

from __future__ import annotations

import io
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from elftools.elf.elffile import ELFFile

from wheelkit.checks.machines import MACHINES
from wheelkit.target.report import FAULT, WARNING, Fault
from wheelkit.wheel.elf import MAGIC
from wheelkit.wheel.reading import Wheel

TITLE = "files named as libraries"
IDS = ("library-is-no-elf",)

_LIBRARY = re.compile(r"[^/]+\.so(\.\d+)*")
# Libraries of macOS, Windows and WebAssembly, in wheels that hold those of every system.
FOREIGN = (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"MZ", b"\0asm")
# What `ld` reads in place of a library: a text with these commands.
_LINKER_SCRIPT = re.compile(rb"\b(INPUT|GROUP|OUTPUT_FORMAT)\s*\(")
LFS = b"version https://git-lfs"


def faults(wheel: Wheel) -> Iterator[Fault]:
    """Find files that the loader or Python would take for a library, and refuse.

    An ELF file that is read by the loader has a dynamic section: it is one of `wheel.elves`.
    """
    tags = {tag.platform for tag in wheel.identity.tags}
    known = {*wheel.elves, *(fault.file for fault in wheel.unreadable)}
    other_systems = not wheel.identity.platforms and "any" not in tags
    for member in wheel.archive.members:
        if not _LIBRARY.fullmatch(posixpath.basename(member)):
            continue
        with wheel.archive.file(member).open("rb") as stream:
            head = stream.read(4096)
        if head.startswith(MAGIC):
            if member in known or not _is_for(wheel, head):
                continue
        elif _LINKER_SCRIPT.search(head):
            continue
        if other_systems and head.startswith(FOREIGN):
            continue
        severity = WARNING if head.startswith(FOREIGN) else FAULT
        remedy = "put the library itself into the wheel, or give the file another name"
        if head.startswith(LFS):
            remedy = "run `git lfs pull` before the build"
        found = _described(head, wheel.archive.file(member))
        yield Fault(
            "library-is-no-elf",
            member,
            found=found,
            expected="a shared library",
            remedy=remedy,
            severity=severity,
        )


def _is_for(wheel: Wheel, head: bytes) -> bool:
    """Whether an ELF file is for a machine of the tags; others have their own loaders."""
    wanted = {MACHINES.get(platform.arch) for platform in wheel.identity.platforms}
    file = ELFFile(io.BytesIO(head))
    return (file["e_machine"], file.elfclass, file.little_endian) in wanted


def _described(head: bytes, path: Path) -> str:
    if head.startswith(MAGIC):
        return "an ELF file without a dynamic section, as an object file or debug information"
    if head.startswith(LFS):
        return "a pointer of Git LFS"
    if not head:
        return "an empty file"
    return f"{path.stat().st_size} bytes that begin with {head[:16]!r}"
