"""What the reports of the stages prove of a release, and what they leave unproven."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wheelkit.target.report import Fault, MisusedError

VERIFIED = "verify_wheel"
SMOKED = "smoke_test"
AGAIN = "run the stage again on the sealed files"

Entry = dict[str, Any]


@dataclass(frozen=True)
class RequiredRuns:
    """Where the kernels of every wheel must have run: a kind of device, and the named places."""

    device: str
    places: tuple[str, ...]


def read(folder: Path) -> tuple[list[Entry], list[Fault]]:
    """Return the entries of all reports in `folder`, and a fault for each that cannot be read.

    Raises
    ------
    MisusedError
        There is no such folder.
    """
    if not folder.is_dir():
        raise MisusedError(f"no folder of reports: {folder}")
    entries: list[Entry] = []
    faults: list[Fault] = []
    for path in sorted(folder.rglob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            entries += [
                _entry(item) for item in (content if isinstance(content, list) else [content])
            ]
        except (ValueError, LookupError, TypeError) as error:
            found = f"{type(error).__name__}: {error}"
            faults.append(Fault("report-unreadable", path.name, found, "a whole report", AGAIN))
    return entries, faults


def _entry(content: Any) -> Entry:
    """Return an entry that has all keys of a report, with values of their types."""
    types = {"tool": str, "wheel": dict, "ok": bool, "faults": list}
    for key, kind in types.items():
        if type(content[key]) is not kind:
            raise TypeError(f"{key} is {content[key]!r}")
    if not all(type(content["wheel"][key]) is str for key in ("name", "sha256")):
        raise TypeError(f"wheel is {content['wheel']!r}")
    return dict(content)


def faults_of(
    entries: Sequence[Entry], hashes: Mapping[str, str], required: RequiredRuns
) -> Iterator[Fault]:
    """Find reports with faults, reports on other bytes, and what no report shows."""
    if not required.places:
        remedy = "name the runners, in --places; a project has them in a variable of its repository"
        expected = f"a runner on which {required.device} is tried"
        yield Fault("no-place", required.device, "none is named", expected, remedy)
    for entry in entries:
        yield from _entry_faults(entry, hashes)
    for name, sha256 in hashes.items():
        own = [entry for entry in entries if entry["ok"] and entry["wheel"]["sha256"] == sha256]
        yield from _gaps(name, own, required)


def _entry_faults(entry: Entry, hashes: Mapping[str, str]) -> Iterator[Fault]:
    name, sha256 = entry["wheel"]["name"], entry["wheel"]["sha256"]
    title = f"{entry['tool']} of {name}"
    if hashes.get(name) != sha256:
        expected = f"sha256 {hashes[name]}" if name in hashes else "a file of this release"
        yield Fault("report-for-other-bytes", title, f"sha256 {sha256}", expected, AGAIN)
    if not entry["ok"] or entry["faults"]:
        ids = sorted({str(fault.get("id")) for fault in entry["faults"]})
        found = ", ".join(ids) or str(entry.get("lacking", "not ok"))
        yield Fault("report-red", title, found, "no faults", "correct what the report names")


def _gaps(name: str, entries: Sequence[Entry], required: RequiredRuns) -> Iterator[Fault]:
    """Find what no green report says of one file."""
    if name.endswith(".whl") and not any(entry["tool"] == VERIFIED for entry in entries):
        expected = f"a green report of {VERIFIED} for its hash"
        yield Fault("not-verified", name, "none", expected, AGAIN)
    runs = [entry for entry in entries if entry["tool"] == SMOKED]
    if not any(kernels_of(run) for run in runs if device_of(run) == "cpu"):
        expected = "a green report of kernels that ran on a CPU"
        yield Fault("not-run-on-cpu", name, "none", expected, AGAIN)
    if not name.endswith(".whl"):
        return
    for place in required.places:
        there = [r for r in runs if r.get("place") == place and device_of(r) == required.device]
        expected = f"a green report of kernels that ran on {required.device}, from {place}"
        if not there:
            yield Fault(f"not-run-on-{required.device}", name, "none", expected, AGAIN)
        elif not any(kernels_of(run) for run in there):
            yield Fault("no-kernels-run", name, "a report with no kernels", expected, AGAIN)


def device_of(run: Mapping[str, Any]) -> str:
    """Return the kind of device on which a smoke test ran: ``cuda:0`` is ``cuda``."""
    device = run.get("device")
    return str(device.get("id")).partition(":")[0] if isinstance(device, dict) else "none"


def kernels_of(run: Mapping[str, Any]) -> int:
    """Count the kernels that gave a number."""
    kernels = run.get("kernels")
    ran = [k for k in kernels if isinstance(k, dict)] if isinstance(kernels, list) else []
    return sum(isinstance(kernel.get("max_error"), (int, float)) for kernel in ran)
