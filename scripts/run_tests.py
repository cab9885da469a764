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

import ledger
from interpreters import find_python, make_venv, parse_version, version_of
from ledger import BUILD, PROJECT, Product
from make_wheel import CRUTCHES, Command
from wheelkit.report import LackingError, run

# The scripts under test, but for those of the package's own interpreters, need these.
TOOLS = PROJECT / "requirements" / "rehearse.txt"
TESTS = PROJECT / "requirements" / "tests.txt"
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
    files: Command = ["-r", TESTS]
    if tuple(map(int, version.rstrip("t").split("."))) >= TOOLS_SINCE:
        files += ["-r", TOOLS]
    for command in (
        [*pip, "--only-binary=:all:", "--require-hashes", *files],
        [*pip, "--no-index", "--no-deps", product.wheel],
    ):
        if subprocess.run(command, check=False).returncode:
            raise LackingError(f"pip could not install what CPython {version} needs for the tests")
    return python


def from_root(argument: str) -> str:
    """Let ``tests/...`` mean the project's, although pytest starts elsewhere."""
    if argument == "tests" or argument.startswith("tests/"):
        return str(PROJECT / argument)
    return argument


def run_pytest(python: Path, product: Product, arguments: list[str]) -> int:
    """Run pytest in an empty folder; return its exit status."""
    chosen = [from_root(argument) for argument in arguments]
    if chosen == arguments:
        chosen = [str(PROJECT / "tests"), *arguments]
    command: Command = [python.with_name("pytest"), "-c", PROJECT / "pyproject.toml"]
    # Written with "=": before it has read conftest.py, pytest takes a bare path for a test.
    command += [f"--rootdir={PROJECT}", f"--wheel={product.wheel}"]
    command += [f"--unrepaired-wheel={product.unrepaired}"]
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
