"""Repairing a wheel: auditwheel's grafting, then every rpath right for the installed place."""

from __future__ import annotations

import glob
import posixpath
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from wheelkit import archive, colocate, contract, metadata, policy, subject, tools
from wheelkit.archive import SIGNATURES
from wheelkit.patch import Patcher
from wheelkit.report import Fault, FaultyError, LackingError
from wheelkit.subject import Subject, refuse


@dataclass(frozen=True)
class Wish:
    """What the caller asked for.

    Without `plat`, auditwheel chooses the platform tag. `exclude` are globs of SONAMEs that must
    not be grafted.
    """

    wheel: Path
    destination: Path
    plat: policy.Platform | None = None
    exclude: tuple[str, ...] = ()


def repair(wish: Wish) -> Path:
    """Repair a wheel and return the path of the result, the one file that appears.

    Raises
    ------
    FaultyError
        The wheel cannot be repaired; the destination folder is as it was.
    LackingError
        This is no Linux system, or a pinned tool is missing.
    """
    if sys.platform != "linux":
        raise LackingError(f"ELF files are repaired on Linux; this is {sys.platform}")
    with tempfile.TemporaryDirectory() as folder:
        private = Path(folder)
        given = subject.study(wish.wheel, private / "given", wish.exclude)
        refuse(_preflight(given))
        grafted = given if _is_grafted(given, wish) else _graft(given, wish, private)
        repaired = _colocate(grafted)
        refuse(_postflight(repaired, wish))
        result = private / repaired.wheel.path.name
        date = archive.build_date(given.wheel.latest)
        archive.pack(repaired.wheel.root, result, date)
        return _hand_over(result, wish)


def _preflight(given: Subject) -> Iterator[Fault]:
    yield from archive.record_faults(given.wheel)
    yield from metadata.metadata_faults(given.wheel, given.identity)
    yield from given.unreadable
    for name in SIGNATURES:
        member = f"{given.wheel.dist_info}/{name}"
        if member in given.wheel.members:
            found, expected = "a signature of RECORD", "none: a repair changes RECORD"
            yield Fault("signed-record", member, found, expected, "sign after the repair")


def _is_grafted(given: Subject, wish: Wish) -> bool:
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


def _graft(given: Subject, wish: Wish, private: Path) -> Subject:
    output = private / "auditwheel"
    plat = ["--plat", str(wish.plat), "--only-plat"] if wish.plat else []
    leave = [f"--exclude={name}" for name in (*policy.DRIVER_GLOBS, *wish.exclude, *_own(given))]
    wheel = str(wish.wheel.absolute())
    answer = tools.auditwheel(
        "repair", "--wheel-dir", str(output), *plat, *leave, wheel, folder=private
    )
    made = sorted(output.glob("*.whl")) if answer.returncode == 0 else []
    if len(made) != 1:
        expected = "a wheel that auditwheel can repair"
        remedy = "see the message; LD_LIBRARY_PATH tells auditwheel where libraries are"
        found = tools.last_words(answer)
        raise FaultyError([Fault("auditwheel-refused", wish.wheel.name, found, expected, remedy)])
    return subject.study(made[0], private / "grafted", wish.exclude)


def _own(given: Subject) -> Iterator[str]:
    """Return the names of the displaced libraries of the wheel itself, which need no graft.

    auditwheel could not find them: their place in the archive is not the installed one.
    """
    for member, file in given.elves.items():
        if given.place(member).displaced:
            name = posixpath.basename(member)
            yield from sorted({glob.escape(name), glob.escape(file.soname or name)})


def _colocate(grafted: Subject) -> Subject:
    chosen = colocate.plan(grafted)
    refuse(chosen.faults)
    try:
        colocate.apply(chosen, grafted, Patcher())
    except subprocess.CalledProcessError as error:
        found = error.stderr.decode(errors="replace").strip() or str(error)
        file = Path(error.cmd[-1]).relative_to(grafted.wheel.root).as_posix()
        remedy = "link the library again with an rpath, so that the string has room"
        fault = Fault("patchelf", file, found, "a file that patchelf can patch", remedy)
        raise FaultyError([fault]) from error
    return subject.reread(grafted.wheel, grafted.identity, grafted.excluded)


def _postflight(repaired: Subject, wish: Wish) -> Iterator[Fault]:
    yield from repaired.unreadable
    yield from contract.rpath_form(repaired)
    for check in contract.LOADING:
        yield from check.faults(repaired)
    yield from contract.grafts(repaired)
    yield from _unmatched(repaired, wish.exclude)


def _unmatched(repaired: Subject, globs: Iterable[str]) -> Iterator[Fault]:
    names = {name for file in repaired.elves.values() for name in file.needed}
    for pattern in globs:
        if not any(fnmatchcase(name, pattern) for name in names):
            found = f"--exclude {pattern} matches no NEEDED of {', '.join(sorted(names))}"
            expected = "a glob of SONAMEs, as in libcudart.so.*"
            remedy = "correct the option or leave it out"
            yield Fault("exclude-unmatched", repaired.wheel.path.name, found, expected, remedy)


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
