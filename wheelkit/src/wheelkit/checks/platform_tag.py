"""Every system that the platform tag names has what the ELF files want of it.

It is read from the files and compared with the policies of the pinned auditwheel. Which needed
libraries are found, in the wheel or outside, is another check.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterator
from fnmatch import fnmatchcase

from wheelkit.base.remedies import REPAIR
from wheelkit.target.report import FAULT, WARNING, Fault
from wheelkit.wheel import elf_symbols, platforms
from wheelkit.wheel.elf import MAGIC
from wheelkit.wheel.platforms import Platform
from wheelkit.wheel.reading import Wheel

TITLE = "platform tag"
IDS = ("platform-tag", "isa-level")

# How many files a message lists.
SHOWN = 3

OTHER = "verify this wheel with another tool: wheelkit knows only wheels for Linux"
OLDER = "build on an older system, such as the manylinux image of that name"

Need = tuple[str, str]


def faults(wheel: Wheel, plat: Platform | None) -> Iterator[Fault]:
    """Find what the ELF files, or the caller's `plat`, hold against the platform tags."""
    name = wheel.archive.path.name
    tags = sorted({tag.platform for tag in wheel.identity.tags})
    machine_code = bool(wheel.elves) or _has_static_code(wheel)
    if tags == ["any"] and not machine_code and plat is None:
        return
    foreign = [tag for tag in tags if (p := platforms.parse(tag)) is None or p.version is None]
    if foreign:
        remedy = REPAIR if {tag.partition("_")[0] for tag in foreign} <= {"linux", "any"} else OTHER
        expected = "a manylinux or musllinux tag; the package index accepts no other tag for Linux"
        yield Fault(
            "platform-tag", name, found=", ".join(foreign), expected=expected, remedy=remedy
        )
        return
    if not machine_code:
        found, expected = f"{', '.join(tags)}, no machine code", "the tag any, or machine code"
        remedy = "build it as a pure wheel, which every system can install"
        yield Fault(
            "platform-tag", name, found=found, expected=expected, remedy=remedy, severity=WARNING
        )
    for platform in wheel.identity.platforms:
        if plat is not None and not platform.covers(plat):
            expected = f"{plat}, or older"
            yield Fault("platform-tag", name, found=str(platform), expected=expected, remedy=OLDER)
    yield from too_new(wheel)
    yield from _isa_levels(wheel)


def too_new(wheel: Wheel) -> Iterator[Fault]:
    """Find what a file wants of the system, and a platform of the tags does not promise."""
    needs = _needs(wheel)
    for platform in wheel.identity.platforms:
        if platform.version is None:
            continue
        by_family: dict[str, list[Need]] = defaultdict(list)
        for need in needs:
            if not platforms.promises(platform, need[1]):
                by_family[need[1].partition("_")[0]].append(need)
        for unmet in by_family.values():
            library, version = max(unmet, key=_newest)
            files = _listed(needs[library, version])
            found = f"needs {version} of {library}, which {platform} does not promise, in {files}"
            expected = f"symbols that every {platform} has"
            remedy = f"{OLDER}, or tag the wheel for newer systems with `wheel tags`"
            yield Fault(
                "platform-tag",
                needs[library, version][0],
                found=found,
                expected=expected,
                remedy=remedy,
            )
        yield from _private_symbols(wheel, platform)
        yield from _other_libc(wheel, platform)


def _needs(wheel: Wheel) -> dict[Need, list[str]]:
    """Return each symbol version that is wanted of a library of the system, and by which files."""
    own = {posixpath.basename(member) for member in wheel.elves}
    found: dict[Need, list[str]] = defaultdict(list)
    for member, file in wheel.elves.items():
        for need in file.version_needs:
            if need[0] not in own:
                found[need].append(member)
    return found


def _newest(need: Need) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", need[1])]


def _listed(files: list[str]) -> str:
    return ", ".join(files[:SHOWN]) + f" and {len(files) - SHOWN} more" * (len(files) > SHOWN)


def _private_symbols(wheel: Wheel, platform: Platform) -> Iterator[Fault]:
    """Find symbols that a library of the system had once, and does not have everywhere."""
    policy = platforms.policy_of(platform)
    private = policy["blacklist"] if policy else {}
    for member, file in wheel.elves.items():
        libraries = [name for name in file.needed if name in private]
        wanted = elf_symbols.read(wheel.archive.file(member)).wanted if libraries else frozenset()
        for library in libraries:
            if unmet := sorted(wanted.intersection(private[library])):
                found = f"needs {', '.join(unmet)} of {library}"
                expected = f"symbols that {library} has on every {platform}"
                remedy = f"link with your own copy of {library}; the repair grafts it"
                yield Fault("platform-tag", member, found=found, expected=expected, remedy=remedy)


def _other_libc(wheel: Wheel, platform: Platform) -> Iterator[Fault]:
    for member, file in wheel.elves.items():
        musl = [name for name in file.needed if fnmatchcase(name, "libc.musl-*")]
        glibc = [name for name in file.needed if name == "libc.so.6"]
        if other := musl if platform.family == "manylinux" else glibc:
            found, expected = f"NEEDED {other[0]}", f"the C library of {platform}"
            remedy = (
                "build it in an image of this platform, or give the wheel the tag of the other "
                "platform"
            )
            yield Fault("platform-tag", member, found=found, expected=expected, remedy=remedy)


def _isa_levels(wheel: Wheel) -> Iterator[Fault]:
    for member, file in wheel.elves.items():
        if file.isa_level > 1:
            found = f"marked to need x86-64-v{file.isa_level}"
            expected = (
                "plain x86-64; on older processors the loader refuses a file that is marked so"
            )
            remedy = (
                "compile without -march. Or link without -z x86-64-v… and choose the code at run "
                "time. Accept the finding if the wheel is only for such processors"
            )
            # Every processor since 2009 has level 2; newer small ones have no level 3.
            severity = FAULT if file.isa_level > 2 else WARNING
            yield Fault(
                "isa-level",
                member,
                found=found,
                expected=expected,
                remedy=remedy,
                severity=severity,
            )


def _has_static_code(wheel: Wheel) -> bool:
    """Whether there are programs that the loader has nothing to do with."""
    for member in wheel.archive.members:
        with wheel.archive.file(member).open("rb") as stream:
            if stream.read(len(MAGIC)) == MAGIC:
                return True
    return False
