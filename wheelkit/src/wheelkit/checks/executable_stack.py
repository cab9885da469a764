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
            expected = "PT_GNU_STACK without PF_X: newer glibc refuses to load it"
            yield Fault(
                "executable-stack",
                member,
                found="an executable stack",
                expected=expected,
                remedy=remedy,
            )
