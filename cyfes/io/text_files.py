"""How output files are written, and older ones kept, as PLUMED 2.10 does it."""

from __future__ import annotations

import os
import re
import sys
import warnings
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from cyfes.errors import CyfesWarning, InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_STANDARD_OUTPUT = ("-", "/dev/stdout")


def write_text(
    path: str | os.PathLike[str], blocks: Iterable[str | bytes], keep_older: bool = True
) -> None:
    """Write a text file, completely or not at all.

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
        The file. If the body raises, it is left as it was, and no other file is left.
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
    _remove_remains(path)
    temporary = path.with_name(f"{_temporary_prefix(path)}{os.getpid()}.tmp")
    backup = None
    try:
        yield temporary
        backup = next_backup(path) if keep_older else None
        if backup is not None:
            path.rename(backup)
        temporary.replace(path)
    finally:
        if backup is not None and backup.exists() and not path.exists():
            backup.rename(path)
        if temporary.exists():
            temporary.unlink()


def _temporary_prefix(path: Path) -> str:
    """Return what the temporary names of a file begin with on this machine."""
    return f".{path.name}.{os.uname().nodename}."


def _remove_remains(path: Path) -> None:
    """Remove what processes of this machine that were killed have left of a file, and say so."""
    pattern = re.compile(re.escape(_temporary_prefix(path)) + r"([0-9]{1,18})\.tmp")
    for file in path.parent.iterdir():
        match = pattern.fullmatch(file.name)
        if match is None or _is_running(int(match[1])):
            continue
        # Another process may have removed it in the meantime.
        with suppress(FileNotFoundError):
            file.unlink()
        message = f"{path}: found and removed {file.name}, which a process that was killed had left"
        warnings.warn(CyfesWarning(message), stacklevel=2)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        # It runs for another user; or the number is not one that cyfes has written.
        return True
    return True


def _open_new(path: Path, gzipped: bool) -> IO[bytes]:
    if not gzipped:
        return path.open("xb")
    # Imported here, because it is seldom needed and its import takes time.
    import gzip

    return gzip.GzipFile(path, "xb")  # type: ignore[return-value]


def next_backup(path: str | os.PathLike[str]) -> Path | None:
    """Return the name under which a file is to be kept before it is written again.

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
