"""The text of a PLUMED grid file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import cyfes
from cyfes.io.plumed_grid import grid_blocks
from cyfes.model.grid import Grid

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


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


def test_every_row_of_a_large_grid_is_written_once() -> None:
    # The text is made in blocks of 32768 rows; the last of these grids' blocks has one row.
    for points in (32767, 32768, 65537):
        grid = Grid(0.0, float(points - 1), points - 1)
        text = b"".join(grid_blocks(grid, ("a",), grid.bounds, {"v": grid.axes[0]}, "%.0f"))
        rows = text.decode().splitlines()[5:]
        assert rows == [f" {number} {number}" for number in range(points)]


def _grid_text(nbins: int, rows: str) -> str:
    """Return a file over x, -1 to 1, as DUMPGRID writes it for CONVERT_TO_FES."""
    header = "#! FIELDS x fes dfes_x\n#! SET min_x -1.0\n#! SET max_x 1.0\n"
    return f"{header}#! SET nbins_x  {nbins}\n#! SET periodic_x false\n{rows}"


DUMPED = "  -1.0 inf nan\n  -0.5 3.0 -6.0\n   0.0 0.0 0.0\n   0.5 4.0 8.0\n   1.0 inf nan\n"


@pytest.mark.parametrize("nbins", [4, 5], ids=["bins, as DUMPGRID", "points, as sum_hills"])
def test_nbins_may_count_bins_or_points(nbins: int, tmp_path: Path) -> None:
    (tmp_path / "fes.dat").write_text(_grid_text(nbins, DUMPED))
    fes = cyfes.load(tmp_path / "fes.dat")
    assert fes.grid.axes[0].tolist() == [-1.0, -0.5, 0.0, 0.5, 1.0]
    assert fes.values.tolist() == [np.inf, 3.0, 0.0, 4.0, np.inf]
    assert fes.gradient is not None
    assert fes.gradient[0, 1:4].tolist() == [-6.0, 0.0, 8.0]
    (minimum,) = fes.minima()
    assert (minimum.position, minimum.value) == ((0.0,), 0.0)


def test_two_axes_count_bins_alike(tmp_path: Path) -> None:
    head = "#! FIELDS x y h\n"
    for name, nbins, periodic in (("x", 2, "false"), ("y", 3, "true")):
        head += f"#! SET min_{name} 0\n#! SET max_{name} 6\n#! SET nbins_{name} {nbins}\n"
        head += f"#! SET periodic_{name} {periodic}\n"
    rows = "".join(f"{x} {y} {x + 10 * y}\n" for y in (0, 2, 4) for x in (0, 3, 6))
    (tmp_path / "h.grid").write_text(head + rows)
    surface = cyfes.load(tmp_path / "h.grid")
    assert [axis.tolist() for axis in surface.grid.axes] == [[0, 3, 6], [0, 2, 4]]
    assert surface.values[2].tolist() == [6, 26, 46]


def test_other_numbers_of_rows_are_refused(tmp_path: Path) -> None:
    (tmp_path / "fes.dat").write_text(_grid_text(7, DUMPED))
    with pytest.raises(cyfes.InputError, match="found 5 rows of 3 numbers, expected 7 of 3"):
        cyfes.load(tmp_path / "fes.dat")


def test_points_that_end_a_bin_before_the_maximum_are_read_where_they_are(tmp_path: Path) -> None:
    rows = DUMPED[: DUMPED.index("   1.0")].replace("inf nan", "9 0")
    (tmp_path / "external").write_text(_grid_text(4, rows))
    axis = cyfes.load(tmp_path / "external").grid.axes[0]
    assert axis.tolist() == [-1.0, -0.5, 0.0, 0.5]


def _joined_frames(tmp_path: Path) -> Path:
    path = tmp_path / "joined.dat"
    frames = [_grid_text(4, DUMPED.replace("3.0", value)) for value in ("1.0", "2.0", "3.0")]
    path.write_text(_grid_text(4, "") + "".join(frames))
    return path


def test_frames_are_read_as_a_series_or_by_number(tmp_path: Path) -> None:
    path = _joined_frames(tmp_path)
    series = cyfes.load_series(path, unit="kJ/mol", temperature=300)
    assert [fes.values[1] for fes in series] == [1.0, 2.0, 3.0]
    assert series[0].kT == pytest.approx(2.494339, abs=1e-6)
    assert [cyfes.load(path, frame=n).values[1] for n in (0, 1, -1)] == [1.0, 2.0, 3.0]
    with pytest.warns(
        cyfes.CyfesWarning,
        match="found 3 frames, took the last one. For another frame, give frame=N",
    ):
        assert cyfes.load(path).values[1] == 3.0
    for frame in (3, -4):
        with pytest.raises(cyfes.InputError, match=f"expected one numbered {frame}"):
            cyfes.load(path, frame=frame)
    with pytest.raises(cyfes.InputError, match="found 1 frames, expected one numbered 1"):
        cyfes.load(_one_frame(tmp_path), frame=1)


def _one_frame(tmp_path: Path) -> Path:
    (tmp_path / "one.dat").write_text(_grid_text(4, DUMPED))
    return tmp_path / "one.dat"


def test_a_fault_in_a_frame_names_the_frame(tmp_path: Path) -> None:
    path = _joined_frames(tmp_path)
    path.write_text(path.read_text().replace("0.5 4.0 8.0\n", "0.5 4.0\n", 2))
    with pytest.raises(cyfes.InputError, match=r"joined\.dat: frame 0 of 0 to 2: found a row"):
        cyfes.load_series(path)


def test_rows_above_the_header_are_refused(tmp_path: Path) -> None:
    (tmp_path / "fes.dat").write_text("1 2\n" + _grid_text(4, DUMPED))
    with pytest.raises(cyfes.InputError, match="found rows above the '#! FIELDS' header"):
        cyfes.load(tmp_path / "fes.dat")


@pytest.mark.parametrize("name", ["fes.dat", "fes.npz", "fes.nc"])
def test_the_error_of_f_is_kept_and_converted(
    name: str, tmp_path: Path, extra: Callable[[str], Any]
) -> None:
    if name == "fes.nc":
        extra("scipy")
    grid = Grid([0.0, 0.0], [1.0, 1.0], [2, 3])
    values = np.arange(12.0).reshape(grid.shape)
    fes = cyfes.FreeEnergySurface(values, grid, ("a", "b"), unit="kJ/mol", error=0.25 * values)
    fes.save(tmp_path / name)
    read = cyfes.load(tmp_path / name, unit="kJ/mol")
    assert read.error is not None
    assert read.error.tolist() == (0.25 * values).tolist()
    calories = read.to("kcal/mol")
    assert calories.error is not None
    assert calories.error[2, 3] == pytest.approx(11.0 / 4.0 / 4.184)
    with pytest.raises(cyfes.InputError, match=r"error: found shape \(12,\), expected \(3, 4\)"):
        replace(fes, error=np.zeros(12))
