"""This project's commands: ``python scripts VERB``, and ``python scripts VERB --help`` for one.

Three scripts are run by their file names instead, because cibuildwheel and users run them so:
repair_wheel.py, verify_wheel.py and smoke_test.py.
"""

from __future__ import annotations

import importlib
import signal
import sys
from pathlib import Path

# Where wheelkit is not installed, as in a new container, the checkout's own wheelkit is imported,
# so that it can report which of its dependencies are missing.
sys.path.append(str(Path(__file__).resolve().parents[1] / "wheelkit" / "src"))
from wheelkit.target.report import MisusedError, Status, run

# The verb, the module whose `main` runs it, and what it does; in the order of the stages.
VERBS = (
    (
        "install-wheelkit",
        "shared.install_wheelkit",
        "install this checkout's wheelkit and its requirements",
    ),
    ("build", "wheels.build_wheels", "build unrepaired wheels on this machine"),
    ("wheel", "wheels.make_wheel", "build, repair, verify and smoke-test wheels on this machine"),
    ("same-library", "wheels.same_library", "check that wheels contain the same libcufes"),
    ("tests", "develop.run_tests", "run pytest against the repaired wheel, installed"),
    (
        "thread-sanitizer",
        "develop.thread_sanitizer",
        "test with ThreadSanitizer what threads share",
    ),
    ("mutants", "develop.mutants", "show the changes of the sources that no test notices"),
    ("look-at-pages", "develop.look_at_pages", "look at built pages in a browser"),
    ("docs", "develop.build_docs", "run the code of the documentation and build its pages"),
    (
        "prepare-container",
        "container.prepare_container",
        "prepare a container for cibuildwheel (its before-all)",
    ),
    ("cpython", "container.cpython", "build a free-threaded CPython, or one with ThreadSanitizer"),
    ("standin-image", "container.standin_image", "build the stand-in for the manylinux2014 image"),
    ("wheelhouse", "container.build_wheelhouse", "build the release wheels with cibuildwheel"),
    (
        "emulated-aarch64",
        "container.emulated_aarch64",
        "build a wheel for aarch64 with a cross-compiler, and try it under an emulator",
    ),
    ("rehearse", "release.rehearse", "run the workflow wheels.yml on this machine"),
)


def usage() -> str:
    """Return the help text that lists the verbs."""
    width = max(len(verb) for verb, _, _ in VERBS)
    lines = [f"  {verb:{width}}  {what}" for verb, _, what in VERBS]
    return "\n".join(["usage: python scripts VERB [ARGUMENT]…", "", "verbs:", *lines])


def dispatch(arguments: list[str]) -> int:
    """Run the verb that is the first argument; return its exit status.

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
    # SIGTERM, which a job scheduler sends, must end the program so that it removes its temporary
    # files, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        sys.exit(run(lambda: dispatch(sys.argv[1:])))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
