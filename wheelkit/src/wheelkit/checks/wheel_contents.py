"""check-wheel-contents finds nothing in the wheel, grafts aside."""

from __future__ import annotations

import re
from collections.abc import Iterator

from wheelkit.base.programs import last_words
from wheelkit.checks import other_tools
from wheelkit.target.report import Fault, LackingError
from wheelkit.wheel.grafts import is_graft
from wheelkit.wheel.reading import Wheel

TITLE = "check-wheel-contents"
IDS = ("wheel-contents",)

# How many files a message lists.
SHOWN = 3

_FINDING = re.compile(r"^.*?\.whl: (?P<code>W\d+): (?P<text>.*?):?$")
# How many files of the wheel itself make a finding; one for all others. Grafts are duplicates,
# cannot be imported, and have a top-level directory, all by design.
LEAST_FILES = {"W002": 2, "W009": 2}


def faults(wheel: Wheel) -> Iterator[Fault]:
    """check-wheel-contents finds nothing, grafts aside."""
    answer = other_tools.run(
        "check-wheel-contents", "check_wheel_contents", "--no-config", wheel=wheel
    )
    findings = _findings(answer.stdout.splitlines())
    if answer.returncode != (1 if findings else 0):
        raise LackingError(f"check-wheel-contents failed: {last_words(answer)}")
    for code, text, files in findings:
        own = [file for file in files if not is_graft(file)]
        if files and len(own) < LEAST_FILES.get(code, 1):
            continue
        listed = ", ".join(own[:SHOWN]) + (f" and {len(own) - SHOWN} more" * (len(own) > SHOWN))
        found = f"{code}: {text}{': ' * bool(own)}{listed}"
        remedy = f"see {code} in the documentation of check-wheel-contents"
        where = own[0] if own else wheel.archive.path.name
        yield Fault("wheel-contents", where, found, "no finding of check-wheel-contents", remedy)


def _findings(lines: list[str]) -> list[tuple[str, str, list[str]]]:
    """Return code, text and files of each finding: a line, then its files, indented."""
    found: list[tuple[str, str, list[str]]] = []
    for line in lines:
        if match := _FINDING.match(line):
            found.append((match["code"], match["text"], []))
        elif line.startswith("  ") and found:
            found[-1][2].append(line.strip())
    return found
