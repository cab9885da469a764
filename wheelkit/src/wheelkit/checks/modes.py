"""Nobody but the owner may write a file, everybody may read it, and programs may be run."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Iterator

from wheelkit.base.remedies import REBUILD
from wheelkit.target.report import Fault
from wheelkit.wheel.reading import Wheel

TITLE = "modes"
IDS = ("world-writable", "not-readable", "not-executable")


def faults(wheel: Wheel) -> Iterator[Fault]:
    """Nobody but the owner may write a file, everybody may read it, and programs may be run."""
    with zipfile.ZipFile(wheel.archive.path) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
    for info in infos:
        mode = stat.S_IMODE(info.external_attr >> 16)
        # Archives made elsewhere than on Unix have no modes; installers choose them.
        if mode and mode & stat.S_IWOTH:
            yield Fault("world-writable", info.filename, f"mode {mode:o}", "0644 or 0755", REBUILD)
        if mode and not mode & stat.S_IROTH:
            expected = "a file that everybody may read, 0644 or 0755"
            yield Fault("not-readable", info.filename, f"mode {mode:o}", expected, REBUILD)
        if not mode & stat.S_IXUSR and _is_run(wheel, info.filename):
            expected = "an executable program, 0755: installers take the bit from the archive"
            yield Fault("not-executable", info.filename, f"mode {mode:o}", expected, REBUILD)


def _is_run(wheel: Wheel, member: str) -> bool:
    """Whether a member is a program of the scripts scheme, where others look for programs."""
    return wheel.scheme_path(member).scheme == "scripts"
