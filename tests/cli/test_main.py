"""The command line: the surface that PLUMED makes, the options, the exit status, the messages."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import reference
from hills_files import HEADER_1D, HEADER_2D, ROWS_1D, ROWS_2D, write_hills
from plumed_files import assert_same_file

import cyfes.sums.hills_on_grid
from cyfes._version import __version__
from cyfes.cli.main import main
from cyfes.errors import (
    DeviceError,
    DeviceMemoryError,
    LibraryError,
    MissingDependencyError,
)
from cyfes.io.hills_files import read_hills
from cyfes.model.grid import Grid
from cyfes.native import device_choice, library

CAPTURE = pytest.CaptureFixture[str]

# What the acceptance test sums, as PLUMED's reference file was made.
ALANINE = ["--bin", "100,100", "--min", "-pi,-pi", "--max", "pi,pi", "--mintozero"]


@pytest.fixture
def hills_2d(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return two periodic CVs' HILLS in a new working directory."""
    monkeypatch.chdir(tmp_path)
    return write_hills(tmp_path / "HILLS", HEADER_2D + ROWS_2D)


@pytest.fixture
def hills_1d(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a non-periodic CV's HILLS in a new working directory."""
    monkeypatch.chdir(tmp_path)
    return write_hills(tmp_path / "HILLS", HEADER_1D + ROWS_1D)


def _sum_hills(*options: str) -> int:
    """Sum on the CPU, so that no test depends on the machine's devices."""
    return main(["sum-hills", "--hills", "HILLS", "--device", "cpu", *options])


def _header(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line.startswith("#")]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace("15.428411511", "15.428411513"),
        lambda text: text.replace("nbins_phi  100", "nbins_phi 100"),
        lambda text: text.replace("\n\n", "\n", 1),
        lambda text: text.replace("   15.428411511", "  15.428411511"),
    ],
    ids=["number", "header", "blank line", "width"],
)
def test_the_comparison_with_the_reference_sees_a_difference(
    damage: object, shared_data: Path
) -> None:
    expected = (shared_data / "plumed" / "fes_acealanme_100x100.dat").read_text()
    assert callable(damage)
    assert_same_file(expected.replace("15.428411511", "15.428411512"), expected)
    with pytest.raises(AssertionError):
        assert_same_file(damage(expected), expected)


