"""The CUDA device code in a file, read from its bytes and not from any list of it.

Device code is machine code (SASS) for one architecture or PTX for a virtual one. It is found as
cubins (ELF files for CUDA), as PTX text, and in fatbins, the containers that nvcc embeds, where
it may be compressed. An architecture-specific variant (sm_90a) counts as its architecture: the
flags of a cubin do not tell them apart.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

EM_CUDA = 190

# e_ident[EI_OSABI] of a cubin → how far to shift e_flags for the architecture in its low byte.
# 51 until CUDA 12.8; 65 from then on, at first for sm_100 and newer alone, since 13.0 for all.
ARCH_SHIFT = {51: 0, 65: 8}

# A little-endian 64-bit ELF file; a fatbin of version 1 with a header of 16 bytes.
ELF_START = b"\x7fELF\x02\x01\x01"
FATBIN_START = b"\x50\xed\x55\xba\x01\x00\x10\x00"
# .version and .target begin every PTX text, with at most comments between.
PTX_START = b".version"
_PTX = re.compile(rb"\.version\s+\d+\.\d+\s+(?://[^\n]*\s+)*\.target\s+sm_(\d+)")

# Large enough to search quickly, small enough that a file of any size takes little memory.
BLOCK = 1 << 22
# What begins at the end of a block is whole in the next: an ELF header, the head of a PTX text.
OVERLAP = 1 << 12

FATBIN_PTX, FATBIN_ELF = 1, 2
FATBIN_HEADER, ENTRY_HEADER = 16, 32


@dataclass(frozen=True)
class Images:
    """The architectures of the device code in a file: 90 is sm_90, or compute_90 for PTX.

    `unknown` says what is device code for sure and yet cannot be told.
    """

    sass: frozenset[int] = frozenset()
    ptx: frozenset[int] = frozenset()
    unknown: frozenset[str] = frozenset()

    def __or__(self, other: Images) -> Images:
        """Return the images of both."""
        return Images(self.sass | other.sass, self.ptx | other.ptx, self.unknown | other.unknown)

    def __bool__(self) -> bool:
        """Whether there is any device code."""
        return bool(self.sass or self.ptx or self.unknown)


def read(path: Path) -> Images:
    """Return the architectures of all device code in a file."""
    found = Images()
    with path.open("rb") as stream:
        for offset, block in blocks(stream):
            for start in places(block, ELF_START):
                found |= _cubin(stream, offset + start)
            for start in places(block, FATBIN_START):
                found |= _fatbin(stream, offset + start)
            for start in places(block, PTX_START):
                if match := _PTX.match(block, start):
                    found |= Images(ptx=frozenset({int(match[1])}))
    return found


def places(block: bytes, needle: bytes) -> Iterator[int]:
    """Yield where `needle` occurs; many times as fast as one regular expression for all."""
    place = block.find(needle)
    while place >= 0:
        yield place
        place = block.find(needle, place + 1)


def blocks(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield blocks of a file, each with its offset; they overlap by OVERLAP bytes."""
    offset = 0
    while True:
        stream.seek(offset)
        block = stream.read(BLOCK)
        yield offset, block
        if len(block) < BLOCK:
            return
        offset += BLOCK - OVERLAP


def _cubin(stream: BinaryIO, start: int) -> Images:
    """Read the header of an ELF file; it holds device code only if it is one for CUDA."""
    stream.seek(start)
    header = stream.read(52)
    if len(header) < 52 or struct.unpack_from("<H", header, 18)[0] != EM_CUDA:
        return Images()
    abi, flags = header[7], struct.unpack_from("<I", header, 48)[0]
    if abi not in ARCH_SHIFT:
        return Images(unknown=frozenset({f"a cubin of ABI {abi}"}))
    return Images(sass=frozenset({flags >> ARCH_SHIFT[abi] & 0xFF}))


def _fatbin(stream: BinaryIO, start: int) -> Images:
    """Walk over the entries of a fatbin; their headers are never compressed."""
    stream.seek(start + 8)
    size = int.from_bytes(stream.read(8), "little")
    at, end = start + FATBIN_HEADER, start + FATBIN_HEADER + size
    found = Images()
    while at < end:
        stream.seek(at)
        entry = stream.read(ENTRY_HEADER)
        if len(entry) < ENTRY_HEADER:
            return found | Images(unknown=frozenset({"a truncated fatbin"}))
        kind, _, header, payload = struct.unpack_from("<HHIQ", entry)
        if header < ENTRY_HEADER or at + header + payload > end:
            return found | Images(unknown=frozenset({"a damaged fatbin"}))
        arch = frozenset({struct.unpack_from("<I", entry, 28)[0]})
        found |= Images(
            sass=arch if kind == FATBIN_ELF else frozenset(),
            ptx=arch if kind == FATBIN_PTX else frozenset(),
        )
        at += header + payload
    return found
