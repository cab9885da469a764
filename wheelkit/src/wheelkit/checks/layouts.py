"""The install layouts in which a wheel must load, and how a message lists them."""

from __future__ import annotations

from collections.abc import Iterable

from wheelkit.wheel.layouts import Installation
from wheelkit.wheel.reading import Wheel
from wheelkit.wheel.settings import Settings


def chosen(wheel: Wheel, settings: Settings) -> tuple[Installation, ...]:
    """Return every layout in which the wheel must load, for each Python that it is for."""
    every = wheel.installations()
    return tuple(i for i in every if settings.layouts is None or i.layout.name in settings.layouts)


def distinct(wheel: Wheel, settings: Settings) -> tuple[Installation, ...]:
    """Return the layouts among `chosen` in which the loader may find different libraries.

    The version of Python is a part of directory names. Where no rpath names such a directory, one
    version stands for all.
    """
    every = chosen(wheel, settings)
    if any("python" in entry for file in wheel.elves.values() for entry in file.search_path):
        return every
    return tuple({i.layout.name: i for i in reversed(every)}.values())[::-1]


def names_of(where: Iterable[Installation]) -> str:
    """Return the layouts, each once, without the versions of Python."""
    return ", ".join(dict.fromkeys(installation.layout.name for installation in where))
