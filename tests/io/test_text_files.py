"""How text files are written, and PLUMED's way of keeping older files."""

from __future__ import annotations

import gzip
import os
from typing import TYPE_CHECKING

import pytest

from cyfes.errors import InputError
from cyfes.io.text_files import check_target, next_backup, write_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def _failing_blocks() -> Iterator[str]:
    yield "half a file"
    raise RuntimeError("out of numbers")


def test_a_failed_write_leaves_the_older_file_alone(tmp_path: Path) -> None:
    target = tmp_path / "fes.dat"
    target.write_text("old")
    with pytest.raises(RuntimeError, match="out of numbers"):
        write_text(target, _failing_blocks())
    assert [path.name for path in tmp_path.iterdir()] == ["fes.dat"]
    assert target.read_text() == "old"


def test_older_files_are_kept_under_rising_numbers(tmp_path: Path) -> None:
    target = tmp_path / "fes.dat"
    for content in ("first", "second", "third"):
        write_text(target, [content])
    assert target.read_text() == "third"
    assert (tmp_path / "bck.0.fes.dat").read_text() == "first"
    assert (tmp_path / "bck.1.fes.dat").read_text() == "second"
    assert len(list(tmp_path.iterdir())) == 3


def test_a_written_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    write_text(tmp_path / "fes.dat", ["x"])
    (tmp_path / "plain").write_text("x")
    assert (tmp_path / "fes.dat").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_too_many_backups_are_refused_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLUMED_MAXBACKUP", "1")
    target = tmp_path / "fes.dat"
    for content in ("first", "second", "third"):
        write_text(target, [content])
    with pytest.raises(InputError, match=r"found backups bck\.0 to bck\.1"):
        write_text(target, ["fourth"])
    assert target.read_text() == "third"
    assert len(list(tmp_path.iterdir())) == 3


def test_no_backup_is_kept_where_plumed_is_told_to_keep_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLUMED_MAXBACKUP", "0")
    target = tmp_path / "fes.dat"
    write_text(target, ["first"])
    write_text(target, ["second"])
    assert [path.name for path in tmp_path.iterdir()] == ["fes.dat"]
    assert target.read_text() == "second"


def test_a_backup_limit_that_is_no_number_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLUMED_MAXBACKUP", "many")
    with pytest.raises(InputError, match="PLUMED_MAXBACKUP: found 'many'"):
        next_backup(tmp_path / "fes.dat")


def test_a_name_ending_with_gz_is_written_compressed(tmp_path: Path) -> None:
    write_text(tmp_path / "fes.dat.gz", ["a\n", "b\n"])
    with gzip.open(tmp_path / "fes.dat.gz", "rt") as stream:
        assert stream.read() == "a\nb\n"


@pytest.mark.parametrize("name", ["-", "/dev/stdout"])
def test_standard_output_is_written_in_place(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    check_target(name)
    write_text(name, ["a\n", "b\n"])
    assert capsys.readouterr().out == "a\nb\n"
    assert not list(tmp_path.iterdir())


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    check_target(pipe)
    write_text(pipe, ["through"])
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert pipe.is_fifo()


def test_a_target_in_no_directory_is_refused_beforehand(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found no directory"):
        check_target(tmp_path / "absent" / "fes.dat")
    check_target(tmp_path / "fes.dat")


def test_a_write_protected_directory_is_refused_beforehand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The superuser may write anywhere, so the answer of the system is given here.
    monkeypatch.setattr(os, "access", lambda path, mode: (path, mode) != (tmp_path, os.W_OK))
    with pytest.raises(InputError, match="write-protected"):
        check_target(tmp_path / "fes.dat")
