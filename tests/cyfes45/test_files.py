"""Text tables: what is read of them, what is written, and what is refused with its line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import cyfes

if TYPE_CHECKING:
    from pathlib import Path

ROWS = "1 2 3 0.5\n4 5 6 -1.5\n7 8 9 2.5e-1\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Return a table without a header."""
    path = tmp_path / "samples.txt"
    path.write_text(ROWS)
    return path


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, [4.0, 7.0]),
        ({"hat_lines": 0}, [1.0, 4.0, 7.0]),
        ({"idx": 3, "hat_lines": 0}, [0.5, -1.5, 0.25]),
        ({"idx": -1, "hat_lines": 0}, [0.5, -1.5, 0.25]),
        ({"idx": [2, 0], "hat_lines": 0}, [[3.0, 1.0], [6.0, 4.0], [9.0, 7.0]]),
        ({"idx": (1,), "hat_lines": 2}, [[8.0]]),
        ({"idx": np.array([1, 1]), "hat_lines": 2}, [[8.0, 8.0]]),
        ({"hat_lines": 0, "max_size": 2}, [1.0, 4.0]),
        ({"hat_lines": 1, "max_size": 1}, [4.0]),
        ({"hat_lines": 0, "max_size": 100}, [1.0, 4.0, 7.0]),
    ],
)
def test_columns_are_read(arguments: dict[str, Any], expected: Any, table: Path) -> None:
    found = cyfes.read_out(table, **arguments)
    assert found.dtype == "float64"
    np.testing.assert_array_equal(found, expected)


def test_arguments_may_be_positional_as_in_cyfes45(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1, 2\n3,4\n5,6\n")
    found = cyfes.read_out(str(tmp_path / "a.csv"), [1, 0], 1, 2, ",")
    np.testing.assert_array_equal(found, [[2.0, 1.0], [4.0, 3.0]])


@pytest.mark.parametrize(
    "text",
    [
        "#! FIELDS x y z bias\n#! SET min_x -pi\n" + ROWS,
        "# written by something else\n\n" + ROWS.replace("\n", "\n\n"),
        ROWS.replace("4 5", "#! FIELDS x y z bias\n4 5").rstrip("\n"),
        ROWS.replace("0.5", "0.5 # the first"),
        "\ufeff" + ROWS.replace("\n", "\r\n"),
    ],
    ids=["header", "blank lines", "header in the middle", "comment", "from a spreadsheet"],
)
def test_cyfes45_crash_on_headers_is_gone(text: str, table: Path) -> None:
    table.write_text(text, encoding="utf-8")
    found = cyfes.read_out(table, [0, 3], hat_lines=0)
    np.testing.assert_array_equal(found, [[1.0, 0.5], [4.0, -1.5], [7.0, 0.25]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ROWS.replace("5 6", "x 6"), "samples.txt:2: found 'x', expected a number"),
        (ROWS.replace("5 6", "1_0 6"), "samples.txt:2: found '1_0', expected a number"),
        (ROWS.replace("8", "nan"), "samples.txt:3: found nan, expected a finite number"),
        (ROWS.replace("8", "-inf"), "samples.txt:3: found -inf, expected a finite number"),
        (ROWS.replace("8", "1e999"), "samples.txt:3: found 1e999, expected a finite number"),
        (
            "#! FIELDS\n" + ROWS + "10\n",
            "samples.txt:5: found 1 columns, expected column 1, counted from 0",
        ),
        ("#! FIELDS x\n\n", "samples.txt: found no row of numbers, expected at least one"),
        ("", "samples.txt: found no row of numbers"),
        (b"\xff\xfe1 2 3\n", "samples.txt:1: found "),
    ],
)
def test_faulty_tables_are_refused_by_line(text: str | bytes, message: str, table: Path) -> None:
    table.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(cyfes.InputError, match=re.escape(message)):
        cyfes.read_out(table, [0, 1], hat_lines=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"idx": 4}, "samples.txt:2: found 4 columns, expected column 4, counted from 0"),
        ({"idx": [0, -5]}, "samples.txt:2: found 4 columns, expected column -5"),
        ({"idx": "0"}, "idx: found '0', expected a column number or a list of them"),
        ({"idx": 1.0}, "idx: found 1.0, expected"),
        ({"idx": []}, "idx: found [], expected"),
        ({"idx": [[0]]}, "idx: found [[0]], expected"),
        ({"hat_lines": -1}, "hat_lines: found -1, expected a whole number from 0"),
        ({"hat_lines": None}, "hat_lines: found None, expected a whole number from 0"),
        ({"max_size": 0}, "max_size: found 0, expected a whole number from 1"),
        ({"max_size": 1.5}, "max_size: found 1.5, expected a whole number from 1"),
        ({"dlm": ""}, "dlm: found an empty string"),
        ({"dlm": ","}, "samples.txt:2: found '4 5 6 -1.5', expected a number"),
        ({"hat_lines": 3}, "found no row of numbers"),
    ],
)
def test_read_out_refuses(arguments: dict[str, Any], message: str, table: Path) -> None:
    with pytest.raises(cyfes.InputError, match=re.escape(message)):
        cyfes.read_out(table, **arguments)


