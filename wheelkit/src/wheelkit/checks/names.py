"""Names and modes of a wheel's members, beyond what makes unpacking it unsafe."""

from __future__ import annotations

import stat
import unicodedata
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from wheelkit.base.remedies import REBUILD
from wheelkit.target.report import Fault
from wheelkit.wheel.reading import Subject
from wheelkit.wheel.settings import Settings


def collisions(subject: Subject) -> Iterator[Fault]:
    """No two members fall together: on no file system, and at no installed place."""
    for group in _groups(subject.wheel.members, _folded):
        expected = "names that differ in more than case and Unicode form"
        yield Fault("name-collision", group[0], ", ".join(group), expected, REBUILD)
    for group in _groups(subject.installed, lambda member: subject.installed[member]):
        place = subject.installed[group[0]]
        expected = f"one member for {place}"
        yield Fault("place-collision", group[0], ", ".join(group), expected, REBUILD)


def _folded(name: str) -> str:
    """Return the name as a file system that ignores case and Unicode forms compares it."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _groups(members: Iterable[str], key: Callable[[str], str]) -> list[list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for member in members:
        groups[key(member)].append(member)
    return [group for group in groups.values() if len(group) > 1]


def modes(subject: Subject) -> Iterator[Fault]:
    """Nobody but the owner may write a file, everybody may read it, and programs may be run."""
    with zipfile.ZipFile(subject.wheel.path) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
    for info in infos:
        mode = stat.S_IMODE(info.external_attr >> 16)
        # Archives made elsewhere than on Unix have no modes; installers choose them.
        if mode and mode & stat.S_IWOTH:
            yield Fault("world-writable", info.filename, f"mode {mode:o}", "0644 or 0755", REBUILD)
        if mode and not mode & stat.S_IROTH:
            expected = "a file that everybody may read, 0644 or 0755"
            yield Fault("not-readable", info.filename, f"mode {mode:o}", expected, REBUILD)
        if not mode & stat.S_IXUSR and _is_run(subject, info.filename):
            expected = "an executable program, 0755: installers take the bit from the archive"
            yield Fault("not-executable", info.filename, f"mode {mode:o}", expected, REBUILD)


def _is_run(subject: Subject, member: str) -> bool:
    """Whether a member is a program of the scripts scheme, where others look for programs."""
    return subject.place(member).scheme == "scripts"


def size(subject: Subject, settings: Settings) -> Iterator[Fault]:
    """Check that the wheel is not larger than declared."""
    limit, actual = settings.max_size, subject.wheel.path.stat().st_size
    if limit is not None and actual > limit:
        remedy = "see what is new in it with `unzip -lv`, or declare another max-size"
        found, expected = f"{actual:,} bytes", f"at most {limit:,} bytes"
        yield Fault("too-large", subject.wheel.path.name, found, expected, remedy)
