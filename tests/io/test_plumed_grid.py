"""The text of a PLUMED grid file."""

from __future__ import annotations

import numpy as np
import pytest

from cyfes.io.plumed_grid import grid_blocks
from cyfes.model.grid import Grid


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
