"""Repairing a wheel: auditwheel's grafting, then every rpath right for the installed place."""

from __future__ import annotations

import filecmp
import functools
import glob
import posixpath
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from wheelkit.base import pinned_tools
from wheelkit.checks import (
    loader,
    names_and_tags,
    needed_libraries,
    no_driver,
    record,
    rpath_entries,
    rpath_targets,
    single_libraries,
)
from wheelkit.repair import auditwheel_sbom, colocate, rpath_list
from wheelkit.repair.plan import Plan, apply
from wheelkit.target.report import Fault, FaultyError, LackingError
from wheelkit.wheel import archive, identity, integrity, platforms, reading, settings
from wheelkit.wheel.archive import SIGNATURES
from wheelkit.wheel.layouts import VENV, Installation
from wheelkit.wheel.reading import Wheel, refuse
from wheelkit.wheel.settings import Settings

# How displaced libraries find their grafts.
STRATEGIES: Mapping[str, Callable[[Wheel], Plan]] = {
    "colocate": colocate.plan,
    "rpath": rpath_list.plan,
}

# Where a wheel must load if its project does not say: a list of entries cannot reach every layout.
LEAST = {"colocate": None, "rpath": (VENV.name,)}


@dataclass(frozen=True)
class Wish:
    """What the caller asked for.

    Without `plat`, auditwheel chooses the platform tag. `exclude` are globs of SONAMEs that must
    not be grafted, `strategy` is one of `STRATEGIES`. `policy` is the file that declares what
    the options do not say.
    """

    wheel: Path
    destination: Path
    plat: platforms.Platform | None = None
    exclude: tuple[str, ...] = ()
    strategy: str = "colocate"
    policy: Path | None = None

    @functools.cached_property
    def settings(self) -> Settings:
        """What is declared for the wheel; an option takes the place of a key."""
        if self.policy is not None:
            declared = settings.from_file(self.policy)
        else:
            declared = settings.of_project(Path.cwd(), identity.identify(self.wheel.name).name)
        layouts = declared.layouts or LEAST[self.strategy]
        return replace(declared, exclude=self.exclude or declared.exclude, layouts=layouts)


@dataclass(frozen=True)
class Repaired:
    """The finished wheel, and whether all of its libraries load in each install layout."""

    path: Path
    loads: Mapping[Installation, bool]


def repair(wish: Wish) -> Repaired:
    """Repair a wheel; the result is the one file that appears.

    Raises
    ------
    FaultyError
        The wheel cannot be repaired; the destination folder is as it was.
    LackingError
        This is no Linux system, a pinned tool is missing, or the disk is full.
    """
    if sys.platform != "linux":
        raise LackingError(f"ELF files are repaired on Linux; this is {sys.platform}")
    # What a killed process leaves behind can be told by its name.
    with tempfile.TemporaryDirectory(prefix="repair_wheel-") as folder:
        private = Path(folder)
        given = reading.read_wheel(wish.wheel, private / "given", wish.settings.exclude)
        refuse(_preflight(given, wish))
        grafted = (
            _copy(given, private) if _is_grafted(given, wish) else _graft(given, wish, private)
        )
        apply(STRATEGIES[wish.strategy](grafted), grafted)
        _keep_sbom_true(given, grafted)
        repaired = reading.reread(grafted.archive, grafted.identity, grafted.excluded)
        result = private / repaired.archive.path.name
        date = archive.build_date(given.archive.latest)
        found = loader.failures(repaired, wish.settings.preloaded)
        loads = {where: not failed for where, failed in found.items()}
        refuse(_postflight(given, repaired, wish, loads))
        archive.pack(repaired.archive.root, result, date)
        return Repaired(_hand_over(result, wish), loads)


def _preflight(given: Wheel, wish: Wish) -> Iterator[Fault]:
    yield from record.faults(given)
    yield from names_and_tags.faults(given)
    yield from given.unreadable
    for name in SIGNATURES:
        member = f"{given.archive.dist_info}/{name}"
        if member in given.archive.members:
            found, expected = "a signature of RECORD", "none: a repair changes RECORD"
            yield Fault("signed-record", member, found, expected, "sign after the repair")
    beside = colocate.colocated(given)
    if wish.strategy == "rpath" and beside:
        found = "a graft beside the library that needs it: the wheel was repaired by co-location"
        expected = "grafts in site-packages alone, or none yet"
        remedy = "repair the wheel as it was built; or keep this one, it loads in more layouts"
        yield Fault("already-colocated", beside[0], found, expected, remedy)


def _is_grafted(given: Wheel, wish: Wish) -> bool:
    """Whether the wheel has its platform tag and its grafts already.

    auditwheel, run once more, could choose another tag for it.
    """
    platforms = given.identity.platforms
    if not platforms or any(platform.version is None for platform in platforms):
        return False
    if wish.plat and wish.plat not in platforms:
        return False
    own = {posixpath.basename(member) for member in given.elves}
    every = {name for file in given.elves.values() for name in file.needed}
    return all(name in own or given.is_system(name) for name in every)


