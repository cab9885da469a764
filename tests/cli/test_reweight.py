"""``cyfes reweight`` and the offset of a growing bias."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference
from hills_files import write_hills

from cyfes.cli.main import main
from cyfes.errors import InputError
from cyfes.io.hills_files import read_hills
from cyfes.model.grid import Grid
from cyfes.model.hills import Hills
from cyfes.studies.bias_offset import BiasOffset, bias_offset
from cyfes.sums.reweighting import reweight
from cyfes.surface import load

CAPTURE = pytest.CaptureFixture[str]

KT = 0.8
GRID = Grid(-4.0, 4.0, 80)
GRID_100 = Grid(-4.0, 4.0, 100)


def _hills(factor: float, count: int = 12) -> Hills:
    rng = np.random.default_rng(7)
    heights = rng.uniform(0.2, 1.0, count)
    times = np.arange(1.0, count + 1.0)
    return Hills(("d",), rng.normal(size=count), 0.4, heights, times=times, bias_factors=factor)


def _bias(hills: Hills, factor: float) -> np.ndarray:
    """Return V on the grid: the hills as they were laid."""
    scale = (factor - 1.0) / factor if factor > 1.0 else 1.0
    values: np.ndarray = -scale * reference.free_energy(GRID, hills)[0]
    return values


@pytest.mark.parametrize("factor", [5.0, 1.0, -1.0])
@pytest.mark.parametrize("stride", [1, 5])
def test_the_offset_is_tiwary_and_parrinellos(factor: float, stride: int) -> None:
    hills = _hills(factor)
    offset = bias_offset(hills, KT, grid=GRID, stride=stride, device="cpu")
    ends = [min(end, 12) for end in range(stride, 12 + stride, stride)]
    assert offset.times.tolist() == ends
    for end, found in zip(ends, offset.values):
        bias = _bias(hills[:end], factor)
        gamma = factor if factor > 1.0 else 1e12
        upper = np.exp(gamma * bias / ((gamma - 1.0) * KT)).sum()
        lower = np.exp(bias / ((gamma - 1.0) * KT)).sum()
        assert found == pytest.approx(KT * np.log(upper / lower), rel=1e-9)


def test_the_offset_of_a_high_bias_is_finite() -> None:
    heights = np.array([2000.0, 1000.0])
    hills = Hills(("d",), [0.0, 1.0], 0.4, heights, times=[1.0, 2.0], bias_factors=1.0)
    offset = bias_offset(hills, KT, grid=GRID, stride=1, device="cpu")
    for end, found in zip((1, 2), offset.values):
        # exp(2000 / kT) is more than a float64 holds.
        total = np.logaddexp.reduce(_bias(hills[:end], 1.0) / KT)
        assert found == pytest.approx(KT * (total - np.log(GRID.size)), rel=1e-9)


def test_the_balanced_offset_is_the_mean_of_the_bias() -> None:
    hills = _hills(5.0)
    offset = bias_offset(hills, KT, grid=GRID, stride=4, method="balanced", device="cpu")
    expected = [_bias(hills[:end], 5.0).mean() for end in (4, 8, 12)]
    assert offset.values.tolist() == pytest.approx(expected, rel=1e-12)


def test_a_hill_counts_after_its_own_time() -> None:
    offset = BiasOffset(np.array([1.0, 2.0]), np.array([10.0, 20.0]))
    assert offset.at([0.5, 1.0, 1.5, 2.0, 2.5]).tolist() == [0.0, 0.0, 10.0, 10.0, 20.0]


def test_a_large_bias_does_not_overflow() -> None:
    hills = Hills(("d",), [0.0], 0.4, 1e4, times=[1.0], bias_factors=5.0)
    (value,) = bias_offset(hills, KT, grid=GRID, device="cpu").values
    assert value == pytest.approx(8000.0, rel=0.01)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"times": None}, "found no times"),
        ({"times": [2.0, 1.0]}, "found times that decrease"),
        ({"bias_factors": [5.0, 6.0]}, "found the bias factors 5, 6, expected one"),
    ],
)
def test_hills_without_an_offset_are_refused(change: dict[str, object], message: str) -> None:
    options: dict[str, object] = {"times": [1.0, 2.0], **change}
    hills = Hills(("d",), [0.0, 1.0], 0.4, 1.0, **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=message):
        bias_offset(hills, KT)
    with pytest.raises(InputError, match='expected "ct" or "balanced"'):
        bias_offset(hills, KT, method="rbias")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="kT: found 0"):
        bias_offset(hills, 0.0)


@pytest.fixture
def samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Return a COLVAR of time, phi, d and two biases, in a new working directory."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(2)
    table = np.column_stack([np.arange(200.0), rng.uniform(-3, 3, 200), rng.normal(size=(200, 3))])
    head = "#! FIELDS time phi d metad.bias walls.bias\n#! SET min_phi -pi\n#! SET max_phi pi\n"
    rows = "".join(" ".join(map(repr, row)) + "\n" for row in table.tolist())
    (tmp_path / "COLVAR").write_text(head + rows)
    return table


def _run(*options: str) -> int:
    common = ["reweight", "--samples", "COLVAR", "--device", "cpu", "--fmt", "%.10f"]
    return main([*common, "--kt", str(KT), *options])


TWO = ["--cvs", "d,phi", "--bandwidth", "0.3,0.4", "--bin", "20,15", "--min", "-5,-pi"]
TWO += ["--max", "5,pi"]


def test_a_surface_of_weighted_samples_is_written(samples: np.ndarray, capsys: CAPTURE) -> None:
    assert _run(*TWO, "--bias", "metad.bias,walls.bias", "--skip", "0.25", "--explain") == 0
    told = capsys.readouterr().err
    assert "reweighted 150 samples over d, phi onto 21 x 15 points on cpu, wrote fes.dat" in told
    assert "plan: " in told
    grid = Grid(["-5", "-pi"], ["5", "pi"], [20, 15], [False, True])
    kept = samples[50:]
    expected = reweight(
        kept[:, [2, 1]], grid, [0.3, 0.4], kT=KT, bias=kept[:, 3:].sum(axis=1), device="cpu"
    )
    text = Path("fes.dat").read_text().splitlines()
    assert text[0] == "#! FIELDS d phi file.free"
    assert "#! SET periodic_phi true" in text
    found = np.loadtxt("fes.dat")[:, 2]
    assert np.abs(found - expected.values.ravel(order="F")).max() < 1e-9


def test_a_grid_that_is_not_told_reaches_three_bandwidths_beyond_the_samples(
    samples: np.ndarray,
) -> None:
    assert _run("--cvs", "d", "--bandwidth", "0.5", "--mintozero") == 0
    x, energy = np.loadtxt("fes.dat").T
    assert x[[0, -1]] == pytest.approx([samples[:, 2].min() - 1.5, samples[:, 2].max() + 1.5], 1e-5)
    assert len(x) == 101
    assert energy.min() == 0.0


@pytest.mark.parametrize("method", ["ct", "balanced"])
def test_the_offset_of_the_hills_is_taken_off(method: Any, samples: np.ndarray) -> None:
    rows = "".join(f"{10 * i} {x} 0.3 0.8 6\n" for i, x in enumerate(samples[:15, 2]))
    write_hills(
        Path("HILLS"), "#! FIELDS time d sigma_d height biasf\n#! SET kerneltype gaussian\n" + rows
    )
    options = ["--cvs", "d", "--bandwidth", "0.3", "--min", "-4", "--max", "4"]
    weights = ["--bias", "metad.bias", "--hills", "HILLS", "--offset", method]
    assert _run(*options, *weights) == 0
    offset = bias_offset(read_hills("HILLS"), KT, method=method, device="cpu")
    bias = samples[:, 3] - offset.at(samples[:, 0])
    expected = reweight(samples[:, 2], Grid("-4", "4", 100), 0.3, kT=KT, bias=bias, device="cpu")
    assert np.abs(np.loadtxt("fes.dat")[:, 1] - expected.values).max() < 1e-9
    assert np.ptp(offset.at(samples[:, 0])) > 0.1


def test_the_offset_is_computed_over_metads_grid(samples: np.ndarray, capsys: CAPTURE) -> None:
    rows = "".join(f"{10 * i} {x} 0.3 0.8 6\n" for i, x in enumerate(samples[:15, 2]))
    head = "#! FIELDS time d sigma_d height biasf\n#! SET kerneltype stretched-gaussian\n"
    write_hills(Path("HILLS"), head + rows)
    options = ["--cvs", "d", "--bandwidth", "0.3", "--min", "-4", "--max", "4"]
    options += ["--bias", "metad.bias", "--hills", "HILLS", "--offset", "ct"]
    metad = ["--grid-min", "-9", "--grid-max", "9", "--grid-bin", "150"]
    assert _run(*options, *metad) == 0
    # The sums of PLUMED's METAD over the points of its grid, after each hill.
    x = np.linspace(-9.0, 9.0, 151)
    hills = read_hills("HILLS")
    offsets = np.zeros(16)
    for n in range(1, 16):
        bias = (5.0 / 6.0) * reference.bias(x[:, np.newaxis], hills[:n])[0]
        upper, lower = (np.exp(s * bias / (5.0 * KT)).sum() for s in (6.0, 1.0))
        offsets[n] = KT * np.log(upper / lower)
    weights = samples[:, 3] - offsets[np.searchsorted(10.0 * np.arange(15), samples[:, 0])]
    expected = reweight(samples[:, 2], GRID_100, 0.3, kT=KT, bias=weights, device="cpu")
    assert np.abs(np.loadtxt("fes.dat")[:, 1] - expected.values).max() < 1e-9
    capsys.readouterr()
    assert _run(*options, *metad[:4]) == 2
    assert "--grid-bin: found 0 values, expected 1, one for each of d" in capsys.readouterr().err
    assert _run(*options[:6], *metad) == 2
    assert "found --grid-min, --grid-max or --grid-bin without --offset" in capsys.readouterr().err


@pytest.mark.usefixtures("samples")
def test_blocks_give_a_column_of_errors_in_the_unit_that_is_written() -> None:
    options = ["--cvs", "d", "--bandwidth", "0.3", "--blocks", "5"]
    assert _run(*options, "--outfile", "kJ.dat", "--unit", "kJ/mol") == 0
    assert Path("kJ.dat").read_text().startswith("#! FIELDS d file.free error\n")
    converted = ["--unit", "kJ/mol", "--convert", "kcal/mol"]
    assert _run(*options, "--outfile", "kcal.dat", *converted) == 0
    joules, calories = np.loadtxt("kJ.dat"), np.loadtxt("kcal.dat")
    assert (joules[:, 2] > 0.0).all()
    assert np.abs(joules[:, 1:] - 4.184 * calories[:, 1:]).max() < 1e-8
    loaded = load("kJ.dat")
    assert loaded.error is not None
    assert loaded.error.tolist() == joules[:, 2].tolist()


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--cvs", "d", "--bandwidth", "0.3,1"], 2, "--bandwidth: found 2 values, expected 1"),
        (["--cvs", "d,d", "--bandwidth", "1,1"], 2, "--cvs: found d,d, expected each CV once"),
        (["--cvs", "x", "--bandwidth", "1"], 1, "COLVAR:1: found 0 columns x"),
        (["--cvs", "d", "--bandwidth", "1", "--offset", "ct"], 2, "found one of --offset and"),
        (
            ["--cvs", "d", "--bandwidth", "1", "--offset", "ct", "--hills", "HILLS"],
            2,
            "found --offset without --bias",
        ),
        (["--cvs", "d", "--bandwidth", "1", "--skip", "1"], 2, "expected a part from 0 up to 1"),
        (["--cvs", "d", "--bandwidth", "1", "--min", "2"], 2, "found one of --min and --max"),
        (["--cvs", "d", "--bandwidth", "1", "--fmt", "%d"], 1, "found the number format"),
        (["--cvs", "d", "--bandwidth", "1", "--bin", "0"], 2, "expected a whole number above"),
        (["--cvs", "d", "--bandwidth", "1", "--outfile", "no/f"], 1, "found no directory no"),
        (["--cvs", "d"], 2, "--bandwidth"),
    ],
)
@pytest.mark.usefixtures("samples")
def test_what_does_not_fit_is_refused(
    options: list[str], status: int, message: str, tmp_path: Path, capsys: CAPTURE
) -> None:
    assert _run(*options) == status
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["COLVAR"]


@pytest.mark.usefixtures("samples")
def test_kt_is_never_assumed(capsys: CAPTURE) -> None:
    line = ["reweight", "--samples", "COLVAR", "--cvs", "d", "--bandwidth", "1"]
    assert main(line) == 2
    assert "found neither of --kt and --temperature, expected one" in capsys.readouterr().err
    assert main([*line, "--kt", "1", "--temperature", "300"]) == 2
    assert "found both of --kt and --temperature, expected one" in capsys.readouterr().err


# R = 8.31446261815324 J/mol/K; a calorie is 4.184 J.
@pytest.mark.parametrize(("unit", "kT"), [([], 2.494339), (["--unit", "kcal/mol"], 0.596161)])
def test_a_temperature_stands_for_kt_in_kj_per_mol_or_the_unit_named(
    unit: list[str], kT: float, samples: np.ndarray
) -> None:
    line = ["reweight", "--samples", "COLVAR", "--cvs", "d", "--bandwidth", "1", "--min", "-4"]
    line += ["--max", "4", "--bin", "80", "--bias", "metad.bias", "--fmt", "%.9f"]
    assert main([*line, "--temperature", "300", *unit]) == 0
    expected = reweight(samples[:, 2], GRID, 1.0, kT=kT, bias=samples[:, 3], device="cpu")
    assert np.abs(np.loadtxt("fes.dat")[:, 1] - expected.values).max() < 1e-5
