"""Every installer installs every file."""

from __future__ import annotations

from collections.abc import Iterator

from wheelkit.checks import layouts
from wheelkit.target.report import Fault
from wheelkit.wheel.reading import Wheel
from wheelkit.wheel.settings import Settings

TITLE = "files in every layout"
IDS = ("lost-in-layout",)


def faults(wheel: Wheel, settings: Settings) -> Iterator[Fault]:
    """Every installer installs every file."""
    for installation in layouts.distinct(wheel, settings):
        places = wheel.places(installation)
        gone = [member for member in wheel.archive.members if member not in places]
        if gone:
            found = f"{len(gone)} files that {installation.layout.name} leaves out"
            expected = "no directory that packages and the data scheme share"
            remedy = f"give it a name of its own in one of the two; {installation.layout.source}"
            yield Fault("lost-in-layout", gone[0], found, expected, remedy)
