"""Runs tests on one mutant after the other, each in a process of its own that starts warm.

This process imports the tests and runs them once on the unchanged sources; each mutant is then a
fork of it. A change within a function replaces the code of that function. After any other change
the fork forgets the modules of the project, and imports them again from the changed file. Programs
that a test starts read the changed file anyway.

It reads one JSON object a line, and answers each with the exit status of pytest on a line.
"""

from __future__ import annotations

import gc
import json
import os
import select
import shutil
import signal
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

import pytest

TIMED_OUT = 124


class Chosen:
    """Has pytest run some tests in a given order.

    As arguments, tests would be collected again for each, and some have names that are none.
    """

    def __init__(self, tests: list[str]) -> None:
        self.order = {test: number for number, test in enumerate(tests)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        chosen = [item for item in items if item.nodeid in self.order]
        items[:] = sorted(chosen, key=lambda item: self.order[item.nodeid])


def run_pytest(project: Path, tests: list[str]) -> int:
    """Run tests up to the first that fails; the options are those of this program."""
    files = dict.fromkeys(str(project / test.partition("::")[0]) for test in tests)
    arguments = [*sys.argv[2:], "--exitfirst", "--tb=no", *files]
    return int(pytest.main(arguments, plugins=[Chosen(tests)]))


def of_project(project: Path) -> dict[str, types.ModuleType]:
    """Return the imported modules of the project, the tests among them."""
    inside = f"{project}{os.sep}"
    found = {name: module for name, module in sys.modules.items() if name != "__main__"}
    return {
        name: module
        for name, module in found.items()
        if str(getattr(module, "__file__", None) or "").startswith(inside)
    }


def warm_up(project: Path, tests: list[str]) -> tuple[int, list[types.FunctionType]]:
    """Run tests on the unchanged sources; return their status, and all functions that there are."""
    status = run_pytest(project, tests)
    gc.collect()
    functions = [found for found in gc.get_objects() if isinstance(found, types.FunctionType)]
    # What is frozen, no fork looks at when it collects garbage: it need not copy that memory.
    gc.freeze()
    return status, functions


def replace_code(
    path: Path,
    original: bytes,
    changed: bytes,
    project: Path,
    functions: list[types.FunctionType],
) -> bool:
    """Replace the code of the one function that has changed; tell whether that was possible."""
    old, new = (compile(text, str(path), "exec") for text in (original, changed))
    pair = changed_function(old, new)
    if pair is None:
        return False
    (before, after), done = pair, False
    for found in functions:
        # After its import, the code of a function is equal to what was compiled here.
        if found.__code__ == before and found.__code__.co_filename == str(path):
            found.__code__ = after
            done = True
    for module in of_project(project).values():
        for value in vars(module).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()
    return done


def changed_function(
    old: types.CodeType, new: types.CodeType
) -> tuple[types.CodeType, types.CodeType] | None:
    """Return the outermost function of two that differ; None if more than one function does."""
    codes = [[c for c in code.co_consts if isinstance(c, types.CodeType)] for code in (old, new)]
    if len(codes[0]) != len(codes[1]) or rest(old) != rest(new):
        return None
    pairs = [(a, b) for a, b in zip(*codes, strict=True) if a != b]
    if len(pairs) != 1:
        return None
    ((before, after),) = pairs
    is_function = before.co_flags & 0x2  # CO_NEWLOCALS: not the body of a class
    if is_function:
        return (before, after) if before.co_freevars == after.co_freevars else None
    return changed_function(before, after)


def rest(code: types.CodeType) -> tuple[Any, ...]:
    """Return what a module or the body of a class runs, without the functions in it."""
    constants = [c for c in code.co_consts if not isinstance(c, types.CodeType)]
    return code.co_code, repr(constants), code.co_names


def in_child(
    job: dict[str, Any], project: Path, functions: list[types.FunctionType], scratch: Path
) -> None:
    """Run the tests on the mutant, and end this process."""
    os.setsid()
    silent = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(silent, descriptor)
    os.environ["TMPDIR"] = tempfile.tempdir = str(scratch)
    path = Path(job["file"])
    changed = path.read_bytes()
    status = 70
    try:
        if not replace_code(path, job["original"].encode(), changed, project, functions):
            for name in of_project(project):
                del sys.modules[name]
        status = run_pytest(project, job["tests"])
    finally:
        os._exit(status)


def run_job(job: dict[str, Any], project: Path, functions: list[types.FunctionType]) -> int:
    """Run the tests on the mutant in a fork; end it, and all that it has started, in time."""
    scratch = Path(tempfile.mkdtemp(prefix="mutant-"))
    pid = os.fork()
    if pid == 0:
        in_child(job, project, functions, scratch)
    child = os.pidfd_open(pid)
    ready, _, _ = select.select([child], [], [], job["timeout"])
    os.close(child)
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        # It had no time to begin a group of its own.
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    shutil.rmtree(scratch, ignore_errors=True)
    return os.waitstatus_to_exitcode(status) if ready else TIMED_OUT


def main() -> None:
    project = Path(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)
    functions: list[types.FunctionType] = []
    for line in sys.stdin:
        job = json.loads(line)
        if "warm" in job:
            status, functions = warm_up(project, job["warm"])
        else:
            status = run_job(job, project, functions)
        answers.write(f"{status}\n")
        answers.flush()


if __name__ == "__main__":
    main()
