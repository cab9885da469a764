"""Trial installations: a wheel is installed, each of its libraries loaded, and uninstalled."""

from __future__ import annotations

import filecmp
import json
import posixpath
import shutil
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from wheelkit.base import progress
from wheelkit.base.programs import last_words
from wheelkit.base.remedies import REPAIR
from wheelkit.install import installers, pythons
from wheelkit.install.installers import Site, Way
from wheelkit.install.pythons import Python
from wheelkit.target import load_library
from wheelkit.target.report import Fault, LackingError, MisusedError
from wheelkit.wheel import elf, loaded_before, platforms
from wheelkit.wheel.companions import Companion
from wheelkit.wheel.reading import Wheel

TITLE = "installs, loads, uninstalls"
IDS = (
    *("install-failed", "not-installed", "load-failed", "load-crashed", "graft-not-mapped"),
    *("mapped-from-outside", "left-behind"),
)
# uv locks where it installs.
OWN_FILES = (".lock",)
CHILD = str(load_library.__file__)


@dataclass(frozen=True)
class TrialOptions:
    """What to install with; None for everything that there is.

    `preloaded` are SONAMEs that the package loads before its libraries.
    """

    pythons: tuple[str, ...] | None = None
    installers: tuple[str, ...] | None = None
    ways: tuple[str, ...] | None = None
    preloaded: tuple[str, ...] = ()

    def ways_for(self, python: Python) -> Iterator[Way]:
        """Yield the ways to install for an interpreter."""
        for way in installers.WAYS:
            wanted = self.installers is None or way.installer in self.installers
            wanted = wanted and (self.ways is None or way.layout in self.ways)
            if wanted and (python.debian or not way.debian_only):
                yield way


def chosen(
    versions: tuple[str, ...] | None,
    names: tuple[str, ...] | None,
    layouts: tuple[str, ...] | None,
) -> TrialOptions:
    """Return the options of a caller.

    Raises
    ------
    MisusedError
        An installer or a way is unknown.
    """
    known = {way.installer for way in installers.WAYS}, {way.layout for way in installers.WAYS}
    for option, given, every in zip(
        ("--installers", "--ways"), (names, layouts), known, strict=True
    ):
        for name in given or ():
            if name not in every:
                raise MisusedError(f"{option}: no {name!r}; expected {', '.join(sorted(every))}")
    return TrialOptions(versions, names, layouts)


@dataclass(frozen=True)
class Result:
    """A cell of the matrix: what came of one way to install for one interpreter."""

    python: str
    installer: str
    layout: str
    result: str

    @property
    def row(self) -> tuple[str, str, str, str]:
        """The cell as a row of a table."""
        return self.python, self.installer, self.layout, self.result


@dataclass(frozen=True)
class Omissions:
    """What could not be done: for something that this machine lacks, or that was waived.

    A library is waived that needs one which the project declares not to be in the wheel.
    """

    lacking: list[str] = field(default_factory=list)
    waived: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Installed:
    """A wheel, installed: where each of its members is."""

    wheel: Wheel
    site: Site
    way: Way
    paths: dict[str, Path]

    @property
    def python(self) -> str:
        """The interpreter that sees the wheel."""
        return self.site.venv if self.way.in_venv else str(self.site.python.path)


def faults(wheel: Wheel, options: TrialOptions, results: list[Result]) -> Iterator[Fault]:
    """Install the wheel in every chosen way and load each of its libraries there.

    The matrix is appended to `results`.

    Raises
    ------
    LackingError
        No interpreter here can install the wheel, or something that a library needs from the
        system is absent: only at the end, after everything that could be done.
    """
    lacking: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        # Resolved, because the loader reports real paths.
        scratch = Path(folder).resolve()
        for python in fitting(wheel, options):
            for number, way in enumerate(options.ways_for(python)):
                cell = (python.name, way.installer, way.layout)
                progress.show(f"{wheel.archive.path.name}: {' '.join(cell)}")
                site = Site(python, scratch / f"{python.name}-{number}", scratch / "tools")
                omissions = Omissions()
                found = list(_try(wheel, site, way, options, omissions))
                # A large wheel in every way would fill the disk.
                shutil.rmtree(site.root, ignore_errors=True)
                results.append(Result(*cell, _word(found, omissions)))
                lacking += omissions.lacking
                yield from found
    if lacking:
        raise LackingError("; ".join(dict.fromkeys(lacking)))


def _word(found: list[Fault], omissions: Omissions) -> str:
    parts = sorted({fault.id for fault in found})
    parts += [f"not done: {text}" for text in omissions.lacking]
    return ", ".join([*(parts or ["ok"]), *dict.fromkeys(omissions.waived)])


