"""Fail unless every job in $NEEDS has succeeded; $NEEDS is GitHub's ``toJSON(needs)``.

A job that was skipped or cancelled has not succeeded. For a job that runs only for some events,
--may-skip allows that it was skipped.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence

from wheelkit.target.report import MisusedError, Status, say


def results(text: str) -> dict[str, str]:
    """Return the result of each job."""
    try:
        return {name: str(job["result"]) for name, job in json.loads(text).items()}
    except (ValueError, AttributeError, TypeError, KeyError, RecursionError) as error:
        raise MisusedError(f"NEEDS={text!r} is not GitHub's toJSON(needs): {error!r}") from None


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="wheelkit check-jobs", description=__doc__)
    parser.add_argument("--may-skip", metavar="JOB", action="append", default=[])
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] = ()) -> int:
    """List the jobs; the status says whether all succeeded."""
    optional = parse(arguments).may_skip
    found = results(os.environ.get("NEEDS", ""))
    if not found:
        raise MisusedError("NEEDS names no job, so there is nothing to check")
    for name in set(optional) - set(found):
        raise MisusedError(f"--may-skip {name}: NEEDS names {', '.join(found)}")
    for name, result in found.items():
        say(f"{name}: {result}")
    wrong = [
        name
        for name, result in found.items()
        if result != "success" and not (result == "skipped" and name in optional)
    ]
    return Status.FAULTY if wrong else Status.DONE
