"""Change the meaning of the sources, one place at a time, and show which changes no test notices.

A module is a Python file or a folder of them. ``mutation/operators.py`` lists the changes. Only the
tests that run a changed line are tried, the fastest first. ``mutation/equivalent.toml`` lists the
changes that no test can notice, each with the reason.
"""

from __future__ import annotations

import argparse
import ast
import datetime
import functools
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from queue import SimpleQueue
from typing import Any, TextIO, cast

import tomli
from develop.mutation import contexts
from develop.mutation.operators import Mutant, assigned_names, mutants
from shared.ledger import BUILD, PROJECT
from wheelkit.target.report import Fault, FaultyError, LackingError, MisusedError, Status

RUNNER = Path(__file__).parent / "mutation" / "runner.py"
EQUIVALENT = Path(__file__).parent / "mutation" / "equivalent.toml"
# A module may exempt this part of its mutants, and its tests must notice this part of the others.
EXEMPT, NOTICED = 0.05, 0.95
# The seconds of tests that are tried on one mutant, and how much longer than before they may take.
BUDGET, PATIENCE = 60.0, 5.0
# The folders below tests/ that test the package.
PACKAGE_TESTS = (
    *("base", "cli", "cyfes45", "io", "landscape"),
    *("model", "native", "plotting", "studies", "sums"),
)
# The sources of a tree, and the folders of the tests that are tried on them.
TREES = {
    "wheelkit/src/wheelkit": ("wheelkit/tests",),
    "scripts": ("tests/scripts",),
    "cyfes": tuple(f"tests/{name}" for name in PACKAGE_TESTS),
}
KEYS = {"module", "line", "mutation", "reason"}


@dataclass(frozen=True)
class Trial:
    """A mutant of a source, and the tests that are tried on it."""

    source: str
    mutant: Mutant
    tests: tuple[str, ...]
    seconds: float


