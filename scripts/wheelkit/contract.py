"""The contract of a finished wheel, as far as reading it can tell: archive, ELF files, rpaths.

A check is a function that takes a subject and yields faults; all of them run, whatever they find.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from wheelkit import archive, metadata, policy
from wheelkit.certificate import certificate_faults
from wheelkit.elf import Elf
from wheelkit.report import Fault
from wheelkit.subject import Subject, resolve

REPAIR = "repair the wheel with scripts/repair_wheel.py"

# Two of these in one process do not share their state: device contexts, thread pools.
SINGLETONS = ("libcudart", "libgomp")


@dataclass(frozen=True)
class Check:
    """A row of the table that is printed at the end."""

    title: str
    faults: Callable[[Subject], Iterable[Fault]]


def record(subject: Subject) -> Iterator[Fault]:
    """RECORD lists exactly the members, with their hashes and sizes."""
    return archive.record_faults(subject.wheel)


def names_and_tags(subject: Subject) -> Iterator[Fault]:
    """File name, .dist-info, WHEEL and METADATA agree."""
    return metadata.metadata_faults(subject.wheel, subject.identity)


def elf_files(subject: Subject) -> Iterator[Fault]:
    """Every ELF file is readable, in a scheme for machine code, and needs no executable stack."""
    yield from subject.unreadable
    for member, file in subject.elves.items():
        if subject.place(member).scheme == "purelib":
            remedy = "build it as a platform wheel: Root-Is-Purelib: false"
            yield Fault("elf-in-purelib", member, "machine code in purelib", "platlib", remedy)
        if file.executable_stack:
            remedy = "link with -z noexecstack; in assembler, add a .note.GNU-stack section"
            expected = "PT_GNU_STACK without PF_X: newer glibc refuses to load it"
            yield Fault("executable-stack", member, "an executable stack", expected, remedy)


def rpath_form(subject: Subject) -> Iterator[Fault]:
    """Every rpath entry is relative to the file itself, and there is one kind of rpath."""
    for member, file in subject.elves.items():
        if file.rpath is not None and file.runpath is not None:
            found, expected = "DT_RPATH and DT_RUNPATH", "one of them"
            yield Fault("rpath-and-runpath", member, found, expected, REPAIR)
        for entry in (*(file.rpath or ()), *(file.runpath or ())):
            if not entry:
                expected = "no empty entry: it means the working directory"
                yield Fault("rpath-empty-entry", member, "an empty entry", expected, REPAIR)
            elif resolve(entry, "") is None:
                yield Fault("rpath-absolute", member, entry, "$ORIGIN/…", REPAIR)


def rpath_targets(subject: Subject) -> Iterator[Fault]:
    """Every rpath entry leads to a directory of the wheel and never above the prefix."""
    directories = {posixpath.dirname(path) for path in subject.installed.values()}
    for member, file in subject.elves.items():
        for entry in file.search_path:
            target = resolve(entry, posixpath.dirname(subject.installed[member]))
            if target is None:
                continue  # rpath_form's matter
            if target.partition("/")[0] == "..":
                expected = "a directory below the install prefix: others may plant a library there"
                yield Fault("rpath-escapes", member, entry, expected, REPAIR)
            elif target not in directories:
                expected = f"a directory that the wheel installs; this is {target or 'the prefix'}"
                yield Fault("rpath-dangling", member, entry, expected, REPAIR)


def needed(subject: Subject) -> Iterator[Fault]:
    """Every NEEDED library is found by the file's own rpath, or every system has it.

    Rpaths inherited from the loading library do not count: each library loads by itself.
    """
    present = {subject.installed[member]: file for member, file in subject.elves.items()}
    for member, file in subject.elves.items():
        directory = posixpath.dirname(subject.installed[member])
        places = [resolve(entry, directory) for entry in file.search_path]
        for name in file.needed:
            found = (present.get(posixpath.join(p, name)) for p in places if p is not None)
            matching = any(other is not None and other.machine == file.machine for other in found)
            if not matching and not subject.is_system(name):
                yield _missing(subject, member, name)


def _missing(subject: Subject, member: str, name: str) -> Fault:
    have = [path for path in subject.installed.values() if posixpath.basename(path) == name]
    found = f"NEEDED {name}, rpath {':'.join(subject.elves[member].search_path) or 'none'}"
    if have:
        expected = f"an rpath that leads to {' or '.join(have)}"
        return Fault("needed-not-found", member, found, expected, REPAIR)
    expected = "a library of the wheel, or one that the platform tag promises"
    return Fault("needed-not-in-wheel", member, found, expected, REPAIR)


def grafts(subject: Subject) -> Iterator[Fault]:
    """No part of the driver is in the wheel, and no library that must be single is there twice."""
    for member, file in subject.elves.items():
        stems = {policy.stem(name) for name in _names(member, file)}
        if stems & set(policy.DRIVER_STEMS):
            remedy = "repair with --exclude for it; never link a stub by its path"
            expected = "not in a wheel: it is part of the NVIDIA driver"
            found = f"a driver library or its stub, SONAME {file.soname}"
            yield Fault("driver-library-grafted", member, found, expected, remedy)
    for stem in SINGLETONS:
        have = {posixpath.basename(m): m for m, f in subject.elves.items() if _is(stem, m, f)}
        if len(have) > 1:
            found, expected = ", ".join(sorted(have)), f"one version of {stem}"
            remedy = "link every library of the wheel against the same one"
            yield Fault("graft-twice", min(have.values()), found, expected, remedy)


def _names(member: str, file: Elf) -> set[str]:
    return {posixpath.basename(member), file.soname or ""}


def _is(stem: str, member: str, file: Elf) -> bool:
    return stem in {policy.stem(name) for name in _names(member, file)}


def platform_tag(plat: policy.Platform | None) -> Callable[[Subject], Iterator[Fault]]:
    """Return the check that auditwheel certifies the tag, and that the tag is `plat` or better."""
    return lambda subject: certificate_faults(subject, plat)


LOADING = (Check("rpaths lead into the wheel", rpath_targets), Check("needed libraries", needed))


def checks(plat: policy.Platform | None) -> tuple[Check, ...]:
    """Return every check; those that depend on an install layout are `LOADING`."""
    return (
        Check("archive and RECORD", record),
        Check("names and tags", names_and_tags),
        Check("ELF files", elf_files),
        Check("rpath entries", rpath_form),
        *LOADING,
        Check("grafts", grafts),
        Check("platform tag (auditwheel)", platform_tag(plat)),
    )
