"""Values of options that several verbs take."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from wheelkit.release import gpu_runners
from wheelkit.release.gpu_runners import GpuRunner
from wheelkit.release.seal import Sealed, parse_sealed
from wheelkit.target.report import MisusedError
from wheelkit.wheel import platforms
from wheelkit.wheel.platforms import Platform


def sealed(text: str) -> Sealed:
    """Read a folder and its seal, ``DIR=SEAL``; the seal of a job that did not run is empty."""
    try:
        return parse_sealed(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def places(text: str) -> tuple[GpuRunner, ...]:
    """Read the GPU runners, as a variable of the repository lists them; empty is none."""
    try:
        return tuple(gpu_runners.parse(text))
    except MisusedError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def platforms_of(plats: Sequence[str]) -> tuple[Platform, ...]:
    """Read the values of --plat, of which there is one for each architecture.

    Raises
    ------
    MisusedError
        One is no platform tag, or two are for the same architecture.
    """
    found = tuple(platforms.required(plat) for plat in plats)
    if len({platform.arch for platform in found}) < len(found):
        raise MisusedError(f"--plat {' and '.join(plats)}: give one for each architecture")
    return found


def words(text: str) -> tuple[str, ...]:
    """Read a JSON list of strings, which is how workflows hand lists on; empty is an empty list."""
    try:
        content = json.loads(text or "[]")
    except (ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON: {error}") from None
    if not isinstance(content, list) or not all(isinstance(item, str) for item in content):
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON list of strings")
    return tuple(content)
