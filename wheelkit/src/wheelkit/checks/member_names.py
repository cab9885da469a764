"""No two members fall together: on no file system, and at no installed place."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from wheelkit.base.remedies import REBUILD
from wheelkit.target.report import WARNING, Fault
from wheelkit.wheel.reading import Wheel

TITLE = "names of members"
IDS = ("name-collision", "place-collision")


def faults(wheel: Wheel) -> Iterator[Fault]:
    """No two members fall together: on no file system, and at no installed place."""
    for group in _groups(wheel.archive.members, _folded):
        expected = "names that differ in more than upper and lower case or the Unicode form"
        # The file systems of Linux tell them apart.
        yield Fault(
            "name-collision",
            group[0],
            found=", ".join(group),
            expected=expected,
            remedy=REBUILD,
            severity=WARNING,
        )
    for group in _groups(wheel.installed, lambda member: wheel.installed[member]):
        place = wheel.installed[group[0]]
        expected = f"one member for {place}"
        yield Fault(
            "place-collision", group[0], found=", ".join(group), expected=expected, remedy=REBUILD
        )


def _folded(name: str) -> str:
    """Return the name as a file system that ignores case and Unicode forms compares it."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _groups(members: Iterable[str], key: Callable[[str], str]) -> list[list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for member in members:
        groups[key(member)].append(member)
    return [group for group in groups.values() if len(group) > 1]
