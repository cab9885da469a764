"""Reading what the dynamic loader reads of an ELF file."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from elftools.common.utils import parse_cstring_from_stream
from elftools.elf.constants import P_FLAGS
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.segments import Segment

MAGIC = b"\x7fELF"

# glibc makes the stack of these executable for a library that has no PT_GNU_STACK.
EXECUTABLE_STACK_BY_DEFAULT = frozenset({"EM_386", "EM_X86_64"})


# The tag that counts the libraries of DT_VERNEED.
NEEDS = "DT_VERNEEDNUM"
# GNU_PROPERTY_X86_ISA_1_NEEDED of the psABI: a bit for each level of x86-64.
ISA_NEEDED = 0xC0008002


class UnreadableElfError(Exception):
    """The file has the ELF magic, but cannot be parsed."""


@dataclass(frozen=True)
class Elf:
    """The dynamic section of a library or program, as far as loading it is concerned.

    `rpath` and `runpath` are None where the tag is absent. An empty string in them is an empty
    entry, which the loader takes for its working directory. `version_needs` are pairs of a library
    and the symbol version that it must have, as in ``("libc.so.6", "GLIBC_2.17")``. `misaligned`
    are the PT_LOAD segments that the loader refuses to map. `isa_level` is the least level of
    x86-64 that the file is marked to need: 2 for x86-64-v2; 0 without a mark.
    """

    machine: tuple[str, int, bool]
    soname: str | None
    needed: tuple[str, ...]
    rpath: tuple[str, ...] | None
    runpath: tuple[str, ...] | None
    executable_stack: bool
    is_program: bool
    version_needs: tuple[tuple[str, str], ...] = ()
    misaligned: tuple[str, ...] = ()
    isa_level: int = 0

    @property
    def search_path(self) -> tuple[str, ...]:
        """The entries that the loader uses: DT_RPATH counts only without DT_RUNPATH."""
        return (self.rpath or ()) if self.runpath is None else self.runpath


def read(path: Path) -> Elf | None:
    """Read the dynamic section of a file.

    Returns
    -------
    Elf or None
        None if the file is no ELF file, or one that the loader never loads: an object file,
        a static program, device code.

    Raises
    ------
    UnreadableElfError
        The file is truncated or malformed.
    """
    with path.open("rb") as stream:
        if stream.read(len(MAGIC)) != MAGIC:
            return None
        try:
            return _dynamic(ELFFile(stream))
        except Exception as error:
            # A malformed file can make the parser raise any exception.
            raise UnreadableElfError(f"{type(error).__name__}: {error}") from error


def _dynamic(file: ELFFile) -> Elf | None:
    segments = list(file.iter_segments())
    dynamic = next((s for s in segments if isinstance(s, DynamicSegment)), None)
    if dynamic is None:
        return None
    tags = list(dynamic.iter_tags())

    def texts(tag: str) -> list[str]:
        attribute = tag.removeprefix("DT_").lower()
        return [getattr(t, attribute) for t in tags if t.entry.d_tag == tag]

    kinds = {segment["p_type"] for segment in segments}
    return Elf(
        machine=(file["e_machine"], file.elfclass, file.little_endian),
        soname=next(iter(texts("DT_SONAME")), None),
        needed=tuple(texts("DT_NEEDED")),
        rpath=_entries(texts("DT_RPATH")),
        runpath=_entries(texts("DT_RUNPATH")),
        executable_stack=_executable_stack(file),
        is_program="PT_INTERP" in kinds,
        version_needs=tuple(dict.fromkeys(_version_needs(file, dynamic))),
        misaligned=tuple(_misaligned(segments)),
        isa_level=_isa_level(file, segments),
    )


def _version_needs(file: ELFFile, dynamic: DynamicSegment) -> Iterator[tuple[str, str]]:
    """Read what DT_VERNEED leads to; stripped files have no section for it."""
    _, at = dynamic.get_table_offset("DT_VERNEED")
    _, strings = dynamic.get_table_offset("DT_STRTAB")
    count = next((t.entry.d_val for t in dynamic.iter_tags() if t.entry.d_tag == NEEDS), 0)
    if at is None or strings is None:
        return
    order = "<" if file.little_endian else ">"

    def text(offset: int) -> str:
        return (parse_cstring_from_stream(file.stream, strings + offset) or b"").decode()

    for _ in range(count):
        _, versions, library, first, following = _unpack(file, f"{order}HHIII", at)
        auxiliary = at + first
        for _ in range(versions):
            *_, name, step = _unpack(file, f"{order}IHHII", auxiliary)
            yield text(library), text(name)
            auxiliary += step
        at += following


def _unpack(file: ELFFile, form: str, offset: int) -> tuple[int, ...]:
    file.stream.seek(offset)
    return struct.unpack(form, file.stream.read(struct.calcsize(form)))


def _misaligned(segments: list[Segment]) -> Iterator[str]:
    for segment in segments:
        address, offset, align = (segment[f"p_{name}"] for name in ("vaddr", "offset", "align"))
        if segment["p_type"] == "PT_LOAD" and align > 1 and (address - offset) % align:
            yield f"{address:#x} at {offset:#x}, alignment {align:#x}"


def _isa_level(file: ELFFile, segments: list[Segment]) -> int:
    if file["e_machine"] != "EM_X86_64":
        return 0
    needed = 0
    for segment in segments:
        if segment["p_type"] != "PT_GNU_PROPERTY":
            continue
        data = segment.data()
        # One note: sizes of name and content, type, "GNU"; then properties, each padded to 8 bytes.
        at = 16
        while at + 12 <= len(data):
            kind, size, value = struct.unpack_from("<III", data, at)
            needed |= value if kind == ISA_NEEDED else 0
            at += 8 + (size + 7) // 8 * 8
    # Bit 0 is the baseline, which is level 1.
    return needed.bit_length()


def _entries(texts: list[str]) -> tuple[str, ...] | None:
    if not texts:
        return None
    # The loader ignores a tag whose whole text is empty.
    return tuple(texts[0].split(":")) if texts[0] else ()


def _executable_stack(file: ELFFile) -> bool:
    for segment in file.iter_segments():
        if segment["p_type"] == "PT_GNU_STACK":
            return bool(segment["p_flags"] & P_FLAGS.PF_X)
    return file["e_machine"] in EXECUTABLE_STACK_BY_DEFAULT
