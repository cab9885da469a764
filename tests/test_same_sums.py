"""The comparison of two versions of `cyfes sum-hills` sees what differs."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).resolve().parents[1] / "benchmarks" / "same_sums.py"

HILLS = """\
#! FIELDS time phi sigma_phi height biasf
#! SET multivariate false
#! SET min_phi -pi
#! SET max_phi pi
1 0.5 0.3 1.0 10
2 -0.5 0.3 1.0 10
"""

# A program that writes one grid, or refuses the options that it does not like.
PROGRAM = """\
#!{python}
import sys
from pathlib import Path
if {refused!r} in sys.argv:
    sys.exit("cyfes: error: found " + {refused!r})
Path({name!r}).write_text("#! FIELDS phi file.free\\n0 {value}\\n")
"""


@pytest.fixture(name="same_sums")
def fixture_same_sums() -> ModuleType:
    specification = importlib.util.spec_from_file_location("same_sums", FILE)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    # Its dataclass looks for the module.
    sys.modules["same_sums"] = module
    specification.loader.exec_module(module)
    return module


def program(
    folder: Path, name: str = "fes.dat", value: float = 1.0, refused: str = "nothing"
) -> Path:
    path = folder / "cyfes"
    folder.mkdir()
    text = PROGRAM.format(python=sys.executable, refused=refused, name=name, value=value)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_twelve_sets_of_options_for_a_file(same_sums: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "HILLS").write_text(HILLS)
    (tmp_path / "notes.txt").write_text("no hills\n")
    assert same_sums.hills_files([tmp_path]) == [tmp_path / "HILLS"]
    assert same_sums.variables(tmp_path / "HILLS") == [("phi", -0.5, 0.5)]
    sets = dict(same_sums.option_sets(tmp_path / "HILLS"))
    assert len(sets) == 12
    assert sets["--stride"][-2:] == ["--stride", "1"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, ""),
        ({"value": 1.5}, "fes.dat differs, a number by 0.5"),
        ({"name": "other.dat"}, "wrote fes.dat before, other.dat now"),
        ({"refused": "--mintozero"}, "status 0 before, 1 now: cyfes: error: found --mintozero"),
    ],
)
def test_what_differs_is_said(
    same_sums: ModuleType,
    changed: dict[str, float | str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hills = tmp_path / "HILLS"
    hills.write_text(HILLS)
    old = program(tmp_path / "old")
    new = program(tmp_path / "new", **changed)  # type: ignore[arg-type]
    one = [("--mintozero", ["--hills", str(hills), "--mintozero"])]
    monkeypatch.setattr(same_sums, "option_sets", lambda _: one)
    monkeypatch.setattr(sys, "argv", ["same_sums.py", str(old), str(new), str(hills)])
    assert same_sums.main() == int(bool(said))
    told = capsys.readouterr().out
    if said:
        assert f"{hills}, --mintozero: {said}\n" in told
    else:
        assert f"| {hills} | 1 | 2 | 1 | 0 | 0 |" in told
