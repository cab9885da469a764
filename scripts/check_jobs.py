"""Fail unless every job that a gate waits for has succeeded: $NEEDS is GitHub's ``toJSON(needs)``.

A job that was skipped or cancelled has not succeeded: what did not run proves nothing.
"""

from __future__ import annotations

import json
import os
import sys

from wheelkit.report import MisusedError, Status, run


def results(text: str) -> dict[str, str]:
    """Return the result of each job."""
    try:
        return {name: str(job["result"]) for name, job in json.loads(text).items()}
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        raise MisusedError(f"NEEDS={text!r} is not GitHub's toJSON(needs): {error!r}") from None


def main() -> int:
    """List the jobs and judge."""
    found = results(os.environ.get("NEEDS", ""))
    if not found:
        raise MisusedError("NEEDS names no job; a gate that waits for none is no gate")
    for name, result in found.items():
        print(f"{name}: {result}")
    return Status.DONE if set(found.values()) == {"success"} else Status.FAULTY


if __name__ == "__main__":
    sys.exit(run(main))
