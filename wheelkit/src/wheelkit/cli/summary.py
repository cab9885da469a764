"""Print a table of what the reports of all jobs say about a release.

On GitHub, the table is also in the summary of the job.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from wheelkit.cli.options import sealed, words
from wheelkit.target.report import Status, say

HEADER = ("file", "sha256", "verified", "on the CPU in", "on a GPU")
NO_RUNNER = (
    "**No GPU runner is named** (`--places`), so that nothing ran on a "
    "GPU, and a tag would not be published."
)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="wheelkit summary", description=__doc__)
    add = parser.add_argument
    add("folder", metavar="DIR", type=Path, help="the folder of the sealed distributions")
    add("--seal", required=True, metavar="SHA256", help="the seal that `wheelkit seal` printed")
    add(
        "--reports",
        action="append",
        default=[],
        type=sealed,
        metavar="DIR=SEAL",
        help="a folder of reports, and what `wheelkit seal --reports` printed; once for each job",
    )
    add("--places", type=words, metavar="JSON", required=True, help="the GPU runners, as a list")
    return parser.parse_args(arguments)


def row(name: str, sha256: str, entries: Sequence[Mapping[str, object]]) -> tuple[str, ...]:
    """Return the row of a file."""
    from wheelkit.release import reports

    own = [entry for entry in entries if entry["wheel"] == {"name": name, "sha256": sha256}]
    verified = [entry for entry in own if entry["tool"] == reports.VERIFIED]
    runs = [entry for entry in own if entry["tool"] == reports.SMOKED]
    return (
        f"`{name}`",
        f"`{sha256}`",
        ", ".join(_mark(entry) for entry in verified) or "no report",
        ", ".join(
            f"{run.get('place')} {_mark(run)}" for run in runs if reports.device_of(run) == "cpu"
        ),
        ", ".join(_gpu(run) for run in runs if reports.device_of(run) == "cuda"),
    )


def red(entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what each red report says; one that ended early has no device, and so no cell."""
    for entry in entries:
        if not entry["ok"]:
            ids = ", ".join(sorted({fault["id"] for fault in entry["faults"]}))
            name = entry["wheel"]["name"]
            yield f"{entry['tool']} of {name}: {ids or entry.get('lacking', 'not ok')}"


def _mark(entry: Mapping[str, object]) -> str:
    return "✅" if entry["ok"] else "❌"


def _gpu(run: Mapping[str, object]) -> str:
    from wheelkit.release import reports

    device = run["device"]
    name = device.get("name") if isinstance(device, dict) else device
    ran = f"{reports.kernels_of(run)} kernels on {name}, driver {run.get('driver')}"
    return f"{run.get('place')} ({ran}) {_mark(run)}"


def markdown(asked: argparse.Namespace) -> tuple[str, bool]:
    """Return the summary, and whether a report could not be taken into it."""
    from wheelkit.checks import summary
    from wheelkit.checks.summary import cell
    from wheelkit.release import reports, seal

    hashes = seal.opened(asked.folder, asked.seal)
    found = reports.read(asked.reports)
    rows = [row(name, sha256, found.entries) for name, sha256 in hashes.items()]
    lines = ["## Release", "", f"Seal: `{asked.seal}`", "", *summary.table(HEADER, rows)]
    lines += [f"\n❌ {cell(fault.file)}: {cell(fault.found)}" for fault in found.faults]
    lines += [f"\n❌ {cell(text)}" for text in red(found.entries)]
    lines += [f"\nNo reports in `{cell(str(folder))}`." for folder in found.missing]
    lines += [] if asked.places else ["", NO_RUNNER]
    return "\n".join(lines), bool(found.faults)


def main(arguments: list[str] | None = None) -> int:
    """Print the summary; what is red in it has failed the stage that reported it.

    Only reports that nobody can vouch for, or read, are an error of this verb.
    """
    asked = parse(arguments)
    from wheelkit.base import github

    text, is_faulty = markdown(asked)
    github.add_summary(text)
    say(text)
    return Status.FAULTY if is_faulty else Status.DONE
