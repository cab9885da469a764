"""COLVAR files: the columns that are read, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hills_files import write_hills

from cyfes.errors import CyfesWarning, HillsFileError, InputError
from cyfes.io.colvar_files import colvar_names, iter_colvar, read_colvar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HEADER = "#! FIELDS time phi d metad.bias\n#! SET min_phi -pi\n#! SET max_phi pi\n"
ROWS = "0.0 1 2 3\n0.5 4 5 6\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a small file."""
    path = tmp_path / "COLVAR"
    path.write_text(HEADER + ROWS)
    return path


def test_samples_become_a_table(path: Path, extra: Callable[[str], Any]) -> None:
    extra("pandas")
    table = read_colvar(path).to_dataframe()
    assert list(table) == ["time", "phi", "d", "metad.bias"]
    assert table.loc[1].tolist() == [0.5, 4.0, 5.0, 6.0]


def test_all_columns_but_the_time_are_read(path: Path) -> None:
    colvar = read_colvar(path)
    assert colvar.names == ("phi", "d", "metad.bias")
    assert colvar.values.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert colvar.domain == (("-pi", "pi"), None, None)
    assert colvar.times is not None
    assert colvar.times.tolist() == [0.0, 0.5]
    assert colvar["d"].tolist() == [2, 5]
    assert len(colvar) == 2
    assert repr(colvar) == "<Colvar: 2 samples of phi, d, metad.bias>"
    with pytest.raises(ValueError, match="read-only"):
        colvar.values[0, 0] = 1.0


def test_columns_can_be_chosen_and_ordered(path: Path) -> None:
    colvar = read_colvar([path], columns=["metad.bias", "phi"])
    assert colvar.values.tolist() == [[3, 1], [6, 4]]
    assert colvar.domain == (None, ("-pi", "pi"))


def test_the_centres_of_a_hills_file_are_samples(tmp_path: Path) -> None:
    hills = write_hills(tmp_path / "HILLS")
    assert read_colvar(hills).names == ("phi", "psi")
    assert colvar_names([hills]) == ("phi", "psi")


def test_files_follow_each_other_and_may_have_other_columns_beside(path: Path) -> None:
    second = path.with_name("COLVAR.1")
    second.write_text(HEADER.replace("d metad", "d x metad") + "1 7 8 ? 9\n")
    colvar = read_colvar(path, second, columns=["d"])
    assert colvar.values.tolist() == [[2], [5], [8]]
    assert [len(part) for part in iter_colvar(path, second, columns=["d"])] == [2, 1]


def test_times_are_unknown_unless_every_file_has_them(path: Path) -> None:
    second = path.with_name("COLVAR.1")
    second.write_text("#! FIELDS d\n8\n")
    assert read_colvar(path, second, columns=["d"]).times is None


@pytest.mark.parametrize(
    ("content", "columns", "message"),
    [
        (HEADER, None, ":3: found no samples, expected at least one"),
        ("#! FIELDS time\n1\n", None, ":1: found no samples in the columns time"),
        (HEADER + ROWS, ["x"], r":1: found 0 columns x \(time phi d metad.bias\), expected one"),
        (HEADER.replace("phi d", "d d") + ROWS, ["d"], ":1: found 2 columns d"),
        (HEADER + ROWS + "1 2 nan 3\n", None, ":6: column d: found 'nan', expected a finite"),
        (HEADER + ROWS + HEADER.replace("-pi", "0") + ROWS, None, ":6: found phi from 0 to pi, d"),
    ],
)
def test_faulty_files_are_refused(
    content: str, columns: list[str] | None, message: str, path: Path
) -> None:
    path.write_text(content)
    with pytest.raises(HillsFileError, match=message):
        read_colvar(path, columns=columns)


def test_a_name_that_is_absent_is_refused(path: Path) -> None:
    with pytest.raises(InputError, match="found no column x, expected one of phi, d"):
        read_colvar(path)["x"]
    with pytest.raises(InputError, match="found no file name"):
        read_colvar()


def test_a_cut_off_last_line_is_told(path: Path) -> None:
    path.write_text(HEADER + ROWS + "1 2")
    with pytest.warns(CyfesWarning, match="COLVAR:6: found no line end"):
        assert np.shape(read_colvar(path).values) == (2, 3)
