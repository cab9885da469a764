"""``cyfes analyze``: what it finds in files, hills and samples, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from double_well import KT, double_well, short_run
from hills_files import HEADER_1D, write_hills
from landscapes import MB_MINIMA, MB_SADDLES, mueller_brown

from cyfes.cli.main import main

if TYPE_CHECKING:
    CAPTURE = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def mb() -> None:
    """Müller and Brown's surface in a file."""
    mueller_brown(100).save("mb.dat")


@pytest.fixture(scope="module")
def run() -> Any:
    """Two walkers in a double well."""
    return short_run(steps=12000, walkers=2)


def _facts(capsys: CAPTURE, *arguments: str) -> dict[str, Any]:
    assert main(["analyze", *arguments, "--json"]) == 0
    facts: dict[str, Any] = json.loads(capsys.readouterr().out)
    return facts


@pytest.mark.usefixtures("mb")
def test_minima_barriers_and_path_are_the_published_ones(capsys: CAPTURE) -> None:
    facts = _facts(capsys, "mb.dat", "--from", "1", "--to", "2", "--unit", "kcal/mol")
    assert [tuple(m["position"].values()) for m in facts["minima"]] == [
        pytest.approx(place, abs=0.02) for place, _ in MB_MINIMA
    ]
    assert facts["minima"][0]["depth"] is None
    heights = {(b["from"], b["to"]): b["barrier"] for b in facts["barriers"]}
    assert heights[1, 2] == pytest.approx(MB_SADDLES[0][1] - MB_MINIMA[0][1], abs=1.0)
    assert heights[2, 3] == pytest.approx(MB_SADDLES[1][1] - MB_MINIMA[1][1], abs=1.0)
    top = tuple(facts["path"]["transition_state"].values())
    assert top == pytest.approx(MB_SADDLES[0][0], abs=0.01)
    assert facts["unit"] == "kcal/mol"


@pytest.mark.usefixtures("mb")
@pytest.mark.parametrize(("first", "last"), [("1", "2"), ("2", "1")])
def test_the_pass_and_the_path_between_two_minima_have_one_barrier(
    first: str, last: str, capsys: CAPTURE
) -> None:
    facts = _facts(capsys, "mb.dat", "--from", first, "--to", last)
    (row,) = (row for row in facts["barriers"] if (row["from"], row["to"]) == (1, 2))
    there, back = (row["barrier"], row["back"])[:: 1 if first == "1" else -1]
    assert (there, back) == (facts["path"]["barrier"], facts["path"]["back"])
    assert row["barrier"] == pytest.approx(MB_SADDLES[0][1] - MB_MINIMA[0][1], abs=0.25)
    assert row["position"] == facts["path"]["transition_state"]


@pytest.mark.usefixtures("mb")
def test_the_table_names_units_and_leaves_out_what_needs_a_temperature(capsys: CAPTURE) -> None:
    assert main(["analyze", "mb.dat", "--from", "1", "--to", "2"]) == 0
    captured = capsys.readouterr()
    assert "in the unit of the input" in captured.out
    assert "population" not in captured.out
    assert "Difference" not in captured.out
    assert "the difference of free energy needs kT: give --kt" in captured.err
    options = ["--unit", "kJ/mol", "--temperature", "300", "--convert", "kcal/mol"]
    assert main(["analyze", "mb.dat", *options, "--from", "1", "--to", "2"]) == 0
    text = capsys.readouterr().out
    assert "kT 0.596161 kcal/mol" in text
    assert "100.00 %" in text
    assert "the second place minus the first place\n  difference       9.1" in text


def test_a_frame_of_a_file_is_named(folder: Path, capsys: CAPTURE) -> None:
    head = "#! FIELDS x fes\n#! SET min_x 0\n#! SET max_x 2\n#! SET nbins_x 2\n"
    head += "#! SET periodic_x false\n"
    (folder / "fes.dat").write_text(f"{head}0 0\n1 1\n2 2\n{head}0 5\n1 4\n2 3\n")
    for frame, place in (("0", 0.0), ("1", 2.0), ("-1", 2.0), ("-2", 0.0)):
        (minimum,) = _facts(capsys, "fes.dat", "--frame", frame)["minima"]
        assert minimum["position"] == {"x": place}
    assert main(["analyze", "fes.dat"]) == 0
    assert "warning: fes.dat: found 2 frames, took the last" in capsys.readouterr().err


@pytest.mark.usefixtures("mb")
def test_the_path_is_written_to_a_file(capsys: CAPTURE) -> None:
    options = ["--from", "-0.558,1.442", "--to", "0.623,0.028", "--path-file", "path.dat"]
    assert main(["analyze", "mb.dat", *options]) == 0
    capsys.readouterr()
    assert Path("path.dat").read_text().startswith("#! FIELDS s x y file.free\n")
    table = np.loadtxt("path.dat")
    np.testing.assert_allclose(table[0, :3], [0.0, -0.558, 1.442], atol=1e-6)
    assert table[:, 3].max() == pytest.approx(MB_SADDLES[0][1], abs=0.05)


