"""Names of input files: lists of them, and patterns."""

from __future__ import annotations

import os
import re
from glob import glob, has_magic
from pathlib import Path
from typing import TYPE_CHECKING

from cyfes.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Union

    AnyPath = Union[str, "os.PathLike[str]"]


def flattened(paths: Iterable[AnyPath | Iterable[AnyPath]]) -> list[AnyPath]:
    """Return one list of file names, from names and lists of names."""
    files: list[AnyPath] = []
    for entry in paths:
        if isinstance(entry, (str, os.PathLike)):
            files.append(entry)
        else:
            files += flattened(entry)
    return files


def expanded(paths: Iterable[AnyPath]) -> list[Path]:
    """Return the files that names and patterns stand for.

    Parameters
    ----------
    paths : iterable of path-like
        Names, or patterns such as ``HILLS.*`` where no file has that very name.

    Returns
    -------
    list of Path
        The files; those of a pattern in order, ``HILLS.2`` before ``HILLS.10``.

    Raises
    ------
    InputError
        If no file matches a pattern, or a file is named twice.
    """
    files: list[Path] = []
    for path in paths:
        text = str(path)
        if not has_magic(text) or Path(text).exists():
            files.append(Path(text))
            continue
        matching = sorted(glob(text), key=_natural_order)  # noqa: PTH207 - no Path takes "../*"
        if not matching:
            raise InputError(f"{text}: found no file that matches, expected at least one")
        files += map(Path, matching)
    for file in files:
        if files.count(file) > 1:
            raise InputError(f"{file}: found this file named twice, expected each file once")
    return files


def _natural_order(name: str) -> list[tuple[bool, int, str]]:
    words = re.split("([0-9]+)", name)
    return [(word.isdigit(), int(word) if word.isdigit() else 0, word) for word in words]
