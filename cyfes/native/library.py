"""Where the compiled part of cyfes is: libcufes in the data scheme, the extensions beside this.

libcufes is installed as ``<data>/cufes/libcufes.so``. Where ``<data>`` is relative to the package
depends on the installer, so it is looked for, never guessed from one layout.
"""

from __future__ import annotations

import csv
import os
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyfes.errors import LibraryError

if TYPE_CHECKING:
    from collections.abc import Iterator

_FOLDER = Path(__file__).resolve().parent
_PACKAGE = _FOLDER.parent
_SITE = _PACKAGE.parent
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


def wrapper(dtype: str) -> Any:
    """Return the extension module for a precision.

    Parameters
    ----------
    dtype : {"float64", "float32"}
        The precision.

    Raises
    ------
    LibraryError
        If the extension, or libcufes, is missing or cannot be loaded.
    """
    try:
        if dtype == "float64":
            from cyfes.native import wrapper as module
        else:
            from cyfes import wrapper_f32 as module  # type: ignore[no-redef]
    except LibraryError:
        raise
    except ImportError as error:
        raise LibraryError(_why_no_extension(error)) from error
    return module


def text_module() -> Any:
    """Return the extension module that reads and writes text.

    Raises
    ------
    LibraryError
        If it is missing or cannot be loaded.
    """
    try:
        from cyfes.native import _text
    except ImportError as error:
        raise LibraryError(_why_no_extension(error)) from error
    return _text


def _why_no_extension(error: ImportError) -> str:
    if (_FOLDER / "wrapper.pyx").exists():
        return (
            f"cyfes was imported from its source tree at {_SITE}, which has no compiled "
            "extensions: run `pip install .` there and start Python in another directory"
        )
    # Seldom needed, and it takes its time to import.
    import platform

    return (
        f"the extensions of cyfes at {_FOLDER} do not load in CPython "
        f"{platform.python_version()}: {error}; reinstall cyfes"
    )
