"""Hills of other programs: those of Colvars and CP2K, written after their sources, and others."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hills_files import HEADER_1D, ROWS_1D, write_hills

from cyfes.cli.main import main
from cyfes.errors import CyfesWarning, HillsFileError, InputError
from cyfes.io.hills_files import iter_hills, read_hills

if TYPE_CHECKING:
    CAPTURE = pytest.CaptureFixture[str]

# Step, centres, widths and height, as Colvars's hill::output_traj writes them.
_COLVARS = "".join(
    f"{step:12d}   {x: .14e} {y: .14e}   {0.5: .14e} {0.25: .14e}   {h: .14e}\n"
    for step, x, y, h in ((5, 3.2, -1.0, 0.1), (10, 3.3, 3.0, 0.08), (15, 3.1, 0.5, 0.07))
)


def _cp2k_line(time: float, *numbers: float) -> str:
    """Return a line in the format '(f12.1,30f13.5)' of CP2K."""
    return f"{time:12.1f}" + "".join(f"{number:13.5f}" for number in numbers) + "\n"


_CP2K = _cp2k_line(25.0, 1.5, 0.1, 0.002) + _cp2k_line(50.0, 1.75, 0.1, 0.0015)


def test_hills_of_colvars_are_known_by_the_name_of_their_file(tmp_path: Path) -> None:
    path = tmp_path / "run.colvars.metadynamics1.hills.traj"
    path.write_text("# step hills\n" + _COLVARS + "# DELETED this hill: 5 1 2 3 4 5\n")
    with pytest.warns(CyfesWarning, match="heights that change, as in a well-tempered run"):
        hills = read_hills(path)
    assert hills.names == ("cv0", "cv1")
    assert hills.kernel == "gaussian"
    assert hills.centers.tolist() == [[3.2, -1.0], [3.3, 3.0], [3.1, 0.5]]
    assert hills.sigmas.tolist() == [[0.5, 0.25]] * 3
    assert hills.heights.tolist() == [0.1, 0.08, 0.07]
    assert hills.times is not None
    assert hills.times.tolist() == [5.0, 10.0, 15.0]


def test_the_heights_of_a_well_tempered_run_of_colvars_become_those_of_f(tmp_path: Path) -> None:
    path = tmp_path / "run.hills.traj.gz"
    path.write_bytes(gzip.compress(_COLVARS.encode()))
    hills = read_hills(path, bias_factor=5.0, periodic={"cv1": ("-pi", "pi")})
    # F = -(T + ΔT) / ΔT V, and T + ΔT = 5 T.
    assert hills.heights == pytest.approx([0.125, 0.1, 0.0875])
    assert hills.bias_factors.tolist() == [5.0] * 3
    assert hills.domain == (None, ("-pi", "pi"))
    portions = list(iter_hills(path, bias_factor=5.0, portion=2))
    assert np.concatenate([part.heights for part in portions]).tolist() == hills.heights.tolist()


def test_hills_of_cp2k_have_the_heights_of_f_already(tmp_path: Path) -> None:
    path = tmp_path / "water-HILLS.metadynLog"
    path.write_text(_CP2K)
    hills = read_hills(path, bias_factor=5.0)
    assert hills.names == ("cv0",)
    assert hills.centers.tolist() == [[1.5], [1.75]]
    assert hills.sigmas.tolist() == [[0.1], [0.1]]
    assert hills.heights.tolist() == [0.002, 0.0015]
    assert hills.bias_factors.tolist() == [5.0, 5.0]
    assert read_hills(path).heights.tolist() == [0.002, 0.0015]


def test_any_table_is_read_by_the_names_of_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "table.txt"
    path.write_text("0.1 7 1.0 2.5 0.2\n0.2 7 2.0 3.5 0.3\n")
    columns = ["height", "other", "time", "x", "sigma_x"]
    hills = read_hills(path, columns=columns, kernel="stretched-gaussian")
    assert (hills.names, hills.kernel) == (("x",), "stretched-gaussian")
    assert hills.centers.tolist() == [[2.5], [3.5]]
    assert hills.sigmas.tolist() == [[0.2], [0.3]]
    assert hills.heights.tolist() == [0.1, 0.2]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({}, "found no '#! FIELDS time …' header before this line; expected PLUMED's file, or"),
        (
            {"columns": ["time", "x", "height"]},
            "found no collective variable|found 0 columns sigma",
        ),
        ({"columns": ["time", "x", "sigma_x"]}, "found 0 columns height"),
        ({"columns": ["time", "x", "sigma_x", "height"]}, ":1: found 5 columns, expected 4"),
        ({"columns": ["x", "x"]}, "expected a sequence of different names"),
        ({"columns": "x"}, "columns: found 'x', expected a sequence"),
        ({"bias_factor": 1.0, "columns": ["x"]}, "bias_factor: found 1, expected a number above 1"),
        ({"periodic": {"y": (0, 1)}, "columns": ["x"]}, "periodic: found y, expected one of x"),
    ],
)
def test_tables_that_cannot_be_read_are_refused(
    how: dict[str, object], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "table.txt"
    path.write_text("1 2.5 0.2 1.5 7\n")
    with pytest.raises(InputError, match=message):
        read_hills(path, **how)  # type: ignore[arg-type]


def test_what_describes_tables_is_refused_with_plumeds_files(tmp_path: Path) -> None:
    path = write_hills(tmp_path / "HILLS", HEADER_1D + ROWS_1D)
    for how in ({"bias_factor": 5.0}, {"periodic": {"d": (0, 1)}}):
        with pytest.raises(InputError, match="found a file of PLUMED with its own header"):
            read_hills(path, **how)


def test_widths_that_cp2k_takes_for_infinite_and_odd_columns_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.metadynLog"
    path.write_text(_cp2k_line(25.0, 1.5, 0.0, 0.002))
    with pytest.raises(HillsFileError, match=r"column sigma_cv0: found 0\.00000, expected"):
        read_hills(path)
    path.write_text("1 2 3\n")
    with pytest.raises(InputError, match="found 3 columns, expected a time, the centres"):
        read_hills(path)


def test_commands_take_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: CAPTURE
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run.hills.traj").write_text("1 3.0 0.3 0.8\n2 -3.0 0.3 0.8\n")
    grid = ["--min", "-pi", "--max", "pi", "--bin", "40"]
    described = ["--periodic", "cv0=-pi:pi", "--bias-factor", "5"]
    line = ["sum-hills", "--hills", "run.hills.traj", *grid, *described, "--fmt", "%.9f"]
    assert main(line) == 0
    x, found, _ = np.loadtxt("fes.dat").T
    ways = [x - center - 2 * np.pi * np.round((x - center) / (2 * np.pi)) for center in (3, -3)]
    expected = sum(-np.exp(-0.5 * (way / 0.3) ** 2) for way in ways)
    # PLUMED's box ends where a Gaussian is 0.002 high.
    assert np.abs(found - expected).max() < 2.5e-3
    assert np.abs((found - expected)[np.abs(x) > 2.2]).max() < 1e-8
    assert "periodic_cv0 true" in Path("fes.dat").read_text()
    Path("table").write_text(Path("run.hills.traj").read_text())
    columns = ["--columns", "time,cv0,sigma_cv0,height", *described]
    assert main(["analyze", "--hills", "table", *grid, *columns]) == 0
    assert "cv0: 40 points" in capsys.readouterr().out
    assert main(["sum-hills", "--hills", "table", *grid, "--periodic", "cv0"]) == 2
    assert "found 'cv0', expected CV=LOW:HIGH" in capsys.readouterr().err
