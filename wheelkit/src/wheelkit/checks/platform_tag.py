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
from wheelkit.target.report import Fault
from wheelkit.wheel import platforms
from wheelkit.wheel.reading import Subject

REMEDY = "build on an older system, or repair the wheel with `wheelkit repair`"


def certificate_faults(subject: Subject, plat: platforms.Platform | None) -> Iterator[Fault]:
    """Find what auditwheel, or the caller's `plat`, holds against the wheel's platform tags."""
    tags = sorted({tag.platform for tag in subject.identity.tags})
    if tags == ["any"] and not subject.elves and plat is None:
        return
    foreign = [tag for tag in tags if (p := platforms.parse(tag)) is None or p.version is None]
    if foreign or not subject.elves:
        found = f"{', '.join(tags)}, {len(subject.elves)} ELF files"
        expected = "manylinux or musllinux tags, and ELF files"
        yield Fault("platform-tag", subject.wheel.path.name, found, expected, REMEDY)
        return
    for platform in subject.identity.platforms:
        if plat is not None and not platform.covers(plat):
            expected = f"{plat}, or older"
            yield Fault("platform-tag", subject.wheel.path.name, str(platform), expected, REMEDY)
    yield from _uncertified(subject)


def _uncertified(subject: Subject) -> Iterator[Fault]:
    with tempfile.TemporaryDirectory() as folder:
        shown = _show(subject, Path(folder))
        certified = platforms.parse(shown)
        aside = _left_aside(subject)
        for tag in sorted({tag.platform for tag in subject.identity.tags}):
            claimed = platforms.parse(tag)
            if certified is not None and claimed is not None and certified.covers(claimed):
                continue
            refusal = _refusal(subject, tag, aside, Path(folder)) if aside else shown
            if refusal is not None:
                found = f"{tag}; auditwheel says: {refusal}"
                expected = "a tag that auditwheel certifies"
                yield Fault("platform-tag", subject.wheel.path.name, found, expected, REMEDY)


def _show(subject: Subject, folder: Path) -> str:
    """Return the tag that ``auditwheel show`` certifies, or its error message."""
    wheel = str(subject.wheel.path.absolute())
    answer = pinned_tools.auditwheel("show", "--json", wheel, folder=folder)
    try:
        shown = json.loads(answer.stdout)
    except json.JSONDecodeError:
        return pinned_tools.last_words(answer)
    return str(shown.get("overall_tag") or shown.get("error"))


def _left_aside(subject: Subject) -> list[str]:
    """Return globs of the NEEDED libraries that ``auditwheel show`` cannot be told to allow.

    They are the driver, what the project excludes, and the wheel's own libraries outside of
    site-packages, which auditwheel does not find.
    """
    displaced = {m: file for m, file in subject.elves.items() if subject.place(m).displaced}
    own = {posixpath.basename(member) for member in displaced}
    own |= {file.soname for file in displaced.values() if file.soname}
    globs = (*platforms.DRIVER_GLOBS, *subject.excluded, *map(glob.escape, sorted(own)))
    needed = {name for file in subject.elves.values() for name in file.needed}
    return [pattern for pattern in globs if any(fnmatchcase(name, pattern) for name in needed)]


def _refusal(subject: Subject, tag: str, aside: list[str], folder: Path) -> str | None:
    """Return why auditwheel would not give the wheel its tag, some libraries left aside.

    Only ``auditwheel repair`` can leave a library aside; what it writes is thrown away. That all
    other libraries are in the wheel already is a check of its own.
    """
    wheel = str(subject.wheel.path.absolute())
    options = ("--plat", tag, "--only-plat", "--wheel-dir", str(folder / "certified"))
    leave = (f"--exclude={pattern}" for pattern in aside)
    answer = pinned_tools.auditwheel("repair", wheel, *options, *leave, folder=folder)
    return None if answer.returncode == 0 else pinned_tools.last_words(answer)
