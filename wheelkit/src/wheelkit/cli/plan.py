"""Print what a release of the project in the current folder consists of, as a JSON object.

``pythons`` are the CPythons for which a wheel is built: those that cibuildwheel builds for with
the project's requires-python and [tool.cibuildwheel] build and skip, or CIBW_BUILD and CIBW_SKIP.
``cibuildwheel-2`` and ``cibuildwheel-4`` are the CIBW_BUILD of the two cibuildwheels that build
them together. ``gpus`` are the runners that smoke-test the wheels on a GPU, each with the number
of its slot. On GitHub each also becomes an output of the step.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

from wheelkit.base import github
from wheelkit.base.cpythons import CPYTHONS, numbers, parse_version
from wheelkit.target.report import MisusedError, Status

# Every slot needs an output of its own in the workflow, so their number is fixed.
SLOTS = 4
# A label becomes a part of the name of an artifact.
LABEL = re.compile(r"[A-Za-z0-9._+-]+")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="wheelkit plan", description=__doc__)
    parser.add_argument(
        "--since",
        metavar="X.Y",
        type=parse_version,
        default=CPYTHONS[0],
        help="the oldest CPython of the plan, whatever the project supports",
    )
    parser.add_argument(
        "--gpu-runners",
        metavar="JSON",
        default="",
        help='the labels of the GPU runners, as in ["gpu-h100"]; none if empty',
    )
    return parser.parse_args(arguments)


def slots(text: str) -> list[dict[str, str]]:
    """Return the slot of each GPU runner in a JSON list of labels.

    Raises
    ------
    MisusedError
        It is no such list, or a label cannot be used.
    """
    try:
        labels = json.loads(text) if text.strip() else []
    except ValueError as error:
        raise MisusedError(f"--gpu-runners '{text}' is no JSON: {error}") from None
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise MisusedError(
            f"--gpu-runners '{text}' is no JSON list of labels, as in [\"gpu-h100\"]"
        )
    for label in labels:
        if not LABEL.fullmatch(label):
            raise MisusedError(
                f"--gpu-runners: the label {label!r} cannot be a part of an artifact's name; use "
                "letters, digits, '.', '_', '+' and '-' only"
            )
    # For GitHub two labels that differ in case are the same.
    if len({label.lower() for label in labels}) < len(labels):
        raise MisusedError(f"--gpu-runners '{text}' names a runner twice; name each once")
    if len(labels) > SLOTS:
        raise MisusedError(
            f"--gpu-runners names {len(labels)} runners, but a release has {SLOTS} slots, because "
            f"the report of each needs an output of its own; name at most {SLOTS}"
        )
    return [{"slot": str(slot), "runner": label} for slot, label in enumerate(labels, 1)]


def plan(project: Path, oldest: str, gpu_runners: str) -> dict[str, object]:
    """Return the plan of a release.

    Raises
    ------
    MisusedError
        An option or the project's configuration has a fault, or no CPython is left.
    """
    from wheelkit.containers import configuration
    from wheelkit.containers.cibuildwheel import BUILDERS, selection

    supported = configuration.read(project).pythons()
    chosen = [version for version in supported if numbers(version) >= numbers(oldest)]
    if not chosen:
        raise MisusedError(f"--since {oldest} leaves none of {', '.join(supported)}")
    selections = {builder.name: selection(builder.selected(chosen)) for builder in BUILDERS}
    return {"pythons": chosen, **selections, "gpus": slots(gpu_runners)}


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
