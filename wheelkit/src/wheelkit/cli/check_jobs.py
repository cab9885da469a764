"""Fail unless every job that a gate waits for has succeeded: $NEEDS is GitHub's ``toJSON(needs)``.

A job that was skipped or cancelled has not succeeded: what did not run proves nothing.
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


def main(arguments: Sequence[str] = ()) -> int:
    """List the jobs; the status says whether all succeeded."""
    parser = argparse.ArgumentParser(prog="wheelkit check-jobs", description=__doc__)
    parser.parse_args(arguments)
    found = results(os.environ.get("NEEDS", ""))
    if not found:
        raise MisusedError("NEEDS names no job; a gate that waits for none is no gate")
    for name, result in found.items():
        say(f"{name}: {result}")
    return Status.DONE if set(found.values()) == {"success"} else Status.FAULTY
