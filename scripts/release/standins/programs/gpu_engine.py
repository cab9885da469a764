"""Stand-in of a GPU runner's container engine, where there is no GPU.

A container that asks for GPUs computes on the CPU instead, and its reports then name a stand-in
GPU. Every other command goes to the real engine, which REHEARSAL_ENGINE names. With
REHEARSAL_GPU=broken, a container that asks for GPUs ends as on a runner whose driver is broken.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

GPU_OPTIONS = ("--gpus=all", "--device=nvidia.com/gpu=all")
LACKING = 3


def without_gpu(arguments: list[str]) -> list[str]:
    """Return the engine's arguments for a container that computes on the CPU."""
    kept = [word for word in arguments if word not in GPU_OPTIONS]
    kept[kept.index("--device") + 1] = "cpu"
    return kept


def report_of(arguments: list[str]) -> Path:
    """Return where this machine has the report that the container writes."""
    inside = Path(arguments[arguments.index("--report") + 1])
    mounts = [word.removeprefix("--volume=") for word in arguments if word.startswith("--volume=")]
    (folder,) = [m.split(":")[0] for m in mounts if m.split(":")[1] == str(inside.parent)]
    return Path(folder) / inside.name


def name_standin(report: Path) -> None:
    """Say in a report that it is one of a stand-in GPU."""
    content = json.loads(report.read_text(encoding="utf-8"))
    content["device"] = {"id": "cuda:0", "name": "stand-in of a GPU: the CPU computed"}
    content["driver"] = "stand-in"
    report.write_text(json.dumps(content), encoding="utf-8")


def main() -> int:
    """Run the command."""
    engine, arguments = os.environ["REHEARSAL_ENGINE"], sys.argv[1:]
    if not set(GPU_OPTIONS) & set(arguments):
        return subprocess.run([engine, *arguments], check=False).returncode
    if os.environ.get("REHEARSAL_GPU") == "broken":
        print("stand-in of a GPU: the driver is broken", file=sys.stderr)
        return LACKING
    status = subprocess.run([engine, *without_gpu(arguments)], check=False).returncode
    if report_of(arguments).exists():
        name_standin(report_of(arguments))
    return status


if __name__ == "__main__":
    sys.exit(main())
