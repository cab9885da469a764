"""PLUMED's number literals, its grid file, and its way of keeping older files."""

from __future__ import annotations

import ctypes
import gzip
import math
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cyfes.base.numbers import check_number_format, format_number, parse_number
from cyfes.errors import InputError
from cyfes.io.plumed_grid import grid_blocks
from cyfes.io.text_files import check_target, next_backup, write_text
from cyfes.model.grid import Grid

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0.0),
        ("-1.5", -1.5),
        ("+.5e1", 5.0),
        ("3.", 3.0),
        ("pi", math.pi),
        ("-pi", -math.pi),
        ("+PI", math.pi),
        ("2*pi", 2.0 * math.pi),
        ("2pi", 2.0 * math.pi),
        ("-0.5*pi", -0.5 * math.pi),
        ("pi/2", math.pi / 2.0),
        ("-3*pi/4", -3.0 * math.pi / 4.0),
        ("1/3", 1.0 / 3.0),
        (" 7 ", 7.0),
    ],
)
def test_parse_number_reads_numbers_and_multiples_of_pi(text: str, value: float) -> None:
    assert parse_number(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "x", "Pi", "--pi", "pi*2", "1_000", "0x10", "nan", "inf", "1e999", "pi/0", "1 2", "1,2"],
)
def test_parse_number_refuses_anything_else(text: str) -> None:
    with pytest.raises(InputError, match="expected"):
        parse_number(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.5, "-0.5"),
        (100.0, "100"),
        (1e8, "1e+08"),
        (0.726691, "0.726691"),
        (0.1234567, "0.1234567"),
        (-math.pi, "-3.141592653589793"),
    ],
)
def test_format_number_is_short_where_nothing_is_lost(value: float, text: str) -> None:
    assert format_number(value) == text
    assert parse_number(text) == value


@pytest.mark.parametrize(
    "fmt",
    ["%14.9f", "%8.3lf", "%23.16lg", "%f", "%.6e", "%G", "%-12.3E", "%+08.2F", "%#.0f", "% .4f"],
)
@pytest.mark.parametrize("value", [0.0, -0.0, 1.0 / 3.0, -1e-12, 123456.789, -1e-300, 1e300])
def test_a_number_is_printed_as_c_prints_it(fmt: str, value: float) -> None:
    buffer = ctypes.create_string_buffer(1000)
    ctypes.CDLL(None).snprintf(buffer, 1000, fmt.encode(), ctypes.c_double(value))
    assert check_number_format(fmt) % value == buffer.value.decode()


@pytest.mark.parametrize(
    "fmt",
    ["", "14.9f", "%d", "%s", "%14.9", "%f%f", "%%", "%*f", "%n", "%f\n", "x%f", "%9999f", "%lld"],
)
def test_a_format_of_anything_but_one_number_is_refused(fmt: str) -> None:
    with pytest.raises(InputError, match=r"expected one such as %14\.9f"):
        check_number_format(fmt)


def test_grid_text_of_two_dimensions_has_the_first_cv_fastest_and_blank_lines_between() -> None:
    grid = Grid([0.0, "-pi"], [1.0, "pi"], [1, 2], [False, True])
    values = np.array([[1.0, 2.0], [3.0, -0.0]])
    columns = {"file.free": values, "x": -values}
    text = b"".join(grid_blocks(grid, ("d", "phi"), grid.bounds, columns, "%5.1f"))
    assert text.decode() == (
        "#! FIELDS d phi file.free x\n"
        "#! SET min_d 0\n"
        "#! SET max_d 1\n"
        "#! SET nbins_d  2\n"
        "#! SET periodic_d false\n"
        "#! SET min_phi -pi\n"
        "#! SET max_phi pi\n"
        "#! SET nbins_phi  2\n"
        "#! SET periodic_phi true\n"
        "   0.0  -3.1   1.0  -1.0\n"
        "   1.0  -3.1   3.0  -3.0\n"
        "\n"
        "   0.0   0.0   2.0  -2.0\n"
        "   1.0   0.0  -0.0   0.0\n"
    )


@pytest.mark.parametrize("shape", [(4,), (3, 2), (2, 3, 2), (2, 2, 3, 2)])
def test_blank_lines_precede_rows_with_index_zero_on_the_last_axis_but_one(
    shape: tuple[int, ...],
) -> None:
    grid = Grid(0.0, 1.0, list(shape), periodic=True)
    names = "abcd"[: len(shape)]
    values = np.arange(grid.size, dtype=float).reshape(shape)
    text = b"".join(grid_blocks(grid, names, grid.bounds, {"v": values}, "%.3f")).decode()
    expected = []
    for number, outer in enumerate(np.ndindex(*reversed(shape))):
        index = outer[::-1]
        if number > 0 and len(shape) > 1 and index[len(shape) - 2] == 0:
            expected.append("")
        point = [axis[i] for axis, i in zip(grid.axes, index)]
        expected.append("".join(f" {x:.3f}" for x in [*point, values[index]]))
    assert text.split("\n")[1 + 4 * len(shape) :] == [*expected, ""]


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
