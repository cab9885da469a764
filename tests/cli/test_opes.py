"""``cyfes opes``: the surfaces of the states of an OPES run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from opes_files import KERNELS, STATE, plain_sum, state_text

from cyfes.base.units import thermal_energy
from cyfes.cli.main import main
from cyfes.io.opes_files import read_kernels, read_states
from cyfes.surface import load

if TYPE_CHECKING:
    from pathlib import Path

CAPTURE = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a STATE file of two states."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "STATE").write_text(state_text(30, 1) + state_text(40, 2))
    return tmp_path


def test_the_last_state_is_written_as_plumed_would(here: Path, capsys: CAPTURE) -> None:
    assert main(["opes", "--temp", "300", "--bin", "20,10", "--min", "-pi,-1", "--max=pi,1"]) == 0
    header, *_ = (here / "fes.dat").read_text().split("\n ", 1)
    assert header == (
        "#! FIELDS phi d file.free\n#! SET min_phi -pi\n#! SET max_phi pi\n#! SET nbins_phi  20\n"
        "#! SET periodic_phi true\n#! SET min_d -1\n#! SET max_d 1\n#! SET nbins_d  11\n"
        "#! SET periodic_d false"
    )
    surface = load(here / "fes.dat")
    kT = thermal_energy(300.0, "kJ/mol")
    points = surface.grid.points()
    values = plain_sum(read_kernels("STATE"), points, [2.0 * np.pi, 0.0], kT)[0]
    np.testing.assert_allclose(surface.values.ravel(), values - values.min(), atol=1e-8)
    told = capsys.readouterr().err
    assert "STATE: found 2 states, took the last" in told
    assert "summed 40 kernels (OPES_METAD_state, time 20) over phi, d onto 20 x 11 points" in told


def test_all_states_get_a_file_each_on_one_grid(here: Path) -> None:
    command = ["opes", "--kt", "2.5", "--bin", "20,10", "--all_stored", "--nomintozero", "--der"]
    assert main([*command, "--outfile", "all.fes.dat.gz"]) == 0
    surfaces = [load(here / f"all.fes_{k}.dat.gz") for k in (1, 2)]
    assert surfaces[0].grid.bounds == surfaces[1].grid.bounds
    for state, surface in zip(read_states("STATE"), surfaces):
        points = surface.grid.points()
        values, slopes = plain_sum(state, points, [2.0 * np.pi, 0.0], 2.5)
        np.testing.assert_allclose(surface.values.ravel(), values, atol=1e-8)
        assert surface.gradient is not None
        np.testing.assert_allclose(surface.gradient.reshape(2, -1), slopes, atol=1e-7)
    centers = np.concatenate([state.centers[:, 1] for state in read_states("STATE")])
    assert surfaces[0].grid.lower[1] == centers.min()
    assert surfaces[0].grid.upper[1] == centers.max()


def test_a_difference_is_told_and_written_to_the_header(here: Path, capsys: CAPTURE) -> None:
    assert main(["opes", "--kt", "2.5", "--deltaFat", "-0.5", "-o", "f.dat"]) == 0
    surface = load(here / "f.dat", kT=2.5)
    phi = surface.grid.axes[0][:, np.newaxis]
    weights = np.exp(-surface.values / 2.5)
    weights[:, [0, -1]] /= 2.0
    left, right = (np.where(mask, weights, 0.0).sum() for mask in (phi < -0.5, phi > -0.5))
    expected = -2.5 * np.log(right / left)
    line = (here / "f.dat").read_text().splitlines()[1]
    assert line == f"#! SET DeltaF {expected:g}"
    assert f"DeltaF at phi = -0.5: {expected:g}" in capsys.readouterr().err


def test_energies_are_converted(here: Path) -> None:
    assert main(["opes", "--temp", "300", "--bin", "9,9", "-o", "kj.dat"]) == 0
    how = ["--bin", "9,9", "--convert", "kcal/mol", "-o", "kcal.dat"]
    assert main(["opes", "--temp", "300", *how]) == 0
    kj, kcal = load(here / "kj.dat").values, load(here / "kcal.dat").values
    np.testing.assert_allclose(kcal * 4.184, kj, atol=1e-8)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--bin", "9,9"], 2, "found neither of --kt and --temp"),
        (["--kt", "1", "--temp", "1"], 2, "found both of --kt and --temp"),
        (["--kt", "1", "--bin", "9"], 2, "--bin: found 1 values, expected 2, one for each of phi"),
        (["--kt", "1", "--min", "0,0"], 2, "found one of --min and --max"),
        (["--kt", "1", "--min", "0,0", "--max", "pi,1"], 2, "found --min 0 and --max pi for phi"),
        (["--kt", "1", "--min=-pi,2", "--max", "pi,1"], 2, "--max 1 for d: expected more than"),
        (["--kt", "1", "--all_stored", "-o", "-"], 2, "found - as the output file"),
        (["--kt", "1", "--device", "cuda"], 2, "--device: found cuda, expected cpu"),
        (["--kt", "1", "--deltaFat", "7"], 1, "--deltaFat: found 7, expected a place on the grid"),
        (["--kt", "1", "--fmt", "%d"], 1, "found the number format '%d'"),
        (["--kt", "1", "-o", "no/fes.dat"], 1, "found no directory no"),
        (["--kt", "1", "--state", "none"], 1, "none: No such file"),
        (["--kt", "1", "--state", "KERNELS"], 1, "KERNELS: found a KERNELS file"),
        (["--kt", "1", "--state", "TWO", "--all_stored"], 1, "without '#! SET sum_weights'"),
        (["--kt", "1", "--state", "OTHER"], 1, "found a state of the action OPES_EXPANDED_state"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_written(
    here: Path, arguments: list[str], status: int, message: str, capsys: CAPTURE
) -> None:
    (here / "KERNELS").write_text(KERNELS + "1 2 3 0.4 0.5 6 -7\n")
    (here / "OTHER").write_text(state_text(3, 1, STATE.replace("METAD", "EXPANDED")))
    lacking = STATE.replace("#! SET sum_weights 12.5\n", "")
    (here / "TWO").write_text(state_text(3, 1) + state_text(3, 1, lacking))
    before = sorted(here.iterdir())
    assert main(["opes", *arguments]) == status
    assert message in capsys.readouterr().err
    assert sorted(here.iterdir()) == before