def test_the_alanine_surface_is_the_one_that_plumed_writes(
    shared_data: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "cyfes", "sum-hills", *ALANINE, "--fmt", "%14.9f"]
    command += ["--hills", str(shared_data / "HILLS_acealanme"), "--device", "cpu"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("cyfes: summed 30000 hills (stretched-gaussian) over phi, psi")
    assert "onto 100 x 100 points on cpu in " in done.stderr
    assert done.stderr.endswith(" s, wrote fes.dat\n")
    expected = (shared_data / "plumed" / "fes_acealanme_100x100.dat").read_text()
    assert_same_file((tmp_path / "fes.dat").read_text(), expected)


def test_a_small_surface_is_the_reference_sum(hills_2d: Path) -> None:
    assert _sum_hills("--bin", "12,10", "--fmt", "%.12f") == 0
    hills = read_hills(hills_2d)
    grid = Grid.covering(hills, bins=[12, 10])
    values, gradient = reference.free_energy(grid, hills)
    table = np.loadtxt("fes.dat")
    columns = [values, *gradient]
    expected = np.stack([column.ravel(order="F") for column in columns], axis=-1)
    assert np.abs(table[:, 2:] - expected).max() < 1e-10


@pytest.mark.parametrize("bounds", [["--min", "-pi,-pi"], ["--min=-pi,-pi"]])
@pytest.mark.usefixtures("hills_2d")
def test_bounds_that_begin_with_a_minus_sign_are_understood(bounds: list[str]) -> None:
    assert _sum_hills(*bounds, "--max", "pi,pi", "--bin", "4,4") == 0


@pytest.mark.usefixtures("hills_2d")
def test_several_files_are_summed_one_after_the_other(tmp_path: Path) -> None:
    (tmp_path / "HILLS.1").write_text(HEADER_2D + ROWS_2D)
    assert _sum_hills("--bin", "5,5", "--outfile", "once.dat") == 0
    both = ["sum-hills", "--hills", "HILLS,HILLS.1", "--device", "cpu", "--bin", "5,5"]
    assert main([*both, "--outfile", "twice.dat"]) == 0
    once, twice = np.loadtxt("once.dat"), np.loadtxt("twice.dat")
    assert np.abs(twice[:, 2:] - 2.0 * once[:, 2:]).max() < 3e-9


@pytest.mark.usefixtures("hills_2d")
def test_the_domain_of_a_periodic_cv_wins_over_narrower_bounds(
    tmp_path: Path, capsys: CAPTURE
) -> None:
    options = ["--min", "-pi,pi", "--max", "-pi,pi", "--spacing", "0.5,0.7"]
    assert _sum_hills(*options) == 0
    assert _header(tmp_path / "fes.dat")[1:] == [
        "#! SET min_phi -pi",
        "#! SET max_phi pi",
        "#! SET nbins_phi  13",
        "#! SET periodic_phi true",
        "#! SET min_psi -pi",
        "#! SET max_psi pi",
        "#! SET nbins_psi  9",
        "#! SET periodic_psi true",
    ]
    told = [line for line in capsys.readouterr().err.splitlines() if "the grid covers" in line]
    assert told == [
        "cyfes: the grid covers phi's domain, -pi to pi, and not -pi to -pi",
        "cyfes: the grid covers psi's domain, -pi to pi, and not pi to pi",
    ]


@pytest.mark.parametrize(
    ("options", "bounds", "points"),
    [
        (["--min", "0", "--max", "2*pi", "--bin", "20"], ("0", "2*pi"), 21),
        (["--min", "-1.50", "--max", "3", "--spacing", "0.1"], ("-1.50", "3"), 46),
        (["--min", "0", "--max", "3", "--spacing", "0.1", "--bin", "50"], ("0", "3"), 51),
        (["--bin", "20"], ("1.14645", "2.95711"), 21),
        (["--spacing", "0.5"], ("1.14645", "2.95711"), 5),
        ([], ("1.14645", "2.95711"), 53),
    ],
)
@pytest.mark.usefixtures("hills_1d")
def test_the_grid_of_a_free_cv_is_typed_or_derived(
    options: list[str], bounds: tuple[str, str], points: int, tmp_path: Path
) -> None:
    assert _sum_hills(*options) == 0
    assert _header(tmp_path / "fes.dat") == [
        "#! FIELDS d file.free der_d",
        f"#! SET min_d {bounds[0]}",
        f"#! SET max_d {bounds[1]}",
        f"#! SET nbins_d  {points}",
        "#! SET periodic_d false",
    ]


@pytest.mark.usefixtures("hills_2d")
def test_negbias_scales_the_hills_back_to_those_laid(tmp_path: Path) -> None:
    assert _sum_hills("--bin", "5,5") == 0
    assert _sum_hills("--bin", "5,5", "--negbias") == 0
    energy, bias = np.loadtxt("fes.dat"), np.loadtxt(tmp_path / "negativebias.dat")
    assert np.abs(bias[:, 2:] - 0.9 * energy[:, 2:]).max() < 2e-9
    assert np.abs(bias[:, 2]).max() > 0.1


@pytest.mark.parametrize("factor", ["1", "-1"])
@pytest.mark.usefixtures("hills_1d")
def test_negbias_of_an_untempered_run_is_refused(
    factor: str, tmp_path: Path, capsys: CAPTURE
) -> None:
    write_hills(tmp_path / "HILLS", HEADER_1D + f"1 1.5 0.1 1.2 {factor}\n")
    assert _sum_hills("--negbias") == 1
    message = capsys.readouterr().err
    assert message.startswith(f"cyfes: error: --negbias: found the bias factor {factor}, expected")
    assert not (tmp_path / "negativebias.dat").exists()


@pytest.mark.usefixtures("hills_2d")
def test_mintozero_puts_the_minimum_at_zero() -> None:
    assert _sum_hills("--bin", "5,5", "--mintozero") == 0
    assert np.min(np.loadtxt("fes.dat")[:, 2]) == 0.0


@pytest.mark.usefixtures("hills_2d")
def test_single_precision_can_be_asked_for() -> None:
    assert _sum_hills("--bin", "5,5", "--outfile", "double.dat") == 0
    assert _sum_hills("--bin", "5,5", "--outfile", "single.dat", "--dtype", "float32") == 0
    double, single = np.loadtxt("double.dat"), np.loadtxt("single.dat")
    difference = np.abs(double - single).max()
    assert 0.0 < difference < 1e-4


@pytest.mark.usefixtures("hills_2d")
def test_standard_output_holds_the_surface_and_nothing_else(
    tmp_path: Path, capsys: CAPTURE
) -> None:
    assert _sum_hills("--bin", "3,3") == 0
    capsys.readouterr()
    assert _sum_hills("--bin", "3,3", "--outfile", "-") == 0
    printed = capsys.readouterr()
    assert printed.out == (tmp_path / "fes.dat").read_text()
    assert printed.err.endswith("wrote standard output\n")


@pytest.mark.usefixtures("hills_2d")
def test_an_older_file_is_kept(tmp_path: Path) -> None:
    (tmp_path / "fes.dat").write_text("old")
    assert _sum_hills("--bin", "3,3") == 0
    assert (tmp_path / "bck.0.fes.dat").read_text() == "old"


@pytest.mark.usefixtures("hills_2d")
def test_a_dropped_line_is_told_in_one_line(tmp_path: Path, capsys: CAPTURE) -> None:
    write_hills(tmp_path / "HILLS", HEADER_2D + ROWS_2D + "4 0.1")
    assert _sum_hills("--bin", "3,3") == 0
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("cyfes: warning: HILLS:11: found no line end")
    assert second.startswith("cyfes: summed 3 hills")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "found no command, expected sum-hills, "),
        (["reweigh"], "invalid choice"),
        (["sum-hills"], "found neither --hills nor --histo"),
        (["sum-hills", "--hills"], "expected one argument"),
        (["sum-hills", "--hills", "HILLS,"], "expected values between commas"),
        (["sum-hills", "--hills", "HILLS", "--bins", "3"], "unrecognized arguments"),
        (["sum-hills", "--hills", "HILLS", "--min", "-pi,-pi"], "expected both or neither"),
        (
            ["sum-hills", "--hills", "HILLS", "--min", "-pi,-pi", "--max", "pi,pi"],
            "expected --bin or --spacing",
        ),
        (["sum-hills", "--hills", "HILLS", "--min", "--max", "pi,pi"], "expected one argument"),
        (["sum-hills", "--hills", "HILLS", "--bin", "3"], "--bin: found 1 values, expected 2"),
        (["sum-hills", "--hills", "HILLS", "--bin", "3,0"], "found '0', expected a whole number"),
        (["sum-hills", "--hills", "HILLS", "--bin", "3,x"], "found 'x', expected a whole number"),
        (["sum-hills", "--hills", "HILLS", "--spacing", "1,0"], "expected a number above zero"),
        (["sum-hills", "--hills", "HILLS", "--min", "-tau,0"], "found '-tau', expected a number"),
        (["sum-hills", "--hills", "HILLS", "--fmt", "%d"], "found the number format '%d'"),
        (["sum-hills", "--hills", "HILLS", "--device", "tpu"], "expected one of auto|cpu|cuda|"),
        (["sum-hills", "--hills", "HILLS", "--dtype", "float16"], "invalid choice"),
        (
            ["sum-hills", "--hills", "HILLS", "--bin", "3,3", "--min", "-4,-pi", "--max", "pi,pi"],
            "found --min -4 and --max pi for phi, expected a whole period such as its domain",
        ),
        (
            ["sum-hills", "--hills", "HILLS", "--bin", "3,3", "--min", "-pi,-pi", "--max", "pi,4"],
            "found --min -pi and --max 4 for psi, expected a whole period such as its domain",
        ),
    ],
)
@pytest.mark.usefixtures("hills_2d")
def test_wrong_usage_is_status_2_and_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: CAPTURE
) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("cyfes: error: ")
    assert printed.err.count("\n") == 1
    assert message in printed.err
    assert [path.name for path in tmp_path.iterdir()] == ["HILLS"]


