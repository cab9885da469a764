"""The path of libcufes.

libcufes is installed as ``<data>/cufes/libcufes.so``. Where ``<data>`` is depends on the installer,
so it is searched for in each place that an installer uses.
"""

from __future__ import annotations

import csv
import os
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from cyfes.errors import LibraryError

if TYPE_CHECKING:
    from collections.abc import Iterator

# The folder that the package is installed in.
_SITE = Path(__file__).resolve().parents[2]
_NAME = "cufes/libcufes.so"


def _recorded() -> Iterator[Path]:
    """Yield libcufes as named by RECORD beside the package: what the installer itself wrote.

    Read by hand: importlib.metadata is not in CPython 3.7.
    """
    for record in sorted(_SITE.glob("cyfes-*.dist-info/RECORD")):
        with record.open(encoding="utf-8", newline="") as lines:
            for row in csv.reader(lines):
                if row and row[0].endswith(_NAME):
                    # Not resolved: a link to the library is part of the installation.
                    yield Path(os.path.normpath(_SITE / row[0]))


def _candidates() -> Iterator[tuple[Path, str]]:
    """Yield each place where libcufes may be, with the reason to look there."""
    for path in _recorded():
        yield path, "RECORD beside the package"
    yield _SITE / _NAME, "beside the package, as by pip --target"
    yield Path(sysconfig.get_path("data")) / _NAME, "the data scheme of this Python"
    user_scheme = os.name + "_user"
    if user_scheme in sysconfig.get_scheme_names():
        yield Path(sysconfig.get_path("data", user_scheme)) / _NAME, "the user's data scheme"


def library_path() -> str:
    """Return the path of libcufes.

    Returns
    -------
    str
        An absolute path of an existing file.

    Raises
    ------
    LibraryError
        If libcufes is in none of the places where an installer puts it; the message lists them.
    """
    searched = []
    for path, reason in _candidates():
        if path.is_file():
            return str(path)
        searched.append(f"{path} ({reason})")
    places = ", ".join(searched)
    raise LibraryError(f"libcufes.so is not installed; looked for {places}; reinstall cyfes")