def test_missing_file_is_the_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        cyfes.read_out(tmp_path / "absent.txt")


@pytest.mark.parametrize("shape", [(5,), (5, 3)])
def test_saved_free_energies_are_read_back_bit_by_bit(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    values = np.random.default_rng(0).normal(size=shape)
    cyfes.save_fes(tmp_path / "fes.csv", values)
    np.testing.assert_array_equal(np.loadtxt(tmp_path / "fes.csv", delimiter=","), values)


def test_cyfes45_units_of_the_table_are_one_system(tmp_path: Path) -> None:
    path = tmp_path / "fes.dat"
    assert cyfes.save_dat(path, np.array([[1.0, -2.0, 0.5]]), np.array([12.5])) == 1
    assert path.read_text(encoding="utf-8") == (
        "#! FIELDS x(Å) y(Å) z(Å) fes(kcal/mol)\n1\t-2\t0.5\t12.5\n"
    )
    cyfes.save_dat(path, [[1, -2, 0]], [12], unit="kJ/mol")
    assert "fes(kJ/mol)\n1\t-2\t0\t12\n" in path.read_text(encoding="utf-8")


def test_large_tables_keep_their_rows(tmp_path: Path) -> None:
    points, values = np.random.default_rng(0).normal(size=(40000, 3)), np.arange(40000.0)
    cyfes.save_dat(tmp_path / "fes.dat", points, values)
    found = cyfes.read_out(tmp_path / "fes.dat", [0, 1, 2, 3])
    np.testing.assert_allclose(found, np.column_stack([points, values]), rtol=1e-8)


@pytest.mark.parametrize(
    ("save", "message"),
    [
        (lambda path: cyfes.save_fes(path, [np.nan]), "Z: found [nan] in row 0"),
        (lambda path: cyfes.save_fes(path, np.zeros((2, 2, 2))), "Z: found shape (2, 2, 2)"),
        (lambda path: cyfes.save_fes(path, [1j]), "Z: found numbers of type complex128"),
        (lambda path: cyfes.save_dat(path, np.zeros((4, 2)), np.zeros(4)), "path: found shape"),
        (
            lambda path: cyfes.save_dat(path, np.zeros((4, 3)), np.zeros(3)),
            "Z: found 3 numbers for 4 points of path",
        ),
        (lambda path: cyfes.save_dat(path, [[0, 0, np.inf]], [0]), "path: found [ 0.  0. inf]"),
        (
            lambda path: cyfes.save_dat(path, [[0, 0, 0]], [0], unit="kJ mol"),
            "unit: found 'kJ mol', expected one word",
        ),
    ],
)
def test_nothing_is_written_of_faulty_numbers(save: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(cyfes.InputError, match=re.escape(message)):
        save(tmp_path / "fes.dat")
    assert not list(tmp_path.iterdir())
