"""python scripts same-library: wheels of one container contain one libcufes."""

from __future__ import annotations

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
