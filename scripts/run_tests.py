"""Run pytest against the repaired wheel of one interpreter, outside of the source tree.

The wheel is made if wheelhouse/ lacks one of the present sources. All other arguments go to
pytest, and its exit status comes back.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import install_wheelkit
import ledger
from interpreters import find_python, make_venv, parse_version, version_of
from ledger import BUILD, PROJECT, Product
from make_wheel import CRUTCHES, Command
from wheelkit.target.report import LackingError, run

# wheelkit and the scripts, but for those of the package's own interpreters, need these.
TOOLS = PROJECT / "requirements" / "rehearse.txt"
TESTS = PROJECT / "requirements" / "tests.txt"
# The tests of the package and of the scripts, and those of wheelkit.
TREES = ("tests", "wheelkit/tests")
# The pinned auditwheel runs on no older interpreter.
TOOLS_SINCE = (3, 10)


def wheel_for(version: str) -> Product:
    """Return the wheel of the present sources, made now if need be."""
    command: Command = [sys.executable, PROJECT / "scripts" / "make_wheel.py"]
    done = subprocess.run([*command, "--reuse", "--python", version], check=False)
    if done.returncode:
        # Its messages are on the screen, and its verdict is this script's.
        sys.exit(done.returncode)
    return ledger.read(ledger.source_state())[version]


def make_environment(version: str, product: Product) -> Path:
    """Install the wheel and what the tests need in a new environment; return its Python."""
    python = make_venv(find_python(version), BUILD / "tests" / version)
    pip: Command = [python, "-m", "pip", "install", "--quiet"]
    hashed = [*pip, "--only-binary=:all:", "--require-hashes", "-r", TESTS]
    commands: list[Command] = [[*pip, "--no-index", "--no-deps", product.wheel]]
    if runs_wheelkit(version):
        install_wheelkit.install(python, TESTS, TOOLS)
    else:
        commands.insert(0, hashed)
    for command in commands:
        if subprocess.run(command, check=False).returncode:
            raise LackingError(f"pip could not install what CPython {version} needs for the tests")
    return python


def runs_wheelkit(version: str) -> bool:
    """Tell whether wheelkit runs on a CPython."""
    return tuple(map(int, version.rstrip("t").split("."))) >= TOOLS_SINCE


def from_root(argument: str) -> str:
    """Let ``tests/...`` mean the project's, although pytest starts elsewhere."""
    if argument.startswith(("tests/", "wheelkit/tests/")) or argument in TREES:
        return str(PROJECT / argument)
    return argument


def options_of_ours(chosen: list[str], product: Product) -> Command:
    """Return the options of tests/conftest.py; pytest knows none where it runs other tests only."""
    own = str(PROJECT / "tests")
    if not any(argument.startswith(own) for argument in chosen):
        return []
    return [f"--wheel={product.wheel}", f"--unrepaired-wheel={product.unrepaired}"]


def run_pytest(python: Path, product: Product, arguments: list[str]) -> int:
    """Run pytest in an empty folder; return its exit status."""
    chosen = [from_root(argument) for argument in arguments]
    if chosen == arguments:
        trees = TREES if runs_wheelkit(product.python) else TREES[:1]
        chosen = [*(str(PROJECT / tree) for tree in trees), *arguments]
    command: Command = [python.with_name("pytest"), "-c", PROJECT / "pyproject.toml"]
    # Written with "=": before it has read conftest.py, pytest takes a bare path for a test.
    command += [f"--rootdir={PROJECT}", *options_of_ours(chosen, product)]
    if runs_wheelkit(product.python):
        # Imported first: pytest would take the folder wheelkit/ for a package of that name.
        command += ["-p", "wheelkit"]
    clean = {key: value for key, value in os.environ.items() if key not in CRUTCHES}
    with tempfile.TemporaryDirectory(prefix="tests-") as folder:
        return subprocess.run([*command, *chosen], check=False, env=clean, cwd=folder).returncode


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--python",
        metavar="X.Y",
        default=version_of(Path(sys.executable)),
        help="the interpreter whose wheel is tested (default: %(default)s)",
    )
    arguments, for_pytest = parser.parse_known_args()
    version = parse_version(arguments.python)
    product = wheel_for(version)
    return run_pytest(make_environment(version, product), product, for_pytest)


if __name__ == "__main__":
    sys.exit(run(main))
