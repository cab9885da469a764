"""No library asks for an executable stack."""

from __future__ import annotations

from collections.abc import Iterator

from wheelkit.target.report import Fault
from wheelkit.wheel.reading import Wheel

TITLE = "executable stack"
IDS = ("executable-stack",)


def faults(wheel: Wheel) -> Iterator[Fault]:
    """No library asks for an executable stack."""
    for member, file in wheel.elves.items():
        # A program gets its stack from the kernel, which does not refuse.
        if file.executable_stack and not file.is_program:
            remedy = "link with -z noexecstack; in assembler, add a .note.GNU-stack section"
            expected = "a PT_GNU_STACK without PF_X; glibc 2.41 and newer refuse any other"
            yield Fault(
                "executable-stack",
                member,
                found="an executable stack",
                expected=expected,
                remedy=remedy,
            )
