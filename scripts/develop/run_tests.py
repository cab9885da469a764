"""Run pytest against the repaired wheel of one interpreter, outside of the source tree.

The wheel is made if wheelhouse/ lacks one of the present sources. All other arguments go to
pytest, and its exit status comes back.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from shared import install_wheelkit, ledger, steps
from shared.ledger import BUILD, PROJECT, LocalWheel
from wheelkit.base.cpythons import parse_version
from wheelkit.install.pythons import find_python, make_venv, version_of
from wheelkit.target.report import LackingError
from wheels.make_wheel import CRUTCHES, Command

# wheelkit and the scripts, but for those of the package's own interpreters, need these.
TOOLS = PROJECT / "requirements" / "rehearse.txt"
TESTS = PROJECT / "requirements" / "tests.txt"
# The tests of the package and of the scripts, and those of wheelkit.
TREES = ("tests", "wheelkit/tests")
# The pinned auditwheel runs on no older interpreter.
TOOLS_SINCE = (3, 10)


def wheel_for(version: str) -> LocalWheel:
    """Return the wheel of the present sources, made now if need be."""
    command: Command = [sys.executable, PROJECT / "scripts", "wheel"]
    done = subprocess.run([*command, "--reuse", "--python", version], check=False)
    if done.returncode:
        # Its messages are on the screen, and its verdict is this script's.
        sys.exit(done.returncode)
    made = ledger.read(ledger.source_state()).get(version)
    if made is None:
        raise LackingError(
            f"no wheel of the present sources for CPython {version}, although one was just made: a "
            "source has changed meanwhile; run this again"
        )
    return made


def requirements(version: str) -> list[Path]:
    """Return the files with what the tests need on a CPython."""
    return [TESTS, TOOLS] if runs_wheelkit(version) else [TESTS]


def state_of(interpreter: Path, files: list[Path], wheel: Path) -> dict[str, str]:
    """Return what an environment is made from: where this changes, it is made anew."""
    sources = install_wheelkit.sources() if TOOLS in files else []
    hashes = {str(path): ledger.sha256(path) for path in (*files, wheel, *sources)}
    return {"interpreter": str(interpreter.resolve()), **hashes}


def make_environment(version: str, product: LocalWheel) -> Path:
    """Return the Python of an environment with the wheel and what the tests need.

    The one of the last run is taken if nothing that it was made from has changed.
    """
    folder, files = BUILD / "tests" / version, requirements(version)
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
    if runs_wheelkit(version):
        install_wheelkit.install_folder(python)
    # The last thing: an environment that is only half made has none.
    stamp.write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
    return python


def runs_wheelkit(version: str) -> bool:
    """Tell whether wheelkit runs on a CPython."""
    return tuple(map(int, version.rstrip("t").split("."))) >= TOOLS_SINCE


def from_root(argument: str) -> str:
    """Let ``tests/...`` mean the project's, although pytest starts elsewhere."""
    if argument.startswith(("tests/", "wheelkit/tests/")) or argument in TREES:
        return str(PROJECT / argument)
    return argument


def options_of_ours(chosen: list[str], product: LocalWheel) -> Command:
    """Return the options of tests/conftest.py; pytest knows none where it runs other tests only."""
    own = str(PROJECT / "tests")
    if not any(argument.startswith(own) for argument in chosen):
        return []
    return [f"--wheel={product.wheel}", f"--unrepaired-wheel={product.unrepaired}"]


def run_pytest(python: Path, product: LocalWheel, arguments: list[str]) -> int:
    """Run pytest in an empty folder, with temporary files of its own; return its exit status."""
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
            print(f"for a look at what failed, the tests' files stay in {scratch}", file=sys.stderr)
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
    arguments, for_pytest = parser.parse_known_args()
    version = parse_version(arguments.python)
    product = wheel_for(version)
    return run_pytest(make_environment(version, product), product, for_pytest)
