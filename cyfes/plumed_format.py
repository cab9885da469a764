"""PLUMED's grid file, and how output files are written and older ones kept.

What is described here was learnt from the behaviour of PLUMED 2.10, so that a file
written by cyfes can stand in for one written by ``plumed sum_hills``.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from cyfes._library import text_module
from cyfes.base.numbers import check_number_format
from cyfes.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from cyfes.grid import Grid
else:
    from cyfes._numpy import np

_STANDARD_OUTPUT = ("-", "/dev/stdout")

# Some megabytes of text: enough work for the threads that share it.
_ROWS_PER_BLOCK = 1 << 15


def grid_blocks(
    grid: Grid,
    names: Sequence[str],
    bounds: Sequence[tuple[str, str]],
    columns: Mapping[str, NDArray[np.floating]],
    fmt: str,
) -> Iterator[bytes]:
    """Yield the text of a PLUMED grid file, piece by piece.

    Parameters
    ----------
    grid : Grid
        The grid of D axes.
    names : sequence of str
        The D collective variables.
    bounds : sequence of (str, str)
        The literals of each axis's minimum and maximum for the header.
    columns : mapping of str to ndarray
        What follows the coordinates: column name to values of shape ``grid.shape``.
    fmt : str
        The C format of every number.

    Yields
    ------
    bytes
        The header, then rows with the first collective variable running fastest; a blank line
        comes before every row but the first whose index on the last axis but one is 0.

    Raises
    ------
    InputError
        If `fmt` is not one floating-point conversion.
    LibraryError
        If the compiled part of cyfes is missing.
    """
    number = " " + check_number_format(fmt)
    native = text_module()
    yield grid_header(names, bounds, grid.shape, grid.periodic, list(columns)).encode()
    flat = [np.ascontiguousarray(column, dtype=np.float64).ravel() for column in columns.values()]
    text = native.GridText(list(grid.axes), flat, number.encode())
    threads = native.threads()
    for first in range(0, text.rows, _ROWS_PER_BLOCK):
        yield from text.format(first, min(first + _ROWS_PER_BLOCK, text.rows), threads)


def grid_header(
    names: Sequence[str],
    bounds: Sequence[tuple[str, str]],
    shape: Sequence[int],
    periodic: Sequence[bool],
    columns: Sequence[str],
) -> str:
    """Return the header of a PLUMED grid file.

    Parameters
    ----------
    names : sequence of D str
        The collective variables.
    bounds : sequence of D (str, str)
        The literals of each axis's ends.
    shape : sequence of D int
        The points on each axis.
    periodic : sequence of D bool
        Whether each axis is periodic.
    columns : sequence of str
        The columns behind the coordinates.
    """
    lines = [" ".join(["#! FIELDS", *names, *columns])]
    for name, (lower, upper), points, wraps in zip(names, bounds, shape, periodic):
        lines += [
            f"#! SET min_{name} {lower}",
            f"#! SET max_{name} {upper}",
            # PLUMED prints whole numbers with a blank of their own.
            f"#! SET nbins_{name}  {points}",
            f"#! SET periodic_{name} {'true' if wraps else 'false'}",
        ]
    return "\n".join(lines) + "\n"


def write_text(
    path: str | os.PathLike[str], blocks: Iterable[str | bytes], keep_older: bool = True
) -> None:
    """Write a text file in one go, complete or not at all.

    Parameters
    ----------
    path : path-like
        The file, gzipped if it ends with ``.gz``; ``-`` or ``/dev/stdout`` is the standard output.
    blocks : iterable of str or bytes
        Its content; bytes are UTF-8.
    keep_older : bool
        Whether an older file is renamed to ``bck.0.NAME``, ``bck.1.NAME``, …, as PLUMED does.

    Raises
    ------
    InputError
        If there are too many backups already (see `next_backup`).
    OSError
        If the file cannot be written. An older file is then left as it was.
    """
    if os.fspath(path) in _STANDARD_OUTPUT:
        sys.stdout.writelines(x if isinstance(x, str) else x.decode("utf-8") for x in blocks)
        sys.stdout.flush()
        return
    path = Path(path)
    if _is_special(path):
        with path.open("wb") as stream:
            stream.writelines(_encoded(blocks))
        return
    _replace(path, blocks, keep_older)


def check_target(path: str | os.PathLike[str]) -> None:
    """Refuse, before any work is done for it, a file that `write_text` could not write.

    Parameters
    ----------
    path : path-like
        The file to be written.

    Raises
    ------
    InputError
        If its directory is missing or write-protected, or there are too many backups.
    """
    if os.fspath(path) in _STANDARD_OUTPUT or _is_special(Path(path)):
        return
    directory = Path(path).parent
    if not directory.is_dir():
        raise InputError(f"{path}: found no directory {directory}, expected one to write to")
    if not os.access(directory, os.W_OK):
        raise InputError(f"{path}: found {directory} write-protected, expected to write there")
    next_backup(path)


def _is_special(path: Path) -> bool:
    """Whether a path is a pipe or a device, which can be neither backed up nor replaced."""
    return path.exists() and not path.is_file()


def _encoded(blocks: Iterable[str | bytes]) -> Iterator[bytes]:
    return (block.encode("utf-8") if isinstance(block, str) else block for block in blocks)


def _replace(path: Path, blocks: Iterable[str | bytes], keep_older: bool) -> None:
    gzipped = path.suffix == ".gz"
    with replacing(path, keep_older) as temporary, _open_new(temporary, gzipped) as stream:
        stream.writelines(_encoded(blocks))


@contextmanager
def replacing(path: Path, keep_older: bool = True) -> Iterator[Path]:
    """Yield the name under which a file is to be written before it takes its place.

    Parameters
    ----------
    path : Path
        The file. If the body raises, it is left as it was and nothing else is left behind.
    keep_older : bool
        Whether an older file is renamed as `next_backup` says.

    Yields
    ------
    Path
        A new name in the same directory; the file itself if it is a pipe or a device.
    """
    if _is_special(path):
        yield path
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        backup = next_backup(path) if keep_older else None
        if backup is not None:
            path.rename(backup)
        temporary.replace(path)
    finally:
        if temporary.exists():
            temporary.unlink()


def _open_new(path: Path, gzipped: bool) -> IO[bytes]:
    if not gzipped:
        return path.open("xb")
    # Seldom needed, and it takes its time to import.
    import gzip

    return gzip.GzipFile(path, "xb")  # type: ignore[return-value]


def next_backup(path: str | os.PathLike[str]) -> Path | None:
    """Return the name under which a file is to be kept before it is written anew.

    Parameters
    ----------
    path : path-like
        The file to be written.

    Returns
    -------
    Path or None
        The first free one of ``bck.0.NAME``, ``bck.1.NAME``, … beside the file; None if there is
        nothing to keep, or PLUMED's environment variable PLUMED_MAXBACKUP is 0.

    Raises
    ------
    InputError
        If all numbers up to PLUMED_MAXBACKUP (100 unless set) are taken.
    """
    path = Path(path)
    text = os.environ.get("PLUMED_MAXBACKUP", "100")
    if not re.fullmatch(r"-?[0-9]+", text):
        raise InputError(f"PLUMED_MAXBACKUP: found {text!r}, expected a whole number")
    if int(text) <= 0 or not path.is_file():
        return None
    for number in range(int(text) + 1):
        backup = path.with_name(f"bck.{number}.{path.name}")
        if not backup.exists():
            return backup
    raise InputError(
        f"{path}: found backups bck.0 to bck.{text} of it, expected a free number; "
        "delete some, name another file, or set PLUMED_MAXBACKUP higher (0: keep none)"
    )
