"""Compare what two versions of `cyfes sum-hills` write for the same files and options.

    python benchmarks/same_sums.py OLD_CYFES NEW_CYFES FILE_OR_FOLDER...

OLD_CYFES and NEW_CYFES are the `cyfes` programs of two environments. Both sum each file that has
the header of a HILLS file, with twelve sets of options. The table has a row for each file: how many
files are identical, how many runs both programs refuse, and how many runs differ. Below the table,
each run that differs has a line. The exit status is 1 if a run differs.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

# The longest sum takes seconds. A run that takes longer than this hangs.
SECONDS = 300


@dataclass(frozen=True)
class Outcome:
    """What one run did: its status, its messages, and the contents of the files by their names."""

    status: int
    messages: str
    files: Mapping[str, bytes]


def variables(path: Path) -> list[tuple[str, float, float]]:
    """Return the names of the CVs of a HILLS file and the ends of a range that its hills cover.

    The list is empty if the file is no HILLS file of PLUMED.
    """
    fields: list[str] = []
    rows: list[list[str]] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.split()
        if words[:2] == ["#!", "FIELDS"]:
            fields = fields or words[2:]
        elif words and not line.startswith("#") and len(words) == len(fields):
            rows.append(words)
    if "height" not in fields or not rows:
        return []
    names = [name for name in fields if f"sigma_{name}" in fields]
    found = []
    for name in names:
        try:
            column = [float(row[fields.index(name)]) for row in rows]
        except ValueError:
            return []
        found.append((name, min(column), max(column)))
    return found


def hill_count(path: Path) -> int:
    """Return how many rows a file has."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return sum(1 for line in lines if line.strip() and not line.startswith("#"))


def option_sets(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield twelve sets of options for a file, each with a name."""
    found = variables(path)
    count = len(found)
    names = [name for name, _, _ in found]

    def each(value: object) -> str:
        return ",".join([str(value)] * count)

    bins = ["--bin", each({1: 200, 2: 60}.get(count, 16))]
    # Of a CV that is not periodic: a range narrower than the hills; a periodic one has its domain.
    lower = ",".join(repr(round(low + (high - low) / 8, 3)) for _, low, high in found)
    upper = ",".join(repr(round(high - (high - low) / 8 + 1e-3, 3)) for _, low, high in found)
    hills = ["--hills", str(path)]
    stride = ["--stride", str(max(hill_count(path) // 3, 1))]
    histogram = ["--histo", str(path), "--kt", "2.494", "--sigma", each(0.2)]
    yield "defaults of the grid", hills if count < 3 else [*hills, "--spacing", each(0.4)]
    yield "--bin", [*hills, *bins]
    yield "--spacing", [*hills, "--spacing", each({1: 0.01, 2: 0.08}.get(count, 0.5))]
    yield "--min --max", [*hills, *bins, f"--min={lower}", f"--max={upper}"]
    yield "--min --max of a period", [*hills, *bins, f"--min={each('-pi')}", f"--max={each('pi')}"]
    yield "--mintozero", [*hills, *bins, "--mintozero"]
    yield "--negbias", [*hills, *bins, "--negbias"]
    yield "--stride", [*hills, *bins, *stride]
    yield "--stride --nohistory", [*hills, *bins, *stride, "--nohistory", "--mintozero"]
    yield "--idw", [*hills, *bins, "--idw", names[0], "--kt", "2.494"]
    yield "--histo", [*histogram, *bins, f"--min={lower}", f"--max={upper}"]
    yield "--fmt", [*hills, *bins, "--fmt", "%.12e"]


def outcome(program: Path, options: list[str]) -> Outcome:
    """Run `cyfes sum-hills` in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [program, "sum-hills", *options],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        files = {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}
    return Outcome(done.returncode, done.stderr.strip(), files)


def numbers(content: bytes) -> list[float]:
    """Return all numbers of the rows of a grid."""
    lines = content.decode().splitlines()
    return [float(word) for line in lines if not line.startswith("#") for word in line.split()]


def change(old: Outcome, new: Outcome) -> str:
    """Say in one sentence what differs between two runs; nothing if they agree."""
    if old.status != new.status:
        said = (new if new.status else old).messages.splitlines() or ["no message"]
        return f"status {old.status} before, {new.status} now: {said[-1]}"
    if old.files.keys() != new.files.keys():
        return f"wrote {', '.join(old.files)} before, {', '.join(new.files)} now"
    for name, content in old.files.items():
        if content != new.files[name]:
            before, now = numbers(content), numbers(new.files[name])
            if len(before) != len(now):
                return f"{name} has {len(before)} numbers before, {len(now)} now"
            largest = max(abs(a - b) for a, b in zip(before, now, strict=True))
            return f"{name} differs, a number by {largest:.2g}"
    return ""


def hills_files(places: list[Path]) -> list[Path]:
    """Return the HILLS files among some files and in some folders."""
    candidates: list[Path] = []
    for place in places:
        inside = place.rglob("*") if place.is_dir() else [place]
        candidates += sorted(path for path in inside if path.is_file())
    return [path for path in candidates if variables(path)]


def main() -> int:
    """Compare all files and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path, metavar="OLD_CYFES")
    parser.add_argument("new", type=Path, metavar="NEW_CYFES")
    parser.add_argument("places", type=Path, nargs="+", metavar="FILE_OR_FOLDER")
    options = parser.parse_args()
    found = hills_files(options.places)
    if not found:
        parser.error(f"no HILLS file in {', '.join(map(str, options.places))}")
    print("| file | CVs | hills | identical files | refused by both | runs that differ |")
    print("|---|---|---|---|---|---|")
    changes: list[str] = []
    for path in found:
        identical = refused = 0
        different: list[str] = []
        for name, arguments in option_sets(path.absolute()):
            old, new = (outcome(program, arguments) for program in (options.old, options.new))
            said = change(old, new)
            if said:
                different.append(f"- {path}, {name}: {said}")
            elif old.status:
                refused += 1
            else:
                identical += len(old.files)
        row = (path, len(variables(path)), hill_count(path), identical, refused, len(different))
        print(f"| {' | '.join(map(str, row))} |", flush=True)
        changes += different
    print("\n".join(["", *changes]))
    return int(bool(changes))


if __name__ == "__main__":
    sys.exit(main())
