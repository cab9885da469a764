"""Print what a release of the project in the current folder consists of, as a JSON object.

- ``pythons``: the CPythons for which wheels are built. cibuildwheel selects them by the project's
  requires-python, and by build and skip in [tool.cibuildwheel], or CIBW_BUILD and CIBW_SKIP.
- ``cibuildwheel-2``, ``cibuildwheel-4``: two versions of cibuildwheel are needed for all CPythons.
  These are the values of CIBW_BUILD for each of the two.
- ``architectures``: the architectures of the release. Each has the GitHub runner that builds its
  wheels.
- ``gpus``: the runners that smoke-test the wheels on a GPU. Each has its architecture and the
  number of its slot.

On GitHub, each of these also becomes an output of the step.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from wheelkit.base import github
from wheelkit.base.cpythons import CPYTHONS, numbers, parse_version
from wheelkit.release import gpu_runners
from wheelkit.target.report import MisusedError, Status
from wheelkit.wheel.platforms import AARCH64, X86_64

# Every slot needs an output of its own in the workflow, so their number is fixed.
SLOTS = 4
# GitHub's own runner for each architecture.
RUNNERS = {X86_64: "ubuntu-latest", AARCH64: "ubuntu-24.04-arm"}


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="wheelkit plan",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--since",
        metavar="X.Y",
        type=parse_version,
        default=CPYTHONS[0],
        help="the oldest CPython of the plan, even if the project supports older ones",
    )
    parser.add_argument(
        "--gpu-runners",
        metavar="JSON",
        default="",
        help='the labels of the GPU runners, such as ["gpu-h100", "aarch64:gpu-gh200"]. Without an '
        "architecture before a colon, it is x86_64. An empty text means no runner",
    )
    return parser.parse_args(arguments)


def slots(text: str) -> list[dict[str, str]]:
    """Return the slot of each GPU runner in a JSON list of labels.

    Raises
    ------
    MisusedError
        It is no such list, or a label cannot be used.
    """
    found = gpu_runners.parse(text)
    if len(found) > SLOTS:
        raise MisusedError(
            f"--gpu-runners names {len(found)} runners, but a release has {SLOTS} slots, because "
            f"the report of each needs an output of its own; name at most {SLOTS}"
        )
    return [
        {"slot": str(slot), "runner": runner.label, "architecture": runner.architecture}
        for slot, runner in enumerate(found, 1)
    ]


def plan(project: Path, oldest: str, runners: str) -> dict[str, object]:
    """Return the plan of a release.

    Raises
    ------
    MisusedError
        An option or the project's configuration has a fault, or no CPython is left.
    """
    from wheelkit.containers import configuration
    from wheelkit.containers.cibuildwheel import BUILDERS, selection

    read = configuration.read(project)
    supported, architectures = read.pythons(), read.architectures()
    chosen = [version for version in supported if numbers(version) >= numbers(oldest)]
    if not chosen:
        raise MisusedError(f"--since {oldest} leaves none of {', '.join(supported)}")
    selections = {b.name: selection(b.selected(chosen), architectures) for b in BUILDERS}
    return {
        "pythons": chosen,
        **selections,
        "architectures": [{"name": name, "runner": RUNNERS[name]} for name in architectures],
        "gpus": slots(runners),
    }


def as_output(value: object) -> str:
    """Return a part of the plan as the output of a step: text as it is, lists as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def main(arguments: list[str] | None = None) -> int:
    """Print the plan."""
    asked = parse(arguments)
    parts = plan(Path.cwd(), asked.since, asked.gpu_runners)
    for name, value in parts.items():
        github.set_output(name, as_output(value))
    print(json.dumps(parts))
    return Status.DONE
