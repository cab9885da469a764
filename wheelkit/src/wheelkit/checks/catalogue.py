"""The checks of a finished wheel, as far as reading it can tell: every one, in one list.

A check is a module of this folder with its TITLE, a row of the table that is printed at the end,
the IDS of the faults that it finds, and a function `faults` that yields them. All checks run,
whatever they find. To add one: write the module, add it below, and add a wheel that it refuses to
the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

from wheelkit.checks import (
    build_paths,
    core_metadata,
    declared_grafts,
    device_code,
    elf_files,
    elf_scheme,
    executable_stack,
    graft_licenses,
    lost_files,
    member_names,
    modes,
    names_and_tags,
    needed_libraries,
    no_driver,
    platform_tag,
    record,
    requires_python,
    rpath_entries,
    rpath_targets,
    sbom,
    single_libraries,
    size,
    soname_and_needed,
    text_relocations,
    twine_check,
    wheel_contents,
)
from wheelkit.target.report import Fault
from wheelkit.wheel.platforms import Platform
from wheelkit.wheel.reading import Wheel
from wheelkit.wheel.settings import Settings


@dataclass(frozen=True)
class Check:
    """A row of the table that is printed at the end, and the ids of the faults that it finds."""

    title: str
    ids: tuple[str, ...]
    faults: Callable[[Wheel], Iterable[Fault]]


# What keeps a wheel from being unpacked at all; found before any check.
OPENING = "opens safely"
OPENING_IDS = (
    *("wheel-filename", "not-a-zip", "surplus-bytes", "unsafe-name", "duplicate-name"),
    *("special-member", "unreadable-member", "dist-info", "unknown-scheme"),
)


def check_of(module: ModuleType, **given: Any) -> Check:
    """Return the check of a module, with the arguments of `faults` besides the wheel."""
    return Check(module.TITLE, module.IDS, partial(module.faults, **given))


def checks(settings: Settings, plat: Platform | None) -> tuple[Check, ...]:
    """Return every check, for wheels of a project with these settings."""
    return (
        # The archive and its metadata.
        *map(check_of, (record, member_names, modes)),
        check_of(size, settings=settings),
        *map(check_of, (names_and_tags, core_metadata, requires_python)),
        # ELF files, each by itself.
        *map(check_of, (elf_files, elf_scheme, executable_stack, text_relocations)),
        check_of(soname_and_needed),
        check_of(build_paths, settings=settings),
        check_of(rpath_entries),
        *layout_checks(settings),
        # What the wheel brings along.
        *map(check_of, (no_driver, single_libraries)),
        check_of(declared_grafts, settings=settings),
        check_of(sbom),
        check_of(graft_licenses, settings=settings),
        check_of(device_code, settings=settings),
        # What other tools hold against it.
        check_of(platform_tag, plat=plat),
        *map(check_of, (wheel_contents, twine_check)),
    )


def layout_checks(settings: Settings) -> tuple[Check, ...]:
    """Return the checks that depend on install layouts."""
    modules = (rpath_targets, needed_libraries, lost_files)
    return tuple(check_of(module, settings=settings) for module in modules)
