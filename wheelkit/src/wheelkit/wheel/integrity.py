"""Whether a patched ELF file is still the same library: only what names other files may differ.

patchelf moves what has grown to a new segment at the end. Versions of it have misaligned
segments, or padded files by megabytes; nothing of that shows before the library is loaded, on
some systems. So each patched file is compared with what it was.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection
from elftools.elf.sections import Section

from wheelkit.target.report import Fault
from wheelkit.wheel import platforms
from wheelkit.wheel.elf import UnreadableElfError

# Names of other files, the tables that point at the strings, and where sections begin. All else
# is code or data, whose bytes no repair has a reason to touch.
NAMING = frozenset(
    {".dynstr", ".dynamic", ".dynsym", ".gnu.version_r", ".gnu.version_d", ".shstrtab", ".symtab"}
)

# Segments that describe memory, of which each must still be there as it was.
KEPT_SEGMENTS = ("PT_LOAD", "PT_TLS", "PT_GNU_STACK", "PT_GNU_RELRO", "PT_GNU_EH_FRAME")

# auditwheel calls patchelf for the SONAME, the NEEDED entries and the rpath of a graft, and we
# once more; each may move the tables to a new segment, which is aligned like the others.
PATCHES = 4
# These move. The rpath and new names come on top.
TABLES = (*NAMING, ".gnu.hash", ".hash", ".gnu.version", ".note.gnu.build-id", ".interp")
NEW_TEXT = 1 << 16


class Segment(NamedTuple):
    """The fields of a program header that say what is in memory; its place in the file may change.

    `size` is that in memory.
    """

    kind: str
    address: int
    size: int
    flags: int


@dataclass(frozen=True)
class Shape:
    """What must survive a patch; `contents` are the hashes of the sections of each name.

    `tables` is the size of all dynamic tables, in bytes.
    """

    size: int
    tables: int
    alignment: int
    segments: tuple[Segment, ...]
    misaligned: tuple[str, ...]
    versions: frozenset[tuple[str, str]]
    contents: Mapping[str, tuple[bytes, ...]]


def damage(before: Path, after: Path, member: str) -> Iterator[Fault]:
    """Find what a patch has changed in an ELF file, other than names and rpaths.

    Parameters
    ----------
    before, after
        The file as it was and as it is; if they are the same, it must be right in itself.
    member
        Its archive name, for the message.
    """
    try:
        was = _read(before)
        now = was if after == before else _read(after)
    except UnreadableElfError as error:
        remedy = "link the library again; its sections are damaged"
        yield Fault(
            "elf-unreadable", member, found=str(error), expected="an ELF file", remedy=remedy
        )
        return
    for found, expected in (*_placing(was, now), *_substance(was, now)):
        remedy = (
            "link the library with an rpath that is at least as long, so that nothing has to move"
        )
        yield Fault("patch-damage", member, found=found, expected=expected, remedy=remedy)


def _placing(was: Shape, now: Shape) -> Iterator[tuple[str, str]]:
    """Find what is wrong with size and segments."""
    limit = was.size + PATCHES * (was.alignment + was.tables + NEW_TEXT)
    if now.size > limit:
        yield f"{now.size} bytes", f"at most {limit}: it had {was.size}"
    for place in now.misaligned:
        yield f"a misaligned segment, {place}", "address and offset congruent to the alignment"
    for segment in was.segments:
        if not any(_keeps(segment, other) for other in now.segments):
            yield f"no {_describe(segment)}", "every segment as it was in memory"
    for segment in now.segments:
        if segment not in was.segments and segment.kind != "PT_LOAD":
            yield f"a new {_describe(segment)}", "no segment but PT_LOAD for what has moved"
    for first, second in pairwise(sorted(s for s in now.segments if s.kind == "PT_LOAD")):
        if first.address + first.size > second.address:
            yield f"{_describe(first)} reaches into the next", "segments that do not overlap"


def _substance(was: Shape, now: Shape) -> Iterator[tuple[str, str]]:
    """Find what is wrong with symbol versions, code and data."""
    if was.versions != now.versions:
        changed = ", ".join(sorted(" ".join(pair) for pair in was.versions ^ now.versions))
        yield f"other symbol versions: {changed}", "the same versions of the same libraries"
    for name, contents in was.contents.items():
        left = now.contents.get(name, ())
        if any(content not in left for content in contents):
            yield f"section {name} has changed", "the same bytes"


def _keeps(old: Segment, new: Segment) -> bool:
    """Whether a segment is still there; the one for what has moved may grow in a further patch."""
    grown = old.kind == "PT_LOAD" and new.size > old.size
    return old == (new._replace(size=old.size) if grown else new)


def _read(path: Path) -> Shape:
    """Read an ELF file.

    Raises
    ------
    UnreadableElfError
        It is malformed; the loader does not mind if that is in its sections.
    """
    with path.open("rb") as stream:
        try:
            file = ELFFile(stream)
            headers = [segment.header for segment in file.iter_segments()]
            return _shape(headers, list(file.iter_sections()), stream)
        except Exception as error:
            # A malformed file can make the parser raise any exception.
            raise UnreadableElfError(f"{type(error).__name__}: {error}") from error


def _shape(headers: list[Any], sections: list[Section], stream: BinaryIO) -> Shape:
    loads = [header for header in headers if header.p_type == "PT_LOAD"]
    named: dict[str, tuple[bytes, ...]] = {}
    for section in sections:
        if section.name not in NAMING and section["sh_type"] not in ("SHT_NOBITS", "SHT_NULL"):
            start, size = section["sh_offset"], section["sh_size"]
            hashed = _hash(stream, start, size)
            named[section.name] = (*named.get(section.name, ()), hashed)
    return Shape(
        size=stream.seek(0, os.SEEK_END),
        tables=sum(section["sh_size"] for section in sections if section.name in TABLES),
        alignment=max((header.p_align for header in loads), default=0),
        segments=tuple(
            Segment(str(header.p_type), header.p_vaddr, header.p_memsz, header.p_flags)
            for header in headers
            if header.p_type in KEPT_SEGMENTS
        ),
        misaligned=tuple(
            f"{header.p_vaddr:#x} at {header.p_offset:#x}, {header.p_align:#x}"
            for header in loads
            if header.p_align > 1 and (header.p_vaddr - header.p_offset) % header.p_align
        ),
        versions=frozenset(_versions(sections)),
        contents=named,
    )


def _hash(stream: BinaryIO, start: int, size: int) -> bytes:
    """Hash a part of a file: neither of two large ones need be in memory."""
    stream.seek(start)
    hashed = hashlib.sha256()
    while size > 0 and (block := stream.read(min(size, 1 << 20))):
        hashed.update(block)
        size -= len(block)
    return hashed.digest()


def _describe(segment: Segment) -> str:
    kind, address, size, flags = segment
    return f"{kind} at {address:#x}, {size} bytes, flags {flags}"


def _versions(sections: Iterable[Section]) -> Iterator[tuple[str, str]]:
    """Return each symbol version that the file needs, and of which library.

    A graft has another name than the library that it is, so the stem has to do.
    """
    for section in sections:
        if isinstance(section, GNUVerNeedSection):
            for library, needs in section.iter_versions():
                yield from ((platforms.stem(str(library.name)), need.name) for need in needs)
