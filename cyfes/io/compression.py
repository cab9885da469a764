"""Streams of text from files that are plain or compressed with gzip, xz or Zstandard."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cyfes.errors import InputError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_COMPRESSED_BLOCK = 1 << 17

# What zlib takes for data with the header and the checksum of gzip.
_GZIP_WINDOW = 31

_MAGIC = {b"\x1f\x8b": "gzip", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


def read_whole(path: Path) -> bytes:
    """Return all of a file, decompressed if it is compressed.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    InputError
        If its compressed data are damaged or cut off.
    MissingDependencyError
        If it is compressed with Zstandard, and the package zstandard is not installed.
    OSError
        If it cannot be read.
    """
    pieces: list[bytes] = []
    with path.open("rb") as file, decompressed(file, path) as (stream, kind):
        if not kind:
            return bytes(stream.read())
        buffer = bytearray(_COMPRESSED_BLOCK)
        try:
            for size in iter(lambda: stream.readinto(buffer), 0):
                pieces.append(bytes(buffer[:size]))
        except Exception as fault:  # each decompressor raises exceptions of its own
            raise InputError(f"{path}: {damage(fault, kind)}") from fault
    return b"".join(pieces)


def damage(fault: Exception, kind: str) -> str:
    """Return a message about damaged compressed data; raise an error of another kind again."""
    if isinstance(fault, MemoryError) or getattr(fault, "errno", None) is not None:
        raise fault
    return f"found damaged or incomplete {kind} data ({fault}), expected a whole file"


class CutOffError(EOFError):
    """Compressed data end before their end mark; all text up to there has been read."""


@contextmanager
def decompressed(file: Any, path: Path) -> Iterator[tuple[Any, str]]:
    """Yield the text of a file as a stream, and how it is compressed: "" if it is not.

    Of data that are cut off, the stream gives all text up to there, and then raises CutOffError.
    """
    # The file may be a pipe, in which one cannot go back; `peek` does not need to.
    start = file.peek(8)
    kind = next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), "")
    if not kind:
        yield file, ""
        return
    with _Pieces(_frames(file, _decompressor(kind, path))) as text:
        yield text, kind


def _decompressor(kind: str, path: Path) -> Callable[[], Any]:
    """Return what makes a decompressor of one frame."""
    # Imported here, because each is seldom needed and its import takes time.
    if kind == "gzip":
        import zlib

        return lambda: zlib.decompressobj(_GZIP_WINDOW)
    if kind == "xz":
        import lzma

        return lzma.LZMADecompressor
    try:
        import zstandard
    except ImportError as error:
        raise MissingDependencyError(
            f"{path}: found Zstandard data, which needs the package zstandard: "
            "pip install cyfes[zstd], or decompress the file"
        ) from error
    decompressor = zstandard.ZstdDecompressor()
    return lambda: decompressor.decompressobj()  # noqa: PLW0108 - the type of the argument


def _frames(stream: Any, decompressor: Callable[[], Any]) -> Iterator[bytes]:
    """Yield the text of frames that follow each other; zeros between and after them count not."""
    frame = None
    data = stream.read(_COMPRESSED_BLOCK)
    while data:
        if frame is None:
            data = data.lstrip(b"\0")
            frame = decompressor() if data else None
        if frame is not None:
            yield frame.decompress(data)
            rest = frame.unused_data if frame.eof else b""
            frame = None if frame.eof else frame
            data = rest
        data = data or stream.read(_COMPRESSED_BLOCK)
    if frame is not None:
        raise CutOffError("the file ended before the end of a frame was reached")


class _Pieces:
    """A stream made of pieces of text."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def __enter__(self) -> _Pieces:
        return self

    def __exit__(self, *_: object) -> None:
        self._rest = b""

    def readinto(self, buffer: memoryview) -> int:
        """Copy the next piece, or a part of it, to a buffer; return 0 at the end."""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = piece
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count
