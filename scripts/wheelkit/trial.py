"""A trial installation: pip installs the wheel in a new venv, and every library is loaded there."""

from __future__ import annotations

import json
import os
import posixpath
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.tags import sys_tags

from wheelkit import elf, load_library, policy
from wheelkit.contract import REPAIR
from wheelkit.metadata import Identity, running_python
from wheelkit.report import Fault, FaultyError, LackingError
from wheelkit.subject import Subject

CHILD = str(load_library.__file__)
DRIVER_REMEDY = "verify this layout on a machine with the NVIDIA driver"


@dataclass(frozen=True)
class Venv:
    """A new virtual environment with pip, and `home`, an empty home directory for pip."""

    prefix: Path
    home: Path

    @property
    def python(self) -> str:
        """The path of its interpreter."""
        return str(self.prefix / "bin" / "python")

    def pip(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run its pip, undisturbed by the caller's configuration."""
        environment = {
            "PATH": os.defpath,
            "HOME": str(self.home),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_CACHE_DIR": "1",
            # What pip itself would leave behind looks like a remnant of the wheel.
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        return subprocess.run(
            [self.python, "-m", "pip", *arguments],
            env=environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
        )

    def entries(self) -> frozenset[str]:
        """Return every file and directory below the prefix."""
        return frozenset(p.relative_to(self.prefix).as_posix() for p in self.prefix.rglob("*"))


def trial_faults(subject: Subject) -> Iterator[Fault]:
    """Install the wheel with pip, load each of its libraries, uninstall it.

    Raises
    ------
    LackingError
        No interpreter here can install the wheel, or a library needs the absent NVIDIA driver.
    """
    with tempfile.TemporaryDirectory() as folder:
        # Resolved, because the loader reports real paths.
        python, version = interpreter(subject.identity)
        venv = _create(python, Path(folder).resolve())
        subject = subject.installed_for(version)
        before = venv.entries()
        try:
            _install(venv, subject)
        except FaultyError as error:
            yield from error.faults
            return
        yield from _misplaced(venv, subject)
        yield from _loading(venv, subject)
        yield from _uninstall(venv, subject, before)


def interpreter(identity: Identity) -> tuple[str, str]:
    """Return an interpreter that the wheel is for, the running one or one on PATH, and its version.

    Raises
    ------
    LackingError
        There is none.
    """
    if not identity.tags.isdisjoint(sys_tags()):
        return sys.executable, running_python()
    name = f"python{identity.python}"
    found = shutil.which(name)
    if found is None:
        tags = ", ".join(sorted(map(str, identity.tags)))
        raise LackingError(f"no interpreter for {tags}: no {name} on PATH, nor {sys.executable}")
    return found, identity.python


def _create(python: str, folder: Path) -> Venv:
    venv = Venv(folder / "venv", folder / "home")
    venv.home.mkdir()
    made = subprocess.run(
        [python, "-m", "venv", str(venv.prefix)], capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        raise LackingError(f"{python} cannot make a venv: {(made.stderr or made.stdout).strip()}")
    return venv


def _last_line(answer: subprocess.CompletedProcess[str]) -> str:
    lines = (answer.stderr.strip() or answer.stdout.strip()).splitlines()
    return lines[-1] if lines else f"exit status {answer.returncode}"


def _install(venv: Venv, subject: Subject) -> None:
    wheel = str(subject.wheel.path.absolute())
    answer = venv.pip("install", "--no-deps", "--no-index", wheel)
    if answer.returncode == 0:
        return
    message = _last_line(answer)
    if "is not a supported wheel on this platform" in answer.stderr:
        raise LackingError(f"{venv.python} cannot install the wheel here: {message}")
    expected = "pip install --no-deps --no-index succeeds"
    remedy = "see pip's message"
    raise FaultyError([Fault("pip-install", subject.wheel.path.name, message, expected, remedy)])


def _misplaced(venv: Venv, subject: Subject) -> Iterator[Fault]:
    for member, path in subject.installed.items():
        if not (venv.prefix / path).exists():
            remedy = "see whether two schemes of the wheel share a directory"
            yield Fault("not-installed", member, "nothing at its place", path, remedy)


def _loading(venv: Venv, subject: Subject) -> Iterator[Fault]:
    host = elf.read(Path(venv.python).resolve())
    for member, file in subject.elves.items():
        # Programs are no libraries, and code of another machine is data here.
        if not file.is_program and host is not None and file.machine == host.machine:
            yield from _load(venv, subject, member)


def _load(venv: Venv, subject: Subject, member: str) -> Iterator[Fault]:
    path = str(venv.prefix / subject.installed[member])
    child = [venv.python, "-I", CHILD, path]
    answer = subprocess.run(child, env={}, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        expected = "loads without crashing"
        yield Fault("load-crashed", member, _last_line(answer), expected, "debug its constructors")
        return
    result = json.loads(answer.stdout)
    if result["error"] is None:
        yield from _mapping(venv, subject, member, result["mapped"])
    elif policy.stem(result["error"].partition(":")[0]) in policy.DRIVER_STEMS:
        raise LackingError(f"{member}: {result['error']}; {DRIVER_REMEDY}")
    else:
        expected = "loads in a fresh process with an empty environment"
        remedy = f"if a library was not found, {REPAIR}; else see the loader's message"
        yield Fault("load-failed", member, result["error"], expected, remedy)


def _mapping(venv: Venv, subject: Subject, member: str, mapped: list[str]) -> Iterator[Fault]:
    inside = {posixpath.basename(p) for p in mapped if Path(p).is_relative_to(venv.prefix)}
    for name in sorted(_own_needs(subject, member) - inside):
        places = [p for p in mapped if posixpath.basename(p) == name]
        found = f"{name} mapped from {', '.join(places) or 'nowhere'}"
        yield Fault("graft-not-mapped", member, found, "from inside the environment", REPAIR)
    own = {policy.stem(posixpath.basename(name)) for name in subject.elves}
    for path in mapped:
        name = posixpath.basename(path)
        foreign = name not in inside and policy.stem(name) in own
        if foreign and not subject.is_system(name):
            expected = "the wheel's own copy and no other"
            yield Fault("mapped-from-outside", member, path, expected, REPAIR)


def _own_needs(subject: Subject, member: str) -> set[str]:
    """Return the names of the wheel's libraries that `member` needs, directly or not."""
    own = {posixpath.basename(name): file for name, file in subject.elves.items()}
    queue, reached = list(subject.elves[member].needed), set[str]()
    while queue:
        name = queue.pop()
        if name in own and name not in reached and not subject.is_system(name):
            reached.add(name)
            queue += own[name].needed
    return reached


def _uninstall(venv: Venv, subject: Subject, before: frozenset[str]) -> Iterator[Fault]:
    answer = venv.pip("uninstall", "--yes", subject.identity.name)
    left = sorted(venv.entries() - before)
    if answer.returncode != 0 or left:
        found = ", ".join(left) or _last_line(answer)
        expected = "pip uninstall leaves nothing"
        remedy = "list every file in RECORD, and write none at run time"
        yield Fault("left-behind", subject.wheel.path.name, found, expected, remedy)