def _graft(given: Wheel, wish: Wish, private: Path) -> Wheel:
    output = private / "auditwheel"
    plat = ["--plat", str(wish.plat), "--only-plat"] if wish.plat else []
    leave = [
        f"--exclude={name}" for name in (*platforms.DRIVER_GLOBS, *given.excluded, *_own(given))
    ]
    wheel = str(wish.wheel.absolute())
    # Its archive is unpacked at once, so that compressing it would only take time.
    options = ["--wheel-dir", str(output), "--zip-compression-level=0", *plat, *leave]
    answer = pinned_tools.auditwheel("repair", *options, wheel, folder=private)
    made = sorted(output.glob("*.whl")) if answer.returncode == 0 else []
    if len(made) != 1:
        expected = "a wheel that auditwheel can repair"
        remedy = "see the message; LD_LIBRARY_PATH tells auditwheel where libraries are"
        found = pinned_tools.last_words(answer)
        raise FaultyError([Fault("auditwheel-refused", wish.wheel.name, found, expected, remedy)])
    return reading.read_wheel(made[0], private / "grafted", given.excluded)


def _own(given: Wheel) -> Iterator[str]:
    """Return the names of the displaced libraries of the wheel itself, which need no graft.

    auditwheel could not find them: their place in the archive is not the installed one.
    """
    for member, file in given.elves.items():
        if given.place(member).displaced:
            name = posixpath.basename(member)
            yield from sorted({glob.escape(name), glob.escape(file.soname or name)})


def _copy(given: Wheel, private: Path) -> Wheel:
    """Return a wheel that needs no grafting, to be changed while the given one stays as it is."""
    return reading.read_wheel(given.archive.path, private / "grafted", given.excluded)


def _keep_sbom_true(given: Wheel, grafted: Wheel) -> None:
    before = given.archive.metadata(auditwheel_sbom.NAME)
    earlier = before.read_bytes() if before.exists() else None
    auditwheel_sbom.settle(
        grafted.archive.metadata(auditwheel_sbom.NAME), earlier, grafted.archive.path.name
    )


def _postflight(
    given: Wheel, repaired: Wheel, wish: Wish, loads: Mapping[Installation, bool]
) -> Iterator[Fault]:
    yield from repaired.unreadable
    yield from rpath_entries.faults(repaired)
    yield from rpath_targets.faults(repaired, Settings())
    if not all(loads.values()):
        yield from needed_libraries.faults(repaired, wish.settings)
    yield from no_driver.faults(repaired)
    yield from single_libraries.faults(repaired)
    yield from _damage(given, repaired)
    yield from _unmatched(repaired)


def _damage(given: Wheel, repaired: Wheel) -> Iterator[Fault]:
    """Compare each file with what it was; auditwheel has patched it as well.

    Of a new graft it is not known where it comes from, so that it must be right in itself.
    """
    for member in repaired.elves:
        after = repaired.archive.file(member)
        before = given.archive.file(member) if member in given.elves else after
        if before == after or not filecmp.cmp(before, after, shallow=False):
            yield from integrity.damage(before, after, member)


def _unmatched(repaired: Wheel) -> Iterator[Fault]:
    names = {name for file in repaired.elves.values() for name in file.needed}
    for pattern in repaired.excluded:
        if not any(fnmatchcase(name, pattern) for name in names):
            found = f"exclude {pattern} matches no NEEDED of {', '.join(sorted(names))}"
            expected = "a glob of SONAMEs, as in libcudart.so.*"
            remedy = "correct --exclude, or the key of [tool.wheelkit], or leave it out"
            yield Fault("exclude-unmatched", repaired.archive.path.name, found, expected, remedy)


def summary(loads: Mapping[Installation, bool]) -> Iterator[str]:
    """Say in a line in which install layouts a wheel loads, and in another in which not."""
    names = dict.fromkeys(where.layout.name for where in loads)
    for title, wanted in (("loads in", True), ("does not load in", False)):
        texts = "; ".join(filter(None, (_share(loads, name, wanted) for name in names)))
        if texts:
            yield f"{title}: {texts}"


def _share(loads: Mapping[Installation, bool], name: str, wanted: bool) -> str | None:
    """Return the name of a layout, with the versions of Python if it is not the same for all."""
    here = {where.python: loaded for where, loaded in loads.items() if where.layout.name == name}
    pythons = [python for python, loaded in here.items() if loaded is wanted]
    if len(pythons) == len(here):
        return name
    return f"{name} ({', '.join(pythons)})" if pythons else None


def _hand_over(result: Path, wish: Wish) -> Path:
    destination = wish.destination.absolute() / result.name
    if destination.exists() and destination.samefile(wish.wheel):
        found, expected = "the input itself", "another folder: the input is never written to"
        remedy = "name another destination folder"
        raise FaultyError(
            [Fault("destination-is-input", str(destination), found, expected, remedy)]
        )
    archive.publish(result, destination)
    return destination
