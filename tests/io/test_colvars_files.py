"""Grids of Colvars, written after its sources (colvargrid_def.h, colvarbias_meta.cpp)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cyfes.errors import InputError
from cyfes.sums.bias_files import load_bias
from cyfes.surface import load

# Two variables; a value is that of the middle of a bin, and the last variable runs fastest.
_PMF = """\
# 2
#  0.00000000000000e+00  5.00000000000000e-01          3  0
# -1.80000000000000e+02  9.00000000000000e+01          4  1

""" + "\n".join(
    "".join(f" {0.25 + 0.5 * i} {-135.0 + 90.0 * j}  {10 * i + j}\n" for j in range(4))
    for i in range(3)
)

_STATE = """\
configuration {
  step           20
}
metadynamics {
  hills_energy
grid_parameters {
  n_colvars 2
  lower_boundaries  0.0 -180.0
  upper_boundaries  1.5 180.0
  widths  0.5 90.0
  sizes  3 4
}
 0.0 1.0 2.0
 3.0 10.0 11.0
 12.0 13.0 20.0
 21.0 22.0 23.0
  hills_energy_gradients
grid_parameters {
"""


def test_a_pmf_is_read_with_the_places_of_its_values(tmp_path: Path) -> None:
    (tmp_path / "run.pmf").write_text(_PMF)
    fes = load(tmp_path / "run.pmf", unit="kcal/mol")
    assert fes.names == ("cv0", "cv1")
    assert [axis.tolist() for axis in fes.grid.axes] == [[0.25, 0.75, 1.25], [-135, -45, 45, 135]]
    assert fes.grid.periodic == (False, True)
    assert fes.values.tolist() == [[0, 1, 2, 3], [10, 11, 12, 13], [20, 21, 22, 23]]


def test_an_integrated_curve_is_read(tmp_path: Path) -> None:
    (tmp_path / "abf.pmf").write_text("# xi A(xi)\n 1.0 3.0\n 1.5 0.0\n 2.0 4.0\n")
    fes = load(tmp_path / "abf.pmf")
    assert fes.grid.axes[0].tolist() == [1.0, 1.5, 2.0]
    assert fes.values.tolist() == [3.0, 0.0, 4.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found no grid of Colvars"),
        ("# xi A(xi)\n1 2\n2 3\n4 5\n", "found points at uneven distances"),
        ("# xi A(xi)\n1 2\n", r"found a table of shape \(1, 2\), expected rows of xi"),
        (_PMF.replace("# 2", "# x"), "found no grid of Colvars .invalid literal"),
        (_PMF.replace("          3  0", "          4  0"), "expected one row for each point"),
        (_PMF.replace("# 2", "# 3"), "for 2 of 3 variables"),
    ],
)
def test_damaged_grids_are_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "run.pmf").write_text(text)
    with pytest.raises(InputError, match=message):
        load(tmp_path / "run.pmf")


def test_a_pmf_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "run.pmf").write_text(_PMF)
    with pytest.raises(InputError, match=r"found the suffix \.pmf, expected"):
        load(tmp_path / "run.pmf").save(tmp_path / "other.pmf")


def test_the_bias_of_a_state_gives_f(tmp_path: Path) -> None:
    path = tmp_path / "run.colvars.state"
    path.write_text(_STATE)
    plain = load_bias(path, periodic=[False, True], unit="kcal/mol", temperature=300)
    expected = -np.array([[0.0, 1, 2, 3], [10, 11, 12, 13], [20, 21, 22, 23]])
    assert plain.values.tolist() == expected.tolist()
    assert [axis.tolist() for axis in plain.grid.axes] == [[0.25, 0.75, 1.25], [-135, -45, 45, 135]]
    assert plain.grid.periodic == (False, True)
    assert plain.kT == pytest.approx(0.596161, abs=1e-6)
    tempered = load_bias(path, bias_factor=5.0, names=["r", "phi"])
    assert tempered.names == ("r", "phi")
    assert np.abs(tempered.values - 1.25 * expected).max() < 1e-12


def test_states_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.colvars.state"
    path.write_text("configuration {\n}\n")
    with pytest.raises(InputError, match="found no grid hills_energy"):
        load_bias(path)
    path.write_text(_STATE[: _STATE.index(" 20.0")])
    with pytest.raises(InputError, match="found a damaged grid"):
        load_bias(path)
    path.write_text(_STATE)
    with pytest.raises(InputError, match="found a bias over 2 variables, expected as many names"):
        load_bias(path, names=["r"])
    with pytest.raises(InputError, match="bias_factor: found 1"):
        load_bias(path, bias_factor=1.0)
    (tmp_path / "second").write_text(_STATE)
    with pytest.raises(InputError, match="found 2 files, expected one state file"):
        load_bias(path, tmp_path / "second")