def fitting(wheel: Wheel, options: TrialOptions) -> list[Python]:
    """Return the interpreters that the wheel is for.

    Raises
    ------
    LackingError
        There is none, or one that was asked for is not among them.
    """
    every = [p for p in pythons.found() if not p.tags.isdisjoint(wheel.identity.tags)]
    wanted = options.pythons or tuple(dict.fromkeys(python.version for python in every))
    here = {python.version for python in every}
    if missing := [version for version in wanted if version not in here] or not every:
        asked = f" {', '.join(missing)}" if isinstance(missing, list) else ""
        tags = ", ".join(sorted(map(str, wheel.identity.tags)))
        have = ", ".join(python.name for python in pythons.found())
        raise LackingError(f"no interpreter{asked} for {tags} here; found {have}")
    return [python for python in every if python.version in wanted]


def _try(
    wheel: Wheel, site: Site, way: Way, options: TrialOptions, omissions: Omissions
) -> Iterator[Fault]:
    """Go one way; what the machine lacks for it is appended to `omissions`."""
    try:
        installers.prepare(way, site)
        before = entries(site.root)
        beside = [companion.path for companion in wheel.companions.found]
        answer = installers.install(way, site, wheel.archive.path, *beside)
    except LackingError as error:
        omissions.lacking.append(str(error))
        return
    if answer.returncode != 0:
        found = f"{_named(site, way)}: {last_words(answer)}"
        expected = f"{way.installer} installs it for {site.python.name}"
        remedy = f"see the message of {way.installer}"
        yield Fault(
            "install-failed", wheel.archive.path.name, found=found, expected=expected, remedy=remedy
        )
        return
    installed = Installed(wheel, site, way, find(wheel, site.root, before))
    yield from misplaced(installed)
    yield from _loading(installed, options, omissions)
    if way.removable:
        yield from _uninstall(installed, before)


def _named(site: Site, way: Way) -> str:
    return f"{way.installer}, {way.layout}, Python {site.python.name}"


def entries(root: Path) -> frozenset[str]:
    """Return every file and directory below a folder."""
    return frozenset(path.relative_to(root).as_posix() for path in root.rglob("*"))


def find(wheel: Wheel, root: Path, before: frozenset[str]) -> dict[str, Path]:
    """Find where each member was installed, without using the table of layouts.

    It is the new file with the member's path below its scheme at the end and, for machine code,
    the member's bytes; installers may rewrite scripts.
    """
    by_name: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.relative_to(root).as_posix() not in before:
            by_name[path.name].append(path)
    paths: dict[str, Path] = {}
    for member in wheel.archive.members:
        tail = f"/{wheel.scheme_path(member).path}"
        for path in by_name[posixpath.basename(member)]:
            if str(path).endswith(tail) and _same(wheel, member, path):
                paths[member] = path
    return paths


def _same(wheel: Wheel, member: str, path: Path) -> bool:
    original = wheel.archive.file(member)
    return member not in wheel.elves or filecmp.cmp(original, path, shallow=False)


def misplaced(installed: Installed) -> Iterator[Fault]:
    """Find members that were not installed."""
    wheel = installed.wheel
    # Installers write .dist-info anew, and may leave out what is of no use there.
    missing = [
        member
        for member in wheel.archive.members
        if member not in installed.paths and not member.startswith(f"{wheel.archive.dist_info}/")
    ]
    for member in missing:
        found = f"no file at its place ({_named(installed.site, installed.way)})"
        remedy = "find out whether two schemes of the wheel have the same folder"
        yield Fault(
            "not-installed",
            member,
            found=found,
            expected=wheel.scheme_path(member).path,
            remedy=remedy,
        )


def _loading(installed: Installed, options: TrialOptions, omissions: Omissions) -> Iterator[Fault]:
    host = elf.read(installed.site.python.path)
    for member, file in installed.wheel.elves.items():
        # Programs are no libraries, and code of another machine is data here.
        loadable = not file.is_program and host is not None and file.machine == host.machine
        if loadable and member in installed.paths:
            yield from _load(installed, member, options, omissions)


def _load(
    installed: Installed,
    member: str,
    options: TrialOptions,
    omissions: Omissions,
    before: tuple[Path, ...] = (),
) -> Iterator[Fault]:
    """Load a library, after the libraries `before`."""
    child = [installed.python, "-I", CHILD, str(installed.paths[member]), *map(str, before)]
    answer = subprocess.run(child, env={}, capture_output=True, text=True, check=False)
    where = _named(installed.site, installed.way)
    if answer.returncode != 0:
        found = f"{where}: {last_words(answer)}"
        expected = "loads without crashing"
        yield Fault(
            "load-crashed", member, found=found, expected=expected, remedy="debug its constructors"
        )
        return
    result = json.loads(answer.stdout)
    if result["error"] is None:
        yield from _mapping(installed, member, result["mapped"])
        return
    absent = result["error"].partition(":")[0]
    first = None if absent in options.preloaded else _loaded_by_package(installed, member, absent)
    if first is not None and first not in before:
        omissions.waived.append(f"{posixpath.basename(member)} loaded after {absent}")
        yield from _load(installed, member, options, omissions, (*before, first))
        return
    companion = None if absent in options.preloaded else installed.wheel.companions.having(absent)
    if companion is not None:
        found = f"{where}: {result['error']}"
        expected = f"an rpath that leads to {absent} of {companion}, which is installed too"
        yield Fault("load-failed", member, found=found, expected=expected, remedy=REPAIR)
        return
    waived = bool(installed.wheel.companions.unproven(absent))
    waived = waived or any(fnmatchcase(absent, pattern) for pattern in installed.wheel.excluded)
    if waived or absent in options.preloaded:
        omissions.waived.append(f"{posixpath.basename(member)} not loaded without {absent}")
        return
    if installed.wheel.is_system(absent):
        name = posixpath.basename(member)
        omissions.lacking.append(f"{absent}, which {name} needs, is not installed here")
        return
    expected = "loads in a new process with an empty environment"
    remedy = f"if a library was not found, {REPAIR}; otherwise see the message of the loader"
    yield Fault(
        "load-failed", member, found=f"{where}: {result['error']}", expected=expected, remedy=remedy
    )


