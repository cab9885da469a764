"""python scripts same-library: wheels of one container contain one libcufes."""

from __future__ import annotations

import struct
import sys
import zipfile
from pathlib import Path

import pytest
from wheelkit.target.report import MisusedError
from wheels import same_library


def make(path: Path, *contents: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for number, content in enumerate(contents):
            archive.writestr(f"a{number}.data/data/cufes/libcufes.so", content)
    return path


def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["same-library", str(folder)])
    return same_library.main()


def test_equal_and_different(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "a.whl", b"one")
    make(tmp_path / "b.whl", b"one")
    assert run(tmp_path, monkeypatch) == 0
    # sha256 of the text "one", by coreutils.
    digest = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
    assert capsys.readouterr().out == f"2 wheels hold the same libcufes.so: sha256 {digest}\n"
    make(tmp_path / "c.whl", b"two")
    assert run(tmp_path, monkeypatch) == 1
    assert "7692c3ad3540  a.whl" in capsys.readouterr().err


@pytest.mark.parametrize("contents", [(), (b"one", b"one")])
def test_a_wheel_without_one_library(
    contents: tuple[bytes, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "a.whl", *contents)
    with pytest.raises(MisusedError, match=f"expected one libcufes.so, found {len(contents)}"):
        run(tmp_path, monkeypatch)


def test_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MisusedError, match="holds no wheels"):
        run(tmp_path, monkeypatch)


def cubin(code: bytes) -> bytes:
    """Return an ELF file for CUDA: a header, the code, and a table of one empty section."""
    header = bytearray(64)
    header[:7] = b"\x7fELF\x02\x01\x01"
    struct.pack_into("<H", header, 18, 190)
    struct.pack_into("<Q", header, 40, 64 + len(code))
    struct.pack_into("<HH", header, 58, 64, 1)
    return bytes(header) + code + bytes(64)


def library(host: bytes, *images: bytes) -> bytes:
    return b"\x7fELF\x02\x01\x01" + host + b"\0" * 64 + host.join(images) + b"\0" + host


PTX = b".version 8.8\n.target sm_90\n.func kernel"


def compare(folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["same-library", "--device-code", str(folder)])
    return same_library.main()


def test_device_code_is_compared_without_the_code_of_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    images = (cubin(b"one"), cubin(b"two"), PTX)
    make(tmp_path / "a.whl", library(b"intel", *images))
    make(tmp_path / "b.whl", library(b"arm", *images))
    assert run(tmp_path, monkeypatch) == 1
    assert compare(tmp_path, monkeypatch) == 0
    assert "2 wheels hold the same device code" in capsys.readouterr().out


@pytest.mark.parametrize(
    "other",
    [
        (cubin(b"one"), cubin(b"TWO"), PTX),
        (cubin(b"one"), PTX),
        (cubin(b"one"), cubin(b"two")),
        (cubin(b"one"), cubin(b"two"), PTX + b"2"),
    ],
)
def test_other_device_code_is_noticed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    other: tuple[bytes, ...],
) -> None:
    make(tmp_path / "a.whl", library(b"intel", cubin(b"one"), cubin(b"two"), PTX))
    make(tmp_path / "b.whl", library(b"arm", *other))
    assert compare(tmp_path, monkeypatch) == 1
    assert "different device code" in capsys.readouterr().err


def test_a_library_without_device_code_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "a.whl", library(b"intel"))
    with pytest.raises(MisusedError, match="no device code"):
        compare(tmp_path, monkeypatch)
