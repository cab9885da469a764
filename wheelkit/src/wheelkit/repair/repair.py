"""Repairing a wheel: auditwheel first, then every rpath right for the installed place.

The wheel is checked before the two steps and after them, and only a right one appears.
"""

from __future__ import annotations

import filecmp
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wheelkit.base import progress
from wheelkit.checks import (
    companions,
    excluded,
    layouts,
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
from wheelkit.install.companion_wheels import with_companions
from wheelkit.repair import colocate, outward
from wheelkit.repair.auditwheel import graft_libraries
from wheelkit.repair.options import RepairedWheel, RepairOptions
from wheelkit.repair.rpaths import correct_rpaths
from wheelkit.target.report import FAULT, Fault, FaultyError, LackingError
from wheelkit.wheel import archive, integrity
from wheelkit.wheel.archive import SIGNATURES
from wheelkit.wheel.companions import Companion
from wheelkit.wheel.layouts import Installation
from wheelkit.wheel.reading import Wheel, read_wheel, refuse
from wheelkit.wheel.settings import Settings

Step = Callable[[RepairedWheel], None]
STEPS: Sequence[Step] = (graft_libraries, correct_rpaths)


@dataclass(frozen=True)
class Result:
    """The finished wheel, and what is to be said of it.

    `loads` tells whether all of its libraries load in each install layout, with the libraries of
    `companions`: their wheels, or the names of those that were not looked at. `not_beside` are
    the layouts in which no rpath can lead to a companion. `warnings` are what
    does not keep it from being right, `dropped` the rpath entries that it had, each as its file,
    the entry and the reason.
    """

    path: Path
    loads: Mapping[Installation, bool]
    companions: Sequence[Companion | str] = ()
    not_beside: tuple[tuple[Companion, list[Installation]], ...] = ()
    warnings: tuple[Fault, ...] = ()
    dropped: tuple[tuple[str, str, str], ...] = ()


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
        raise LackingError(f"wheelkit repairs wheels on Linux only; this is {sys.platform}")
    # If the process is killed, the name of the folder says what left it behind.
    with tempfile.TemporaryDirectory(prefix="repair_wheel-") as private, progress.line():
        folder = Path(private)
        given = read_wheel(options.wheel, folder / "given", options.settings.exclude)
        refuse(_faults_before(given, options))
        given = with_companions(given, options.sources, grafting=True)
        repaired = RepairedWheel(options, given, given, folder)
        for step in steps:
            step(repaired)
        date = archive.build_date(given.archive.latest)
        found = loader.failures(repaired.wheel, options.settings.preloaded)
        # A library that an installer leaves out does not load, whatever it needs.
        elves = repaired.wheel.elves.keys()
        loads = {
            where: not failed and elves <= repaired.wheel.places(where).keys()
            for where, failed in found.items()
        }
        findings = tuple(_faults_after(given, repaired.wheel, options))
        refuse(findings)
        result = folder / repaired.wheel.archive.path.name
        archive.pack(repaired.wheel.archive.root, result, date, options.compression)
        used = companions.counted_on(repaired.wheel)
        seen = [companion for companion in used if isinstance(companion, Companion)]
        apart = [
            (companion, companions.not_beside(repaired.wheel, companion)) for companion in seen
        ]
        return Result(
            _publish(result, options),
            loads,
            used,
            tuple((c, where) for c, where in apart if where),
            findings,
            tuple(outward.dropped(repaired)),
        )


def _faults_before(given: Wheel, options: RepairOptions) -> Iterator[Fault]:
    yield from record.faults(given)
    # auditwheel names its result after WHEEL: what is a warning elsewhere goes wrong here.
    yield from (replace(fault, severity=FAULT) for fault in names_and_tags.faults(given))
    yield from given.unreadable
    for name in SIGNATURES:
        member = f"{given.archive.dist_info}/{name}"
        if member in given.archive.members:
            found, expected = (
                "a signature of RECORD",
                "no signature, because the repair changes RECORD",
            )
            yield Fault(
                "signed-record",
                member,
                found=found,
                expected=expected,
                remedy="sign the wheel after the repair",
            )
    beside = colocate.colocated(given)
    if options.strategy == "rpath" and beside:
        found = (
            "a graft beside the library that needs it, so the wheel was repaired with --strategy "
            "colocate"
        )
        expected = "only grafts in site-packages, or no grafts"
        remedy = (
            "repair the wheel that the build has made, or keep this wheel: it loads in more layouts"
        )
        yield Fault("already-colocated", beside[0], found=found, expected=expected, remedy=remedy)


def _faults_after(given: Wheel, repaired: Wheel, options: RepairOptions) -> Iterator[Fault]:
    yield from repaired.unreadable
    yield from rpath_entries.faults(repaired)
    yield from rpath_targets.faults(repaired, Settings(layouts=options.declared.layouts))
    yield from needed_libraries.faults(repaired, options.settings)
    yield from companions.faults(repaired)
    # auditwheel does not look at a wheel that came with its tag and its grafts.
    yield from platform_tag.too_new(repaired)
    yield from no_driver.faults(repaired)
    yield from single_libraries.faults(repaired)
    # Of a stripped file it is not known what it was, so that it must be right in itself.
    yield from _damage(repaired if options.strip else given, repaired)
    yield from excluded.faults(repaired)


def _damage(given: Wheel, repaired: Wheel) -> Iterator[Fault]:
    """Compare each file with what it was; auditwheel has patched it as well.

    Of a new graft it is not known where it comes from, so that it must be right in itself.
    """
    for member in repaired.elves:
        after = repaired.archive.file(member)
        before = given.archive.file(member) if member in given.elves else after
        if before == after or not filecmp.cmp(before, after, shallow=False):
            yield from integrity.damage(before, after, member)


def _publish(result: Path, options: RepairOptions) -> Path:
    destination = options.destination.absolute() / result.name
    if destination.exists() and destination.samefile(options.wheel):
        found, expected = "the input itself", "another folder, because the input must stay as it is"
        remedy = "name another destination folder"
        raise FaultyError(
            [
                Fault(
                    "destination-is-input",
                    str(destination),
                    found=found,
                    expected=expected,
                    remedy=remedy,
                )
            ]
        )
    archive.publish(result, destination)
    return destination


def summary(result: Result) -> Iterator[str]:
    """Say in which install layouts a wheel loads and in which not, with what, and what it lost."""
    names = dict.fromkeys(where.layout.name for where in result.loads)
    beside = [c if isinstance(c, Companion) else f"{c} (not proven)" for c in result.companions]
    for title, wanted in (("loads in", True), ("does not load in", False)):
        texts = "; ".join(filter(None, (_share(result.loads, name, wanted) for name in names)))
        if texts and wanted and beside:
            texts += f"; together with {', '.join(map(str, beside))}"
        if texts:
            yield f"{title}: {texts}"
    for companion, where in result.not_beside:
        yield (
            f"no rpath leads to {companion} in: {layouts.names_of(where)}; "
            "in these layouts, the package must load its libraries before the import"
        )
    members: dict[tuple[str, str], list[str]] = defaultdict(list)
    for member, entry, reason in result.dropped:
        members[entry, reason].append(member)
    for (entry, reason), files in members.items():
        yield f"dropped from rpaths: {entry or 'an empty entry'}, of {', '.join(files)}: {reason}"


def _share(loads: Mapping[Installation, bool], name: str, wanted: bool) -> str | None:
    """Return the name of a layout, with the versions of Python if it is not the same for all."""
    here = {where.python: loaded for where, loaded in loads.items() if where.layout.name == name}
    pythons = [python for python, loaded in here.items() if loaded is wanted]
    if len(pythons) == len(here):
        return name
    return f"{name} ({', '.join(pythons)})" if pythons else None
