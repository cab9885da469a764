"""No part of the NVIDIA driver is in the wheel, nor a stub of one."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from wheelkit.target.report import Fault
from wheelkit.wheel import platforms
from wheelkit.wheel.elf import Elf
from wheelkit.wheel.reading import Wheel

TITLE = "no driver"
IDS = ("driver-library-grafted",)


def faults(wheel: Wheel) -> Iterator[Fault]:
    """No part of the driver is in the wheel, nor a stub of one."""
    for member, file in wheel.elves.items():
        if any(map(platforms.is_driver, _names(member, file))):
            remedy = (
                "repair the wheel with --exclude for this library, and do not link a stub by its "
                "path"
            )
            expected = "no part of the NVIDIA driver, which every user has installed"
            found = f"a driver library or its stub, SONAME {file.soname}"
            yield Fault(
                "driver-library-grafted", member, found=found, expected=expected, remedy=remedy
            )


def _names(member: str, file: Elf) -> set[str]:
    return {name for name in (posixpath.basename(member), file.soname) if name}
