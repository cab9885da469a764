"""The CPythons that wheelkit knows, and how versions, tags and file names spell them."""

from __future__ import annotations

import re

from wheelkit.target.report import MisusedError

# The one list of versions: a new CPython is added here, and nowhere else.
CPYTHONS = ("3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")
# Those that there are without the global interpreter lock.
FREE_THREADED = tuple(f"{version}t" for version in CPYTHONS[CPYTHONS.index("3.13") :])


def between(oldest: str, newest: str = CPYTHONS[-1]) -> tuple[str, ...]:
    """Return the versions from `oldest` to `newest`, both of which are among CPYTHONS."""
    return CPYTHONS[CPYTHONS.index(oldest) : CPYTHONS.index(newest) + 1]


def parse_version(text: str) -> str:
    """Return `text` if it names a CPython such as 3.7 or 3.13t.

    Raises
    ------
    MisusedError
        It does not.
    """
    if not re.fullmatch(r"3\.\d+t?", text):
        raise MisusedError(f"'{text}' is no CPython version; write 3.10 or, free-threaded, 3.13t")
    return text


def numbers(version: str) -> tuple[int, ...]:
    """Return the numbers of a version: ``(3, 13)`` for ``"3.13t"``."""
    return tuple(map(int, version.rstrip("t").split(".")))


def python_tag(version: str) -> str:
    """Return the Python tag of a CPython: ``cp37``."""
    return "cp" + version.rstrip("t").replace(".", "")


def tag_of(version: str) -> str:
    """Return the Python and ABI tag of a CPython: ``cp37-cp37m``, ``cp313-cp313t``."""
    suffix = "t" if version.endswith("t") else "m" if numbers(version) < (3, 8) else ""
    return f"{python_tag(version)}-{python_tag(version)}{suffix}"
