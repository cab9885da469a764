"""Reading the dynamic section of ELF files, right ones and damaged ones."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_wheels import MACHINE, library, static_program, with_second_rpath
from wheelkit.wheel import elf, elf_symbols


def read(tmp_path: Path, data: bytes) -> elf.Elf | None:
    path = tmp_path / "file"
    path.write_bytes(data)
    return elf.read(path)


def test_names_and_rpath_are_read(tmp_path: Path) -> None:
    found = read(tmp_path, library("liba.so.1", "libb.so.2", rpath="$ORIGIN/x::/abs"))
    assert found is not None
    assert found.soname == "liba.so.1"
    assert found.needed[0] == "libb.so.2"
    assert found.rpath == ("$ORIGIN/x", "", "/abs")
    assert found.runpath is None
    assert not found.executable_stack
    assert not found.is_program


def test_runpath_takes_the_place_of_rpath(tmp_path: Path) -> None:
    flags = ("-Wl,--enable-new-dtags", "-Wl,-rpath,$ORIGIN")
    found = read(tmp_path, library("liba.so", flags=flags))
    assert found is not None
    assert (found.rpath, found.runpath, found.search_path) == (None, ("$ORIGIN",), ("$ORIGIN",))
    both = read(tmp_path, with_second_rpath(library("liba.so", rpath="$ORIGIN/y")))
    assert both is not None
    assert both.rpath == both.runpath == ("$ORIGIN/y",)


def test_an_empty_rpath_has_no_entry(tmp_path: Path) -> None:
    found = read(tmp_path, library("liba.so", rpath="$ORIGIN/zz").replace(b"$ORIGIN/zz", bytes(10)))
    assert found is not None
    assert found.rpath == ()


def test_sections_are_not_needed(tmp_path: Path) -> None:
    data = bytearray(library("liba.so", "libb.so", rpath="$ORIGIN"))
    data[0x28:0x30] = bytes(8)  # e_shoff
    data[0x3C:0x40] = bytes(4)  # e_shnum, e_shstrndx
    found = read(tmp_path, bytes(data))
    assert found is not None
    assert (found.needed[0], found.rpath) == ("libb.so", ("$ORIGIN",))


def test_an_executable_stack_is_seen(tmp_path: Path) -> None:
    found = read(tmp_path, library("liba.so", flags=("-Wl,-z,execstack",)))
    assert found is not None
    assert found.executable_stack


@pytest.mark.parametrize("data", [b"", b"\x7fEL", b"INPUT(libc.so.6)\n", b"PK\x03\x04"])
def test_other_files_are_no_elf_files(tmp_path: Path, data: bytes) -> None:
    assert read(tmp_path, data) is None


def test_an_object_file_is_never_loaded(tmp_path: Path) -> None:
    command = ["cc", "-c", "-x", "c", "/dev/null", "-o", "file"]
    subprocess.run(command, check=True, cwd=tmp_path)
    assert elf.read(tmp_path / "file") is None


def test_a_program_is_told_from_a_library() -> None:
    found = elf.read(Path(sys.executable).resolve())
    assert found is not None
    assert found.is_program


@pytest.mark.parametrize("size", [4, 20, 64, 700])
def test_a_truncated_file_is_unreadable(tmp_path: Path, size: int) -> None:
    with pytest.raises(elf.UnreadableElfError):
        read(tmp_path, library("liba.so")[:size])


def test_what_is_wanted_of_others_is_what_readelf_and_nm_say() -> None:
    source = Path(sys.executable).resolve()
    versions = subprocess.run(
        ["readelf", "-VW", source], check=True, capture_output=True, text=True
    ).stdout.partition("Version needs section")[2]
    expected, library = set(), ""
    for line in versions.splitlines():
        if match := re.search(r"File: (\S+)", line):
            library = match[1]
        elif match := re.search(r"Name: (\S+)", line):
            expected.add((library, match[1]))
    read = elf.read(source)
    assert read is not None
    assert expected
    assert set(read.version_needs) == expected
    assert read.misaligned == ()
    symbols = elf_symbols.read(source)
    lines = subprocess.run(
        ["nm", "-D", "--without-symbol-versions", source],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    kinds = {line.split()[-1]: line.split()[-2] for line in lines}
    assert symbols.wanted == {name for name, kind in kinds.items() if kind == "U"}
    offered = {name for name, kind in kinds.items() if kind not in "Uw"}
    # nm leaves out what is in a section that it does not know.
    assert offered <= symbols.offered
    assert "_start" in offered


def test_a_file_without_dynamic_symbols_has_none(tmp_path: Path) -> None:
    path = tmp_path / "program"
    path.write_bytes(static_program())
    assert elf.read(path) is None
    assert elf_symbols.read(path) == elf_symbols.Symbols(frozenset(), frozenset())


# IBT and SHSTK are properties of the same note; only processors of this kind have such marks.
OTHERS = "-Wl,-z,ibt,-z,shstk"
MARKS = [(OTHERS, 0), (f"{OTHERS},-z,x86-64-v3", 3)] if MACHINE == "x86_64" else [("-Wl,-z,now", 0)]


@pytest.mark.parametrize(("flag", "level"), MARKS)
def test_a_mark_for_processors_is_told_from_others(tmp_path: Path, flag: str, level: int) -> None:
    path = tmp_path / "marked.so"
    path.write_bytes(library("marked.so", flags=(flag,)))
    found = elf.read(path)
    assert found is not None
    assert found.isa_level == level


def test_symbols_of_a_file_without_its_table_of_sections(tmp_path: Path) -> None:
    path = tmp_path / "cut.so"
    whole = library("cut.so")
    # The header names a table of sections that begins behind the end of the file.
    path.write_bytes(whole[:40] + (len(whole) + 64).to_bytes(8, "little") + whole[48:])
    assert elf_symbols.read(path) == elf_symbols.Symbols(frozenset(), frozenset())
