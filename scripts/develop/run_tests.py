"""Run pytest against the repaired wheel of one interpreter, outside of the source tree.

The wheel is made if wheelhouse/ has none that was made from the present sources. With --wheels it
is a finished wheel, such as one of a release, and the tests are those of the package. All other
arguments are handed to pytest, whose exit status is returned.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from shared import install_wheelkit, ledger, requirement_uses, steps
from shared.ledger import BUILD, PROJECT, LocalWheel
from wheelkit.base.cpythons import numbers, parse_version, tag_of
from wheelkit.install.pythons import find_python, make_venv, version_of
from wheelkit.target.report import LackingError, MisusedError
from wheels.make_wheel import SEARCH_VARIABLES, Command

# wheelkit needs these, and so do all scripts except those that run on CPython 3.7 too.
TOOLS = PROJECT / "requirements" / "rehearse.txt"
# The tests of the package and of the scripts; the tests of wheelkit.
TREES = ("tests", "wheelkit/tests")
# More processes than these would need more memory than time is gained.
PARALLEL = ("--numprocesses=auto", "--maxprocesses=8")
# The pinned auditwheel does not run on older interpreters.
TOOLS_SINCE = (3, 10)


def wheel_for(version: str) -> LocalWheel:
    """Return the wheel of the present sources; make it if wheelhouse/ has none."""
    command: Command = [sys.executable, PROJECT / "scripts", "wheel"]
    done = subprocess.run([*command, "--python", version], check=False)
    if done.returncode:
        # The command has printed why it failed; this script ends with the same status.
        sys.exit(done.returncode)
    made = ledger.read(ledger.source_state()).get(version)
    if made is None:
        raise LackingError(
            f"no wheel of the present sources for CPython {version}, although one was just made: a "
            "source has changed meanwhile; run this again"
        )
    return made


def finished_wheel(folder: Path, version: str) -> LocalWheel:
    """Return the wheel of a CPython for this machine in a folder of finished wheels.

    Raises
    ------
    MisusedError
        There is none, or there are several.
    """
    machine = platform.machine()
    pattern = f"cyfes-*-{tag_of(version)}-*_{machine}.whl"
    found = [str(path.resolve()) for path in folder.glob(pattern)]
    if len(found) != 1:
        names = ", ".join(found) or "none"
        raise MisusedError(
            f"--wheels {folder}: expected one wheel of CPython {version} for {machine}: {names}"
        )
    return LocalWheel(version, wheel=found[0])


def requirements(product: LocalWheel) -> list[Path]:
    """Return the requirements files that list what the tests of a wheel need."""
    own = requirement_uses.of_tests(product.python)
    return [own, TOOLS] if tests_scripts(product) else [own]


def state_of(interpreter: Path, files: list[Path], wheel: Path) -> dict[str, str]:
    """Return what an environment is made from; when this changes, a new one is made."""
    sources = install_wheelkit.sources() if TOOLS in files else []
    hashes = {str(path): ledger.sha256(path) for path in (*files, wheel, *sources)}
    return {"interpreter": str(interpreter.resolve()), **hashes}


def make_environment(version: str, product: LocalWheel) -> Path:
    """Return the Python of an environment with the wheel and what the tests need.

    The environment of the last run is used again if nothing that it was made from has changed.
    """
    folder, files = BUILD / "tests" / version, requirements(product)
    interpreter = find_python(version)
    state = state_of(interpreter, files, Path(product.wheel))
    stamp = folder / "made-from.json"
    if stamp.is_file() and json.loads(stamp.read_text(encoding="utf-8")) == state:
        return folder / "bin" / "python"
    python = make_venv(interpreter, folder)
    pip: Command = [python, "-m", "pip", "install"]
    listed = [word for path in files for word in ("-r", path)]
    pins: Command = ["--only-binary=:all:", "--require-hashes", *listed]
    for what, words in (
        (f"install what the tests need on CPython {version}", pins),
        ("install the wheel", ["--no-index", "--no-deps", product.wheel]),
    ):
        if steps.run(what, [*pip, *words], shown=False).status:
            raise LackingError(f"pip could not {what}; its messages are above")
    if tests_scripts(product):
        install_wheelkit.install_folder(python)
    # Written last, so that an environment which was not finished has no such file.
    stamp.write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
    return python


def tests_scripts(product: LocalWheel) -> bool:
    """Tell whether the tests of wheelkit and of the scripts are run, besides those of the package.

    They need the wheel as it was before the repair, and a CPython on which wheelkit runs.
    """
    usual = not product.python.endswith("t") and numbers(product.python) >= TOOLS_SINCE
    return bool(product.unrepaired) and usual


def full_path(argument: str) -> str:
    """Return the full path for an argument ``tests/...``, because pytest runs in another folder."""
    if argument.startswith(("tests/", "wheelkit/tests/")) or argument in TREES:
        return str(PROJECT / argument)
    return argument


def conftest_options(chosen: list[str], product: LocalWheel) -> Command:
    """Return options of tests/conftest.py: pytest knows them only if it runs tests below tests/."""
    own = str(PROJECT / "tests")
    if not any(argument.startswith(own) for argument in chosen):
        return []
    options: Command = [f"--wheel={product.wheel}"]
    if not product.unrepaired:
        return [*options, "--package-only"]
    return [*options, f"--unrepaired-wheel={product.unrepaired}"]


def run_pytest(python: Path, product: LocalWheel, arguments: list[str]) -> int:
    """Run pytest in an empty folder, with temporary files of its own; return its exit status."""
    chosen = [full_path(argument) for argument in arguments]
    if chosen == arguments:
        trees = TREES if tests_scripts(product) else TREES[:1]
        # All of the tests: on all processors. An option of the user comes later and is stronger.
        chosen = [*PARALLEL, *(str(PROJECT / tree) for tree in trees), *arguments]
    command: Command = [python.with_name("pytest"), "-c", PROJECT / "pyproject.toml"]
    # Written with "=": until pytest has read conftest.py, it would take a separate path for a test.
    command += [f"--rootdir={PROJECT}", *conftest_options(chosen, product)]
    if tests_scripts(product):
        # -p imports the installed wheelkit first; otherwise pytest would take the folder wheelkit/
        # of the source tree for that package.
        command += ["-p", "wheelkit"]
    clean = {key: value for key, value in os.environ.items() if key not in SEARCH_VARIABLES}
    scratch = Path(tempfile.mkdtemp(prefix="tests-"))
    folder, temporary = scratch / "run", scratch / "tmp"
    folder.mkdir()
    temporary.mkdir()
    environment = {**clean, "TMPDIR": str(temporary)}
    status = 0
    try:
        done = subprocess.run([*command, *chosen], check=False, env=environment, cwd=folder)
        status = done.returncode
    finally:
        if status == 0:
            shutil.rmtree(scratch)
        else:
            print(
                f"the tests failed; the files that they wrote are kept in {scratch}",
                file=sys.stderr,
            )
    return status


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--python",
        metavar="X.Y",
        default=version_of(Path(sys.executable)),
        help="the interpreter whose wheel is tested (default: %(default)s)",
    )
    parser.add_argument(
        "--wheels",
        metavar="DIR",
        type=Path,
        help="test the finished wheel in this folder, and make none",
    )
    arguments, for_pytest = parser.parse_known_args()
    version = parse_version(arguments.python)
    folder = arguments.wheels
    product = finished_wheel(folder, version) if folder else wheel_for(version)
    return run_pytest(make_environment(version, product), product, for_pytest)
