"""Taking the bulk out of a large ELF file while it is patched: the tools hold it in memory whole.

What a patch changes are headers, names and tables. The middle of a large section of code or data is
left out of the file that the tools get, and comes back into what they have made of it. Addresses in
memory stay as they are; only places in the file move, by a multiple of every alignment.
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile

# Files and sections of at least this size are folded, in bytes.
LARGE_FILE, LARGE_SECTION = 1 << 26, 1 << 24
# What is left out begins and ends at a multiple of this, or of the largest alignment of a segment.
GRAIN = 1 << 21
BLOCK = 1 << 20

# In ELF files of 64 bits: where the header has the place of a table of parts, and the size and the
# number of its entries; an entry, and which of its fields is the place of the part. The sixth field
# is the size of the part.
PARTS = (
    (32, 54, struct.Struct("<IIQQQQQQ"), 2),
    (40, 58, struct.Struct("<IIQQQQIIQQ"), 4),
)
SIZE = 5
POINTER = struct.Struct("<Q")
# The type of a section whose memory is in no file.
NOBITS = 8
# Pointers to tables that are read by their address.
READ = ("DT_STRTAB", "DT_SYMTAB", "DT_VERSYM", "DT_VERNEED", "DT_VERDEF", "DT_HASH", "DT_GNU_HASH")

Place = Callable[[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Hole:
    """A part of a file that is left out: where it begins there, and how long it is."""

    start: int
    size: int

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.start + self.size


def holes(path: Path) -> tuple[Hole, ...]:
    """Return what can be left out of a file; nothing if it is small, or of an unusual kind."""
    if path.stat().st_size < LARGE_FILE:
        return ()
    with path.open("rb") as stream:
        try:
            file = ELFFile(stream)
            return tuple(_holes(file)) if file.elfclass == 64 and file.little_endian else ()
        except Exception:
            # A malformed file can make the parser raise any exception; it is patched as it is.
            return ()


def _holes(file: ELFFile) -> Iterator[Hole]:
    segments = list(file.iter_segments())
    loads = [segment for segment in segments if segment["p_type"] == "PT_LOAD"]
    grain = max(GRAIN, *(load["p_align"] for load in loads))
    dynamic = next(s for s in segments if isinstance(s, DynamicSegment))
    read = [tag.entry.d_val for tag in dynamic.iter_tags() if tag.entry.d_tag in READ]
    parts = [(s["p_offset"], s["p_filesz"]) for s in segments]
    sections = list(file.iter_sections())
    parts += [(s["sh_offset"], s["sh_size"]) for s in sections if s["sh_type"] != "SHT_NOBITS"]
    parts += [(file["e_phoff"], 1), (file["e_shoff"], 1)]
    for section in sorted(sections, key=lambda s: int(s["sh_offset"])):
        if section["sh_type"] != "SHT_PROGBITS" or section["sh_size"] < LARGE_SECTION:
            continue
        # Something of the section stays on both sides, so that no other part begins or ends there.
        start = (section["sh_offset"] // grain + 1) * grain
        end = (section["sh_offset"] + section["sh_size"] - 1) // grain * grain
        crossing = any(start <= at < end or start < at + size <= end for at, size in parts)
        # A table behind it in its segment would be looked for where it no longer is.
        behind = any(
            load["p_offset"] < end <= load["p_offset"] + load["p_filesz"]
            and end <= address - load["p_vaddr"] + load["p_offset"]
            and address < load["p_vaddr"] + load["p_memsz"]
            for load in loads
            for address in read
        )
        if start < end and not crossing and not behind:
            yield Hole(start, end - start)


def fold(whole: Path, folded: Path, left_out: Sequence[Hole]) -> None:
    """Write a copy of a file without its holes."""
    if not left_out:
        shutil.copyfile(whole, folded)
        return
    with whole.open("rb") as source, folded.open("w+b") as target:
        at = 0
        for hole in left_out:
            _copy(source, target, at, hole.start - at)
            at = hole.end
        _copy(source, target, at, whole.stat().st_size - at)

        def place(offset: int, size: int) -> tuple[int, int]:
            before = sum(hole.size for hole in left_out if hole.end <= offset)
            within = (h.size for h in left_out if offset < h.start and h.end < offset + size)
            return offset - before, size - sum(within)

        _move(target, place)


def unfold(patched: Path, whole: Path, left_out: Sequence[Hole]) -> None:
    """Bring the holes back into what was made of the folded file, as they are in the whole one."""
    if not left_out:
        return
    target = patched.with_name(f"{patched.name}.unfolded")
    # Where each of them belongs in the folded file.
    shifts: list[tuple[int, Hole]] = []
    for hole in left_out:
        shifts.append((hole.start - sum(earlier.size for _, earlier in shifts), hole))
    with patched.open("rb") as folded, whole.open("rb") as source, target.open("w+b") as result:
        at = 0
        for start, hole in shifts:
            _copy(folded, result, at, start - at)
            _copy(source, result, hole.start, hole.size)
            at = start
        _copy(folded, result, at, patched.stat().st_size - at)

        def place(offset: int, size: int) -> tuple[int, int]:
            before = sum(hole.size for start, hole in shifts if start <= offset)
            within = sum(h.size for start, h in shifts if offset < start < offset + size)
            return offset + before, size + within

        _move(result, place)
    shutil.copymode(patched, target)
    target.replace(patched)


def _copy(source: BinaryIO, target: BinaryIO, start: int, size: int) -> None:
    source.seek(start)
    while size > 0 and (block := source.read(min(size, BLOCK))):
        target.write(block)
        size -= len(block)


def _move(file: BinaryIO, place: Place) -> None:
    """Correct every place in a file that its header and its two tables of parts name."""
    for pointer, sizes, form, offset in PARTS:
        _, count = _read(file, struct.Struct("<HH"), sizes)
        table, _ = place(_read(file, POINTER, pointer)[0], 0)
        _write(file, POINTER, pointer, [table])
        for at in range(table, table + form.size * count, form.size):
            part = _read(file, form, at)
            in_file = offset == 2 or part[1] != NOBITS
            part[offset], size = place(part[offset], part[SIZE] if in_file else 0)
            part[SIZE] = size if in_file else part[SIZE]
            _write(file, form, at, part)


def _read(file: BinaryIO, form: struct.Struct, offset: int) -> list[int]:
    file.seek(offset)
    return list(form.unpack(file.read(form.size)))


def _write(file: BinaryIO, form: struct.Struct, offset: int, values: Sequence[int]) -> None:
    file.seek(offset)
    file.write(form.pack(*values))