@pytest.mark.usefixtures("hills_1d")
def test_ends_in_the_wrong_order_are_wrong_usage(capsys: CAPTURE) -> None:
    assert _sum_hills("--min", "3", "--max", "-1", "--bin", "4") == 2
    assert "--max -1 for d: expected more than --min 3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (None, [], "HILLS: No such file or directory"),
        ("1 2 3\n", [], "HILLS:1: found no '#! FIELDS time …' header"),
        (HEADER_2D, [], "HILLS:7: found no hills"),
        (HEADER_2D + ROWS_2D.replace("2.70", "x"), [], "HILLS:8: column psi: found 'x'"),
        (HEADER_2D + ROWS_2D, ["--outfile", "no/fes.dat"], "no/fes.dat: found no directory no"),
    ],
)
def test_faulty_input_is_status_1_and_one_line(
    content: str | None, options: list[str], message: str, hills_2d: Path, capsys: CAPTURE
) -> None:
    hills_2d.unlink()
    if content is not None:
        write_hills(hills_2d, content)
    assert _sum_hills("--bin", "3,3", *options) == 1
    printed = capsys.readouterr().err
    assert printed.startswith(f"cyfes: error: {message}")
    assert printed.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (DeviceError("no driver"), 3, "cyfes: error: no driver\n"),
        (DeviceMemoryError("too small"), 3, "cyfes: error: too small\n"),
        (LibraryError("no libcufes"), 3, "cyfes: error: no libcufes\n"),
        (MissingDependencyError("no package"), 3, "cyfes: error: no package\n"),
        (MemoryError(), 3, "cyfes: error: too little memory\n"),
        (KeyboardInterrupt(), 130, "cyfes: interrupted\n"),
    ],
)
@pytest.mark.usefixtures("hills_2d")
def test_what_stops_a_sum_gives_its_status(
    error: BaseException,
    status: int,
    message: str,
    capsys: CAPTURE,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(cyfes.sums.hills_on_grid, "sum_hills", fail)
    assert _sum_hills("--bin", "3,3") == status
    assert capsys.readouterr().err == message
    assert not Path("fes.dat").exists()


@pytest.mark.usefixtures("hills_2d")
def test_an_internal_error_is_status_70_with_the_traceback(
    capsys: CAPTURE, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cyfes.sums.hills_on_grid, "sum_hills", None)
    assert _sum_hills("--bin", "3,3") == 70
    printed = capsys.readouterr().err
    assert printed.startswith("Traceback")
    assert "cyfes: error: internal error, please report it" in printed.splitlines()[-1]


def test_a_reader_that_goes_away_ends_the_program_quietly(hills_2d: Path) -> None:
    command = [sys.executable, "-m", "cyfes", "sum-hills", "--hills", str(hills_2d)]
    command += ["--bin", "300,300", "--device", "cpu", "--outfile", "-"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        assert program.stdout.readline().startswith("#! FIELDS")
        program.stdout.close()
        assert program.stderr.read() == ""
        assert program.wait() == 128 + signal.SIGPIPE


def test_the_program_ends_with_the_status_of_the_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cyfes", "sum-hills"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("cyfes: error: ")


def test_version_is_printed(capsys: CAPTURE) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"cyfes {__version__}\n"


@pytest.mark.parametrize(
    ("command", "example"),
    [
        ([], "sum-hills"),
        (["sum-hills"], "  cyfes sum-hills --hills HILLS --bin 100,100 --min -pi,-pi --max pi,pi"),
        (["info"], "  cyfes info --json"),
    ],
)
def test_help_shows_an_example(command: list[str], example: str, capsys: CAPTURE) -> None:
    assert main([*command, "--help"]) == 0
    assert example in capsys.readouterr().out


DEVICES = [
    device_choice.Device("cpu", "a CPU", None, None, None, True, ""),
    device_choice.Device("cuda:0", "a GPU", (9, 0), 80 * 2**30, "sm_90", True, ""),
    device_choice.Device("cuda:1", "an old GPU", (3, 5), 2**30, None, False, "too old"),
]


@pytest.fixture
def known_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend to be a machine with these devices."""
    monkeypatch.setattr(library, "library_path", lambda: "/data/cufes/libcufes.so")
    monkeypatch.setattr(device_choice, "cuda_versions", lambda: {"runtime": "12.9", "driver": None})
    monkeypatch.setattr(device_choice, "devices", lambda: DEVICES)


@pytest.mark.usefixtures("known_devices")
def test_info_shows_versions_library_and_devices(capsys: CAPTURE) -> None:
    assert main(["info"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"cyfes         {__version__}",
        f"Python        {sys.version.split()[0]}",
        f"NumPy         {np.__version__}",
        "libcufes      /data/cufes/libcufes.so",
        "CUDA runtime  12.9",
        "CUDA driver   none",
        "cpu     a CPU                                                usable",
        "cuda:0  a GPU       compute capability 9.0  80.0 GiB  sm_90  usable",
        "cuda:1  an old GPU  compute capability 3.5  1.0 GiB          not usable: too old",
    ]


@pytest.mark.usefixtures("known_devices")
def test_info_as_json(capsys: CAPTURE) -> None:
    assert main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["cyfes"] == __version__
    assert facts["numpy"] == np.__version__
    assert facts["libcufes"] == "/data/cufes/libcufes.so"
    assert facts["cuda"] == {"runtime": "12.9", "driver": None}
    assert facts["error"] is None
    assert [device["id"] for device in facts["devices"]] == ["cpu", "cuda:0", "cuda:1"]
    assert facts["devices"][1]["compute_capability"] == [9, 0]


def test_info_without_the_library_says_so_and_is_status_3(
    capsys: CAPTURE, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> str:
        raise LibraryError("libcufes.so is nowhere")

    monkeypatch.setattr(library, "library_path", fail)
    assert main(["info"]) == 3
    lines = capsys.readouterr().out.splitlines()
    assert "libcufes      not found" in lines
    assert lines[-1] == "error         libcufes.so is nowhere"


def test_info_of_this_machine_names_the_installed_library(capsys: CAPTURE) -> None:
    assert main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert Path(facts["libcufes"]).is_file()
    assert facts["devices"][0]["id"] == "cpu"
    assert facts["devices"][0]["usable"] is True


def test_a_grid_over_ten_cvs_is_refused_with_what_one_can_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: CAPTURE
) -> None:
    monkeypatch.chdir(tmp_path)
    names = [f"d{k}" for k in range(10)]
    fields = " ".join(["time", *names, *(f"sigma_{name}" for name in names), "height"])
    head = f"#! FIELDS {fields}\n#! SET kerneltype stretched-gaussian\n"
    write_hills(tmp_path / "HILLS", f"{head}1 {'0 ' * 10}{'0.1 ' * 10}1\n")
    assert main(["sum-hills", "--hills", "HILLS", "--bin", ",".join(["40"] * 10)]) == 1
    told = capsys.readouterr().err
    assert (
        "expected fewer bins or fewer CVs. From samples, cyfes.reweight or cyfes reweight" in told
    )
    assert "memmap" not in told
    assert [path.name for path in tmp_path.iterdir()] == ["HILLS"]
