"""What looks like a mistake of a run, or of its files, is told with its line and time."""

from __future__ import annotations

import shutil
import warnings
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hills_files import HEADER_1D, write_hills

from cyfes.cli.main import main
from cyfes.errors import CyfesWarning
from cyfes.io import column_files
from cyfes.io.hills_files import iter_hills, read_hills

if TYPE_CHECKING:
    from pathlib import Path

    CAPTURE = pytest.CaptureFixture[str]

HEAD = HEADER_1D.count("\n")


def _rows(count: int = 40, start: int = 1) -> list[str]:
    """Return the rows of an ordinary run, one hill at each time, with shrinking heights."""
    return [f"{t} {np.sin(t):.3f} 0.2 {1.5 * 0.97**t:.6f} 10" for t in range(start, start + count)]


def _told(path: Path, rows: list[str]) -> list[str]:
    write_hills(path, HEADER_1D + "".join(f"{row}\n" for row in rows))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read_hills(path)
    return [str(warning.message) for warning in caught]


def test_an_ordinary_run_is_told_nothing_of(tmp_path: Path) -> None:
    assert _told(tmp_path / "HILLS", _rows()) == []
    # Widths and heights may vary, and the hills may be laid twice as often after a restart.
    rows = [*_rows(), "40.5 0 0.5 1.2 10", "41 0 0.1 0.001 10", "41.5 0 0.3 1.0 10"]
    assert _told(tmp_path / "HILLS", rows) == []


def test_walkers_in_one_file_have_several_hills_of_each_time(tmp_path: Path) -> None:
    rows = [row for row in _rows() for _ in range(3)]
    assert _told(tmp_path / "HILLS", rows) == []
    (told,) = _told(tmp_path / "HILLS", [*rows, "41 0 0.2 0.1 10", "42 0 0.2 0.1 10"])
    assert f"HILLS:{HEAD + 2}: time 1: found more than one hill of this time" in told


def _changed(rows: list[str], row: int, column: int, word: str) -> list[str]:
    words = rows[row].split()
    words[column] = word
    return [*rows[:row], " ".join(words), *rows[row + 1 :]]


@pytest.mark.parametrize(
    ("rows", "line", "message"),
    [
        # A restart from an older checkpoint lays hills again.
        ([*_rows(20), *_rows(20, start=11)], 21, "time 11: found a time that falls, from 20"),
        # The same step twice.
        ([*_rows(20), _rows(20)[-1], *_rows(9, start=21)], 21, "time 20: found more than one hill"),
        ([*_rows(20), *_rows(20, start=90)], 21, "time 90: found no hills since time 20, but usu"),
        (_changed(_rows(), 30, 3, "20"), 31, "time 31: found the height 20, but at most 1.455"),
        (_changed(_rows(), 30, 3, "-20"), 31, "time 31: found the height 20, but at most 1.455"),
        (_changed(_rows(), 12, 2, "3.0"), 13, "time 13: found the width 3, but usually 0.2"),
        (_changed(_rows(), 12, 2, "0.001"), 13, "time 13: found the width 0.001, but usually 0.2"),
    ],
)
@pytest.mark.parametrize("block", [1 << 22, 400])
@pytest.mark.parametrize("comments", [False, True])
def test_mistakes_are_told_with_line_and_time(
    rows: list[str],
    line: int,
    message: str,
    block: int,
    comments: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(column_files, "_BLOCK", block)
    if comments:
        rows = [f"# a comment\n\n{row}" for row in rows]
        line *= 3
    (told,) = _told(tmp_path / "HILLS", rows)
    assert f"HILLS:{HEAD + line}: {message}" in told


def test_each_kind_is_told_once_with_its_number(tmp_path: Path) -> None:
    rows = _changed(_changed(_changed(_rows(), 30, 2, "9"), 20, 2, "8"), 10, 3, "100")
    told = _told(tmp_path / "HILLS", rows)
    assert len(told) == 2
    assert "time 21: found the width 8, but usually 0.2 (and 1 more such places)" in told[1]


def test_equal_files_are_told_whatever_their_names(tmp_path: Path) -> None:
    first = write_hills(tmp_path / "HILLS.0", HEADER_1D + "\n".join(_rows()) + "\n")
    shutil.copy(first, tmp_path / "HILLS.1")
    write_hills(tmp_path / "HILLS.2", HEADER_1D + "\n".join(_rows(39)) + "\n")
    with pytest.warns(
        CyfesWarning, match=r"HILLS\.1: found the same hills as in .*HILLS\.0"
    ) as told:
        read_hills(tmp_path / "HILLS.*")
    assert len(told) == 1
    with pytest.warns(CyfesWarning, match="the same hills"):
        list(iter_hills(tmp_path / "HILLS.*"))
    assert len(read_hills(tmp_path / "HILLS.*", check=False)) == 119


def test_commands_tell_mistakes_once_unless_told_not_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: CAPTURE
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [*_rows(20), *_rows(20, start=11)]
    write_hills(tmp_path / "HILLS", HEADER_1D + "\n".join(rows) + "\n")
    expected = f"cyfes: warning: HILLS:{HEAD + 21}: time 11: found a time that falls, from 20"
    grid = ["--min", "-2", "--max", "2", "--bin", "20"]
    # The first is a small job, which is done without NumPy if nothing is to be told.
    for command in (["sum-hills", *grid], ["sum-hills"], ["analyze", *grid]):
        assert main([*command, "--hills", "HILLS"]) == 0
        assert capsys.readouterr().err.count(expected) == 1
        assert main([*command, "--hills", "HILLS", "--no-check"]) == 0
        assert "time that falls" not in capsys.readouterr().err
    for row, column, word in ((12, 2, "3"), (12, 3, "90"), (12, 0, "5"), (12, 0, "12")):
        text = "\n".join(_changed(_rows(), row, column, word))
        write_hills(tmp_path / "HILLS", f"{HEADER_1D}{text}\n")
        assert main(["sum-hills", *grid, "--hills", "HILLS"]) == 0
        assert f"HILLS:{HEAD + 13}: time" in capsys.readouterr().err
