"""The seal stands for every byte of a folder."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from wheelkit.release import seal
from wheelkit.target.report import FaultyError, MisusedError, sha256


def folder(tmp_path: Path) -> Path:
    for name in ("a-1.0.tar.gz", "a-1.0-py3-none-any.whl"):
        (tmp_path / name).write_text(name)
    return tmp_path


def ids(caught: pytest.ExceptionInfo[FaultyError]) -> list[str]:
    return [fault.id for fault in caught.value.faults]


def test_what_was_sealed_opens(tmp_path: Path) -> None:
    digest, hashes = seal.write(folder(tmp_path))
    assert seal.opened(tmp_path, digest) == hashes
    assert hashes["a-1.0.tar.gz"] == sha256(tmp_path / "a-1.0.tar.gz")


def test_the_list_is_one_that_sha256sum_reads(tmp_path: Path) -> None:
    seal.write(folder(tmp_path))
    subprocess.run(["sha256sum", "--check", "--strict", seal.NAME], check=True, cwd=tmp_path)


def test_sealing_again_gives_the_same_seal(tmp_path: Path) -> None:
    assert seal.write(folder(tmp_path)) == seal.write(tmp_path)


@pytest.mark.parametrize("name", ["notes.txt", ".hidden", "folder.whl/"])
def test_something_else_is_not_sealed(tmp_path: Path, name: str) -> None:
    strange = folder(tmp_path) / name
    strange.mkdir() if name.endswith("/") else strange.write_text("")
    with pytest.raises(FaultyError) as caught:
        seal.write(tmp_path)
    assert ids(caught) == ["not-a-distribution"]
    assert not (tmp_path / seal.NAME).exists()


def test_nothing_is_not_sealed(tmp_path: Path) -> None:
    with pytest.raises(FaultyError) as caught:
        seal.write(tmp_path)
    assert ids(caught) == ["file-missing"]


def test_a_list_with_a_path_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / seal.NAME).write_text(f"{'0' * 64}  ../a.whl\n")
    with pytest.raises(FaultyError) as caught:
        seal.opened(tmp_path, sha256(tmp_path / seal.NAME))
    assert ids(caught) == ["seal-broken"]


@pytest.mark.parametrize("wrong", ["", "0" * 63, "G" * 64])
def test_no_hash_is_wrong_usage(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(MisusedError, match="no sha256"):
        seal.opened(tmp_path, wrong)
