"""The search of glibc's dynamic loader, emulated over an installation of a wheel.

For each library of a wheel, in each install layout::

    for installation in wheel.installations():
        tree = plant(wheel, installation)
        for path in tree.libraries:
            for search in load(tree, path, wheel.is_system):
                ...  # search.name is NEEDED by search.needer; search.how says what was found

Each library is loaded by itself, in a process with an empty environment that has loaded nothing
else. ld.so(8) describes the search; what a page leaves open follows glibc's elf/dl-load.c.
"""

from __future__ import annotations

import enum
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from wheelkit.wheel.elf import Elf
from wheelkit.wheel.grafts import is_graft
from wheelkit.wheel.layouts import Installation
from wheelkit.wheel.platforms import LOADER_GLOBS
from wheelkit.wheel.reading import Wheel, expand


class How(enum.Enum):
    """How a search for a library ended."""

    RPATH = "by DT_RPATH"
    RUNPATH = "by DT_RUNPATH"
    PATH = "by its path"
    LOADED = "loaded already"
    SYSTEM = "the system has it"
    # glibc stops at such a file; it does not search further.
    NOT_ELF = "a file that is no ELF file"
    NOWHERE = "nowhere"


@dataclass(frozen=True)
class Search:
    """The search for one NEEDED entry.

    All paths are relative to the prefix. `needer` is the library that has the entry, `found` the
    real path of the library that the loader takes, None if it is not among the installed files.
    `tried` are the paths that it looked at in vain before, in this order; one that begins with
    ``..`` lies above the prefix, where somebody else may place a library.
    """

    needer: str
    name: str
    how: How
    found: str | None = None
    tried: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether the loader gives up here."""
        return self.how in (How.NOWHERE, How.NOT_ELF)


@dataclass(frozen=True)
class Tree:
    """Installed files, as the loader sees them.

    `files` has the real path of every file, with None for what is no ELF file; `links` are the
    directories that are symbolic links. `libraries` maps the path by which a library of the wheel
    is opened to its member.
    """

    files: Mapping[str, Elf | None]
    libraries: Mapping[str, str]
    links: Mapping[str, str] = field(default_factory=dict)
    directories: frozenset[str] = frozenset()

    def real(self, path: str) -> str | None:
        """Return the real path of `path`, None if a directory on the way does not exist.

        A result that begins with ``..`` lies above the prefix; of what is there, nothing is known.
        """
        at: list[str] = []
        for step in path.split("/"):
            if step in ("", "."):
                continue
            if at and at[0] != ".." and "/".join(at) not in self.directories:
                return None
            if step != "..":
                at.append(step)
                at = self.links.get("/".join(at), "/".join(at)).split("/")
            elif at and at[-1] != "..":
                at.pop()
            else:
                at.append("..")
        return "/".join(at)


def plant(wheel: Wheel, installation: Installation) -> Tree:
    """Return the files of a wheel and its companions as one install layout has them."""
    places = wheel.places(installation)
    beside = {
        path: companion.elves.get(member)
        for companion in wheel.companions.found
        for member, path in companion.places(installation).items()
    }
    links = installation.links(wheel.archive.members, wheel.root_scheme)
    reals = {member: _through(links, path) for member, path in places.items()}
    # The environment has the directories of all schemes, whatever the wheel puts there.
    files = beside | {path: wheel.elves.get(member) for member, path in reals.items()}
    folders = {*map(posixpath.dirname, files), *installation.directories.values()}
    return Tree(
        files=files,
        libraries={path: m for m, path in places.items() if m in wheel.elves},
        links=links,
        directories=frozenset(parent for folder in folders for parent in _upwards(folder)),
    )


# Every process has loaded these before any library of a wheel.
LOADED_FIRST = ("libc.so.*", *LOADER_GLOBS)


def seeks_elsewhere(wheel: Wheel, member: str) -> bool:
    """Whether the loader looks along the whole rpath of a file, for what the wheel has not got.

    Whoever can put a library into a directory of that rpath has it loaded.
    """
    own = {posixpath.basename(other) for other in wheel.archive.members}
    return any(
        name not in own and not any(fnmatchcase(name, glob) for glob in LOADED_FIRST)
        for name in wheel.elves[member].needed
    )


def _through(links: Mapping[str, str], path: str) -> str:
    for link, target in links.items():
        if path.startswith(f"{link}/"):
            return target + path.removeprefix(link)
    return path


def _upwards(folder: str) -> Iterator[str]:
    parts = folder.split("/")
    return ("/".join(parts[:n]) for n in range(1, len(parts) + 1))


def failures(
    wheel: Wheel, preloaded: Iterable[str] = ()
) -> dict[Installation, tuple[tuple[str, Search], ...]]:
    """Return the searches that fail in each install layout, each with the member being loaded.

    Every layout is there; one in which every library loads has none. `preloaded` are SONAMEs that
    the package itself loads before its libraries.
    """
    preloaded = frozenset(preloaded)
    found: dict[Installation, tuple[tuple[str, Search], ...]] = {}
    for installation in wheel.installations():
        tree = plant(wheel, installation)
        found[installation] = tuple(
            (member, search)
            for member, searches in load_all(wheel, tree, preloaded).items()
            for search in searches
            if search.failed
        )
    return found


def load_all(
    wheel: Wheel, tree: Tree, preloaded: Iterable[str] = ()
) -> dict[str, tuple[Search, ...]]:
    """Load each library of a wheel that somebody opens; return the searches, by member.

    A library that only serves others is loaded with each of them, by whose DT_RPATH it may find
    what it needs; loaded by itself, which nobody does, it might not. One that none of them loads
    is opened by itself after all.
    """
    needed = {name for file in wheel.elves.values() for name in file.needed}

    def only_serves(member: str) -> bool:
        names = _names(wheel.elves[member], posixpath.basename(member))
        return not needed.isdisjoint(names) and not _opened_by_others(wheel, member)

    opened: dict[str, tuple[Search, ...]] = {}
    served: set[str] = set()
    # What only serves others comes last.
    for path, member in sorted(tree.libraries.items(), key=lambda item: only_serves(item[1])):
        if only_serves(member) and tree.real(path) in served:
            continue
        opened[member] = load(tree, path, wheel.is_system, preloaded)
        served |= {search.found for search in opened[member] if search.found is not None}
    return opened


def _opened_by_others(wheel: Wheel, member: str) -> bool:
    """Whether something that is not in the wheel may open a library, whoever else needs it.

    Python imports no ``lib*.so``; programs of others are linked with what is in the data scheme.
    """
    if wheel.scheme_path(member).scheme == "data" and not is_graft(member):
        return True
    return wheel.elves[member].is_program or not posixpath.basename(member).startswith("lib")


@dataclass(frozen=True)
class _Loaded:
    """A library in the process; `opened` is the path that gives ``$ORIGIN``, links and all."""

    opened: str
    real: str
    file: Elf
    names: frozenset[str]
    loader: _Loaded | None = None


def load(
    tree: Tree,
    path: str,
    is_system: Callable[[str], bool],
    preloaded: Iterable[str] = (),
) -> tuple[Search, ...]:
    """Load a library and everything that it needs in turn; return each search, in order.

    Parameters
    ----------
    tree
        The installed files.
    path
        The library, one of ``tree.libraries``.
    is_system
        Tells whether every system has a library of this name.
    preloaded
        SONAMEs that the process has loaded before.
    """
    file = tree.files[tree.real(path) or ""]
    if file is None:
        raise ValueError(f"{path} is no library")
    loaded = [_Loaded(path, tree.real(path) or "", file, _names(file, path))]
    present = frozenset(preloaded)
    searches: list[Search] = []
    # Breadth first; the list grows while it is worked off.
    for needer in loaded:
        for name in needer.file.needed:
            search, opened = _find(tree, needer, name, loaded)
            if search.how is How.NOWHERE and name in present:
                search = replace(search, how=How.LOADED)
            elif search.how is How.NOWHERE and is_system(name):
                search = replace(search, how=How.SYSTEM)
            elif opened is not None:
                loaded.append(opened)
            searches.append(search)
    return tuple(searches)


def _names(file: Elf, name: str) -> frozenset[str]:
    return frozenset({name, file.soname or name})


def _find(
    tree: Tree, needer: _Loaded, name: str, loaded: list[_Loaded]
) -> tuple[Search, _Loaded | None]:
    """Search for one library; return the result, and the library if it was not loaded yet."""
    for other in loaded:
        if name in other.names:
            return Search(needer.real, name, How.LOADED, other.real), None
    tried: list[str] = []
    for how, path in _candidates(needer, name):
        real = tree.real(path)
        if real is None:
            continue
        if real not in tree.files:
            tried.append(real)
            continue
        file = tree.files[real]
        if file is None:
            return Search(needer.real, name, How.NOT_ELF, real, tuple(tried)), None
        if file.machine != needer.file.machine:
            tried.append(real)
            continue
        opened = _Loaded(path, real, file, _names(file, name), needer)
        known = any(other.real == real for other in loaded)
        return Search(needer.real, name, how, real, tuple(tried)), None if known else opened
    return Search(needer.real, name, How.NOWHERE, None, tuple(tried)), None


def _candidates(needer: _Loaded, name: str) -> Iterator[tuple[How, str]]:
    """Return every path where the loader looks for `name`, before it asks the system."""
    directory = posixpath.dirname(needer.opened)
    if "/" in name:
        # No search at all; any other path than this one is not of the wheel.
        if (path := expand(name, directory)) is not None:
            yield How.PATH, path
        return
    if needer.file.runpath is not None:
        # Its own alone, and it disables every DT_RPATH for what it needs.
        yield from ((How.RUNPATH, path) for path in _below(needer.file.runpath, directory, name))
        return
    at: _Loaded | None = needer
    while at is not None:
        # Libraries with DT_RUNPATH hand down nothing.
        if at.file.runpath is None:
            entries = _below(at.file.rpath or (), posixpath.dirname(at.opened), name)
            yield from ((How.RPATH, path) for path in entries)
        at = at.loader


def _below(entries: Iterable[str], directory: str, name: str) -> Iterator[str]:
    for entry in entries:
        # An entry with $LIB or $PLATFORM, or an absolute one, leads where only the system knows.
        if (folder := expand(entry, directory)) is not None:
            yield f"{folder}/{name}"
