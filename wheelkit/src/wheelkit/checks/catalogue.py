"""The contract of a finished wheel, as far as reading it can tell: every check, in one list.

A check is a function that takes a subject and yields faults; all of them run, whatever they find.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from wheelkit.checks import (
    core_metadata,
    device_code,
    grafts,
    linters,
    machine_code,
    names,
    platform_tag,
    rpaths,
    sbom,
)
from wheelkit.target.report import Fault
from wheelkit.wheel import archive, identity, platforms
from wheelkit.wheel.reading import Subject
from wheelkit.wheel.settings import Settings


@dataclass(frozen=True)
class Check:
    """A row of the table that is printed at the end, and the ids of the faults that it finds."""

    title: str
    ids: tuple[str, ...]
    faults: Callable[[Subject], Iterable[Fault]]


# What keeps a wheel from being unpacked at all; found before any check.
OPENING = "opens safely"
OPENING_IDS = (
    *("wheel-filename", "not-a-zip", "surplus-bytes", "unsafe-name", "duplicate-name"),
    *("special-member", "unreadable-member", "dist-info", "unknown-scheme"),
)


def checks(settings: Settings, plat: platforms.Platform | None) -> tuple[Check, ...]:
    """Return every check, for wheels of a project with these settings."""
    return (
        *_archive(settings),
        *_machine_code(settings),
        *loading(settings),
        *_tail(settings, plat),
    )


def _archive(settings: Settings) -> tuple[Check, ...]:
    rows = ("malformed", "unsafe-path", "extra", "duplicate", "missing", "hash", "size")
    return (
        Check("RECORD", tuple(f"record-{row}" for row in rows), _record),
        Check("names of members", ("name-collision", "place-collision"), names.collisions),
        Check("modes", ("world-writable", "not-readable", "not-executable"), names.modes),
        Check("size", ("too-large",), partial(names.size, settings=settings)),
        Check("names and tags", ("name-mismatch", "tag-mismatch", "wheel-version"), _identity),
        Check("METADATA", ("metadata-invalid",), core_metadata.valid),
        Check("Requires-Python", ("requires-python",), core_metadata.requires_python),
    )


def _machine_code(settings: Settings) -> tuple[Check, ...]:
    return (
        Check("ELF files", ("elf-unreadable",), machine_code.readable),
        Check("scheme of ELF files", ("elf-in-purelib",), machine_code.scheme),
        Check("executable stack", ("executable-stack",), machine_code.stack),
        Check("text relocations", ("text-relocations",), machine_code.text_relocations),
        Check("SONAME and NEEDED", ("path-as-name",), machine_code.plain_names),
        Check("build paths", ("build-path",), partial(machine_code.build_paths, settings=settings)),
        Check(
            "rpath entries",
            ("rpath-and-runpath", "rpath-empty-entry", "rpath-absolute"),
            rpaths.form,
        ),
    )


def loading(settings: Settings) -> tuple[Check, ...]:
    """Return the checks that depend on install layouts."""
    return (
        Check(
            "rpaths in every layout",
            ("rpath-escapes", "rpath-dangling"),
            partial(rpaths.targets, settings=settings),
        ),
        Check(
            "needed libraries in every layout",
            ("needed-not-found", "needed-not-in-wheel"),
            partial(rpaths.needed, settings=settings),
        ),
        Check(
            "files in every layout", ("lost-in-layout",), partial(rpaths.lost, settings=settings)
        ),
    )


def _tail(settings: Settings, plat: platforms.Platform | None) -> tuple[Check, ...]:
    return (
        Check("no driver", ("driver-library-grafted",), grafts.driver),
        Check("one CUDA runtime, one libgomp", ("graft-twice",), grafts.singletons),
        Check(
            "declared grafts",
            ("graft-unexpected", "graft-missing"),
            partial(grafts.declared, settings=settings),
        ),
        Check("bill of materials", ("sbom-untrue", "sbom-unreadable"), sbom.truth),
        Check(
            "declared device code",
            (
                *("no-device-code", "device-code-unknown", "sass-missing", "sass-unexpected"),
                *("ptx-missing", "ptx-unexpected"),
            ),
            partial(device_code.declared, settings=settings),
        ),
        Check(
            "platform tag (auditwheel)",
            ("platform-tag",),
            partial(platform_tag.certificate_faults, plat=plat),
        ),
        Check("check-wheel-contents", ("wheel-contents",), linters.contents),
        Check("twine check", ("twine-check",), linters.description),
    )


def _record(subject: Subject) -> Iterable[Fault]:
    return archive.record_faults(subject.wheel)


def _identity(subject: Subject) -> Iterable[Fault]:
    return identity.metadata_faults(subject.wheel, subject.identity)
