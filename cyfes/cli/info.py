"""The command ``cyfes info``: versions, the compiled library and the devices."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from cyfes._version import __version__
from cyfes.cli.common import ENVIRONMENT_LACKS, OK
from cyfes.errors import DeviceError, LibraryError

if TYPE_CHECKING:
    import argparse

DESCRIPTION = "Show versions, the compiled library and the devices that can compute."

EXAMPLE = """\
example:
  cyfes info --json
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Print the facts, and return the exit status."""
    facts = _facts()
    if options.json:
        # Imported here, because nothing else needs it.
        import json

        print(json.dumps(facts, indent=2))
    else:
        print("\n".join(_fact_lines(facts)))
    return ENVIRONMENT_LACKS if facts["error"] else OK


def _facts() -> dict[str, Any]:
    facts: dict[str, Any] = {
        "cyfes": __version__,
        "python": ".".join(map(str, sys.version_info[:3])),
        "numpy": np.__version__,
        "libcufes": None,
        "cuda": {"runtime": None, "driver": None},
        "devices": [],
        "error": None,
    }
    try:
        # Imported here, so that the rest is shown where the compiled library is missing.
        from cyfes.native import device_choice, library

        facts["libcufes"] = library.library_path()
        facts["cuda"] = device_choice.cuda_versions()
        facts["devices"] = [device._asdict() for device in device_choice.devices()]
    except (DeviceError, LibraryError) as error:
        facts["error"] = str(error)
    return facts


def _fact_lines(facts: dict[str, Any]) -> list[str]:
    cuda = facts["cuda"]
    rows = [
        ("cyfes", facts["cyfes"]),
        ("Python", facts["python"]),
        ("NumPy", facts["numpy"]),
        ("libcufes", facts["libcufes"] or "not found"),
        ("CUDA runtime", cuda["runtime"] or "none"),
        ("CUDA driver", cuda["driver"] or "none"),
    ]
    lines = [f"{title:<13} {value}" for title, value in rows]
    if facts["error"]:
        lines.append(f"{'error':<13} {facts['error']}")
    return lines + _aligned([_device_row(device) for device in facts["devices"]])


def _device_row(device: dict[str, Any]) -> list[str]:
    capability, memory = device["compute_capability"], device["memory"]
    return [
        device["id"],
        device["name"],
        "compute capability " + ".".join(map(str, capability)) if capability else "",
        f"{memory / 2**30:.1f} GiB" if memory else "",
        device["image"] or "",
        "usable" if device["usable"] else f"not usable: {device['reason']}",
    ]


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)) for row in rows]
    return [line.rstrip() for line in lines]
