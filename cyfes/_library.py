"""Where the compiled part of cyfes is: libcufes in the data scheme, the extensions beside this file.

libcufes is installed as ``<data>/cufes/libcufes.so``. Where ``<data>`` is relative to the package
depends on the installer, so it is looked for, never guessed from one layout.
"""

import csv
import os
import sys
import sysconfig
from typing import Any, Iterator, List, Tuple

from cyfes.errors import LibraryError

_PACKAGE = os.path.dirname(os.path.abspath(__file__))
_SITE = os.path.dirname(_PACKAGE)
_NAME = os.path.join("cufes", "libcufes.so")


def _recorded() -> Iterator[str]:
    """Yield libcufes as named by RECORD beside the package: what the installer itself wrote.

    Read by hand: importlib.metadata is not in CPython 3.7.
    """
    for entry in sorted(os.listdir(_SITE)):
        record = os.path.join(_SITE, entry, "RECORD")
        if entry.startswith("cyfes-") and entry.endswith(".dist-info") and os.path.isfile(record):
            with open(record, encoding="utf-8", newline="") as rows:
                for row in csv.reader(rows):
                    if row and row[0].endswith(_NAME.replace(os.sep, "/")):
                        yield os.path.normpath(os.path.join(_SITE, *row[0].split("/")))


def _candidates() -> Iterator[Tuple[str, str]]:
    """Yield each place where libcufes may be, with the reason to look there."""
    for path in _recorded():
        yield path, "RECORD beside the package"
    yield os.path.join(_SITE, _NAME), "beside the package, as by pip --target"
    yield os.path.join(sysconfig.get_path("data"), _NAME), "the data scheme of this Python"
    user_scheme = os.name + "_user"
    if user_scheme in sysconfig.get_scheme_names():
        yield os.path.join(sysconfig.get_path("data", user_scheme), _NAME), "the user's data scheme"


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
    searched: List[str] = []
    for path, reason in _candidates():
        if os.path.isfile(path):
            return path
        searched.append("{} ({})".format(path, reason))
    raise LibraryError(
        "libcufes.so is not installed; looked for {}; reinstall cyfes".format(", ".join(searched))
    )


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
            from cyfes import wrapper as module
        else:
            from cyfes import wrapper_f32 as module  # type: ignore[no-redef]
    except LibraryError:
        raise
    except ImportError as error:
        raise LibraryError(_why_no_extension(error)) from error
    return module


def _why_no_extension(error: ImportError) -> str:
    if os.path.exists(os.path.join(_PACKAGE, "wrapper.pyx")):
        return (
            "cyfes was imported from its source tree at {}, which has no compiled extensions: "
            "run `pip install .` there and start Python in another directory".format(_SITE)
        )
    return "the extensions of cyfes at {} do not load in CPython {}.{}: {}; reinstall cyfes".format(
        _PACKAGE, sys.version_info[0], sys.version_info[1], error
    )
