"""The verbs of this project, by stage: ``python scripts VERB --help`` tells the arguments of one.

Three scripts are called by their own names, as cibuildwheel and people do: repair_wheel.py,
verify_wheel.py and smoke_test.py.
"""

from __future__ import annotations

import importlib
import signal
import sys
from pathlib import Path

# Where no wheelkit is installed, as in a new container, that of the checkout says what is lacking.
sys.path.append(str(Path(__file__).resolve().parents[1] / "wheelkit" / "src"))
from wheelkit.target.report import MisusedError, Status, run

# The verb, the module with its `main`, and what it does; in the order of the stages.
VERBS = (
    ("install-wheelkit", "shared.install_wheelkit", "install wheelkit of this checkout by hash"),
    ("build", "wheels.build_wheels", "build unrepaired wheels on this machine"),
    ("wheel", "wheels.make_wheel", "build, repair, verify and smoke-test wheels on this machine"),
    ("tests", "develop.run_tests", "run pytest against the repaired wheel, installed"),
    ("docs", "develop.build_docs", "build the documentation, whose pages run their own code"),
    ("prepare-container", "container.prepare_container", "cibuildwheel's before-all"),
    ("standin-image", "container.standin_image", "build an image in place of manylinux2014's"),
    ("wheelhouse", "container.build_wheelhouse", "build the release wheels with cibuildwheel"),
    ("rehearse", "release.rehearse", "run a release's commands up to an index on loopback"),
)


def usage() -> str:
    """Return the help of the command itself."""
    width = max(len(verb) for verb, _, _ in VERBS)
    lines = [f"  {verb:{width}}  {what}" for verb, _, what in VERBS]
    return "\n".join(["usage: python scripts VERB [ARGUMENT]…", "", "verbs:", *lines])


def dispatch(arguments: list[str]) -> int:
    """Run the verb that comes first; return its exit status.

    Raises
    ------
    MisusedError
        There is no such verb.
    """
    first, *rest = arguments or ["--help"]
    if first in ("-h", "--help"):
        print(usage())
        return Status.DONE if arguments else Status.MISUSED
    modules = {verb: module for verb, module, _ in VERBS}
    if first not in modules:
        raise MisusedError(f"no verb {first!r}; expected one of {', '.join(modules)}")
    sys.argv = [f"scripts {first}", *rest]
    status: int = importlib.import_module(modules[first]).main()
    return status


if __name__ == "__main__":
    # A polite request to end, as from a job scheduler, must not leave temporary files either.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    sys.exit(run(lambda: dispatch(sys.argv[1:])))
