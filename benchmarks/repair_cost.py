"""What repair_wheel.py costs beyond auditwheel: both repair the same wheel, in turns.

    python benchmarks/repair_cost.py WHEEL [--runs N]

Run it where auditwheel finds the wheel's libraries (LD_LIBRARY_PATH). Times are those of whole
processes; the median of the ratios of each pair counts, as what else runs on the machine slows
both.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "repair_wheel.py"

# The whole job of the repair may cost this much of auditwheel's part in it.
LIMIT = 1.3


def measure(command: Sequence[str | Path]) -> tuple[float, float]:
    """Run a command; return its seconds, on the clock and of the processor."""
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PATH": tools})
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, processor


def pair(wheel: Path) -> tuple[tuple[float, float], tuple[float, float]]:
    """Repair a wheel with auditwheel alone, and then with all that follows."""
    with tempfile.TemporaryDirectory() as folder:
        alone = [sys.executable, "-m", "auditwheel", "repair", "--exclude=libcuda.so*"]
        return (
            measure([*alone, "--wheel-dir", Path(folder, "auditwheel"), wheel]),
            measure([sys.executable, SCRIPT, wheel, Path(folder, "ours")]),
        )


def main() -> int:
    """Measure, print a table, and fail beyond the limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path, metavar="WHEEL", help="an unrepaired wheel")
    parser.add_argument("--runs", type=int, default=11, metavar="N", help="pairs (default: 11)")
    chosen = parser.parse_args()
    pair(chosen.wheel)  # Fills the caches of the disk.
    pairs = [pair(chosen.wheel) for _ in range(chosen.runs)]
    print(f"{'':12}{'auditwheel':>12}{'repair_wheel':>14}{'ratio':>8}   (medians)")
    ratios = {}
    for index, title in enumerate(("clock, s", "processor, s")):
        alone, ours = ([run[which][index] for run in pairs] for which in (0, 1))
        ratios[title] = statistics.median(o / a for a, o in zip(alone, ours, strict=True))
        medians = f"{statistics.median(alone):>12.2f}{statistics.median(ours):>14.2f}"
        print(f"{title:12}{medians}{ratios[title]:>8.2f}")
    return int(ratios["clock, s"] > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