def test_hills_give_the_convergence(run: Any, capsys: CAPTURE) -> None:
    run.write()
    facts = _facts(
        capsys,
        *("--hills", "HILLS", "--kt", str(KT), "--bin", "80", "--min", "-2", "--max", "2"),
        *("--from", "-2:0", "--to", "0:2", "--stride", "60", "--device", "cpu"),
    )
    series = facts["convergence"]
    assert [row["hills"] for row in series] == [60, 120, 180, 240]
    assert series[-1]["time"] == 12000.0
    assert series[-1]["rms_change"] == 0.0
    assert series[-1]["difference"] == pytest.approx(facts["difference"]["value"])
    assert facts["difference"]["error"] is None
    arguments = ["analyze", "--hills", "HILLS", "--device", "cpu"]
    assert main(arguments) == 0
    assert "Convergence" in capsys.readouterr().out


def test_the_hills_of_walkers_are_put_in_order(folder: Path, capsys: CAPTURE) -> None:
    for walker in (0, 1):
        rows = "".join(f"{t} {0.1 * t + walker} 0.3 1 10\n" for t in (1, 2, 3))
        write_hills(folder / f"HILLS.{walker}", HEADER_1D + rows)
    arguments = ["--hills", "HILLS.*", "--stride", "2", "--bin", "20"]
    assert main(["analyze", *arguments, "--json"]) == 0
    captured = capsys.readouterr()
    assert "put the hills of all files in the order of their time (see --merge)" in captured.err
    series = json.loads(captured.out)["convergence"]
    assert [(row["hills"], row["time"]) for row in series] == [(2, 1), (4, 2), (6, 3)]
    series = _facts(capsys, *arguments, "--merge", "none")["convergence"]
    assert [row["time"] for row in series] == [2, 1, 3]
    with (folder / "HILLS.1").open("a") as file:
        file.write("1 0 0.3 1 10\n")
    assert main(["analyze", *arguments]) == 0
    assert "took the hills of one file after the other" in capsys.readouterr().err


def test_samples_give_error_bars(run: Any, capsys: CAPTURE) -> None:
    run.write()
    arguments = [
        *("--samples", "COLVAR.*", "--cvs", "d", "--bias", "metad.rbias", "--bandwidth", "0.05"),
        *("--kt", str(KT), "--from", "-2:0", "--to", "0:2", "--skip", "0.2", "--device", "cpu"),
        *("--min", "-2", "--max", "2", "--bin", "80"),
    ]
    facts = _facts(capsys, *arguments)
    x = np.linspace(-2.0, 2.0, 4001)
    density = np.exp(-double_well(x[:, np.newaxis]) / KT)
    truth = -KT * np.log(density[x > 0].sum() / density[x < 0].sum())
    found = facts["difference"]
    assert found["blocks"] == 10
    assert abs(found["value"] - truth) < 4.0 * found["error"]
    assert set(found["errors_with_fewer_blocks"]) == {"5"}
    drawn = _facts(capsys, *arguments, "--error", "bootstrap")["difference"]
    assert drawn["value"] == found["value"]
    assert drawn["error"] == pytest.approx(found["error"], rel=0.8)
    # In another unit, value and error alike.
    convert = ("--unit", "kJ/mol", "--convert", "kcal/mol")
    other = _facts(capsys, *arguments, *convert)["difference"]
    assert other["value"] == pytest.approx(found["value"] / 4.184)
    assert other["error"] == pytest.approx(found["error"] / 4.184)
    for method, words in (("block", "each left out once"), ("bootstrap", "drawn with replacement")):
        assert main(["analyze", *arguments, "--error", method]) == 0
        text = capsys.readouterr().out
        assert f" (standard error)\n  blocks           10, {words}\n" in text
        assert "\n  longer blocks    standard error " in text
        assert text.count(" with 5 blocks\n") == 1


def test_a_temperature_beside_samples_is_that_of_plumeds_unit(run: Any, capsys: CAPTURE) -> None:
    run.write()
    arguments = ["--samples", "COLVAR.*", "--cvs", "d", "--bandwidth", "0.05", "--device", "cpu"]
    facts = _facts(capsys, *arguments, "--temperature", "300")
    assert (facts["unit"], facts["kT"]) == ("kJ/mol", pytest.approx(2.494339, abs=1e-6))
    by_kt = _facts(capsys, *arguments, "--kt", repr(facts["kT"]))
    assert by_kt["minima"] == facts["minima"]
    assert main(["analyze", *arguments]) == 2
    assert "found neither of --kt and --temperature" in capsys.readouterr().err


