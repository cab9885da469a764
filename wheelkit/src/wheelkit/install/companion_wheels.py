"""Finding the wheels of companions: in a folder of the caller's, or on the package index by pip.

What is declared to be a companion is looked at in any case. Of what else the wheel requires, only
as much is downloaded as it takes to find the libraries that the wheel needs and does not bring: the
wheels of CUDA's libraries are large.
"""

from __future__ import annotations

import contextlib
import functools
import glob
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from wheelkit.base import progress
from wheelkit.base.cpythons import tag_of
from wheelkit.base.programs import last_words
from wheelkit.target.report import Fault, FaultyError, MisusedError
from wheelkit.wheel import companions, platforms
from wheelkit.wheel.companions import Companion, Companions
from wheelkit.wheel.identity import Identity, headers, identify
from wheelkit.wheel.reading import Wheel

# What nobody asked for this long is removed.
KEPT_SECONDS = 30 * 24 * 3600


@dataclass(frozen=True)
class Sources:
    """What the caller says of companions.

    `named` are words of the form NAME or NAME=WHEEL. `folder` has their wheels; without it, pip
    asks the index that it is configured for.
    """

    named: tuple[str, ...] = ()
    folder: Path | None = None

    @property
    def files(self) -> dict[str, Path | None]:
        """The wheel of each distribution that is named, None where no file is given.

        Raises
        ------
        MisusedError
            A word names no distribution, or a file that does not exist.
        """
        found: dict[str, Path | None] = {}
        for word in self.named:
            name, equals, file = word.partition("=")
            if not name.strip() or (equals and not Path(file).is_file()):
                what = f"no such file: {file}" if name.strip() else "expected NAME or NAME=WHEEL"
                raise MisusedError(f"--companion {word!r}: {what}")
            found[canonicalize_name(name.strip())] = Path(file) if equals else None
        return found


def find(wheel: Wheel, sources: Sources, *, grafting: bool = False) -> Companions:
    """Find the companions of a wheel.

    Parameters
    ----------
    wheel
        The wheel that has them.
    sources
        What the caller says of them.
    grafting
        Whether the wheel is still to get its grafts. Of what it needs, a companion then brings what
        the caller excludes, what a companion that the caller names has, and what by its name is of
        an ``nvidia-*`` requirement.

    Raises
    ------
    MisusedError
        The caller names a companion's file that does not exist.
    FaultyError
        A companion's wheel cannot be read, or it is another distribution's.
    """
    named = sources.files
    required = _by_name(wheel)
    search = _Search(wheel.identity, sources, set(missing(wheel)))
    for name, file in named.items():
        search.look_at(required.get(name, Requirement(name)), file)
    if grafting:
        own = set(missing(wheel))
        counted = _counted_on(wheel, required.values())
        kept = {name for name in own if _is_left_out(wheel, counted, name)}
        search.wanted = (search.wanted - own) | (search.wanted & kept)
    # What lies in the folder costs nothing, and shows where rpath entries lead.
    for requirement in required.values():
        if search.candidates(requirement) and requirement.name not in search.tried:
            search.look_at(requirement)
    search.seek(required.values())
    untried = {name: "not looked at" for name in required if name not in search.tried}
    unseen = {**untried, **search.unseen}
    return Companions(tuple(search.found), tuple(named), required, unseen, search.unfit)


def with_companions(wheel: Wheel, sources: Sources, *, grafting: bool = False) -> Wheel:
    """Return the wheel with its companions, as `find` does.

    What a companion brings by its name, although it was not looked at, counts as excluded.
    """
    found = find(wheel, sources, grafting=grafting)
    by_name = [
        glob.escape(name)
        for name in missing(wheel)
        if found.having(name) is None
        and any(companions.has(r, name) for r in _counted_on(wheel, found.required.values()))
    ]
    excluded = (*wheel.excluded, *by_name) if grafting else wheel.excluded
    return replace(wheel, companions=found, excluded=tuple(dict.fromkeys(excluded)))


def missing(wheel: Wheel) -> list[str]:
    """Return the names that a wheel's files need and that neither it nor the system has."""
    own = {member.rpartition("/")[2] for member in wheel.archive.members}
    tags = wheel.identity.platforms
    every = dict.fromkeys(name for file in wheel.elves.values() for name in file.needed)
    return [n for n in every if n not in own and "/" not in n and not platforms.is_system(n, tags)]


