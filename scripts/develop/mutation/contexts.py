"""Which test runs which lines of the sources, and for how many seconds: recorded once for a state.

coverage.py notes the lines, in the programs that a test starts too. A test file is recorded again
when it, or a source that it has run, has changed.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coverage import CoverageData

# The package that is compiled: a source tree of it cannot be imported.
COMPILED = "cyfes"
RECORDER = Path(__file__).with_name("record.py")
# `context` is what a program adds that a test has started; pytest sets the variable. Only the
# tracer in C can change the context while it runs, on every CPython.
CONFIGURATION = """[run]
parallel = true
core = ctrace
data_file = {data}
context = ${{PYTEST_CURRENT_TEST-}}
disable_warnings = no-data-collected, module-not-imported, couldnt-parse
include = {include}/*
"""

Lines = dict[int, set[str]]


@dataclass
class Contexts:
    """The tests that passed, with their seconds, and the tests that run each line of a source."""

    seconds: dict[str, float] = field(default_factory=dict)
    lines: dict[str, Lines] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))

    def add(self, content: dict[str, Any]) -> None:
        """Add what was recorded of one test file."""
        tests = list(content["seconds"])
        self.seconds.update(content["seconds"])
        for source, lines in content["lines"].items():
            for line, numbers in lines.items():
                self.lines[source][int(line)].update(tests[number] for number in numbers)

    def running(self, source: str, lines: Iterable[int]) -> set[str]:
        """Return the tests that run one of these lines."""
        known = self.lines.get(source, {})
        return set().union(*(known.get(line, ()) for line in lines))


def record(copy: Path, tests: list[str], cache: Path) -> Contexts:
    """Return the contexts of these test files; record those that are not in `cache`.

    `copy` is a copy of the project, in which the tests run.
    """
    contexts = Contexts()
    cache.mkdir(parents=True, exist_ok=True)
    for test in tests:
        path = cache / f"{test.replace('/', '.')}.json.gz"
        if not is_current(path, copy):
            print(f"record which lines {test} runs", flush=True)
            write(path, recorded(copy, test))
        contexts.add(read(path))
    return contexts


def is_current(path: Path, copy: Path) -> bool:
    """Tell whether a test file was recorded with the sources as they are."""
    return path.is_file() and all(
        hash_of(copy / name) == value for name, value in read(path)["state"].items()
    )


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a file; an empty text if there is none."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def read(path: Path) -> dict[str, Any]:
    """Return what was recorded of a test file."""
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        content: dict[str, Any] = json.load(stream)
    return content


def write(path: Path, content: object) -> None:
    """Write a compressed JSON file, which is there as a whole or not at all."""
    with gzip.open(path.with_suffix(".new"), "wt", encoding="utf-8") as stream:
        json.dump(content, stream)
    path.with_suffix(".new").rename(path)


def recorded(copy: Path, test: str) -> dict[str, object]:
    """Run one test file; return the seconds of each test that passed, and the lines it runs."""
    folder = copy.parent / "recording"
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    rc, durations = folder / "coveragerc", folder / "durations.json"
    rc.write_text(CONFIGURATION.format(data=folder / "data", include=copy), encoding="utf-8")
    environment = {**environment_of(copy), "COVERAGE_PROCESS_START": str(rc)}
    command: list[str | Path] = [sys.executable, RECORDER, durations, *options(copy), copy / test]
    subprocess.run(
        command, check=False, env=environment, cwd=empty_folder(copy), stdout=subprocess.DEVNULL
    )
    seconds = json.loads(durations.read_text(encoding="utf-8"))
    lines = lines_of(folder, copy, list(seconds))
    state = {name: hash_of(copy / name) for name in (test, *lines)}
    return {"state": state, "seconds": seconds, "lines": lines}


def lines_of(folder: Path, copy: Path, tests: list[str]) -> dict[str, dict[int, list[int]]]:
    """Return the numbers of the tests that run each line of each source."""
    numbers = {test: number for number, test in enumerate(tests)}
    found: dict[str, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    for path in folder.glob("data.*"):
        data = CoverageData(str(path))
        data.read()
        for source in data.measured_files():
            name = str(Path(source).relative_to(copy)).removeprefix("site/")
            for line, contexts in data.contexts_by_lineno(source).items():
                for context in contexts:
                    # "FILE::TEST (call)" in a program, "FILE::TEST" in pytest itself.
                    test = context.rpartition(" (")[0] if context.endswith(")") else context
                    number = numbers.get(context, numbers.get(test))
                    if number is not None:
                        found[name][line].add(number)
    return {name: {n: sorted(t) for n, t in lines.items()} for name, lines in found.items()}


def installed_package() -> Path | None:
    """Return the folder of the installed compiled package; None if it is not installed."""
    spec = importlib.util.find_spec(COMPILED)
    found = list(spec.submodule_search_locations or ()) if spec is not None else []
    return Path(found[0]) if found else None


def is_compiled(source: str) -> bool:
    """Tell whether a source is part of the package that is tested as it is installed."""
    return source.startswith(f"{COMPILED}/")


def place(copy: Path, source: str) -> Path:
    """Return from where the tests in a copy of the project import a source."""
    return copy / "site" / source if is_compiled(source) else copy / source


def empty_folder(copy: Path) -> Path:
    """Return an empty folder, in which tests run."""
    folder = copy.parent / "run"
    folder.mkdir(exist_ok=True)
    return folder


def options(copy: Path) -> list[str]:
    """Return the options with which pytest runs the tests of a copy of the project."""
    settings = ["-c", str(copy / "pyproject.toml"), f"--rootdir={copy}"]
    # -p imports wheelkit first; otherwise pytest would take the folder wheelkit/ for that package.
    return [*settings, "-p", "no:cacheprovider", "-p", "wheelkit", "--quiet"]


def environment_of(copy: Path) -> dict[str, str]:
    """Return the environment in which tests import the sources of a copy."""
    path = os.pathsep.join([str(copy / "wheelkit" / "src"), str(copy / "site")])
    environment = {**os.environ, "PYTHONPATH": path}
    # Where a test calls this, the variable names that test, and not one of the copy.
    environment.pop("PYTEST_CURRENT_TEST", None)
    return environment
