"""Every installer installs every file."""

from __future__ import annotations

from collections.abc import Iterator

from wheelkit.checks import layouts
from wheelkit.target.report import Fault
from wheelkit.wheel.layouts import PASSED_OVER, Installation, scheme_path
from wheelkit.wheel.reading import Wheel
from wheelkit.wheel.settings import Settings

TITLE = "files in every layout"
IDS = ("lost-in-layout",)


def faults(wheel: Wheel, settings: Settings) -> Iterator[Fault]:
    """Every installer installs every file."""
    layouts_of: dict[tuple[str, ...], list[Installation]] = {}
    for installation in layouts.distinct(wheel, settings):
        places = wheel.places(installation)
        gone = tuple(member for member in wheel.archive.members if member not in places)
        if gone:
            layouts_of.setdefault(gone, []).append(installation)
    for gone, installations in layouts_of.items():
        found = f"{len(gone)} files that are left out by {layouts.names_of(installations)}"
        where = [scheme_path(member) for member in gone]
        if all(path.scheme == "data" and path.top == PASSED_OVER for path in where):
            expected = (
                f"no folder {PASSED_OVER} in the data scheme, because pip --target leaves it out"
            )
            remedy = "put the files into the package, or into a data folder of another name"
        else:
            expected = "no folder name that both the package and the data scheme have"
            remedy = (
                "rename the folder in the package or in the data scheme; "
                f"{installations[0].layout.source}"
            )
        yield Fault("lost-in-layout", gone[0], found=found, expected=expected, remedy=remedy)
