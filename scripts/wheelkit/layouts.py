"""Where an installer puts each member of a wheel.

A wheel's members belong to install schemes; an install layout gives every scheme a directory.
All paths are POSIX paths: archive names, or installed paths relative to the install prefix.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

SCHEMES = ("platlib", "purelib", "data", "scripts", "headers")

# Scheme → its directory, relative to the install prefix.
Layout = Mapping[str, str]


@dataclass(frozen=True)
class Place:
    """The scheme of a member, the archive directory that is its root, and the path below it."""

    scheme: str
    root: str
    path: str

    @property
    def displaced(self) -> bool:
        """Whether the way to other members differs between archive and installation."""
        return bool(self.root)


def place(member: str, *, root_scheme: str = "platlib") -> Place:
    """Return where `member` (a file or a directory) belongs.

    Parameters
    ----------
    member
        Archive name.
    root_scheme
        Scheme of the members outside the ``.data`` directory: purelib if the wheel says
        ``Root-Is-Purelib: true``.
    """
    top, _, rest = member.partition("/")
    if not top.endswith(".data"):
        return Place(root_scheme, "", member)
    scheme, _, path = rest.partition("/")
    return Place(scheme, f"{top}/{scheme}", path)


def venv(python: str, distribution: str) -> Layout:
    """Return the layout of a virtual environment.

    Parameters
    ----------
    python
        ``"3.11"``, or ``"3.13t"`` for a free-threaded interpreter.
    distribution
        Name of the distribution as the wheel spells it; headers get a directory of that name.
    """
    site_packages = f"lib/python{python}/site-packages"
    return {
        "platlib": site_packages,
        "purelib": site_packages,
        "data": "",
        "scripts": "bin",
        "headers": f"include/site/python{python}/{distribution}",
    }


def installed(members: Iterable[str], layout: Layout, root_scheme: str) -> dict[str, str]:
    """Return the installed path of each member, relative to the install prefix."""
    places = {member: place(member, root_scheme=root_scheme) for member in members}
    return {
        member: posixpath.normpath(posixpath.join(layout[where.scheme], where.path))
        for member, where in places.items()
    }
