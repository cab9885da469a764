"""All commands take the same ends for a periodic CV with --min and --max."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import reference
from hills_files import write_hills

from cyfes.cli.main import main
from cyfes.io.hills_files import read_hills
from cyfes.model.grid import Grid
from cyfes.surface import load

if TYPE_CHECKING:
    CAPTURE = pytest.CaptureFixture[str]

DOMAIN = "#! SET min_phi -pi\n#! SET max_phi pi\n"
KERNEL = "#! SET kerneltype stretched-gaussian\n"
HILLS = f"#! FIELDS time phi sigma_phi height biasf\n{KERNEL}{DOMAIN}"
STATE = (
    "#! FIELDS time phi sigma_phi height\n#! SET action OPES_METAD_state\n#! SET biasfactor 10\n"
    "#! SET epsilon 1e-4\n#! SET kernel_cutoff 4\n#! SET zed 0.5\n#! SET sum_weights 3\n"
)

COMMANDS = {
    "sum-hills": "sum-hills --hills HILLS --bin 30 --fmt %.9f",
    "reweight": "reweight --samples COLVAR --cvs phi --bandwidth 0.3 --kt 1 --bin 30 --fmt %.9f",
    "opes": "opes --state STATE --kt 1 --bin 30 --nomintozero --fmt %.9f",
    "analyze hills": "analyze --hills HILLS --bin 30 --kt 1",
    "analyze samples": "analyze --samples COLVAR --cvs phi --bandwidth 0.3 --kt 1 --bin 30",
}
WRITE = [name for name in COMMANDS if "analyze" not in name]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write hills, samples and a state around phi = 3 to an empty folder, and work there."""
    monkeypatch.chdir(tmp_path)
    centers = np.random.default_rng(5).normal(3.0, 0.5, 40)
    centers = (centers + np.pi) % (2.0 * np.pi) - np.pi
    rows = [f"{k} {x!r}" for k, x in enumerate(centers.tolist())]
    write_hills(tmp_path / "HILLS", HILLS + "".join(f"{row} 0.3 0.1 10\n" for row in rows))
    (tmp_path / "COLVAR").write_text(f"#! FIELDS time phi\n{DOMAIN}" + "\n".join(rows) + "\n")
    (tmp_path / "STATE").write_text(STATE + DOMAIN + "".join(f"{row} 0.3 0.1\n" for row in rows))


def _run(name: str, low: str, high: str) -> int:
    return main([*COMMANDS[name].split(), "--min", low, "--max", high])


@pytest.mark.parametrize("name", WRITE)
def test_rounded_ends_give_the_very_file_of_the_domain(name: str, capsys: CAPTURE) -> None:
    assert _run(name, "-pi", "pi") == 0
    expected = Path("fes.dat").read_text()
    assert "#! SET min_phi -pi\n#! SET max_phi pi\n#! SET nbins_phi  30\n" in expected
    for end in ("3.141592654", "3.14159", "3.1416"):
        assert _run(name, f"-{end}", end) == 0
        assert Path("fes.dat").read_text() == expected
    assert "warning" not in capsys.readouterr().err


@pytest.mark.parametrize("name", WRITE)
def test_another_period_gives_the_same_values_at_shifted_places(name: str, capsys: CAPTURE) -> None:
    assert _run(name, "-pi", "pi") == 0
    plain = load("fes.dat")
    assert _run(name, "0", "2*pi") == 0
    told = capsys.readouterr().err
    assert told.count("the grid covers phi from 0 to 2*pi, which is a whole period") == 1
    shifted = load("fes.dat")
    assert shifted.grid.bounds == (("0", "2*pi"),)
    assert shifted.grid.periodic == (True,)
    assert np.abs(shifted.values - np.roll(plain.values, 15)).max() < 1e-8


def test_a_shifted_sum_of_hills_is_that_of_the_formula() -> None:
    assert _run("sum-hills", "0", "6.2832") == 0
    grid = Grid(0.0, 2.0 * math.pi, 30, periodic=True)
    values, _ = reference.free_energy(grid, read_hills("HILLS"))
    assert np.abs(load("fes.dat").values - values).max() < 2e-9


@pytest.mark.parametrize("name", ["analyze hills", "analyze samples"])
def test_analyze_takes_the_ends_that_were_typed(name: str, capsys: CAPTURE) -> None:
    assert _run(name, "0", "2pi") == 0
    captured = capsys.readouterr()
    assert "the grid covers phi from 0 to 2pi" in captured.err
    assert "phi: 30 points" in captured.out
    row = captured.out.splitlines()[4].split()
    assert float(row[1]) == pytest.approx(3.0, abs=0.5)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_part_of_the_period_is_refused_in_one_sentence(name: str, capsys: CAPTURE) -> None:
    assert _run(name, "0", "pi") == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "cyfes: error: found --min 0 and --max pi for phi, expected a whole period such as its "
        "domain, -pi to pi: a periodic CV is computed over all of it"
    ]
    assert not Path("fes.dat").exists()
