"""The newest versions of other libraries' symbols that the ELF files of a wheel need."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection

from wheelkit.wheel.elf import MAGIC


def needed(content: bytes) -> Iterator[tuple[str, str]]:
    """Yield (library, symbol version) pairs of one ELF file, as in (libc.so.6, GLIBC_2.17)."""
    for section in ELFFile(io.BytesIO(content)).iter_sections():
        if isinstance(section, GNUVerNeedSection):
            for library, symbols in section.iter_versions():
                yield from ((str(library.name), symbol.name) for symbol in symbols)


def newest(wheel: Path) -> dict[str, tuple[int, ...]]:
    """Return the newest version of each family: {"GLIBC": (2, 17), "GLIBCXX": (3, 4, 19)}."""
    found: dict[str, tuple[int, ...]] = {}
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            content = archive.read(name)
            if not content.startswith(MAGIC):
                continue
            for _, symbol in needed(content):
                match = re.fullmatch(r"([A-Z]+)_(\d+(?:\.\d+)*)", symbol)
                if match:
                    version = tuple(map(int, match[2].split(".")))
                    found[match[1]] = max(found.get(match[1], ()), version)
    return found
