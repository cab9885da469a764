"""The newest symbol versions that the ELF files of a wheel need."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

from wheelkit.wheel import symbol_versions

# memcpy was given a new version in glibc 2.14, and the other one is as old as the platform.
SOURCE = """
#include <string.h>
void *copy(void *to, const void *from, size_t size) { return memcpy(to, from, size); }
size_t length(const char *text) { return strlen(text); }
"""


def compiled(folder: Path) -> Path:
    source, library = folder / "a.c", folder / "a.so"
    source.write_text(SOURCE)
    command = ["cc", "-shared", "-fPIC", "-O0", "-fno-builtin", "-o", str(library), str(source)]
    subprocess.run(command, check=True)
    return library


def test_newest_of_each_family_is_found(tmp_path: Path) -> None:
    wheel = tmp_path / "a.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(compiled(tmp_path), "a/a.so")
        archive.writestr("a/__init__.py", "")
    assert symbol_versions.newest(wheel) == {"GLIBC": (2, 14)}


def test_pairs_name_the_library(tmp_path: Path) -> None:
    pairs = set(symbol_versions.needed(compiled(tmp_path).read_bytes()))
    assert ("libc.so.6", "GLIBC_2.14") in pairs
    assert ("libc.so.6", "GLIBC_2.2.5") in pairs


def test_wheel_without_elf_files_needs_nothing(tmp_path: Path) -> None:
    wheel = tmp_path / "a.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("a/__init__.py", "")
    assert symbol_versions.newest(wheel) == {}
