"""The runners that smoke-test a release on a GPU, as a variable of the repository lists them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from wheelkit.target.report import MisusedError
from wheelkit.wheel.platforms import ARCHITECTURES, X86_64

# A label becomes a part of the name of an artifact.
LABEL = re.compile(r"[A-Za-z0-9._+-]+")


@dataclass(frozen=True)
class GpuRunner:
    """A runner with a GPU: its label, and the architecture of its processor."""

    label: str
    architecture: str = X86_64


def parse(text: str) -> list[GpuRunner]:
    """Read a JSON list of labels, as in ``["gpu-h100", "aarch64:gpu-gh200"]``; empty is none.

    Raises
    ------
    MisusedError
        It is no such list, or a label cannot be used.
    """
    try:
        items = json.loads(text) if text.strip() else []
    except (ValueError, RecursionError) as error:
        raise MisusedError(f"GPU runners '{text}' is no JSON: {error}") from None
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise MisusedError(f"GPU runners '{text}' is no JSON list of labels, as in [\"gpu-h100\"]")
    found = [_runner(item) for item in items]
    # For GitHub two labels that differ in case are the same.
    if len({runner.label.lower() for runner in found}) < len(found):
        raise MisusedError(f"GPU runners '{text}' names a runner twice; name each once")
    return found


def _runner(item: str) -> GpuRunner:
    architecture, colon, label = item.rpartition(":")
    if colon and architecture not in ARCHITECTURES:
        raise MisusedError(
            f"GPU runners: {item!r} names no known architecture before the colon, and a colon "
            "cannot be a part of an artifact's name; expected a label, or one of "
            f"{', '.join(ARCHITECTURES)} before it"
        )
    if not LABEL.fullmatch(label):
        raise MisusedError(
            f"GPU runners: the label {label!r} cannot be a part of an artifact's name; use "
            "letters, digits, '.', '_', '+' and '-' only"
        )
    return GpuRunner(label, architecture or X86_64)
