"""Device code is read from bytes: real compilers' output where there is one, and headers alone."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from wheelkit.wheel import device_images
from wheelkit.wheel.device_images import Images

# From the headers that NVRTC 12.9 and nvcc 13.0 write: ABI, e_flags, architecture.
CUBINS = [
    (51, 0x320532, 50),
    (51, 0x4B054B, 75),
    (51, 0x5A055A, 90),
    (65, 0x6006402, 100),
    (65, 0x6007802, 120),
    (65, 0x6004B04, 75),
]


def cubin(abi: int, flags: int, machine: int = 190) -> bytes:
    ident = b"\x7fELF\x02\x01\x01" + bytes([abi, 7]) + bytes(7)
    return ident + struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, 0, 0, 0, flags, 64, 0, 0, 0, 0, 0)


def fatbin(*entries: tuple[int, int]) -> bytes:
    """Return a fatbin of entries (kind, architecture), their payloads compressed beyond reading."""
    body = b"".join(
        struct.pack("<HHIQIIII", kind, 0x101, 64, 24, 0, 0, 8, arch) + bytes(32) + b"\x28" * 24
        for kind, arch in entries
    )
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(body)) + body


def ptx(arch: str, between: str = "") -> bytes:
    return f"//\n// Compiler Build\n\n.version 8.8\n{between}.target sm_{arch}\n".encode()


def read(folder: Path, data: bytes) -> Images:
    path = folder / "file"
    path.write_bytes(data)
    return device_images.read(path)


@pytest.mark.parametrize(("abi", "flags", "arch"), CUBINS)
def test_a_cubin_says_its_architecture(tmp_path: Path, abi: int, flags: int, arch: int) -> None:
    assert read(tmp_path, b"code" + cubin(abi, flags)) == Images(sass=frozenset({arch}))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x7fELF",
        cubin(51, 50, machine=62),
        cubin(51, 50)[:51],
        b"\x50\xed\x55\xba",
        b".version",
    ],
)
def test_other_bytes_are_no_device_code(tmp_path: Path, data: bytes) -> None:
    assert not read(tmp_path, data)


def test_a_cubin_of_an_unknown_form_is_not_passed_over(tmp_path: Path) -> None:
    found = read(tmp_path, cubin(66, 0x1234))
    assert found.unknown == {"a cubin of ABI 66"}
    assert found


def test_the_entries_of_a_fatbin_are_read_whether_compressed_or_not(tmp_path: Path) -> None:
    found = read(tmp_path, bytes(100) + fatbin((2, 80), (2, 90), (1, 90), (8, 75)) + bytes(100))
    assert found == Images(sass=frozenset({80, 90}), ptx=frozenset({90}))


@pytest.mark.parametrize(
    ("data", "unknown"),
    [
        (fatbin((2, 80))[:40], "a truncated fatbin"),
        (fatbin((2, 80))[:20] + bytes(200), "a damaged fatbin"),
    ],
)
def test_a_broken_fatbin_is_not_passed_over(tmp_path: Path, data: bytes, unknown: str) -> None:
    assert read(tmp_path, data).unknown == {unknown}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (ptx("90"), {90}),
        (ptx("90a"), {90}),
        (ptx("75") + ptx("80"), {75, 80}),
        (ptx("90", "// why\n"), {90}),
        (b".target sm_90", set()),
        (b".version 8.8\n.target sm_%d", set()),
    ],
)
def test_ptx_is_known_by_its_head(tmp_path: Path, text: bytes, found: set[int]) -> None:
    assert read(tmp_path, text).ptx == found


@pytest.mark.parametrize("before", range(-80, 40, 8))
def test_what_lies_across_two_blocks_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    monkeypatch.setattr(device_images, "BLOCK", 1024)
    monkeypatch.setattr(device_images, "OVERLAP", 256)
    filler = bytes(1024 + before)
    found = read(tmp_path, filler + cubin(51, 80) + filler + ptx("90") + filler + fatbin((2, 75)))
    assert found == Images(sass=frozenset({80, 75}), ptx=frozenset({90}))


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as stream:
        stream.truncate(1 << 29)
        stream.seek(0, os.SEEK_END)
        stream.write(cubin(51, 80))
    # VmHWM is the program's own peak; ru_maxrss also holds that of the process that started it.
    program = (
        "import sys; from pathlib import Path; from wheelkit.wheel import device_images\n"
        "assert device_images.read(Path(sys.argv[1])).sass == {80}\n"
        "status = Path('/proc/self/status').read_text()\n"
        "print(status.partition('VmHWM:')[2].split()[0])"
    )
    command = [sys.executable, "-c", program, str(path)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(answer.stdout) < 100 * 1024  # KiB
