"""``cyfes sum-hills`` does with every option of PLUMED what PLUMED does."""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import reference
from hills_files import HEADER_1D, HEADER_2D, ROWS_1D, ROWS_2D, write_hills
from plumed_files import assert_same_file

from cyfes.cli import sum_hills as command
from cyfes.cli import sum_hills_job as job
from cyfes.cli.common import with_signed_values
from cyfes.cli.main import build_parser, main
from cyfes.io.hills_files import read_hills
from cyfes.model.grid import Grid
from cyfes.model.hills import Hills

if TYPE_CHECKING:
    from collections.abc import Callable

CAPTURE = pytest.CaptureFixture[str]

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]

# PLUMED's own command lines; the shared data has its results.
REGRESSION = {
    "rt44": "--hills HILLS_t1 --bin 99,99 --min -pi,pi --max -pi,pi --fmt %12.7f",
    "rt48": "--hills HILLS_t1a,HILLS_t1b --bin 49,49 --min -pi,pi --max -pi,pi --fmt %8.3f",
    "rt50": "--hills HILLS_t1 --idw t1 --kt 0.6 --stride 300 --fmt %8.3f",
    "rt51": "--histo HILLS_t1 --kt 0.6 --sigma 0.2,0.2 --bin 30,30 --fmt %8.3f "
    "--outhisto correction.dat",
}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("case", REGRESSION)
def test_regression_cases_of_plumed_pass(
    case: str, device: str, shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = shared_data / "plumed"
    for file in folder.glob("HILLS_*"):
        shutil.copy(file, tmp_path)
    assert main(["sum_hills", *REGRESSION[case].split(), "--device", device]) == 0
    expected = sorted((folder / case).glob("*.reference"))
    assert expected
    for file in expected:
        assert_same_file((tmp_path / file.stem).read_text(), file.read_text())
    written = [path.name for path in tmp_path.glob("*.dat")]
    assert sorted(written) == [file.stem for file in expected]


@pytest.fixture
def hills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hills:
    """Return the seven hills of a file HILLS in a new working directory."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(12)
    rows = [
        f"{i} {x:.9f} {y:.9f} 0.4 0.3 {0.5 + 0.1 * i} 8\n"
        for i, (x, y) in enumerate(rng.uniform(-3, 3, (7, 2)))
    ]
    return read_hills(write_hills(tmp_path / "HILLS", HEADER_2D + "".join(rows)))


GRID = ["--min", "-pi,-pi", "--max", "pi,pi", "--bin", "6,5", "--fmt", "%.10f"]


def _run(*options: str) -> int:
    return main(["sum-hills", "--device", "cpu", *options])


def _grid() -> Grid:
    return Grid(["-pi", "-pi"], ["pi", "pi"], [6, 5], periodic=True)


def _columns(path: str, first: int = 2) -> np.ndarray:
    columns: np.ndarray = np.loadtxt(path, ndmin=2)[:, first:].T
    return columns


def _expected(hills: Hills, grid: Grid | None = None) -> np.ndarray:
    values, gradient = reference.plumed_free_energy(grid or _grid(), hills)
    return np.stack([column.ravel(order="F") for column in (values, *gradient)])


def _field_line(path: str) -> str:
    return Path(path).read_text().split("\n", 1)[0]


@pytest.mark.parametrize("nohistory", [False, True])
@pytest.mark.parametrize(("stride", "ends"), [(3, [3, 6, 7]), (7, [7, 7]), (100, [7])])
def test_a_stride_writes_a_file_each_time_and_one_at_the_end(
    stride: int, ends: list[int], nohistory: bool, hills: Hills, tmp_path: Path
) -> None:
    options = ["--stride", str(stride), *(["--nohistory"] if nohistory else [])]
    assert _run("--hills", "HILLS", *GRID, *options) == 0
    assert sorted(p.name for p in tmp_path.glob("*.dat")) == [
        f"fes_{i}.dat" for i in range(len(ends))
    ]
    for number, (start, end) in enumerate(zip([0, *ends], ends)):
        part = hills[start if nohistory else 0 : end]
        expected = _expected(part) if len(part) else np.zeros((3, 30))
        assert np.abs(_columns(f"fes_{number}.dat") - expected).max() < 1e-9


def test_a_stride_goes_on_over_files(hills: Hills) -> None:
    rows = Path("HILLS").read_text().splitlines(keepends=True)
    write_hills(Path("H0"), "".join(rows[:9]))
    write_hills(Path("H1"), HEADER_2D + "".join(rows[9:]))
    assert _run("--hills", "H0,H1", *GRID, "--stride", "3", "--outfile", "part.") == 0
    for number, end in enumerate((3, 6, 7)):
        expected = _expected(hills[:end])
        assert np.abs(_columns(f"part.{number}.dat") - expected).max() < 1e-9


def test_a_stride_over_several_files_says_in_which_order(hills: Hills, capsys: CAPTURE) -> None:
    shutil.copy("HILLS", "H1")
    rows = Path("H1").read_text().splitlines(keepends=True)
    write_hills(Path("H1"), "".join(rows[:-1]) + "9 1 1 0.4 0.3 1 8\n")
    assert _run("--hills", "HILLS,H1", *GRID, "--stride", "7") == 0
    assert "took the hills of one file after the other, as PLUMED does" in capsys.readouterr().err
    assert np.abs(_columns("fes_0.dat") - _expected(hills)).max() < 1e-9
    assert _run("--hills", "HILLS,H1", *GRID, "--stride", "7", "--merge", "time") == 0
    assert "one file after the other" not in capsys.readouterr().err
    assert np.abs(_columns("fes_0.dat") - _expected(hills)).max() > 0.1


@pytest.mark.usefixtures("hills")
def test_a_stride_of_zero_means_one_file_named_as_plumed_names_it(tmp_path: Path) -> None:
    assert _run("--hills", "HILLS", *GRID, "--stride", "0") == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["HILLS", "fes_"]


@pytest.mark.parametrize(("names", "axes"), [("phi", (1,)), ("psi", (0,))])
def test_idw_integrates_the_other_variables_out(
    names: str, axes: tuple[int, ...], hills: Hills
) -> None:
    assert _run("--hills", "HILLS", *GRID, "--idw", names, "--kt", "0.7") == 0
    values, _ = reference.plumed_free_energy(_grid(), hills)
    expected = -0.7 * np.log(np.exp(-values / 0.7).sum(axis=axes))
    assert np.abs(_columns("fes.dat", 1) - expected).max() < 1e-9
    assert _field_line("fes.dat") == f"#! FIELDS {names} projection"


def test_idw_keeps_its_order_and_large_heights_do_not_overflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = "#! FIELDS time a b c sigma_a sigma_b sigma_c height\n"
    text += "#! SET kerneltype stretched-gaussian\n0 0 0 0 1 1 1 900\n"
    hills = read_hills(write_hills(tmp_path / "HILLS", text))
    grid = ["--min", "-1,-2,-3", "--max", "1,2,3", "--bin", "2,3,4", "--fmt", "%.8f"]
    assert _run("--hills", "HILLS", *grid, "--idw", "c,a", "--kt", "0.1") == 0
    values, _ = reference.plumed_free_energy(
        Grid([-1.0, -2.0, -3.0], [1.0, 2.0, 3.0], [2, 3, 4]), hills
    )
    least = values.min(axis=1)
    sums = np.exp(-(values - least[:, np.newaxis]) / 0.1).sum(axis=1)
    expected = (least - 0.1 * np.log(sums)).T
    assert np.abs(_columns("fes.dat")[0] - expected.ravel(order="F")).max() < 1e-6
    assert _field_line("fes.dat") == "#! FIELDS c a projection"


def _histogram(hills: Hills, sigma: list[float], grid: Grid) -> np.ndarray:
    samples = Hills(hills.names, hills.centers, sigma, 1.0, domain=hills.domain)
    values, gradient = reference.plumed_free_energy(grid, samples)
    with np.errstate(divide="ignore"):
        columns = [-0.7 * np.log(-values), *(-0.7 / (0.0 - slope) for slope in gradient)]
    return np.stack([column.ravel(order="F") for column in columns])


def _assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    finite = np.isfinite(expected)
    assert (found[~finite] == expected[~finite]).all()
    assert np.allclose(found[finite], expected[finite], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("outfile", [None, "other.dat"])
def test_a_histogram_is_made_of_samples(outfile: str | None, hills: Hills) -> None:
    options = ["--histo", "HILLS", "--sigma", "1.2,0.9", "--kt", "0.7", *GRID]
    assert _run(*options, *(["--outhisto", outfile] if outfile else [])) == 0
    expected = _histogram(hills, [1.2, 0.9], _grid())
    _assert_close(_columns(outfile or "histo.dat"), expected)


def test_points_without_samples_are_infinite_as_in_plumed(hills: Hills) -> None:
    assert _run("--histo", "HILLS", "--sigma", "0.1,0.1", "--kt", "0.7", *GRID) == 0
    found = _columns("histo.dat")
    assert np.isinf(found).any()
    _assert_close(found, _histogram(hills, [0.1, 0.1], _grid()))


@pytest.mark.usefixtures("hills")
def test_the_histogram_of_a_last_part_without_samples_is_nan_as_in_plumed(
    recwarn: pytest.WarningsRecorder,
) -> None:
    options = ["--histo", "HILLS", "--sigma", "0.5,0.5", "--kt", "1", "--bin", "4,4"]
    assert _run(*options, "--stride", "7", "--nohistory", "--mintozero") == 0
    assert np.isfinite(_columns("histo_0.dat")[0].min())
    assert np.isnan(_columns("histo_1.dat")[0]).all()
    assert not recwarn


def test_a_histogram_of_a_colvar_file_ignores_other_columns_than_idw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    samples = np.random.default_rng(3).normal(size=(50, 1))
    rows = "".join(f"{i} {x[0]:.12f} nan 7\n" for i, x in enumerate(samples))
    (tmp_path / "COLVAR").write_text("#! FIELDS time d bad metad.bias\n" + rows)
    options = ["--histo", "COLVAR", "--sigma", "0.5", "--kt", "0.7", "--idw", "d"]
    assert _run(*options, "--fmt", "%.10f") == 0
    text = (tmp_path / "histo.dat").read_text().splitlines()
    assert text[0] == "#! FIELDS d file.free der_d"
    # PLUMED's own range: one sigma around the samples, ten bins to a sigma.
    low, high = samples.min() - 0.5, samples.max() + 0.5
    bins = math.ceil((high - low) / 0.05)
    assert text[1:4] == [
        f"#! SET min_d {low:g}",
        f"#! SET max_d {high:g}",
        f"#! SET nbins_d  {bins + 1}",
    ]
    expected = _histogram(
        Hills(("d",), samples, 0.5, 1.0), [0.5], Grid(f"{low:g}", f"{high:g}", bins)
    )
    _assert_close(_columns("histo.dat", 1), expected)


def test_a_histogram_of_named_columns_takes_bounds_for_these(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: CAPTURE
) -> None:
    monkeypatch.chdir(tmp_path)
    samples = np.random.default_rng(3).normal(size=(50, 4))
    rows = "".join(f"{i} " + " ".join(f"{x:.12f}" for x in s) + "\n" for i, s in enumerate(samples))
    (tmp_path / "COLVAR").write_text("#! FIELDS time a b c metad.bias\n" + rows)
    options = ["--histo", "COLVAR", "--idw", "b", "--sigma", "0.5", "--kt", "0.7"]
    options += ["--fmt", "%.10f"]
    assert _run(*options, "--bin", "20", "--min", "-4", "--max", "4") == 0
    expected = _histogram(Hills(("b",), samples[:, 1], 0.5, 1.0), [0.5], Grid("-4", "4", 20))
    _assert_close(_columns("histo.dat", 1), expected)
    # As in PLUMED, there may be bounds for each column instead.
    each = ["--bin", "1,20,1,1", "--min", "0,-4,0,0", "--max", "1,4,1,1", "--outhisto", "each.dat"]
    assert _run(*options, *each) == 0
    assert Path("each.dat").read_text() == Path("histo.dat").read_text()
    assert _run(*options, "--bin", "20,20") == 2
    told = "--bin: found 2 values, expected 1, one for each of b; or one for each column, a, b, c"
    assert told in capsys.readouterr().err


def test_hills_and_histogram_together_write_a_projection_as_plumed_does(hills: Hills) -> None:
    options = ["--hills", "HILLS", "--histo", "HILLS", "--sigma", "1.2,0.9", "--kt", "0.7"]
    assert _run(*options, *GRID, "--stride", "4") == 0
    assert _field_line("fes_0.dat") == "#! FIELDS phi psi projection"
    for number, end in enumerate((4, 7)):
        found = _columns(f"fes_{number}.dat")
        assert np.abs(found[0] - _expected(hills[:end])[0]).max() < 1e-9
        _assert_close(_columns(f"histo_{number}.dat"), _histogram(hills[:end], [1.2, 0.9], _grid()))


def test_hills_and_histogram_with_idw_share_the_axis(hills: Hills) -> None:
    options = ["--hills", "HILLS", "--histo", "HILLS", "--sigma", "0.9", "--kt", "0.7"]
    assert _run(*options, *GRID, "--idw", "psi") == 0
    assert _field_line("histo.dat") == "#! FIELDS psi file.free der_psi"
    psi = Hills(("psi",), hills.centers[:, 1], 0.9, 1.0, domain=[("-pi", "pi")])
    grid = Grid(["-pi"], ["pi"], [5], periodic=True)
    _assert_close(_columns("histo.dat", 1), _histogram(psi, [0.9], grid))


def _multivariate(ndim: int, kernel: str) -> str:
    """Return a file of 30 hills of any shape; the first variable is periodic."""
    rng = np.random.default_rng(ndim)
    names = "abc"[:ndim]
    shape = [f"{b}_{a}" for i, b in enumerate(names) for a in names[: i + 1]]
    factors = rng.uniform(-0.4, 0.4, (30, len(shape)))
    for axis in range(ndim):
        factors[:, axis * (axis + 3) // 2] = rng.uniform(0.2, 0.6, 30)
    centers, heights = rng.uniform(-3.1, 3.1, (30, ndim)), rng.uniform(0.1, 2.0, (30, 1))
    table = np.hstack([np.zeros((30, 1)), centers, factors, heights])
    rows = "".join(" ".join(map(repr, row)) + "\n" for row in table.tolist())
    fields = " ".join([*names, *(f"sigma_{pair}" for pair in shape)])
    return (
        f"#! FIELDS time {fields} height\n#! SET multivariate true\n#! SET kerneltype {kernel}\n"
        f"#! SET min_a -pi\n#! SET max_a pi\n{rows}"
    )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kernel", ["stretched-gaussian", "gaussian"])
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_multivariate_hills_are_summed_in_the_boxes_that_plumed_takes(
    ndim: int, kernel: str, device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    hills = read_hills(write_hills(tmp_path / "HILLS", _multivariate(ndim, kernel)))
    bounds = [["-pi", "-3", "-2.5"], ["pi", "3", "2"]]
    bins = [17, 30, 11][:ndim]
    options = ["--min", ",".join(bounds[0][:ndim]), "--max", ",".join(bounds[1][:ndim])]
    bin_option = ["--bin", ",".join(map(str, bins))]
    options += [*bin_option, "--fmt", "%.10f", "--device", device]
    assert _run("--hills", "HILLS", *options) == 0
    grid = Grid(bounds[0][:ndim], bounds[1][:ndim], bins, [True, False, False][:ndim])
    values, gradient = reference.plumed_free_energy(grid, hills)
    expected = np.stack([column.ravel(order="F") for column in (values, *gradient)])
    assert np.abs(_columns("fes.dat", ndim) - expected).max() < 1e-9


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kernel", ["stretched-gaussian", "gaussian"])
def test_hills_wider_than_a_periodic_axis_are_added_as_often_as_plumed_adds_them(
    kernel: str,
    device: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: CAPTURE,
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = "1 2.5 -1 1.4 0.3 1 1\n2 0.1 0.2 0.2 1.5 1 1\n3 -1 -1 0.2 0.3 1 1\n"
    head = HEADER_2D.replace("stretched-gaussian", kernel)
    hills = read_hills(write_hills(tmp_path / "HILLS", head + rows))
    options = ["--bin", "16,14", "--fmt", "%.10f", "--device", device]
    assert _run("--hills", "HILLS", *options) == 0
    assert "PLUMED adds them more than once, and so does cyfes" in capsys.readouterr().err
    grid = Grid(["-pi", "-pi"], ["pi", "pi"], [16, 14], periodic=True)
    assert np.abs(_columns("fes.dat") - _expected(hills, grid)).max() < 1e-9
    once = reference.free_energy(grid, hills)[0].ravel(order="F")
    assert np.abs(_columns("fes.dat")[0] - once).max() > 0.01


TWO_KERNELS = (
    HEADER_1D.replace("stretched-gaussian", "gaussian")
    + "1 0.0 0.2 1.0 10\n"
    + HEADER_1D
    + "2 1.0 0.2 1.0 10\n"
)


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        ([], [-0.144771856, -0.009196295]),
        (["--kernel", "gaussian"], [-0.146444279, -0.011108997]),
        (["--kernel", "stretched-gaussian"], [-0.142859154, -0.009196295]),
    ],
)
def test_a_restart_may_change_the_kernel(
    kernel: list[str],
    expected: list[float],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: CAPTURE,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_hills(tmp_path / "HILLS", TWO_KERNELS)
    assert _run("--hills", "HILLS", "--min", "-1", "--max", "2", "--bin", "30", *kernel) == 0
    found = np.loadtxt("fes.dat")
    assert found[[16, 26], 0].tolist() == [0.6, 1.6]
    assert found[[16, 26], 1] == pytest.approx(expected, abs=2e-9)
    names = "gaussian and stretched-gaussian" if not kernel else kernel[1]
    assert f"summed 2 hills ({names}) over d" in capsys.readouterr().err


def test_a_small_file_without_a_kernel_is_told_and_read_as_the_option_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: CAPTURE
) -> None:
    monkeypatch.chdir(tmp_path)
    write_hills(tmp_path / "HILLS", "#! FIELDS time d sigma_d height\n1 0 0.2 1\n2 1 0.2 1\n")
    grid = ["--min", "-1", "--max", "2", "--bin", "30"]
    assert _run("--hills", "HILLS", *grid) == 0
    told = capsys.readouterr().err
    assert told.count("warning: HILLS: found no '#! SET kerneltype', took stretched Gaussians") == 1
    assert np.loadtxt("fes.dat")[16, 1] == pytest.approx(-0.142859154, abs=2e-9)
    assert _run("--hills", "HILLS", *grid, "--kernel", "gaussian") == 0
    assert "warning" not in capsys.readouterr().err
    assert np.loadtxt("fes.dat")[16, 1] == pytest.approx(-0.146444279, abs=2e-9)


INTERVAL = HEADER_1D + "#! SET lower_int 1.45\n#! SET upper_int 2.3\n"


@pytest.mark.parametrize("options", [[], ["--min", "0", "--max", "4", "--bin", "57"]])
def test_beyond_an_interval_the_surface_is_level(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    hills = read_hills(write_hills(tmp_path / "HILLS", INTERVAL + ROWS_1D))
    assert _run("--hills", "HILLS", "--fmt", "%.10f", *options) == 0
    x, *found = np.loadtxt("fes.dat").T
    inside = np.clip(x, 1.45, 2.3)[:, np.newaxis]
    values, gradient = reference.bias(inside, hills)
    assert np.abs(found[0] + values).max() < 1e-9
    level = (x <= 1.45) | (x >= 2.3)
    assert np.abs(found[1] + np.where(level, 0.0, gradient[0])).max() < 1e-7
    if not options:
        header = (tmp_path / "fes.dat").read_text().splitlines()[1:4]
        assert header == ["#! SET min_d 1.45", "#! SET max_d 2.3", "#! SET nbins_d  201"]


@pytest.mark.parametrize("kernel", ["stretched-gaussian", "gaussian"])
def test_hills_beyond_an_interval_are_summed_in_the_boxes_that_plumed_takes(
    kernel: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = ROWS_1D + "     3   3.90   0.80   1.20   1\n"
    header = INTERVAL.replace("stretched-gaussian", kernel)
    hills = read_hills(write_hills(tmp_path / "HILLS", header + rows))
    assert _run("--hills", "HILLS", "--fmt", "%.10f") == 0
    found = np.loadtxt("fes.dat").T[1:]
    values, (slopes,) = reference.plumed_free_energy(Grid(1.45, 2.3, 200), hills)
    assert hills.kernel == kernel
    assert np.abs(found - [values, slopes]).max() < 1e-9


def test_a_spacing_is_fitted_between_the_ends_that_were_typed_as_in_plumed(hills: Hills) -> None:
    options = ["--min", "-pi,-3.138", "--max", "pi,3.139", "--spacing", "1,0.6282"]
    assert command.run(_options("--hills", "HILLS", *options)) == 0
    header = Path("fes.dat").read_text().splitlines()
    assert "#! SET nbins_phi  7" in header
    # 2 pi needs 11 bins of this size, and the range that was typed needs 10.
    assert "#! SET nbins_psi  10" in header
    assert hills.ndim == 2


def _options(*arguments: str) -> argparse.Namespace:

    parser, _ = build_parser(["sum-hills"])
    words = with_signed_values(["sum-hills", "--device", "cpu", *arguments], command.SIGNED_OPTIONS)
    return parser.parse_args(words)


@pytest.mark.parametrize("source", ["--hills", "--histo"])
def test_input_too_large_to_keep_is_read_again(
    source: str, hills: Hills, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = [source, "HILLS", "--sigma", "0.5,0.5", "--kt", "1", "--fmt", "%.10f"]
    assert _run(*options, "--outfile", "once.dat", "--outhisto", "once.dat") == 0
    monkeypatch.setattr(job, "_KEPT", 0)
    assert _run(*options, "--outfile", "again.dat", "--outhisto", "again.dat") == 0
    assert Path("once.dat").read_text() == Path("again.dat").read_text()
    assert len(hills) == 7


def test_a_pipe_is_kept_however_long_it_is(hills: Hills, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "_KEPT", 0)
    assert _run("--hills", "HILLS", "--outfile", "file.dat") == 0
    os.mkfifo("pipe")
    with subprocess.Popen(["cp", "HILLS", "pipe"]):
        assert _run("--hills", "pipe", "--outfile", "pipe.dat") == 0
    assert Path("file.dat").read_text() == Path("pipe.dat").read_text()
    assert len(hills) == 7


@pytest.mark.usefixtures("hills")
def test_what_was_done_is_told_as_json(capsys: CAPTURE) -> None:
    assert _run("--hills", "HILLS", *GRID, "--stride", "5", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["seconds"] > 0.0
    (fact,) = told["sums"]
    assert fact.pop("plan") is not None
    assert fact == {
        "what": "hills",
        "count": 7,
        "kernel": "stretched-gaussian",
        "names": ["phi", "psi"],
        "points": [6, 5],
        "device": "cpu",
        "unit": None,
        "files": ["fes_0.dat", "fes_1.dat"],
    }


@pytest.mark.parametrize(
    ("units", "factor"), [("kcal/mol", 1 / 4.184), ("eV:kJ/mol", 96.4853321233), ("kT", 1 / 2.5)]
)
def test_energies_are_converted(units: str, factor: float, hills: Hills) -> None:
    assert _run("--hills", "HILLS", *GRID, "--units", units, "--kt", "2.5") == 0
    assert np.abs(_columns("fes.dat") - factor * _expected(hills)).max() < 1e-7


@pytest.mark.usefixtures("hills")
def test_a_picture_is_drawn_beside_the_file(
    tmp_path: Path, capsys: CAPTURE, extra: Callable[[str], Any]
) -> None:
    extra("matplotlib")
    assert _run("--hills", "HILLS", *GRID, "--plot", "fes.png") == 0
    assert (tmp_path / "fes.png").read_bytes().startswith(b"\x89PNG")
    assert "drew phi, psi, wrote fes.png" in capsys.readouterr().err
    assert _run("--hills", "HILLS", *GRID, "--plot", "fes.xyz") == 1
    assert "found the format xyz, expected one of" in capsys.readouterr().err


@pytest.mark.usefixtures("hills")
def test_a_bar_shows_how_far_the_sum_is_where_it_is_wanted(
    capsys: CAPTURE, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _run("--hills", "HILLS", *GRID, "--progress", "always") == 0
    assert "summing hills" in capsys.readouterr().err
    assert _run("--hills", "HILLS", *GRID) == 0
    assert "summing hills" not in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert _run("--hills", "HILLS", *GRID, "--progress", "always") == 3
    assert "pip install 'cyfes[progress]'" in capsys.readouterr().err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert _run("--hills", "HILLS", *GRID) == 0


@pytest.mark.usefixtures("hills")
def test_the_plan_is_told_when_asked_for(capsys: CAPTURE) -> None:
    assert _run("--hills", "HILLS", *GRID, "--explain") == 0
    assert "\ncyfes: plan: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--histo", "HILLS", "--kt", "1"], "found --histo without --sigma"),
        (["--histo", "HILLS", "--sigma", "1,1"], "found --histo without --kt"),
        (["--hills", "HILLS", "--idw", "phi"], "found --idw without --kt"),
        (["--hills", "HILLS", "--idw", "phi", "--kt", "0"], "expected a number above zero"),
        (["--hills", "HILLS", "--idw", "x", "--kt", "1"], "--idw: found the CV x, expected one of"),
        (["--hills", "HILLS", "--idw", "phi,phi", "--kt", "1"], "expected each CV once"),
        (["--hills", "HILLS", "--idw", "psi,phi", "--kt", "1"], "--idw: found all CVs (psi, phi)"),
        (["--histo", "HILLS", "--sigma", "1", "--kt", "1"], "--sigma: found 1 values, expected 2"),
        (
            ["--histo", "HILLS", "--sigma", "1,1", "--kt", "1", "--idw", "phi"],
            "--sigma: found 2 values, expected 1, one for each of phi",
        ),
        (["--histo", "HILLS", "--sigma", "-.1,1", "--kt", "1"], "--sigma: found '-.1', expected a"),
        (["--hills", "HILLS", "--spacing", "-.1,1"], "--spacing: found '-.1', expected a number"),
        (["--hills", "HILLS", "--bin", "-3,4"], "--bin: found '-3', expected a whole number"),
        (["--hills", "HILLS", "--stride", "-1"], "expected a whole number, 0 or more"),
        (["--hills", "HILLS", "--outfile", "-", "--json"], "found - as the output file"),
        (["--hills", "HILLS", "--outfile", "-", "--stride", "2"], "found - as the output file"),
        (
            [
                *("--hills", "HILLS", "--histo", "HILLS", "--sigma", "1,1", "--kt", "1"),
                *("--outfile", "a", "--outhisto", "a"),
            ],
            "found a as --outfile and --outhisto",
        ),
        (["--hills", "HILLS", "--merge", "height"], "invalid choice"),
        (["--hills", "HILLS", "--units", "kT"], "found --units kJ/mol:kT without --kt"),
        (["--hills", "HILLS", "--units", "Ha"], "found 'Ha', expected TO or FROM:TO of kJ/mol"),
    ],
)
@pytest.mark.usefixtures("hills")
def test_options_that_do_not_fit_are_wrong_usage(
    options: list[str], message: str, tmp_path: Path, capsys: CAPTURE
) -> None:
    assert _run(*options) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["HILLS"]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (HEADER_1D + ROWS_1D, "--histo: found the CVs d, expected phi, psi as in --hills"),
        (
            HEADER_2D.replace("min_psi -pi", "min_psi 0") + ROWS_2D,
            "--histo: found the domain ('0', 'pi') of psi, expected ('-pi', 'pi') as in --hills",
        ),
    ],
)
@pytest.mark.usefixtures("hills")
def test_hills_and_samples_of_other_variables_are_refused(
    second: str, message: str, tmp_path: Path, capsys: CAPTURE
) -> None:
    write_hills(tmp_path / "SECOND", second)
    sigma = "1" if "phi" not in second else "1,1"
    options = ["--hills", "HILLS", "--histo", "SECOND", "--sigma", sigma, "--kt", "1"]
    assert _run(*options) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("*.dat"))


def test_multivariate_hills_for_a_gpu_that_is_not_there_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: CAPTURE
) -> None:
    monkeypatch.chdir(tmp_path)
    write_hills(tmp_path / "HILLS", _multivariate(2, "stretched-gaussian"))
    assert main(["sum-hills", "--hills", "HILLS", "--bin", "9,9", "--device", "cuda:99"]) == 3
    assert capsys.readouterr().err.startswith("cyfes: error: ")
    assert not (tmp_path / "fes.dat").exists()


def test_an_interrupted_sum_ends_at_once_and_leaves_nothing_behind(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    header = "#! FIELDS time a b c sigma_a sigma_b sigma_c height\n"
    header += "#! SET kerneltype stretched-gaussian\n"
    rows = [f"0 {x} {y} {z} 1 1 1 1\n" for x, y, z in rng.uniform(-3, 3, (20_000, 3))]
    write_hills(tmp_path / "HILLS", header + "".join(rows))
    line = [sys.executable, "-m", "cyfes", "sum-hills", "--hills", "HILLS", "--device", "cpu"]
    line += ["--bin", "250,250,250", "--progress", "always"]
    with subprocess.Popen(line, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as program:
        assert program.stderr is not None
        # The bar is shown just before the sum begins.
        assert program.stderr.read(1)
        time.sleep(0.5)
        program.send_signal(signal.SIGINT)
        start = time.perf_counter()
        told = program.stderr.read()
        assert program.wait() == 130
    assert told.endswith("cyfes: interrupted\n")
    # Far less than the sum takes, on a slow machine too.
    assert time.perf_counter() - start < 5.0
    assert [path.name for path in tmp_path.iterdir()] == ["HILLS"]


def test_a_full_disk_leaves_no_file_behind(tmp_path: Path, hills: Hills) -> None:
    assert len(hills) == 7
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        (disk / "fes.dat").write_text("old")
        line = [sys.executable, "-m", "cyfes", "sum-hills", "--hills", str(tmp_path / "HILLS")]
        line += ["--bin", "100,100", "--device", "cpu", "--outfile", str(disk / "fes.dat")]
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].endswith("No space left on device")
        assert [path.name for path in disk.iterdir()] == ["fes.dat"]
        assert (disk / "fes.dat").read_text() == "old"
    finally:
        subprocess.run(["umount", str(disk)], check=True)
