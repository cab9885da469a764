"""No ELF file mentions a folder of the build machine."""

from __future__ import annotations

from collections.abc import Iterator

from wheelkit.target.report import Fault
from wheelkit.wheel import device_images
from wheelkit.wheel.reading import Wheel
from wheelkit.wheel.settings import Settings

TITLE = "build paths"
IDS = ("build-path",)


def faults(wheel: Wheel, settings: Settings) -> Iterator[Fault]:
    """No file mentions a folder of the build machine."""
    for member in wheel.elves if settings.build_paths else ():
        with wheel.archive.file(member).open("rb") as stream:
            found = {
                path
                for _, block in device_images.blocks(stream)
                for path in settings.build_paths
                if path.encode() in block
            }
        for path in sorted(found):
            remedy = "compile with -ffile-prefix-map, and strip debugging information"
            expected = "no folder of the build machine, so that two builds give the same bytes"
            yield Fault(
                "build-path", member, found=f"mentions {path}", expected=expected, remedy=remedy
            )
