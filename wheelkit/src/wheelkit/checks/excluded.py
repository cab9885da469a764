"""Every exclusion excludes something."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from wheelkit.target.report import WARNING, Fault
from wheelkit.wheel.reading import Wheel

TITLE = "excluded libraries"
IDS = ("exclude-unmatched",)


def faults(wheel: Wheel) -> Iterator[Fault]:
    """Find exclusions that exclude nothing; one list often serves several variants of a build."""
    names = {name for file in wheel.elves.values() for name in file.needed}
    for pattern in wheel.excluded:
        if not any(fnmatchcase(name, pattern) for name in names):
            found = f"exclude {pattern} matches no NEEDED of {', '.join(sorted(names)) or 'none'}"
            expected = "a pattern that matches a NEEDED library, such as libcudart.so.*"
            remedy = (
                "correct --exclude, or exclude in [tool.wheelkit]; accept it if the pattern is for "
                "another wheel"
            )
            file = wheel.archive.path.name
            yield Fault(
                "exclude-unmatched",
                file,
                found=found,
                expected=expected,
                remedy=remedy,
                severity=WARNING,
            )
