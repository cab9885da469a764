"""The command ``wheelkit``: a verb for each stage, which is imported only when it is called."""

from __future__ import annotations

import difflib
import importlib
import signal
import sys

from wheelkit import __version__
from wheelkit.target.report import MisusedError, Status, run, say

# The verb, the module with its `main`, and what it does; in the order of the stages.
VERBS = (
    ("setup", "setup", "install everything that wheelkit needs, checked by hash"),
    ("plan", "plan", "print what a release of a project consists of"),
    ("images", "images", "list the container images of a project, or pin newer ones"),
    ("sdist", "sdist", "build the source distribution of a project"),
    ("repair", "repair", "copy libraries into a wheel with auditwheel, then correct every rpath"),
    ("sbom", "sbom", "write a list of what is in a wheel, and how it was built, into the wheel"),
    ("verify", "verify", "check a finished wheel: archive, ELF files, tags, where it loads"),
    ("smoke", "smoke", "compare an installed wheel with its RECORD, and run its kernels"),
    ("seal", "seal", "print one hash that stands for every byte of a folder of distributions"),
    ("merge", "merge", "merge the sealed folders of several jobs into one, and seal that"),
    ("verify-release", "verify_release", "verify every sealed wheel, in clean containers"),
    ("smoke-release", "smoke_release", "run kernels from every sealed file, in clean containers"),
    ("summary", "summary", "show what the reports of all stages say about a release"),
    ("gate", "gate", "check that a release is complete, tested and new before it is published"),
    ("index", "index", "serve a package index on this machine, to rehearse a release"),
    ("github-release", "github_release", "make the release of a tag on GitHub"),
    ("check-jobs", "check_jobs", "fail unless every job of a workflow has succeeded"),
)


def usage() -> str:
    """Return the help of the command itself."""
    width = max(len(verb) for verb, _, _ in VERBS)
    lines = [f"  {verb:{width}}  {what}" for verb, _, what in VERBS]
    head = ["usage: wheelkit VERB [ARGUMENT]…", "       wheelkit --version", "", "verbs:"]
    return "\n".join([*head, *lines, "", "`wheelkit VERB --help` shows the arguments of a verb."])


def dispatch(arguments: list[str]) -> int:
    """Run the verb that comes first; return its exit status.

    Raises
    ------
    MisusedError
        There is no such verb.
    """
    first, *rest = arguments or ["--help"]
    if first in ("-h", "--help"):
        say(usage())
        return Status.DONE if arguments else Status.MISUSED
    if first == "--version":
        say(f"wheelkit {__version__}")
        return Status.DONE
    modules = {verb: module for verb, module, _ in VERBS}
    if first not in modules:
        close = difflib.get_close_matches(first, modules, 1)
        hint = f"did you mean {close[0]}?" if close else f"expected one of {', '.join(modules)}"
        raise MisusedError(f"no verb {first!r}; {hint}")
    status: int = importlib.import_module(f"wheelkit.cli.{modules[first]}").main(rest)
    return status


def main() -> int:
    """Run the command with the arguments of this process."""
    # SIGTERM, as a job scheduler sends it, must leave no temporary files behind.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    return run(lambda: dispatch(sys.argv[1:]))
