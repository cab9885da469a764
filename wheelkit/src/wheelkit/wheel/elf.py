"""Reading what the dynamic loader reads of an ELF file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from elftools.elf.constants import P_FLAGS
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile

MAGIC = b"\x7fELF"

# glibc makes the stack of these executable for a library that has no PT_GNU_STACK.
EXECUTABLE_STACK_BY_DEFAULT = frozenset({"EM_386", "EM_X86_64"})


class UnreadableElfError(Exception):
    """The file has the ELF magic, but cannot be parsed."""


@dataclass(frozen=True)
class Elf:
    """The dynamic section of a library or program, as far as loading it is concerned.

    `rpath` and `runpath` are None where the tag is absent. An empty string in them is an empty
    entry, which the loader takes for its working directory.
    """

    machine: tuple[str, int, bool]
    soname: str | None
    needed: tuple[str, ...]
    rpath: tuple[str, ...] | None
    runpath: tuple[str, ...] | None
    executable_stack: bool
    is_program: bool

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
    )


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
