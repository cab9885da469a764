"""A wheel as every check and repair sees it: archive, identity, ELF files, installed paths."""

from __future__ import annotations

import functools
import posixpath
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from wheelkit.target.report import Fault, FaultyError
from wheelkit.wheel import elf, layouts, platforms
from wheelkit.wheel.archive import UnpackedArchive, unpack
from wheelkit.wheel.companions import Companions
from wheelkit.wheel.elf import Elf
from wheelkit.wheel.identity import Identity, identify, root_scheme

ORIGIN = "$ORIGIN"


@dataclass(frozen=True)
class Wheel:
    """An unpacked wheel and what was read from it.

    `installed` maps each member to its path in a virtual environment, relative to the prefix.
    `unreadable` are the faults of files that claim to be ELF files and are not. `excluded` are
    globs of SONAMEs that the caller expects outside the wheel. `companions` are the distributions
    whose libraries it uses; a wheel that was just read has none.
    """

    archive: UnpackedArchive
    identity: Identity
    root_scheme: str
    elves: dict[str, Elf]
    unreadable: tuple[Fault, ...]
    installed: dict[str, str]
    excluded: tuple[str, ...] = ()
    companions: Companions = Companions()  # noqa: RUF009 - it cannot change

    def scheme_path(self, member: str) -> layouts.SchemePath:
        """Return the scheme of a member and its path there."""
        return layouts.scheme_path(member, root_scheme=self.root_scheme)

    def installed_for(self, python: str) -> Wheel:
        """Return the wheel with the installed paths of another version of Python."""
        return replace(self, installed=self.places(layouts.venv(python, self.identity.spelling)))

    def installations(self) -> tuple[layouts.Installation, ...]:
        """Return every install layout, for every version of Python that the tags name."""
        return layouts.installations(self.identity.pythons, self.identity.spelling)

    def places(self, installation: layouts.Installation) -> dict[str, str]:
        """Return the path of each member that is installed there, relative to the prefix."""
        return installation.places(self.archive.members, self.root_scheme)

    def is_system(self, name: str) -> bool:
        """Whether the NEEDED entry `name` is expected outside of the wheel and its companions."""
        return self._is_system(name)

    def leads(self, member: str, entry: str) -> dict[layouts.Installation, str]:
        """Return the directory that an rpath entry of a file names in each install layout.

        It is relative to the prefix; one that begins with ``..`` lies above it. There is none for
        an entry that is not relative to ``$ORIGIN``.
        """
        found = {}
        for where in self.installations():
            start = posixpath.dirname(where.path(member, self.root_scheme))
            target = resolve(entry, start)
            if target is not None:
                found[where] = target
        return found

    @functools.cached_property
    def _is_system(self) -> Callable[[str], bool]:
        # The same few names are asked for in every layout.
        tags = self.identity.platforms

        @functools.cache
        def is_system(name: str) -> bool:
            if self.companions.having(name) is not None:
                return platforms.is_system(name, tags)
            return platforms.is_system(name, tags, self.excluded)

        return is_system


def read_wheel(
    path: Path,
    folder: Path,
    excluded: Iterable[str] = (),
    companions: Companions = Companions(),  # noqa: B008 - it cannot change
) -> Wheel:
    """Unpack the wheel at `path` into the empty `folder` and read it.

    Raises
    ------
    FaultyError
        It cannot be unpacked, or its file name is not one of a wheel.
    """
    return reread(unpack(path, folder), identify(path.name), excluded, companions)


def reread(
    archive: UnpackedArchive,
    identity: Identity,
    excluded: Iterable[str] = (),
    companions: Companions = Companions(),  # noqa: B008 - it cannot change
) -> Wheel:
    """Read the unpacked wheel again, after its files have changed."""
    files = (p.relative_to(archive.root).as_posix() for p in archive.root.rglob("*") if p.is_file())
    members = tuple(sorted(files))
    archive = replace(archive, members=members)
    scheme = root_scheme(archive)
    wheel = Wheel(archive, identity, scheme, *_read_elves(archive), {}, tuple(excluded), companions)
    return wheel.installed_for(identity.python)


def _read_elves(archive: UnpackedArchive) -> tuple[dict[str, Elf], tuple[Fault, ...]]:
    elves: dict[str, Elf] = {}
    faults: list[Fault] = []
    for member in archive.members:
        try:
            found = elf.read(archive.file(member))
        except elf.UnreadableElfError as error:
            remedy = "link the library again; the file is truncated or damaged"
            faults.append(
                Fault(
                    "elf-unreadable",
                    member,
                    found=str(error),
                    expected="an ELF file",
                    remedy=remedy,
                )
            )
        else:
            if found is not None:
                elves[member] = found
    return elves, tuple(faults)


def refuse(faults: Iterable[Fault]) -> None:
    """Raise FaultyError, with all findings, if there is a fault among them."""
    found = tuple(faults)
    if any(fault.counts for fault in found):
        raise FaultyError(found)


def expand(entry: str, directory: str) -> str | None:
    """Return the path that an rpath entry of a file in `directory` stands for, as it is written.

    None if it is not relative to ``$ORIGIN``, or depends on the system (``$LIB``).
    """
    first, _, rest = entry.partition("/")
    if first not in (ORIGIN, "${ORIGIN}") or "$" in rest:
        return None
    return posixpath.join(directory or ".", rest)


def is_relative(entry: str) -> bool:
    """Whether an rpath entry is relative to ``$ORIGIN``, whatever the system."""
    return expand(entry, ORIGIN) is not None


def resolve(entry: str, directory: str) -> str | None:
    """Return the directory that an rpath entry of a file in `directory` names.

    Both are relative to the same root; a result that begins with ``..`` leaves it. None if the
    entry is not relative to ``$ORIGIN``.
    """
    path = expand(entry, directory)
    if path is None:
        return None
    path = posixpath.normpath(path)
    return "" if path == "." else path


def entry_to(target: str, directory: str) -> str:
    """Return the rpath entry that leads from a file in `directory` to the directory `target`."""
    way = posixpath.relpath(f"/{target}", f"/{directory}")
    return ORIGIN if way == "." else f"{ORIGIN}/{way}"
