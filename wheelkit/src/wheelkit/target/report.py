"""Faults, exit statuses and the JSON report: one place for how a script ends.

Only the standard library is imported here, and the syntax is that of CPython 3.7, so that a
missing dependency and a too old interpreter can be reported too.
"""

from __future__ import annotations

import enum
import errno
import hashlib
import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from wheelkit import __version__

# The oldest that the pinned auditwheel runs on.
OLDEST_PYTHON = (3, 10)

# Import names of the packages that wheelkit depends on.
DEPENDENCIES = frozenset(
    [
        "abi3info",
        "auditwheel",
        "bracex",
        "build",
        "deflate",
        "elftools",
        "markdown_it",
        "packaging",
        "pypi_simple",
        "pypiserver",
        "requests",
        "tomli",
    ]
)
# Every dependency with its hashes, and the command that installs them.
REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements.txt"
INSTALL = f"{sys.executable} -m pip install --require-hashes -r {REQUIREMENTS}"

# The machine's doing, not a bug of ours: full disk, exceeded quota, missing rights.
MACHINE_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS})


# What GitHub's runner takes for a command in a line of a log: two colons at its beginning, and
# "##[" anywhere.
COLONS = re.compile(r"^( *):(?=:)")
HASHES = re.compile(r"##(?=\w*\[)")


def plain(text: str) -> str:
    """Return a text as one line that is a command neither to a terminal nor to GitHub's runner."""
    escaped = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return HASHES.sub("# #", COLONS.sub(r"\1: ", "".join(escaped)))


def say(message: object, *, error: bool = False) -> None:
    """Print a message, on standard error if it tells of an error; each of its lines is plain.

    Everything that a verb prints goes through this function, because it may contain text from a
    wheel, from a report, or from the name of a file.
    """
    stream = sys.stderr if error else sys.stdout
    for line in str(message).split("\n"):
        try:
            print(plain(line), file=stream, flush=True)
        except BrokenPipeError:
            # Nobody reads on, as behind `| head`. The work goes on, and so does its verdict.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            return


class Status(enum.IntEnum):
    """Exit statuses of every script."""

    DONE = 0
    FAULTY = 1
    MISUSED = 2
    LACKING = 3
    INTERNAL = 70


# A fault makes somebody's install, load or run go wrong, or is not what the project declares; a
# warning does not, as far as is known.
FAULT, WARNING = "fault", "warning"


@dataclass(frozen=True, init=False)
class Fault:
    """One finding about a wheel; `id` never changes its meaning.

    `severity` is FAULT or WARNING. Only a fault makes a verdict negative.
    """

    id: str
    file: str
    found: str
    expected: str
    remedy: str
    severity: str = FAULT

    def __init__(
        self,
        id: str,  # noqa: A002
        file: str,
        *,
        found: str,
        expected: str,
        remedy: str,
        severity: str = FAULT,
    ) -> None:
        # Three texts in a row are easily swapped, so each has its name; the dataclass of CPython
        # 3.7 cannot ask for that.
        vars(self).update(
            id=id, file=file, found=found, expected=expected, remedy=remedy, severity=severity
        )

    @property
    def counts(self) -> bool:
        """Whether it makes the verdict negative: whether it is a fault and no warning."""
        return self.severity == FAULT

    def __str__(self) -> str:
        """Four lines for a person; a line break within a text does not begin a new one."""
        return (
            f"{self.severity} {plain(self.id)}: {plain(self.file)}\n"
            f"  found:    {plain(self.found)}\n"
            f"  expected: {plain(self.expected)}\n"
            f"  remedy:   {plain(self.remedy)}"
        )


