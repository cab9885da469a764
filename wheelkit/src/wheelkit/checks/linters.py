"""Other people's checks of finished wheels, each in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata

from wheelkit.base import pinned_tools
from wheelkit.target.report import INSTALL, Fault, LackingError
from wheelkit.wheel.grafts import is_graft
from wheelkit.wheel.reading import Subject

# How many files a message lists.
SHOWN = 3

# Grafts are duplicates, cannot be imported, and have a top-level directory, all by design.
_FINDING = re.compile(r"^.*?\.whl: (?P<code>W\d+): (?P<text>.*?):?$")
# How many files of the wheel itself make a finding; one for all others.
LEAST_FILES = {"W002": 2, "W009": 2}
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def contents(subject: Subject) -> Iterator[Fault]:
    """check-wheel-contents finds nothing, grafts aside."""
    answer = _run("check-wheel-contents", "check_wheel_contents", "--no-config", subject=subject)
    findings = _findings(answer.stdout.splitlines())
    if answer.returncode != (1 if findings else 0):
        raise LackingError(f"check-wheel-contents failed: {pinned_tools.last_words(answer)}")
    for code, text, files in findings:
        own = [file for file in files if not is_graft(file)]
        if files and len(own) < LEAST_FILES.get(code, 1):
            continue
        listed = ", ".join(own[:SHOWN]) + (f" and {len(own) - SHOWN} more" * (len(own) > SHOWN))
        found = f"{code}: {text}{': ' * bool(own)}{listed}"
        remedy = f"see {code} in the documentation of check-wheel-contents"
        where = own[0] if own else subject.wheel.path.name
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


def description(subject: Subject) -> Iterator[Fault]:
    """Have ``twine check`` tell whether the package index accepts METADATA and renders it."""
    answer = _run("twine", "twine", "check", subject=subject)
    if answer.returncode == 0:
        return
    # Every message begins with its level, after "Checking WHEEL:" or on a line of its own.
    text = _COLOUR.sub("", answer.stdout)
    _, error, message = " ".join(text.split()).partition("ERROR ")
    if not error:
        raise LackingError(f"twine check failed: {pinned_tools.last_words(answer)}")
    file = f"{subject.wheel.dist_info}/METADATA"
    remedy = "correct the readme that pyproject.toml names, or the field"
    yield Fault("twine-check", file, message, "twine check passes", remedy)


def _run(
    distribution: str, module: str, *arguments: str, subject: Subject
) -> subprocess.CompletedProcess[str]:
    """Run a pinned tool on the wheel, far from any configuration.

    Raises
    ------
    LackingError
        It is missing or of another version.
    """
    wanted = pinned_tools.pinned(distribution)
    try:
        found = metadata.version(distribution)
    except metadata.PackageNotFoundError:
        found = "not"
    if found != wanted:
        installed = f"{distribution} {found} is installed" if found != "not" else "it is missing"
        raise LackingError(f"{distribution} {wanted} is needed, {installed}; run: {INSTALL}")
    # One line a message.
    environment = {**os.environ, "COLUMNS": "10000"}
    command = [sys.executable, "-I", "-m", module, *arguments, str(subject.wheel.path.absolute())]
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