def test_blocks_that_are_too_short_are_told(capsys: CAPTURE) -> None:
    rng = np.random.default_rng(0)
    # Each state lasts for 100 samples, a block for 10.
    states = np.repeat(rng.choice([-1.0, 1.0], 40), 100)
    rows = "".join(f"{k} {x:.6f}\n" for k, x in enumerate(states + 0.1 * rng.normal(size=4000)))
    Path("COLVAR").write_text("#! FIELDS time d\n" + rows)
    arguments = ["analyze", "--samples", "COLVAR", "--cvs", "d", "--bandwidth", "0.1"]
    arguments += ["--kt", "2.5", "--from", "-2:0", "--to", "0:2", "--device", "cpu", "--bin", "40"]
    assert main([*arguments, "--blocks", "400"]) == 0
    assert "the error grows with longer blocks" in capsys.readouterr().err
    assert main([*arguments, "--blocks", "10"]) == 0
    assert "grows" not in capsys.readouterr().err


@pytest.mark.usefixtures("mb")
@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 2, "expected one of: a file of a surface, --hills, --samples"),
        (["mb.dat", "--hills", "HILLS"], 2, "expected one of"),
        (["nowhere.dat"], 1, "nowhere.dat: No such file"),
        (["mb.dat", "--from", "1"], 2, "found one of --from and --to"),
        (["mb.dat", "--from", "1", "--to", "9"], 2, "found minimum 9, expected 1 to 3"),
        (["mb.dat", "--from", "1,2,3", "--to", "1"], 2, "expected the number of a minimum"),
        (["mb.dat", "--from", "a,b", "--to", "1"], 2, "found 'a'"),
        (["mb.dat", "--from", "0:1", "--to", "1", "--kt", "1"], 2, "expected a range LOW:HIGH"),
        (["mb.dat", "--from", "9,9", "--to", "1"], 1, "found 9 in CV 0"),
        (["mb.dat", "--from", "1", "--to", "1", "--kt", "1"], 1, "found regions that share"),
        (["mb.dat", "--temperature", "300"], 1, "a temperature without a unit"),
        (["mb.dat", "--convert", "eV"], 1, "unit that is not known"),
        (["mb.dat", "--unit", "kJ"], 2, "invalid choice"),
        (["mb.dat", "--cv-units", "nm"], 2, "--cv-units: found 1, expected 2"),
        (["mb.dat", "--path-file", "p.dat"], 2, "found --path-file without a path"),
        (["mb.dat", "--skip", "1"], 2, "--skip: found 1"),
        (["mb.dat", "--min", "0"], 2, "found one of --min and --max"),
        (["--samples", "COLVAR"], 2, "found --samples without --cvs, --bandwidth, expected"),
        (["--hills", "nowhere"], 1, "nowhere: No such file"),
    ],
)
def test_refusals(arguments: list[str], status: int, message: str, capsys: CAPTURE) -> None:
    assert main(["analyze", *arguments]) == status
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


def _samples_of_an_angle() -> np.ndarray:
    rng = np.random.default_rng(3)
    angles = np.concatenate([rng.normal(-1.2, 0.3, 600), rng.normal(1.0, 0.3, 300)])
    rng.shuffle(angles)
    header = "#! FIELDS time phi\n#! SET min_phi -pi\n#! SET max_phi pi\n"
    rows = "".join(f"{k} {angle:.6f}\n" for k, angle in enumerate(angles))
    Path("COLVAR").write_text(header + rows)
    return angles


@pytest.mark.parametrize(
    ("radians", "degrees"),
    [(("-1.2", "1.0"), ("-68.75", "57.3")), (("-pi:0", "0:pi"), ("-180:0", "0:180"))],
)
def test_places_are_in_the_units_that_are_shown(
    radians: tuple[str, str], degrees: tuple[str, str], capsys: CAPTURE
) -> None:
    _samples_of_an_angle()
    options = ["--samples", "COLVAR", "--cvs", "phi", "--bandwidth", "0.1", "--kt", "2.494"]
    one = _facts(capsys, *options, "--from", radians[0], "--to", radians[1])
    other = _facts(capsys, *options, "--cv-units", "deg", "--from", degrees[0], "--to", degrees[1])
    assert other["difference"]["value"] == pytest.approx(one["difference"]["value"], abs=1e-9)
    assert other["difference"]["error"] == pytest.approx(one["difference"]["error"], abs=1e-9)
    places = [facts["minima"][0]["position"]["phi"] for facts in (one, other)]
    assert places[1] == pytest.approx(np.degrees(places[0]))


@pytest.mark.usefixtures("mb")
def test_variables_are_integrated_out(capsys: CAPTURE) -> None:
    facts = _facts(capsys, "mb.dat", "--integrate-out", "y", "--kt", "10")
    assert (facts["cvs"], facts["points"], facts["kT"]) == (["x"], [101], 10.0)
    values = mueller_brown(100).values
    profile = -10.0 * np.log(np.exp(-(values - values.min()) / 10.0).sum(axis=1))
    lowest = mueller_brown(100).grid.axes[0][np.argmin(profile)]
    assert facts["minima"][0]["position"]["x"] == pytest.approx(lowest)
    assert main(["analyze", "--hills", "HILLS", "--integrate-out", "y"]) == 2
    assert "found --integrate-out without FES" in capsys.readouterr().err