@dataclass
class Runner:
    """A copy of the project, and the process that runs tests on its mutants."""

    copy: Path
    process: subprocess.Popen[str]
    tried: int = 0

    def ask(self, **job: Any) -> int:
        """Return the exit status of the tests of a job."""
        pipes = (self.process.stdin, self.process.stdout)
        to_runner, from_runner = (cast(TextIO, pipe) for pipe in pipes)
        to_runner.write(json.dumps(job) + "\n")
        to_runner.flush()
        return int(from_runner.readline())

    def end(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()

    def try_out(self, trial: Trial, patience: float) -> bool:
        """Tell whether a test notices a mutant."""
        path = contexts.place(self.copy, trial.source)
        original = path.read_bytes()
        before = path.stat()
        path.write_bytes(trial.mutant.apply(original))
        # Python compares the seconds of this time with those in the compiled file.
        self.tried += 1
        os.utime(path, (before.st_atime, self.tried))
        try:
            tests, text = list(trial.tests), original.decode()
            limit = 20 + patience * trial.seconds
            status = self.ask(file=str(path), original=text, tests=tests, timeout=limit)
        finally:
            path.write_bytes(original)
            os.utime(path, (before.st_atime, before.st_mtime))
        return status != 0


def files_of(module: str) -> list[str]:
    """Return the Python files of a module, as their paths in the project."""
    path = PROJECT / module
    found = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    names = [file.relative_to(PROJECT).as_posix() for file in found if file.is_file()]
    if not names or not all(tree_of(name) for name in names):
        expected = f"a Python file or a folder of them, below {', '.join(TREES)}"
        raise MisusedError(f"{module} is no module; expected {expected}")
    return names


def tree_of(source: str) -> str:
    """Return the tree that a source is in; an empty text if it is in none."""
    return next(
        (tree for tree in TREES if PurePosixPath(tree) in PurePosixPath(source).parents), ""
    )


def modules_of_today(day: datetime.date) -> list[str]:
    """Return the module whose turn it is: the folders of the sources follow each other."""
    folders = [
        path.relative_to(PROJECT).as_posix()
        for tree in TREES
        for path in sorted((PROJECT / tree).iterdir())
        if path.is_dir() and any(path.rglob("*.py")) and path.name != "__pycache__"
    ]
    return [folders[day.timetuple().tm_yday % len(folders)]]


def exemptions(path: Path, sources: dict[str, list[Mutant]]) -> set[tuple[str, Mutant]]:
    """Return the mutants that no test can notice, as the file says.

    Raises
    ------
    FaultyError
        An exemption matches no mutant or says no reason, or a source has too many.
    """
    listed = tomli.loads(path.read_text(encoding="utf-8")).get("equivalent", [])
    found: set[tuple[str, Mutant]] = set()
    faults: list[Fault] = []
    for entry in listed:
        if set(entry) != KEYS or not all(str(entry[key]).strip() for key in KEYS):
            text = f"an exemption with {', '.join(entry) or 'nothing'}"
            faults.append(exemption_fault(path, text, f"{', '.join(sorted(KEYS))}, none empty"))
        elif entry["module"] in sources:
            matching = matches(entry, sources[entry["module"]])
            if not matching:
                text = f"{entry['module']}: {entry['line']}: {entry['mutation']}"
                faults.append(exemption_fault(path, text, "an exemption of a mutant that exists"))
            found.update((entry["module"], mutant) for mutant in matching)
        elif not (PROJECT / entry["module"]).is_file():
            text = f"an exemption of {entry['module']}"
            faults.append(exemption_fault(path, text, "a source that exists"))
    for source, all_of_it in sources.items():
        number = sum(of == source for of, _ in found)
        if number > EXEMPT * len(all_of_it):
            text = f"{number} exemptions of the {len(all_of_it)} mutants of {source}"
            faults.append(exemption_fault(path, text, f"{EXEMPT:.0%} at the most"))
    if faults:
        raise FaultyError(faults)
    return found


def exemption_fault(path: Path, found: str, expected: str) -> Fault:
    """Return what is wrong with the list of exemptions."""
    return Fault(
        "exemption",
        str(path),
        found=found,
        expected=expected,
        remedy="correct the file, or write a test",
    )


def matches(entry: dict[str, str], of_source: list[Mutant]) -> list[Mutant]:
    """Return the mutants that an exemption means."""
    lines = (PROJECT / entry["module"]).read_text(encoding="utf-8").splitlines()
    return [
        mutant
        for mutant in of_source
        if lines[mutant.line - 1].strip() == entry["line"].strip()
        and mutant.described() == entry["mutation"]
    ]


def copy_project(destination: Path) -> Path:
    """Copy the files that git knows, and the installed compiled package, if there is one."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, check=True, cwd=PROJECT, capture_output=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (PROJECT / name).is_file():
            (destination / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, destination / name)
    package = contexts.installed_package()
    if package is not None:
        shutil.copytree(package, destination / "site" / package.name)
    # Data of real programs lies beside the project.
    shared = destination.parent / "shared"
    if (PROJECT.parent / "shared").is_dir():
        shared.symlink_to(PROJECT.parent / "shared")
    return destination


def check_installed(sources: Iterable[str]) -> None:
    """Check that the compiled package is installed, with the sources that are changed.

    Raises
    ------
    LackingError
        It is not, or was made from other sources.
    """
    package = contexts.installed_package()
    for source in sources:
        if contexts.is_compiled(source):
            installed = package.parent / source if package is not None else None
            if installed is None or not same_file(installed, PROJECT / source):
                found = "another one is" if installed is not None else "it is not"
                raise LackingError(
                    f"the package with {source} is to be installed, and {found}; "
                    "make its wheel with nox -s wheel"
                )


def same_file(left: Path, right: Path) -> bool:
    """Tell whether two files have the same content."""
    return left.is_file() and left.read_bytes() == right.read_bytes()


def select_tests(source: str, mutant: Mutant, known: contexts.Contexts) -> tuple[list[str], float]:
    """Return the tests of a mutant, the fastest first, and their seconds."""
    first, last = mutant.lines
    chosen = known.running(source, range(first, last + 1))
    for name in depending(source, mutant.names):
        # A statement outside of functions is run when the first test imports the module: what
        # depends on it are the lines with the names that it gives a value to.
        for other in known.lines:
            chosen |= known.running(other, lines_with(name, other))
    if not chosen:
        stem = PurePosixPath(source).stem
        chosen = {test for test in known.seconds if stem in PurePosixPath(test.split("::")[0]).stem}
    ordered = sorted(chosen, key=lambda test: (known.seconds[test], test))
    tests: list[str] = []
    seconds = 0.0
    for test in ordered:
        if tests and seconds + known.seconds[test] > BUDGET:
            break
        tests.append(test)
        seconds += known.seconds[test]
    return tests, seconds


def depending(source: str, names: Iterable[str]) -> set[str]:
    """Return names, and those that statements outside of functions give a value to from them."""
    found = set(names)
    statements = ast.parse((PROJECT / source).read_bytes()).body if found else []
    for statement in statements:
        # A value is made of what stands above.
        if found & {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}:
            found |= set(assigned_names(statement))
    return found


def lines_with(name: str, source: str) -> set[int]:
    """Return the lines of a source that contain a name.

    Defaults and decorators, with the parameters of a test, are read at the import: they go into
    the lines of their function.
    """
    path = PROJECT / source
    if not path.is_file():
        return set()
    text = path.read_text(encoding="utf-8")
    word = re.compile(rf"\b{re.escape(name)}\b")
    found = {number for number, line in enumerate(text.splitlines(), start=1) if word.search(line)}
    for first, body, end in functions(text) if found else ():
        if not found.isdisjoint(range(first, body)):
            found.update(range(body, end + 1))
    return found


@functools.cache
def functions(text: str) -> tuple[tuple[int, int, int], ...]:
    """Return where each function begins, with its decorators, where its body does, and ends."""
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    return tuple(
        (
            min([node.lineno, *(part.lineno for part in node.decorator_list)]),
            node.body[0].lineno,
            node.end_lineno or node.lineno,
        )
        for node in nodes
    )


def test_files(sources: list[str], asked: list[str]) -> list[str]:
    """Return the test files that are tried on the sources: those that are asked for, or all."""
    folders = asked or sorted({folder for source in sources for folder in TREES[tree_of(source)]})
    found: list[str] = []
    for folder in folders:
        path = PROJECT / folder
        files = sorted(path.rglob("test_*.py")) if path.is_dir() else [path]
        found += [file.relative_to(PROJECT).as_posix() for file in files if file.is_file()]
    if not found:
        raise MisusedError(f"no test file in {', '.join(folders)}")
    return found


def trials(
    arguments: argparse.Namespace, sources: dict[str, list[Mutant]], known: contexts.Contexts
) -> list[Trial]:
    """Return the mutants that are tried: all, those of some lines, or a random part."""
    exempt = exemptions(EQUIVALENT, sources)
    chosen = [
        (source, mutant)
        for source, all_of_it in sources.items()
        for mutant in all_of_it
        if (source, mutant) not in exempt and is_in(mutant, arguments.lines)
    ]
    if arguments.sample is not None and arguments.sample < len(chosen):
        chosen = sorted(
            random.Random(arguments.seed).sample(chosen, arguments.sample),  # noqa: S311
            key=lambda pair: (pair[0], pair[1].line, pair[1].column),
        )
    found = []
    for source, mutant in chosen:
        tests, seconds = select_tests(source, mutant, known)
        found.append(Trial(source, mutant, tuple(tests), seconds))
    return found


def is_in(mutant: Mutant, lines: tuple[int, int] | None) -> bool:
    """Tell whether a mutant is in the range of lines, which may be all."""
    return lines is None or lines[0] <= mutant.line <= lines[1]


def survivors(found: list[Trial], folder: Path, jobs: int) -> Iterator[Trial]:
    """Try the mutants in several processes; yield those that no test notices."""
    runners: SimpleQueue[Runner] = SimpleQueue()
    started = [start_runner(folder / str(number) / "project") for number in range(jobs)]
    for runner in started:
        runners.put(runner)
    warm = sorted({test for trial in found for test in trial.tests})

    def try_out(trial: Trial) -> bool:
        runner = runners.get()
        try:
            return runner.try_out(trial, PATIENCE)
        finally:
            runners.put(runner)

    try:
        with ThreadPoolExecutor(jobs) as pool:
            if any(status for status in pool.map(lambda runner: runner.ask(warm=warm), started)):
                raise FaultyError([not_passing(warm)])
            tested = [trial for trial in found if trial.tests]
            yield from (trial for trial in found if not trial.tests)
            for trial, noticed in zip(tested, pool.map(try_out, tested), strict=True):
                if not noticed:
                    yield trial
    finally:
        for runner in started:
            runner.end()


def not_passing(tests: list[str]) -> Fault:
    """Return the fault that the tests fail without any change."""
    found, expected = "a test that fails on the unchanged sources", "tests that pass"
    return Fault(
        "tests", f"{len(tests)} tests", found=found, expected=expected, remedy="run nox -s tests"
    )


def start_runner(copy: Path) -> Runner:
    """Copy the project and start the process that runs tests on the copy."""
    copy_project(copy)
    process = subprocess.Popen(
        [sys.executable, RUNNER, copy, *contexts.options(copy)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=contexts.empty_folder(copy),
        env=contexts.environment_of(copy),
    )
    return Runner(copy, process)


def parse_lines(text: str) -> tuple[int, int]:
    """Return the first and the last line of ``A-B``."""
    first, _, last = text.partition("-")
    return int(first), int(last or first)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    made.add_argument("modules", metavar="MODULE", nargs="*", help="a source or a folder of them")
    made.add_argument("--today", action="store_true", help="take the module whose turn is today")
    made.add_argument("--sample", metavar="N", type=int, help="try N mutants, chosen at random")
    made.add_argument("--seed", metavar="S", type=int, default=0, help="choose others (default: 0)")
    made.add_argument("--lines", metavar="A-B", type=parse_lines, help="try only these lines")
    made.add_argument(
        "--tests", metavar="PATH", nargs="+", default=[], help="try only these test files"
    )
    made.add_argument("-j", "--jobs", metavar="N", type=int, default=os.cpu_count() or 1)
    return made


def report(found: list[Trial], survived: list[Trial], exempt: dict[str, int]) -> int:
    """Print a line for each module and one for all; return the exit status."""
    tried: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for trial in found:
        tried[trial.source][0] += 1
    for trial in survived:
        tried[trial.source][1] += 1
    width = max(map(len, tried), default=0)
    for source, (number, alive) in tried.items():
        print(f"{source:{width}}  {number:5} tried  {alive:4} survived  {exempt[source]:3} exempt")
    number, alive = len(found), len(survived)
    part = 1 - alive / number if number else 1.0
    print(f"{number} mutants, {alive} survived: {part:.1%} noticed; expected {NOTICED:.0%}")
    return Status.DONE if part >= NOTICED else Status.FAULTY


def main() -> int:
    """Run the command."""
    arguments = parser().parse_args()
    if bool(arguments.modules) == arguments.today:
        raise MisusedError("name modules, or give --today")
    modules = modules_of_today(datetime.date.today()) if arguments.today else arguments.modules
    names = list(dict.fromkeys(name for module in modules for name in files_of(module)))
    sources = {name: mutants((PROJECT / name).read_bytes()) for name in names}
    exempt = dict.fromkeys(names, 0)
    for source, _ in exemptions(EQUIVALENT, sources):
        exempt[source] += 1
    check_installed(names)
    folder = BUILD / "mutants"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="run-", dir=folder) as private:
        recording = copy_project(Path(private, "recording", "project"))
        files = test_files(names, arguments.tests)
        found = trials(arguments, sources, contexts.record(recording, files, folder / "contexts"))
        print(f"try {len(found)} mutants of {', '.join(modules)}", flush=True)
        survived = []
        for trial in survivors(found, Path(private), arguments.jobs):
            survived.append(trial)
            note = "" if trial.tests else " (no test runs this line)"
            print(f"{trial.source}:{trial.mutant}{note}", flush=True)
    return report(found, survived, exempt)
