"""The extension modules, which are loaded when they are first needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cyfes.errors import LibraryError

_FOLDER = Path(__file__).resolve().parent


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
            from cyfes.native import wrapper_f32 as module  # type: ignore[no-redef]
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
            f"cyfes was imported from its source tree at {_FOLDER.parents[1]}, which has no "
            "compiled extensions: run `pip install .` there and start Python in another directory"
        )
    # Imported here, because it is seldom needed and its import takes time.
    import platform

    return (
        f"the extensions of cyfes at {_FOLDER} do not load in CPython "
        f"{platform.python_version()}: {error}; reinstall cyfes"
    )
