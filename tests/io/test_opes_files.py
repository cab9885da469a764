"""KERNELS and STATE files of OPES."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import opes_files
import pytest
from hills_files import HEADER_1D, ROWS_1D
from opes_files import KERNELS

from cyfes.errors import CyfesWarning, HillsFileError
from cyfes.io.opes_files import read_kernels

if TYPE_CHECKING:
    from pathlib import Path

STATE = opes_files.STATE.replace("factor 10", "factor inf")


def test_all_kernels_are_read_restarts_included(tmp_path: Path) -> None:
    path = tmp_path / "KERNELS"
    path.write_text(KERNELS + "1 2 3 0.4 0.5 6 -7\n" + KERNELS + "2 1 4 0.3 0.2 5 8\n")
    kernels = read_kernels(path)
    assert kernels.names == ("phi", "d")
    assert kernels.centers.tolist() == [[2, 3], [1, 4]]
    assert kernels.sigmas.tolist() == [[0.4, 0.5], [0.3, 0.2]]
    assert kernels.heights.tolist() == [6, 5]
    assert kernels.log_weights is not None
    assert kernels.log_weights.tolist() == [-7, 8]
    assert kernels.times.tolist() == [1, 2]
    assert kernels.domain == (("-pi", "pi"), None)
    assert kernels.settings["epsilon"] == 4.2e-08
    assert kernels.action == "OPES_METAD_kernels"
    assert repr(kernels) == "<Kernels: 2 over phi, d>"


def test_the_last_of_several_states_is_read(tmp_path: Path) -> None:
    path = tmp_path / "STATE"
    first = STATE + "1 2 3 0.4 0.5 6\n1 1 1 0.4 0.5 6\n"
    path.write_text(first + STATE.replace("zed 0.25", "zed 0.5") + "2 1 4 0.3 0.2 5\n")
    kernels = read_kernels(path)
    assert kernels.centers.tolist() == [[1, 4]]
    assert kernels.log_weights is None
    assert kernels.settings["zed"] == 0.5
    assert kernels.settings["counter"] == 40
    assert kernels.settings["biasfactor"] == math.inf


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER_1D + ROWS_1D, ":1: found neither the column logweight of a KERNELS file nor"),
        (KERNELS, ":8: found no kernels"),
        (KERNELS.replace(" height", " high") + "1 2 3 4 5 6 7\n", ":1: found 0 columns height"),
        (KERNELS.replace(" d ", " x ") + "1 2 3 4 5 6 7\n", ":1: found 0 columns sigma_x"),
        ("#! FIELDS time height logweight\n1 2 3\n", ":1: found 1 columns height"),
        (KERNELS + "1 2 3 0 5 6 7\n", ":9: column sigma_phi: found 0, expected a number above"),
        (KERNELS.replace("4.2e-08", "small") + "1 2 3 4 5 6 7\n", ":1: epsilon: found 'small'"),
        (
            KERNELS + "1 2 3 4 5 6 7\n" + KERNELS.replace("-pi", "0") + "1 2 3 4 5 6 7\n",
            ":10: found the columns",
        ),
    ],
)
def test_what_is_no_kernels_file_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "KERNELS"
    path.write_text(text)
    with pytest.raises(HillsFileError) as caught:
        read_kernels(path)
    assert message in str(caught.value)


def test_a_cut_off_last_line_is_told(tmp_path: Path) -> None:
    path = tmp_path / "KERNELS"
    path.write_text(KERNELS + "1 2 3 0.4 0.5 6 -7\n2 3")
    with pytest.warns(CyfesWarning, match="KERNELS:10: found no line end"):
        assert len(read_kernels(path)) == 1