def _required(wheel: Wheel, *, with_extras: bool = True) -> list[Requirement]:
    metadata = headers(wheel.archive, "METADATA")
    extras = ["", *(metadata.get_all("Provides-Extra", []) if with_extras else [])]
    every = companions.requirements(metadata.get_all("Requires-Dist", []))
    return [r for r in every if _applies(r, wheel.identity, extras)]


def _by_name(wheel: Wheel) -> dict[str, Requirement]:
    """Return what the wheel requires; what it requires without an extra counts first."""
    found: dict[str, Requirement] = {}
    for requirement in (*_required(wheel, with_extras=False), *_required(wheel)):
        first = found.setdefault(requirement.name, requirement)
        first.extras |= requirement.extras
    return found


def _counted_on(wheel: Wheel, required: Iterable[Requirement]) -> list[Requirement]:
    """Return the requirements whose libraries are not grafted.

    Who installs the wheel without an extra does not get what only the extra requires. Such a
    distribution counts if an rpath leads to NVIDIA's folders, as in the plugins of JAX.
    """
    always = {requirement.name for requirement in _required(wheel, with_extras=False)}
    entries = [entry for file in wheel.elves.values() for entry in file.search_path]
    leads_there = any("/nvidia/" in entry for entry in entries)
    return [requirement for requirement in required if leads_there or requirement.name in always]


def _applies(requirement: Requirement, identity: Identity, extras: Iterable[str]) -> bool:
    """Whether a requirement holds on Linux for the wheel's Python, with one of the extras."""
    if requirement.marker is None:
        return True
    python = _bare(identity)
    system = {
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": identity.architecture or os.uname().machine,
        "python_version": python,
        # Which patch release it will be is not known; that of users is seldom one of the first.
        "python_full_version": f"{python}.9",
    }
    marker = requirement.marker
    return any(marker.evaluate({**system, "extra": extra}) for extra in extras)


def _bare(identity: Identity) -> str:
    """Return the version of Python in numbers alone: 3.13 for 3.13t."""
    return identity.python.rstrip("t").removeprefix("pypy")


def _is_left_out(wheel: Wheel, required: Iterable[Requirement], name: str) -> bool:
    excluded = any(fnmatchcase(name, glob) for glob in wheel.excluded)
    return excluded or any(companions.has(requirement, name) for requirement in required)


