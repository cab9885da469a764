"""Whether auditwheel certifies the platform tag that a wheel carries."""

from __future__ import annotations

import glob
import json
import posixpath
import tempfile
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from wheelkit.base import pinned_tools
from wheelkit.base.programs import last_words
from wheelkit.target.report import Fault
from wheelkit.wheel import platforms
from wheelkit.wheel.reading import Wheel

TITLE = "platform tag (auditwheel)"
IDS = ("platform-tag",)

REMEDY = "build on an older system, or repair the wheel with `wheelkit repair`"


def faults(wheel: Wheel, plat: platforms.Platform | None) -> Iterator[Fault]:
    """Find what auditwheel, or the caller's `plat`, holds against the wheel's platform tags."""
    tags = sorted({tag.platform for tag in wheel.identity.tags})
    if tags == ["any"] and not wheel.elves and plat is None:
        return
    foreign = [tag for tag in tags if (p := platforms.parse(tag)) is None or p.version is None]
    if foreign or not wheel.elves:
        found = f"{', '.join(tags)}, {len(wheel.elves)} ELF files"
        expected = "manylinux or musllinux tags, and ELF files"
        yield Fault("platform-tag", wheel.archive.path.name, found, expected, REMEDY)
        return
    for platform in wheel.identity.platforms:
        if plat is not None and not platform.covers(plat):
            expected = f"{plat}, or older"
            yield Fault("platform-tag", wheel.archive.path.name, str(platform), expected, REMEDY)
    yield from _uncertified(wheel)


def _uncertified(wheel: Wheel) -> Iterator[Fault]:
    with tempfile.TemporaryDirectory() as folder:
        shown = _show(wheel, Path(folder))
        certified = platforms.parse(shown)
        aside = _left_aside(wheel)
        for tag in sorted({tag.platform for tag in wheel.identity.tags}):
            claimed = platforms.parse(tag)
            if certified is not None and claimed is not None and certified.covers(claimed):
                continue
            refusal = _refusal(wheel, tag, aside, Path(folder)) if aside else shown
            if refusal is not None:
                found = f"{tag}; auditwheel says: {refusal}"
                expected = "a tag that auditwheel certifies"
                yield Fault("platform-tag", wheel.archive.path.name, found, expected, REMEDY)


def _show(wheel: Wheel, folder: Path) -> str:
    """Return the tag that ``auditwheel show`` certifies, or its error message."""
    file = str(wheel.archive.path.absolute())
    answer = pinned_tools.auditwheel("show", "--json", file, folder=folder)
    try:
        shown = json.loads(answer.stdout)
    except json.JSONDecodeError:
        return last_words(answer)
    return str(shown.get("overall_tag") or shown.get("error"))


def _left_aside(wheel: Wheel) -> list[str]:
    """Return globs of the NEEDED libraries that ``auditwheel show`` has no option to allow.

    They are the driver, what the project excludes, and the wheel's own libraries outside of
    site-packages, which auditwheel does not find.
    """
    displaced = {m: file for m, file in wheel.elves.items() if wheel.scheme_path(m).displaced}
    own = {posixpath.basename(member) for member in displaced}
    own |= {file.soname for file in displaced.values() if file.soname}
    globs = (*platforms.OUTSIDE_GLOBS, *wheel.excluded, *map(glob.escape, sorted(own)))
    needed = {name for file in wheel.elves.values() for name in file.needed}
    return [pattern for pattern in globs if any(fnmatchcase(name, pattern) for name in needed)]


def _refusal(wheel: Wheel, tag: str, aside: list[str], folder: Path) -> str | None:
    """Return why auditwheel would not give the wheel its tag, some libraries left aside.

    Only ``auditwheel repair`` can leave a library aside; what it writes is thrown away. That all
    other libraries are in the wheel already is a check of its own.
    """
    file = str(wheel.archive.path.absolute())
    options = ("--plat", tag, "--only-plat", "--wheel-dir", str(folder / "certified"))
    leave = (f"--exclude={pattern}" for pattern in aside)
    answer = pinned_tools.auditwheel("repair", file, *options, *leave, folder=folder)
    return None if answer.returncode == 0 else last_words(answer)
