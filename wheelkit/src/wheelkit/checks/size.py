"""The wheel is not larger than declared."""

from __future__ import annotations

from collections.abc import Iterator

from wheelkit.target.report import Fault
from wheelkit.wheel.reading import Wheel
from wheelkit.wheel.settings import Settings

TITLE = "size"
IDS = ("too-large",)


def faults(wheel: Wheel, settings: Settings) -> Iterator[Fault]:
    """Check that the wheel is not larger than declared."""
    limit, actual = settings.max_size, wheel.archive.path.stat().st_size
    if limit is not None and actual > limit:
        remedy = "look for large files with `unzip -lv`, or declare a larger max-size"
        found, expected = f"{actual:,} bytes", f"at most {limit:,} bytes"
        yield Fault(
            "too-large", wheel.archive.path.name, found=found, expected=expected, remedy=remedy
        )
