"""Where an installer puts each member of a wheel.

A wheel's members belong to install schemes; an install layout gives every scheme a directory.
All paths are POSIX paths: archive names, or installed paths relative to the install prefix.

`LAYOUTS` is the table of every layout that is known. To look at a wheel in each of them::

    for installation in wheel.installations():
        tree = loader.plant(wheel, installation)
        opened = installation.places(wheel.archive.members, wheel.root_scheme)
"""

from __future__ import annotations

import enum
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

SCHEMES = ("platlib", "purelib", "data", "scripts", "headers")


class Clash(enum.Enum):
    """What becomes of a top-level name that platlib and the data scheme share in one directory."""

    MERGED = enum.auto()
    DATA_IS_LOST = enum.auto()
    PACKAGE_IS_LOST = enum.auto()


# -------------------------------------------------------------------------------------- schemes


@dataclass(frozen=True)
class SchemePath:
    """The scheme of a member, the archive directory that is its root, and the path below it."""

    scheme: str
    root: str
    path: str

    @property
    def displaced(self) -> bool:
        """Whether the way to other members differs between archive and installation."""
        return bool(self.root)

    @property
    def top(self) -> str:
        """The first directory, or the file's name, below the directory of the scheme."""
        return self.path.partition("/")[0]


def scheme_path(member: str, *, root_scheme: str = "platlib") -> SchemePath:
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
        return SchemePath(root_scheme, "", member)
    scheme, _, path = rest.partition("/")
    return SchemePath(scheme, f"{top}/{scheme}", path)


# -------------------------------------------------------------------------------------- layouts


@dataclass(frozen=True)
class Layout:
    """A kind of installation: where it puts each scheme, below a prefix that others may share.

    In the directories, ``{python}`` stands for ``python3.11`` (``python3.13t`` if free-threaded)
    and ``{name}`` for the distribution as the wheel spells it; a layout without ``{python}`` is
    the same for every interpreter. `source` says who installs like this and where it comes from.
    """

    name: str
    source: str
    platlib: str
    purelib: str
    data: str
    scripts: str = "bin"
    headers: str = "include/{python}/{name}"
    clash: Clash = Clash.MERGED
    # Libraries are opened at their place in the unpacked archive; the schemes do not matter.
    unpacked: bool = False
    # Every distribution has a tree of its own, so that no other one lies beside it.
    apart: bool = False
    # The directories of the data scheme are symbolic links to directories in this one.
    linked_to: str | None = None

    def directories(self, python: str, name: str) -> dict[str, str]:
        """Return the directory of each scheme, relative to the prefix; ``""`` is the prefix."""
        full = python if python.startswith("pypy") else f"python{python}"
        templates: dict[str, str] = {scheme: getattr(self, scheme) for scheme in SCHEMES}
        return {scheme: text.format(python=full, name=name) for scheme, text in templates.items()}


# pip installs the packages of a --target into lib/python of a temporary folder. When it moves
# everything from there, it passes over the directory of this name in the data scheme.
PASSED_OVER = "lib"

SITE_PACKAGES = "lib/{python}/site-packages"
MOVES = "pip moves one folder after the other (pip/_internal/commands/install.py)"

VENV = Layout(
    "venv",
    "venv, virtualenv, uv venv, pipx: sysconfig's posix_prefix; the headers are pip's choice",
    platlib=SITE_PACKAGES,
    purelib=SITE_PACKAGES,
    data="",
    headers="include/site/{python}/{name}",
)

