"""Programs may be run: installers take this bit from the archive, and no other."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Iterator

from wheelkit.base.remedies import REBUILD
from wheelkit.target.report import Fault
from wheelkit.wheel.elf import MAGIC
from wheelkit.wheel.reading import Wheel

TITLE = "modes"
IDS = ("not-executable",)

# How a file begins that the system can run.
RUNNABLE = (b"#!", MAGIC)


def faults(wheel: Wheel) -> Iterator[Fault]:
    """Check that every program of the scripts scheme may be run."""
    with zipfile.ZipFile(wheel.archive.path) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
    for info in infos:
        mode = stat.S_IMODE(info.external_attr >> 16)
        if not mode & stat.S_IXUSR and _is_run(wheel, info.filename):
            expected = "mode 755, because installers take the execute bit from the archive"
            yield Fault(
                "not-executable",
                info.filename,
                found=f"mode {mode:o}",
                expected=expected,
                remedy=REBUILD,
            )


def _is_run(wheel: Wheel, member: str) -> bool:
    """Whether a member is a program of the scripts scheme, where others look for programs."""
    if wheel.scheme_path(member).scheme != "scripts":
        return False
    with wheel.archive.file(member).open("rb") as stream:
        return stream.read(len(MAGIC)).startswith(RUNNABLE)