class FaultyError(Exception):
    """The input is at fault; carries every finding, each once, from before work had to stop."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(dict.fromkeys(faults))
        super().__init__("\n".join(map(str, self.faults)))


class MisusedError(Exception):
    """Wrong usage: an option or an environment variable makes no sense."""


class LackingError(Exception):
    """The environment lacks something: a tool, an interpreter, a driver."""


@dataclass(frozen=True)
class Outcome:
    """What became of one wheel; `faults` are all findings, warnings too.

    `lacking` says what could not be done here, if anything; `more` are further keys of the report.
    """

    wheel: Path
    faults: tuple[Fault, ...]
    lacking: str | None = None
    more: Mapping[str, object] = field(default_factory=dict)

    def as_json(self, tool: str) -> dict[str, object]:
        """Return the report; the key ``lacking`` is there only if something was.

        ``ok`` is the verdict: true if there is no fault, whatever warnings are in ``faults``.
        """
        return {
            "tool": tool,
            "version": __version__,
            "wheel": {"name": self.wheel.name, "sha256": sha256(self.wheel)},
            "ok": self.lacking is None and not any(fault.counts for fault in self.faults),
            "faults": [asdict(fault) for fault in self.faults],
            **({} if self.lacking is None else {"lacking": self.lacking}),
            **self.more,
        }


def sha256(path: Path) -> str:
    """Return the hash of a file's bytes, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def conclude(tool: str, outcomes: Sequence[Outcome], report: Path | None) -> Status:
    """Print every finding, write the report, and return the exit status.

    One wheel is reported as an object, several as a list of such objects.
    """
    faults = [fault for outcome in outcomes for fault in outcome.faults]
    lacking = [outcome.lacking for outcome in outcomes if outcome.lacking is not None]
    for fault in faults:
        say(fault, error=True)
    for message in lacking:
        say(f"error: {message}", error=True)
    if report is not None:
        entries = [outcome.as_json(tool) for outcome in outcomes]
        write_whole(report, json.dumps(entries[0] if len(entries) == 1 else entries, indent=2))
    if any(fault.counts for fault in faults):
        return Status.FAULTY
    return Status.LACKING if lacking else Status.DONE


def prepare_report(report: Path | None, *inputs: Path) -> None:
    """Make the folder of a report, and remove an older report of the same name.

    Raises
    ------
    MisusedError
        No report can be written there, or it would replace an input.
    """
    if report is None:
        return
    same = [path for path in inputs if path.exists() and report.exists() and path.samefile(report)]
    # /dev/stdout is a link: a file that replaces it would be there for every program.
    if same or report.is_symlink() or (report.exists() and not report.is_file()):
        what = "is an input" if same else "is no plain file"
        raise MisusedError(f"--report {report}: this {what}; name another file")
    try:
        report.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise MisusedError(f"--report {report}: {report.parent} is no folder") from None
    if report.exists():
        # An older verdict must not pass for this run's, should it end without one.
        report.unlink()


def write_whole(path: Path, text: str) -> None:
    """Write a text file, complete or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        partial.write_text(text + "\n", encoding="utf-8")
        partial.replace(path)
    finally:
        # Not missing_ok, which CPython 3.7 does not know.
        if partial.exists():
            partial.unlink()


def run(main: Callable[[], int], oldest: tuple[int, int] = OLDEST_PYTHON) -> int:
    """Call `main` and turn what it raises into an exit status; a crash is never a verdict."""
    try:
        if sys.version_info < oldest:
            # Inside of a wheel build, `python` is often the wheel's interpreter, not the tools'.
            wanted = ".".join(map(str, oldest))
            raise LackingError(f"Python {wanted} or newer runs this; {sys.executable} is older")
        return main()
    except FaultyError as error:
        say(error, error=True)
        return Status.FAULTY
    except Exception as error:
        status, message = _explain(error)
        if status is Status.INTERNAL:
            say(traceback.format_exc().rstrip(), error=True)
        say(f"error: {message}", error=True)
        return status


def _explain(error: Exception) -> tuple[Status, str]:
    if isinstance(error, MisusedError):
        return Status.MISUSED, str(error)
    if isinstance(error, LackingError):
        return Status.LACKING, str(error)
    if isinstance(error, ModuleNotFoundError):
        if (error.name or "").partition(".")[0] in DEPENDENCIES:
            return Status.LACKING, f"{error} in {sys.executable}; run: {INSTALL}"
    elif isinstance(error, OSError) and error.errno in MACHINE_ERRORS:
        return Status.LACKING, str(error)
    return Status.INTERNAL, "internal error; please report it with the traceback above"