def _loaded_by_package(installed: Installed, member: str, name: str) -> Path | None:
    """Return a library if the package itself is to load it before a file that needs it."""
    wheel = installed.wheel
    own = [other for other in wheel.elves if posixpath.basename(other) == name]
    if own:
        before = loaded_before.of_own(wheel, member, name)
        return installed.paths.get(own[0]) if before else None
    if wheel.companions.having(name) is None or loaded_before.by_code(wheel, name) is None:
        return None
    return next(iter(sorted(installed.site.root.rglob(name))), None)


def _mapping(installed: Installed, member: str, mapped: list[str]) -> Iterator[Fault]:
    wheel, root = installed.wheel, installed.site.root
    where = _named(installed.site, installed.way)
    inside = {posixpath.basename(p) for p in mapped if Path(p).is_relative_to(root)}
    for name in sorted(_own_needs(wheel, member) - inside):
        places = [p for p in mapped if posixpath.basename(p) == name]
        found = f"{where}: {name} mapped from {', '.join(places) or 'nowhere'}"
        yield Fault(
            "graft-not-mapped",
            member,
            found=found,
            expected="from inside the environment",
            remedy=REPAIR,
        )
    own = {platforms.stem(posixpath.basename(name)) for name in wheel.elves}
    for path in mapped:
        name = posixpath.basename(path)
        foreign = name not in inside and platforms.stem(name) in own
        if foreign and not wheel.is_system(name):
            expected = "the wheel's own copy and no other"
            yield Fault(
                "mapped-from-outside",
                member,
                found=f"{where}: {path}",
                expected=expected,
                remedy=REPAIR,
            )


def _own_needs(wheel: Wheel, member: str) -> set[str]:
    """Return the libraries of the wheel and of companions that `member` needs, directly or not."""
    others = (item for companion in wheel.companions.found for item in companion.elves.items())
    own = {posixpath.basename(name): file for name, file in (*others, *wheel.elves.items())}
    queue, reached = list(wheel.elves[member].needed), set[str]()
    while queue:
        name = queue.pop()
        if name in own and name not in reached and not wheel.is_system(name):
            reached.add(name)
            queue += own[name].needed
    return reached


def _uninstall(installed: Installed, before: frozenset[str]) -> Iterator[Fault]:
    wheel, site, way = installed.wheel, installed.site, installed.way
    others = (companion.name for companion in wheel.companions.found)
    answer = installers.uninstall(way, site, wheel.identity.name, *others)
    foreign = _directories(wheel.companions.found)
    left = sorted(
        entry
        for entry in entries(site.root) - before
        if _is_remnant(site, way, entry) and not f"/{entry}".endswith(foreign)
    )
    if answer.returncode != 0 or left:
        found = f"{_named(site, way)}: {', '.join(left) or last_words(answer)}"
        expected = f"{way.installer} uninstall leaves nothing"
        remedy = (
            "list every file in RECORD, and do not write files into the environment at run time"
        )
        yield Fault(
            "left-behind", wheel.archive.path.name, found=found, expected=expected, remedy=remedy
        )


def _directories(companions: Iterable[Companion]) -> tuple[str, ...]:
    """Return the directories of companions, each with a slash before it.

    What a companion leaves behind is not the wheel's fault.
    """
    members = (member for companion in companions for member in companion.members)
    parents = {str(parent) for member in members for parent in PurePosixPath(member).parents}
    return tuple(f"/{parent}" for parent in sorted(parents - {"."}))


def _is_remnant(site: Site, way: Way, entry: str) -> bool:
    """Whether what is there after the uninstallation is the wheel's, not the installer's own."""
    # A new root has none of the directories of the schemes, which stay; uv leaves empty ones.
    judged = way.in_venv and way.installer == "pip"
    directory = (site.root / entry).is_dir() and not judged
    return not directory and posixpath.basename(entry) not in OWN_FILES
