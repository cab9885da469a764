"""What check-wheel-contents finds in the wheel, grafts aside: warnings, as nothing fails by it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from wheelkit.base.programs import last_words
from wheelkit.checks import other_tools
from wheelkit.target.report import WARNING, Fault, LackingError
from wheelkit.wheel.grafts import is_graft
from wheelkit.wheel.reading import Wheel
from wheelkit.wheel.settings import Settings

TITLE = "check-wheel-contents"
# The codes of the pinned version, so that a project can accept each by itself.
CODES = (
    *("W001", "W002", "W003", "W004", "W005", "W006", "W007", "W008", "W009", "W010"),
    *("W101", "W102", "W201", "W202"),
)
UNREAD = "wheel-contents-unread"
IDS = (*(f"wheel-contents-{code}" for code in CODES), UNREAD)

# How many files a message lists.
SHOWN = 3

_FINDING = re.compile(r"^.*?\.whl: (?P<code>W\d+): (?P<text>.*?):?$")
# How many files of the wheel itself make a finding; one for all others. Grafts are duplicates,
# cannot be imported, and have a top-level directory, all by design.
LEAST_FILES = {"W002": 2, "W009": 2}
# Where auditwheel puts the programs of the scripts scheme: NAME.scripts, at the top.
PROGRAMS = ".scripts/"
# Equal files that are smaller, in bytes, save nobody anything: empty modules, licence texts.
SMALL = 10_000


def faults(wheel: Wheel, settings: Settings) -> Iterator[Fault]:
    """Have check-wheel-contents tell what it finds, by the project's configuration of it."""
    config = settings.check_wheel_contents
    options = ("--no-config",) if config is None else ("--config", str(config))
    answer = other_tools.run("check-wheel-contents", "check_wheel_contents", *options, wheel=wheel)
    _, unread, reason = answer.stderr.partition(".whl: invalid wheel: ")
    if unread:
        expected = "a wheel that check-wheel-contents can read"
        remedy = "nothing, if you want the wheel as it is: installers accept it"
        file = wheel.archive.path.name
        yield Fault(
            UNREAD, file, found=reason.strip(), expected=expected, remedy=remedy, severity=WARNING
        )
        return
    findings = _findings(answer.stdout.splitlines())
    if answer.returncode != (1 if findings else 0):
        raise LackingError(f"check-wheel-contents failed: {last_words(answer)}")
    for code, text, files in findings:
        own = list(_own(wheel, code, files))
        if files and len(own) < LEAST_FILES.get(code, 1):
            continue
        listed = ", ".join(own[:SHOWN]) + (f" and {len(own) - SHOWN} more" * (len(own) > SHOWN))
        found = f"{text}{': ' * bool(own)}{listed}"
        remedy = f"see {code} in the documentation of check-wheel-contents"
        where = own[0] if own else wheel.archive.path.name
        expected = f"no {code} of check-wheel-contents"
        yield Fault(
            f"wheel-contents-{code}",
            where,
            found=found,
            expected=expected,
            remedy=remedy,
            severity=WARNING,
        )


def _own(wheel: Wheel, code: str, files: Iterable[str]) -> Iterator[str]:
    """Return the files of a finding that are the project's doing, and cost something."""
    for file in files:
        top = f"{file.partition('/')[0]}/"
        small = code == "W002" and wheel.archive.file(file).stat().st_size < SMALL
        if not (is_graft(file) or top.endswith(PROGRAMS) or small):
            yield file


def _findings(lines: list[str]) -> list[tuple[str, str, list[str]]]:
    """Return code, text and files of each finding: a line, then its files, indented."""
    found: list[tuple[str, str, list[str]]] = []
    for line in lines:
        if match := _FINDING.match(line):
            found.append((match["code"], match["text"], []))
        elif line.startswith("  ") and found:
            found[-1][2].append(line.strip())
    return found