@dataclass
class _Search:
    """A search under way; `wanted` are the libraries that are still to be found."""

    identity: Identity
    sources: Sources
    wanted: set[str]
    found: list[Companion] = field(default_factory=list)
    unseen: dict[str, str] = field(default_factory=dict)
    unfit: dict[str, str] = field(default_factory=dict)
    # The names that were looked at, and with which extras.
    tried: dict[str, set[str]] = field(default_factory=dict)

    def seek(self, requirements: Iterable[Requirement]) -> None:
        """Look at one requirement after another until every library is found."""
        # First those whose name says that they have one.
        queue = sorted(
            requirements,
            key=lambda r: not any(companions.has(r, n) for n in self.wanted),
        )
        for requirement in queue:
            may = any(companions.may_have(requirement, name) for name in self.wanted)
            if may and requirement.name not in self.tried:
                self.look_at(requirement)
            elif may and not requirement.extras <= self.tried[requirement.name]:
                self._follow(requirement)

    def look_at(self, requirement: Requirement, file: Path | None = None) -> None:
        """Read the wheel of a requirement, if one can be had, and go on to what it needs."""
        self.tried[requirement.name] = set()
        progress.show(f"{self.identity.spelling}: companion {requirement.name}")
        path = file or self._located(requirement)
        if path is None:
            return
        companion = companions.read(path)
        if companion.name != requirement.name:
            found, expected = companion.name, f"a wheel of {requirement.name}"
            remedy = "give the companion its own wheel"
            raise FaultyError(
                [Fault("companion-unfit", path.name, found=found, expected=expected, remedy=remedy)]
            )
        if not requirement.specifier.contains(companion.version, prereleases=True):
            self.unfit[requirement.name] = path.name
        self.found.append(companion)
        self.wanted = {n for n in self.wanted | self._onward(companion) if not self._has(n)}
        self._follow(requirement)

    def _follow(self, requirement: Requirement) -> None:
        """Go on to what a companion requires, with the extras for which it is required."""
        self.tried[requirement.name] |= requirement.extras
        for companion in tuple(self.found):
            if companion.name == requirement.name:
                extras = ["", *requirement.extras]
                self.seek([r for r in companion.requires if _applies(r, self.identity, extras)])

    def _has(self, name: str) -> bool:
        return any(name in companion.libraries for companion in self.found)

    def _onward(self, companion: Companion) -> set[str]:
        """Return what a companion's wanted libraries need from yet other distributions."""
        tags = identify(companion.path.name).platforms
        queue = [name for name in self.wanted if name in companion.libraries]
        reached: set[str] = set()
        while queue:
            name = queue.pop()
            if name not in reached:
                reached.add(name)
                member = companion.libraries.get(name)
                queue += companion.elves[member].needed if member else ()
        return {n for n in reached if not platforms.is_system(n, tags)}

    def _located(self, requirement: Requirement) -> Path | None:
        folder = self.sources.folder
        if folder is None:
            return self._downloaded(requirement)
        every = self.candidates(requirement)
        allowed = requirement.specifier
        good = [p for p in every if allowed.contains(identify(p.name).version, prereleases=True)]
        if every and not good:
            self.unfit[requirement.name] = ", ".join(path.name for path in every)
        elif not every:
            self.unseen[requirement.name] = f"no wheel of it in {folder}"
        return good[-1] if good else None

    def candidates(self, requirement: Requirement) -> list[Path]:
        """Return its wheels in the caller's folder that fit the wheel's tags, the newest last."""
        folder, found = self.sources.folder, []
        for path in folder.glob("*.whl") if folder else ():
            try:
                identity = identify(path.name)
            except FaultyError:
                continue
            if identity.name == requirement.name and _fits(identity, self.identity):
                found.append((identity.version, path))
        return [path for _, path in sorted(found)]

    def _downloaded(self, requirement: Requirement) -> Path | None:
        """Have pip download a wheel; without the index, take what it downloaded before."""
        word = f"{requirement.name}{requirement.specifier}"
        progress.show(
            f"{self.identity.spelling}: pip downloads {word}, to look for libraries in it"
        )
        options = _tag_options(self.identity)
        # A folder for each question, because the answer to another one is another wheel.
        key = hashlib.sha256("\n".join([word, *options]).encode()).hexdigest()
        folder = cache() / key[:16]
        folder.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        pip += ["--no-deps", "--only-binary=:all:", "--dest", str(folder), *options, word]
        answer = subprocess.run(pip, capture_output=True, text=True, check=False)
        wheels = sorted(folder.glob("*.whl"), key=lambda path: identify(path.name).version)
        if not wheels:
            self.unseen[requirement.name] = f"pip download {word}: {last_words(answer)}"
            return None
        os.utime(wheels[-1])
        prune()
        return wheels[-1]


def _fits(other: Identity, identity: Identity) -> bool:
    """Whether a wheel is for a Python and a machine that another wheel is for."""
    mine = {platform.arch for platform in identity.platforms}
    theirs = {platform.arch for platform in other.platforms}
    every = not mine or any(tag.platform == "any" for tag in other.tags)
    return bool(set(other.pythons) & set(identity.pythons)) and (every or bool(mine & theirs))


def _tag_options(identity: Identity) -> list[str]:
    """Return pip's options for the wheels that an interpreter of the wheel's tags takes."""
    known = [platform for platform in identity.platforms if platform.family in platforms.FAMILIES]
    pairs = {(p.arch, p.family) for p in known} or {(os.uname().machine, platforms.FAMILIES[0])}
    options = [
        f"--platform={t}" for arch, kind in sorted(pairs) for t in platforms.every_tag(arch, kind)
    ]
    abi = tag_of(identity.python).partition("-")[2]
    options += [f"--python-version={_bare(identity)}", "--implementation=cp"]
    return [*options, *(f"--abi={name}" for name in (abi, "abi3", "none"))]


@functools.cache
def prune() -> None:
    """Remove downloads that no wheel asked for in a long time."""
    oldest = time.time() - KEPT_SECONDS
    for path in cache().glob("*/*"):
        # Another process may do the same.
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < oldest:
                path.unlink()
                path.parent.rmdir()


def cache() -> Path:
    """Return the folder where downloaded wheels stay."""
    given = os.environ.get("XDG_CACHE_HOME")
    return (Path(given) if given else Path.home() / ".cache") / "wheelkit" / "companions"
