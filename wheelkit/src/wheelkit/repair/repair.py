"""Repairing a wheel: auditwheel first, then every rpath right for the installed place.

The wheel is checked before the two steps and after them, and only a right one appears.
"""

from __future__ import annotations

import filecmp
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from wheelkit.checks import (
    loader,
    names_and_tags,
    needed_libraries,
    no_driver,
    platform_tag,
    record,
    rpath_entries,
    rpath_targets,
    single_libraries,
)
from wheelkit.repair import colocate
from wheelkit.repair.auditwheel import graft_libraries
from wheelkit.repair.options import RepairedWheel, RepairOptions
from wheelkit.repair.rpaths import correct_rpaths
from wheelkit.target.report import FAULT, Fault, FaultyError, LackingError
from wheelkit.wheel import archive, integrity
from wheelkit.wheel.archive import SIGNATURES
from wheelkit.wheel.layouts import Installation
from wheelkit.wheel.reading import Wheel, read_wheel, refuse
from wheelkit.wheel.settings import Settings

Step = Callable[[RepairedWheel], None]
STEPS: Sequence[Step] = (graft_libraries, correct_rpaths)


@dataclass(frozen=True)
class Result:
    """The finished wheel, and whether all of its libraries load in each install layout."""

    path: Path
    loads: Mapping[Installation, bool]


def repair(options: RepairOptions, steps: Sequence[Step] = STEPS) -> Result:
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
    # If the process is killed, the name of the folder says what left it behind.
    with tempfile.TemporaryDirectory(prefix="repair_wheel-") as private:
        folder = Path(private)
        given = read_wheel(options.wheel, folder / "given", options.settings.exclude)
        refuse(_faults_before(given, options))
        repaired = RepairedWheel(options, given, given, folder)
        for step in steps:
            step(repaired)
        date = archive.build_date(given.archive.latest)
        found = loader.failures(repaired.wheel, options.settings.preloaded)
        loads = {where: not failed for where, failed in found.items()}
        refuse(_faults_after(given, repaired.wheel, options, loads))
        result = folder / repaired.wheel.archive.path.name
        archive.pack(repaired.wheel.archive.root, result, date)
        return Result(_publish(result, options), loads)


def _faults_before(given: Wheel, options: RepairOptions) -> Iterator[Fault]:
    yield from record.faults(given)
    # auditwheel names its result after WHEEL: what is a warning elsewhere goes wrong here.
    yield from (replace(fault, severity=FAULT) for fault in names_and_tags.faults(given))
    yield from given.unreadable
    for name in SIGNATURES:
        member = f"{given.archive.dist_info}/{name}"
        if member in given.archive.members:
            found, expected = "a signature of RECORD", "none: a repair changes RECORD"
            yield Fault("signed-record", member, found, expected, "sign after the repair")
    beside = colocate.colocated(given)
    if options.strategy == "rpath" and beside:
        found = "a graft beside the library that needs it: the wheel was repaired by co-location"
        expected = "grafts in site-packages alone, or none yet"
        remedy = "repair the wheel as it was built; or keep this one, it loads in more layouts"
        yield Fault("already-colocated", beside[0], found, expected, remedy)


def _faults_after(
    given: Wheel, repaired: Wheel, options: RepairOptions, loads: Mapping[Installation, bool]
) -> Iterator[Fault]:
    yield from repaired.unreadable
    yield from rpath_entries.faults(repaired)
    yield from rpath_targets.faults(repaired, Settings())
    if not all(loads.values()):
        yield from needed_libraries.faults(repaired, options.settings)
    # auditwheel does not look at a wheel that came with its tag and its grafts.
    yield from platform_tag.too_new(repaired)
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


def _publish(result: Path, options: RepairOptions) -> Path:
    destination = options.destination.absolute() / result.name
    if destination.exists() and destination.samefile(options.wheel):
        found, expected = "the input itself", "another folder: the input is never written to"
        remedy = "name another destination folder"
        raise FaultyError(
            [Fault("destination-is-input", str(destination), found, expected, remedy)]
        )
    archive.publish(result, destination)
    return destination


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