# The commonest first: rpath_list writes its entries in this order.
LAYOUTS = (
    VENV,
    Layout(
        "prefix",
        "pyenv, conda, Nix, pip --user, --prefix and --root: sysconfig's posix_prefix, posix_user",
        platlib=SITE_PACKAGES,
        purelib=SITE_PACKAGES,
        data="",
    ),
    Layout(
        "Debian",
        "pip with the system's Python on Debian, Ubuntu and Colab: Debian's scheme posix_local",
        platlib="lib/{python}/dist-packages",
        purelib="lib/{python}/dist-packages",
        data="",
    ),
    Layout(
        "Debian --prefix",
        "pip up to 25 with --prefix P on Debian: posix_local in P (pip 26 and uv: as prefix)",
        platlib="local/lib/{python}/dist-packages",
        purelib="local/lib/{python}/dist-packages",
        data="local",
        scripts="local/bin",
        headers="local/include/{python}/{name}",
    ),
    Layout(
        "Debian, deb",
        "DEB_PYTHON_INSTALL_LAYOUT=deb: Debian's scheme deb_system",
        platlib="lib/python3/dist-packages",
        purelib="lib/python3/dist-packages",
        data="",
    ),
    Layout(
        "lib64",
        "Fedora, RHEL and SUSE, where sys.platlibdir is lib64: the system's Python, virtualenv, "
        "and venv from Python 3.15 on",
        platlib="lib64/{python}/site-packages",
        purelib=SITE_PACKAGES,
        data="",
    ),
    Layout(
        "pip --target",
        f"{MOVES}; a folder whose name exists already is left out",
        platlib="",
        purelib="",
        data="",
        headers="include/python/{name}",
        clash=Clash.DATA_IS_LOST,
    ),
    Layout(
        "pip --target --upgrade",
        f"{MOVES}; a folder whose name exists already is replaced",
        platlib="",
        purelib="",
        data="",
        headers="include/python/{name}",
        clash=Clash.PACKAGE_IS_LOST,
    ),
    Layout(
        "target",
        "uv --target, shiv, layers of AWS Lambda: all schemes merged in one folder",
        platlib="",
        purelib="",
        data="",
        headers="include/python/{name}",
    ),
    Layout(
        "home",
        "sysconfig's posix_home",
        platlib="lib/python",
        purelib="lib/python",
        data="",
        headers="include/python/{name}",
    ),
    Layout(
        "PDM",
        "PEP 582: __pypackages__/X.Y is the prefix",
        platlib="lib",
        purelib="lib",
        data="",
        headers="include/{name}",
    ),
    Layout(
        "Bazel",
        "rules_python's whl_library: each scheme in a directory of its own",
        platlib="site-packages",
        purelib="site-packages",
        data="data",
        headers="include/{name}",
        apart=True,
    ),
    Layout(
        "uv, links followed",
        "uv with link-mode=symlink, a library being opened by its real path: uv's cache has "
        "wheels as they were unpacked",
        platlib="",
        purelib="",
        data="",
        unpacked=True,
        apart=True,
    ),
    Layout(
        "linked data",
        "a directory of the data scheme moved elsewhere, with a symbolic link in its place",
        platlib=SITE_PACKAGES,
        purelib=SITE_PACKAGES,
        data="",
        linked_to="moved/away",
    ),
)


@dataclass(frozen=True)
class Installation:
    """A layout for one version of Python, and the directories that result."""

    layout: Layout
    python: str
    # They follow from the other two; a mapping has no hash.
    directories: Mapping[str, str] = field(hash=False)

    def __str__(self) -> str:
        """``venv (3.11)``."""
        return f"{self.layout.name} ({self.python})"

    def path(self, member: str, root_scheme: str) -> str:
        """Return the path by which `member`, a file or a directory, is opened."""
        if self.layout.unpacked:
            return member
        where = scheme_path(member, root_scheme=root_scheme)
        return posixpath.normpath(posixpath.join(self.directories[where.scheme], where.path))

    def places(self, members: Iterable[str], root_scheme: str) -> dict[str, str]:
        """Return the path of each member that is installed; some installers lose members."""
        every = {member: scheme_path(member, root_scheme=root_scheme) for member in members}
        lost = self._lost(every)
        return {member: self.path(member, root_scheme) for member in every if member not in lost}

    def _lost(self, every: Mapping[str, SchemePath]) -> set[str]:
        if self.layout.clash is Clash.MERGED:
            return set()
        data = {m: where.top for m, where in every.items() if where.scheme == "data"}
        packages = {m: where.top for m, where in every.items() if where.scheme.endswith("lib")}
        lost = {member for member, top in data.items() if top == PASSED_OVER}
        losers, winners = data, packages
        if self.layout.clash is Clash.PACKAGE_IS_LOST:
            losers, winners = packages, {m: top for m, top in data.items() if m not in lost}
        taken = set(winners.values())
        return lost | {member for member, top in losers.items() if top in taken}

    def links(self, members: Iterable[str], root_scheme: str) -> dict[str, str]:
        """Return every directory that is a symbolic link, and the directory it stands for."""
        if self.layout.linked_to is None:
            return {}
        data = (scheme_path(member, root_scheme=root_scheme) for member in members)
        tops = {where.top for where in data if where.scheme == "data" and "/" in where.path}
        # A directory that holds the packages themselves is not moved.
        tops -= {directory.partition("/")[0] for directory in self.directories.values()}
        base, away = self.directories["data"], self.layout.linked_to
        return {posixpath.join(base, top): posixpath.join(away, top) for top in sorted(tops)}


def installations(pythons: Iterable[str], name: str) -> tuple[Installation, ...]:
    """Return every layout for each of these versions of Python; what is the same, once.

    Parameters
    ----------
    pythons
        ``"3.11"``, ``"3.13t"`` for a free-threaded interpreter, ``"pypy3.10"``.
    name
        Name of the distribution as the wheel spells it.
    """
    versions = list(pythons)
    found: dict[tuple[str, str], Installation] = {}
    for layout in LAYOUTS:
        for python in versions:
            made = Installation(layout, python, layout.directories(python, name))
            found.setdefault((layout.name, made.directories["platlib"]), made)
    return tuple(found.values())


def venv(python: str, name: str) -> Installation:
    """Return the layout of a virtual environment for one version of Python."""
    return Installation(VENV, python, VENV.directories(python, name))
