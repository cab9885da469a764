"""Writing zip archives whose bytes depend on what is in them alone.

zipfile compresses with the system's zlib, of which there are several with different results. The
pinned libdeflate is the same everywhere, and takes a third of the time for a smaller archive; but
it needs a member and its compressed form in memory. So a member larger than `STREAMED` is
compressed with zlib after all, piece by piece: its bytes depend on the version of zlib too.
"""

from __future__ import annotations

import mmap
import stat
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from deflate import crc32, deflate_compress

DateTime = tuple[int, int, int, int, int, int]

# zlib's usual level; beyond it, libdeflate takes 1.5 times as long for 1 % less.
LEVEL = 6

# The size from which a member is compressed piece by piece, and that of a piece, in bytes.
STREAMED = 1 << 27
PIECE = 1 << 22

# Larger numbers are in the fields of the ZIP64 extension.
LIMIT_32, LIMIT_16 = 0xFFFFFFFF, 0xFFFF

# The sizes that the format gives its fixed parts need no padding.
LOCAL = struct.Struct("<4s5H3L2H")
CENTRAL = struct.Struct("<4s6H3L5H2L")
END = struct.Struct("<4s4H2LH")
END_64 = struct.Struct("<4sQ2H2L4Q")
LOCATOR_64 = struct.Struct("<4sLQL")

DEFLATED = 8
UNIX = 3 << 8
UTF_8 = 1 << 11


@dataclass(frozen=True)
class _Entry:
    """What both headers of a member say; `wide` if the ZIP64 extension is there in any case."""

    name: bytes
    mode: int
    stamp: tuple[int, int]
    crc: int
    packed: int
    size: int
    offset: int
    wide: bool = False

    @property
    def large(self) -> bool:
        return self.wide or max(self.packed, self.size, self.offset) >= LIMIT_32

    @property
    def common(self) -> tuple[int, ...]:
        """The fields from the flags to the length of the name."""
        sizes = (LIMIT_32, LIMIT_32) if self.large else (self.packed, self.size)
        flags = 0 if self.name.isascii() else UTF_8
        return (flags, DEFLATED, *self.stamp, self.crc, *sizes, len(self.name))

    @property
    def version(self) -> int:
        """The version of the format that a reader needs."""
        return 45 if self.large else 20

    def local(self) -> bytes:
        extra = struct.pack("<2H2Q", 1, 16, self.size, self.packed) if self.large else b""
        fixed = LOCAL.pack(b"PK\3\4", self.version, *self.common, len(extra))
        return fixed + self.name + extra

    def central(self) -> bytes:
        numbers = (self.size, self.packed, self.offset)
        extra = struct.pack("<2H3Q", 1, 24, *numbers) if self.large else b""
        offset = LIMIT_32 if self.large else self.offset
        versions = (UNIX | self.version, self.version)
        rest = (len(extra), 0, 0, 0, (stat.S_IFREG | self.mode) << 16, offset)
        return CENTRAL.pack(b"PK\1\2", *versions, *self.common, *rest) + self.name + extra


def write(
    archive: Path, root: Path, names: Iterable[str], date: DateTime, level: int = LEVEL
) -> None:
    """Write the files `names` below `root`, in this order, all with the same date."""
    with archive.open("wb") as target:
        entries = [_add(target, root / name, name, date, level) for name in names]
        start = target.tell()
        for entry in entries:
            target.write(entry.central())
        target.write(_end(len(entries), start, target.tell() - start))


def _add(target: BinaryIO, path: Path, name: str, date: DateTime, level: int) -> _Entry:
    status = path.stat()
    mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
    year, month, day, hour, minute, second = date
    stamp = (hour << 11 | minute << 5 | second >> 1, (year - 1980) << 9 | month << 5 | day)
    entry = _Entry(name.encode(), mode, stamp, 0, 0, status.st_size, target.tell())
    if status.st_size >= STREAMED:
        return _stream(target, path, entry, level)
    crc, packed = _compress(path, level) if status.st_size else (0, deflate_compress(b"", level))
    entry = replace(entry, crc=crc, packed=len(packed))
    target.write(entry.local())
    target.write(packed)
    return entry


def _compress(path: Path, level: int) -> tuple[int, bytearray]:
    # Mapped: a file need not be in memory twice.
    with (
        path.open("rb") as source,
        mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        return crc32(data), deflate_compress(data, level)


def _stream(target: BinaryIO, path: Path, entry: _Entry, level: int) -> _Entry:
    """Write a member piece by piece; its header is written again when its numbers are known."""
    # What does not shrink may grow by a few bytes for each piece: whether the numbers fit into 32
    # bits, and so the length of the header, must be known before.
    entry = replace(entry, packed=entry.size + (entry.size >> 10))
    target.write(entry.local())
    start, crc = target.tell(), 0
    compressor = zlib.compressobj(level, wbits=-zlib.MAX_WBITS)
    with path.open("rb") as source:
        while piece := source.read(PIECE):
            crc = zlib.crc32(piece, crc)
            target.write(compressor.compress(piece))
    target.write(compressor.flush())
    end = target.tell()
    entry = replace(entry, crc=crc, packed=end - start, wide=entry.large)
    target.seek(entry.offset)
    target.write(entry.local())
    target.seek(end)
    return entry


def _end(count: int, start: int, size: int) -> bytes:
    fixed = (min(count, LIMIT_16), min(count, LIMIT_16), min(size, LIMIT_32), min(start, LIMIT_32))
    end = END.pack(b"PK\5\6", 0, 0, *fixed, 0)
    if max(start, size) < LIMIT_32 and count < LIMIT_16:
        return end
    here = start + size
    large = END_64.pack(b"PK\6\6", END_64.size - 12, UNIX | 45, 45, 0, 0, count, count, size, start)
    return large + LOCATOR_64.pack(b"PK\6\7", 0, here, 1) + end
