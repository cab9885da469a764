"""The dynamic symbols of an ELF file: what it wants from others, and what it offers."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from elftools.elf.elffile import ELFFile

# The layout of an Elf_Sym by ELF class: where the binding and the section's number are.
FORMS = {64: "IBBHQQ", 32: "IIIBBH"}
WEAK = 2


@dataclass(frozen=True)
class Symbols:
    """Names of symbols. `wanted` leaves out weak ones, without which a file loads too."""

    wanted: frozenset[str]
    offered: frozenset[str]


def read(path: Path) -> Symbols:
    """Read the dynamic symbols of an ELF file; a file without the section has none.

    A damaged table gives the symbols that can be read: another check reports the damage.
    """
    with path.open("rb") as stream:
        try:
            file = ELFFile(stream)
            section = file.get_section_by_name(".dynsym")
            if section is None:
                return Symbols(frozenset(), frozenset())
            names, data = file.get_section(section["sh_link"]).data(), section.data()
        except Exception:
            # A malformed file can make the parser raise any exception.
            return Symbols(frozenset(), frozenset())
        form = ("<" if file.little_endian else ">") + FORMS[file.elfclass]
        whole = len(data) - len(data) % struct.calcsize(form)
        wanted, offered = set(), set()
        for entry in struct.iter_unpack(form, data[:whole]):
            info, number = (entry[1], entry[3]) if file.elfclass == 64 else (entry[3], entry[5])
            name = names[entry[0] :].partition(b"\0")[0].decode("latin-1")
            if number:
                offered.add(name)
            elif info >> 4 != WEAK:
                wanted.add(name)
    return Symbols(frozenset(wanted - {""}), frozenset(offered))
