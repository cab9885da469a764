"""Every ELF file is for the machine that the platform tag names."""

from __future__ import annotations

from collections.abc import Iterator

from wheelkit.target.report import FAULT, WARNING, Fault
from wheelkit.wheel import elf_symbols
from wheelkit.wheel.elf import Elf
from wheelkit.wheel.reading import Wheel

TITLE = "machine of ELF files"
IDS = ("other-machine",)

# The architecture of a platform tag → e_machine, the ELF class, whether it is little-endian.
MACHINES = {
    "x86_64": ("EM_X86_64", 64, True),
    "i686": ("EM_386", 32, True),
    "aarch64": ("EM_AARCH64", 64, True),
    "armv7l": ("EM_ARM", 32, True),
    "ppc64le": ("EM_PPC64", 64, True),
    "ppc64": ("EM_PPC64", 64, False),
    "s390x": ("EM_S390", 64, False),
    "riscv64": ("EM_RISCV", 64, True),
    "loongarch64": ("EM_LOONGARCH", 64, True),
}


def faults(wheel: Wheel) -> Iterator[Fault]:
    """Find files for another machine: a fault if they are modules, which Python cannot import.

    A library for another machine may be meant for it: a debugger has some.
    """
    architectures = sorted({platform.arch for platform in wheel.identity.platforms})
    wanted = [MACHINES[arch] for arch in architectures if arch in MACHINES]
    for member, file in wheel.elves.items() if wanted else ():
        if file.machine not in wanted:
            severity = FAULT if _is_module(wheel, member) else WARNING
            expected = f"machine code for {', '.join(architectures)}, as the platform tag says"
            remedy = "build it for the machine that the tag names, or leave it out"
            yield Fault(
                "other-machine",
                member,
                found=_name(file),
                expected=expected,
                remedy=remedy,
                severity=severity,
            )


def _is_module(wheel: Wheel, member: str) -> bool:
    offered = elf_symbols.read(wheel.archive.file(member)).offered
    return any(name.startswith("PyInit_") for name in offered)


def _name(file: Elf) -> str:
    known = [arch for arch, machine in MACHINES.items() if machine == file.machine]
    return f"machine code for {known[0] if known else file.machine[0]}"
