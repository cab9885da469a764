"""CyFES 4.5's command line: its options, the files, the exit status, and none of its defects."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference
from cube_files import read_cube

import cyfes.__main__
from cyfes.cli import cyfes45

CAPTURE = pytest.CaptureFixture[str]

KT = reference.PATH_FES_KT
HEADER = "#! FIELDS x y z bias rbias\n#! SET min_x -pi\n"


def table(count: int = 60) -> Any:
    """Return x, y, z, bias and rbias of some samples, on a box that differs along each axis."""
    random = np.random.default_rng(0)
    cvs = random.uniform([-1.0, 2.0, 5.0], [1.0, 2.5, 8.0], size=(count, 3))
    return np.column_stack([cvs, random.uniform(0.0, 3.0, size=(count, 2))])


def write_samples(path: Path, rows: Any, header: str = HEADER, separator: str = " ") -> None:
    lines = [separator.join(map(repr, row)) for row in np.asarray(rows).tolist()]
    path.write_text(header + "\n".join(lines) + "\n")


@pytest.fixture
def samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the table that a new working directory has as samples.txt."""
    monkeypatch.chdir(tmp_path)
    rows = table()
    write_samples(Path("samples.txt"), rows)
    return rows


def run(*options: str) -> int:
    """Compute on the CPU, so that no test depends on the machine's devices."""
    return cyfes45.main(["-i", "samples.txt", "-device", "cpu", *options])


def read_dat(path: str) -> Any:
    text = Path(path).read_text(encoding="utf-8")
    assert text.count("#") == 1
    return np.array([line.split("\t") for line in text.splitlines()[1:]], dtype=float)


def grid_points(lower: Any, upper: Any, bins: Any) -> Any:
    """Return the points of a grid, the last axis fastest, shape (M, 3)."""
    axes = [np.linspace(a, b, n + 1) for a, b, n in zip(lower, upper, bins)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)


def free_energy(points: Any, cvs: Any, bias: Any, sigma: float = 1.0) -> Any:
    return reference.path_fes(points / sigma, cvs / sigma, np.full(3, sigma), bias)


def hills(points: Any, cvs: Any, sigma: float = 1.0) -> Any:
    square = ((points[:, None, :] - cvs[None, :, :]) ** 2).sum(axis=2) / sigma**2
    return KT * np.exp(-0.5 * square).sum(axis=1)


@pytest.mark.usefixtures("samples")
def test_cyfes45_grid_order_is_right_where_the_axes_differ(samples: Any) -> None:
    assert run("-g", "4,6,5", "-sigma", "0.5", "-odat", "z.dat", "-o", "z.cub") == 0
    cvs = samples[:, :3]
    points = grid_points(cvs.min(axis=0), cvs.max(axis=0), (4, 6, 5))
    expected = free_energy(points, cvs, samples[:, 3], 0.5)
    found = read_dat("z.dat")
    assert len(found) == 5 * 7 * 6
    np.testing.assert_allclose(found[:, :3], points, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(found[:, 3], expected, rtol=1e-8, atol=1e-12)
    cube = read_cube(Path("z.cub"))
    assert cube.values.shape == (5, 7, 6)
    np.testing.assert_allclose(cube.values.ravel(), expected, rtol=6e-6, atol=1e-12)


def test_cyfes45_lengths_in_the_cube_are_exact(samples: Any) -> None:
    assert run("-g", "4,6,5", "-o", "z.cub", "-e", "0.25") == 0
    cube = read_cube(Path("z.cub"))
    lower, upper = samples[:, :3].min(axis=0) - 0.25, samples[:, :3].max(axis=0) + 0.25
    np.testing.assert_allclose(cube.origin * 0.529177210903, lower, rtol=0, atol=1e-8)
    np.testing.assert_allclose(
        cube.steps * 0.529177210903 * (4, 6, 5), upper - lower, rtol=0, atol=1e-8
    )


@pytest.mark.usefixtures("samples")
def test_cyfes45_units_are_one_system_and_stated() -> None:
    outputs = ["-o", "z.cub", "-odat", "z.dat", "-oV", "v.dat", "-oF", "f.dat"]
    assert run(*outputs) == 0
    comment = read_cube(Path("z.cub")).comments[1]
    assert comment.startswith("fes(kcal/mol), clipped to +-450; lengths are angstrom converted to")
    columns = {"z.dat": "fes", "v.dat": "V", "f.dat": "F"}
    for path, column in columns.items():
        header = Path(path).read_text(encoding="utf-8").splitlines()[0]
        assert header == f"#! FIELDS x(Å) y(Å) z(Å) {column}(kcal/mol)"


@pytest.mark.usefixtures("samples")
def test_a_scaled_energy_is_not_called_kcal() -> None:
    assert run("-odat", "z.dat", "-o", "z.cub", "-a", "4.184", "-b", "-1") == 0
    header = Path("z.dat").read_text(encoding="utf-8").splitlines()[0]
    assert header.endswith(" 4.184*fes(kcal/mol)-1")
    assert read_cube(Path("z.cub")).comments[1].startswith("4.184*fes(kcal/mol)-1, clipped")


CHOICES: list[tuple[list[str], list[int], int | None]] = [
    ([], [0, 1, 2], 3),
    (["-ib", "4"], [0, 1, 2], 4),
    (["-ib", "-1"], [0, 1, 2], 4),
    (["-no_rbias", "false"], [0, 1, 2], 4),
    (["-no_rbias", "False", "-ir", "0"], [0, 1, 2], 0),
    (["-no_bias", "true"], [0, 1, 2], None),
    (["-no_bias", "true", "-no_rbias", "false"], [0, 1, 2], 4),
    (["-no_bias", "false", "-no_rbias", "true"], [0, 1, 2], 3),
    (["-ic", "4,2,0"], [4, 2, 0], 3),
]


@pytest.mark.parametrize(("options", "cv_columns", "bias_column"), CHOICES)
def test_columns_are_chosen(
    options: list[str], cv_columns: list[int], bias_column: int | None, samples: Any
) -> None:
    assert run("-odat", "z.dat", "-g", "2,3,4", *options) == 0
    cvs = samples[:, cv_columns]
    bias = np.zeros(len(cvs)) if bias_column is None else samples[:, bias_column]
    points = grid_points(cvs.min(axis=0), cvs.max(axis=0), (2, 3, 4))
    expected = free_energy(points, cvs, bias)
    np.testing.assert_allclose(read_dat("z.dat")[:, 3], expected, rtol=1e-8, atol=1e-12)


LIMITS: list[tuple[list[str], list[float], list[float]]] = [
    (["-cmin", "-2,1,4", "-cmax", "2,3,9"], [-2.0, 1.0, 4.0], [2.0, 3.0, 9.0]),
    (["-cmin", "-2,-1,-4", "-cmax", "2,3,9", "-e", "0.5"], [-2.5, -1.5, -4.5], [2.5, 3.5, 9.5]),
    (["-cmin=-2.5,1,4", "-cmax", "2,3,9", "-e", "-0.5"], [-2.0, 1.5, 4.5], [1.5, 2.5, 8.5]),
    (["-intg", "true"], [-1.0, 2.0, 5.0], [1.0, 3.0, 8.0]),
    (["-intg", "true", "-e", "0.3"], [-2.0, 1.0, 4.0], [2.0, 3.0, 9.0]),
    (["-cmin", "1.0000000001e-1,2,5", "-intg", "false", "-cmax", "1,3,8"], [0.10000000001, 2, 5],
     [1, 3, 8]),
]  # fmt: skip


@pytest.mark.parametrize(("options", "lower", "upper"), LIMITS)
@pytest.mark.usefixtures("samples")
def test_ends_of_the_grid_are_chosen(
    options: list[str], lower: list[float], upper: list[float]
) -> None:
    assert run("-odat", "z.dat", *options) == 0
    points = read_dat("z.dat")[:, :3]
    assert len(points) == 11**3
    np.testing.assert_allclose(points[0], lower, rtol=1e-8)
    np.testing.assert_allclose(points[-1], upper, rtol=1e-8)


def test_so_many_samples_are_read(samples: Any, capsys: CAPTURE) -> None:
    assert run("-odat", "z.dat", "-s", "7") == 0
    assert "read 7 samples from samples.txt, bias in column 3" in capsys.readouterr().err
    cvs = samples[:7, :3]
    points = grid_points(cvs.min(axis=0), cvs.max(axis=0), (10, 10, 10))
    expected = free_energy(points, cvs, samples[:7, 3])
    np.testing.assert_allclose(read_dat("z.dat")[:, 3], expected, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "separator"), [("a.csv", ","), ("a.CSV", " , "), ("a.xyz", "  "), ("b.a.txt", "\t")]
)
def test_files_of_each_kind_are_read(name: str, separator: str, samples: Any) -> None:
    assert run("-odat", "expected.dat") == 0
    write_samples(Path(name), samples, separator=separator)
    assert cyfes45.main(["-device", "cpu", "-i", name, "-odat", "found.dat"]) == 0
    assert Path("found.dat").read_text("utf-8") == Path("expected.dat").read_text("utf-8")


def test_values_are_scaled_and_shifted_before_they_are_clipped(
    samples: Any, capsys: CAPTURE
) -> None:
    assert run("-odat", "z.dat", "-a", "-300", "-b", "30", "-sigma", "0.2") == 0
    cvs = samples[:, :3]
    points = grid_points(cvs.min(axis=0), cvs.max(axis=0), (10, 10, 10))
    scaled = -300.0 * free_energy(points, cvs, samples[:, 3], 0.2) + 30.0
    clipped = np.clip(scaled, -450.0, 450.0)
    count = np.count_nonzero(scaled < -450.0)
    assert 0 < count < len(scaled)
    np.testing.assert_allclose(read_dat("z.dat")[:, 3], clipped, rtol=1e-7)
    assert f"clipped {count} of 1331 values to +-450" in capsys.readouterr().err


def test_sum_of_hills_is_written_as_bias_and_free_energy(samples: Any) -> None:
    assert run("-oV", "v.dat", "-oF", "f.dat", "-sigma", "0.4", "-g", "3,5,4") == 0
    cvs = samples[:, :3]
    points = grid_points(cvs.min(axis=0), cvs.max(axis=0), (3, 5, 4))
    bias = hills(points, cvs, 0.4)
    np.testing.assert_allclose(read_dat("v.dat")[:, 3], bias, rtol=1e-8)
    found = read_dat("f.dat")[:, 3]
    np.testing.assert_allclose(found, bias.max() - bias, rtol=1e-7, atol=1e-12)
    assert found.min() == 0.0


@pytest.mark.usefixtures("samples")
def test_sum_of_hills_may_be_written_as_free_energy_alone() -> None:
    assert run("-oF", "f.dat") == 0
    assert sorted(path.name for path in Path().iterdir()) == ["f.dat", "samples.txt"]


@pytest.mark.usefixtures("samples")
def test_single_precision_can_be_asked_for() -> None:
    for value in ("true", "false"):
        names = ["-odat", f"{value}.dat", "-oV", f"{value}.v.dat"]
        assert run("-f32", value, *names) == 0
    for kind in ("dat", "v.dat"):
        single, double = read_dat(f"true.{kind}"), read_dat(f"false.{kind}")
        difference = np.abs(single - double)[:, 3] / double[:, 3].max()
        assert 0.0 < difference.max() < 1e-5


def test_cyfes45_infinity_at_a_large_bias_is_gone(samples: Any) -> None:
    samples[:, 3] += 1e5
    write_samples(Path("samples.txt"), samples)
    assert run("-odat", "z.dat") == 0
    cvs = samples[:, :3]
    points = grid_points(cvs.min(axis=0), cvs.max(axis=0), (10, 10, 10))
    expected = free_energy(points, cvs, samples[:, 3])
    assert expected.max() > 0.1
    np.testing.assert_allclose(read_dat("z.dat")[:, 3], expected, rtol=0, atol=1e-8)


@pytest.mark.usefixtures("samples")
def test_far_from_all_samples_the_free_energy_is_finite() -> None:
    assert run("-odat", "z.dat", "-cmin", "-30,-30,-30", "-cmax", "30,30,30", "-b", "-400") == 0
    assert (np.abs(read_dat("z.dat")[:, 3]) <= 450.0).all()


@pytest.mark.usefixtures("samples")
def test_sink_has_no_effect_and_says_so(capsys: CAPTURE) -> None:
    assert run("-odat", "without.dat") == 0
    assert "-sink" not in capsys.readouterr().err
    assert run("-odat", "with.dat", "-sink", "true") == 0
    assert "cyfes: warning: -sink had no effect" in capsys.readouterr().err
    assert Path("with.dat").read_text("utf-8") == Path("without.dat").read_text("utf-8")


@pytest.mark.usefixtures("samples")
def test_standard_output_holds_the_cube_and_nothing_else(capsys: CAPTURE) -> None:
    assert run("-o", "z.cub") == 0
    capsys.readouterr()
    assert run("-o", "-") == 0
    printed = capsys.readouterr()
    assert printed.out == Path("z.cub").read_text()
    assert all(line.startswith("cyfes: ") for line in printed.err.splitlines())


@pytest.mark.usefixtures("samples")
def test_an_older_file_is_kept() -> None:
    Path("z.cub").write_text("old")
    assert run("-o", "z.cub") == 0
    assert Path("bck.0.z.cub").read_text() == "old"


IN = ["-i", "samples.txt", "-device", "cpu"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "z"], "found no input file, expected -i FILE (see 'python -m cyfes -h')"),
        (["-i"], "argument -i: expected one argument"),
        (["-i", "samples", "-o", "z"], "-i samples: expected a name that ends with .txt, .xyz or"),
        (["-i", "samples.dat", "-o", "z"], "-i samples.dat: expected a name that ends with"),
        ([*IN], "found no output file, expected -o, -odat, -oV or -oF"),
        ([*IN, "-o", "z", "-odat", "z"], "found the output files z, z, expected different ones"),
        ([*IN, "-o", "z", "-ic", "0,1"], "-ic: found '0,1', expected 3 values, one for each CV"),
        ([*IN, "-o", "z", "-ic", "0,1,a"], "-ic: found 'a', expected a column, counted from 0"),
        ([*IN, "-o", "z", "-ib", "1.5"], "-ib: found '1.5', expected a column"),
        ([*IN, "-o", "z", "-g", "10"], "-g: found '10', expected 3 values"),
        ([*IN, "-o", "z", "-g", "10,0,10"], "-g: found '0', expected a whole number above zero"),
        ([*IN, "-o", "z", "-g", "10,,10"], "-g: found '10,,10', expected values between commas"),
        ([*IN, "-o", "z", "-s", "0"], "-s: found '0', expected a whole number above zero"),
        ([*IN, "-o", "z", "-e", "nan"], "-e: found 'nan', expected a number"),
        ([*IN, "-o", "z", "-a", "x"], "-a: found 'x', expected a number"),
        ([*IN, "-o", "z", "-sigma", "0"], "-sigma: found '0', expected a number above zero"),
        ([*IN, "-o", "z", "-cmin", "-1,-1"], "-cmin: found '-1,-1', expected 3 values"),
        ([*IN, "-o", "z", "-f32", "1"], "-f32: found '1', expected true or false"),
        ([*IN, "-o", "z", "-no_bias", "yes"], "-no_bias: found 'yes', expected true or false"),
        ([*IN, "-o", "z", "-device", "gpu"], "-device: found 'gpu', expected a CUDA device such"),
        ([*IN, "-o", "z", "-device", "0,"], "-device: found '0,', expected a CUDA device such"),
        ([*IN, "-o", "z", "-kT", "1"], "unrecognized arguments: -kT 1"),
        ([*IN, "-o", "z", "extra"], "unrecognized arguments: extra"),
    ],
)
@pytest.mark.usefixtures("samples")
def test_wrong_usage_is_status_2_and_one_line(
    arguments: list[str], message: str, capsys: CAPTURE
) -> None:
    assert cyfes45.main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("cyfes: error: ")
    assert printed.err.count("\n") == 1
    assert message in printed.err
    assert os.listdir() == ["samples.txt"]  # noqa: PTH208 - a list, to be compared


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (None, [], "samples.txt: No such file or directory"),
        (HEADER, [], "samples.txt: found no row of numbers, expected at least one"),
        (HEADER + "1 2 3 4\n1 x 3 4\n", [], "samples.txt:4: found 'x', expected a number"),
        (HEADER + "1 2 3 4\n1 2 inf 4\n", [], "samples.txt:4: found inf, expected a finite"),
        (HEADER + "1 2 3\n", [], "samples.txt:3: found 3 columns, expected column 3, counted"),
        (HEADER + "1 2 3\n", ["-no_bias", "true", "-ic", "0,1,7"],
         "samples.txt:3: found 3 columns, expected column 7, counted from 0"),
        ("1 2 3 4\n", [], "the grid along x would go from 1 to 1, expected a larger upper end"),
        ("1 2 3 4\n", ["-e", "-1"], "the grid along x would go from 2 to 0"),
        ("1 2 3 4\n", ["-cmin", "0,0,9", "-cmax", "9,9,0"], "the grid along z would go from 9 to"),
        (None, ["-odat", "no/z.dat"], "no/z.dat: found no directory no, expected one to write to"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("samples")
def test_faulty_input_is_status_1_and_nothing_is_written(
    content: str | None, options: list[str], message: str, capsys: CAPTURE
) -> None:
    path = Path("samples.txt")
    path.unlink()
    if content is not None:
        path.write_text(content)
    assert run("-o", "z.cub", *options) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"cyfes: error: {message}")
    assert not Path("z.cub").exists()


def python_m_cyfes(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program as a user does, on a machine that shows no GPU."""
    return subprocess.run(
        [sys.executable, "-m", "cyfes", *arguments],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def test_cyfes45_garbage_without_a_gpu_is_a_result_of_the_cpu(samples: Any) -> None:
    done = python_m_cyfes("-i", "samples.txt", "-odat", "z.dat")
    assert done.returncode == 0, done.stderr
    said = done.stderr.splitlines()
    assert said[0] == "cyfes: read 60 samples from samples.txt, bias in column 3"
    # So small a sum is the CPU's on any machine: nothing to warn of.
    assert re.fullmatch(r"cyfes: computed .* 11 x 11 x 11 points on cpu: 0 to [\d.]+", said[1])
    assert len(said) == 2
    cvs = samples[:, :3]
    points = grid_points(cvs.min(axis=0), cvs.max(axis=0), (10, 10, 10))
    expected = free_energy(points, cvs, samples[:, 3])
    np.testing.assert_allclose(read_dat("z.dat")[:, 3], expected, rtol=1e-8, atol=1e-12)


@pytest.mark.usefixtures("samples")
def test_cyfes45_garbage_without_a_gpu_is_status_3_where_one_was_asked_for() -> None:
    done = python_m_cyfes("-i", "samples.txt", "-o", "z.cub", "-device", "0")
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].startswith("cyfes: error: ")
    assert not Path("z.cub").exists()


@pytest.mark.gpu
@pytest.mark.usefixtures("samples")
def test_a_gpu_computes_what_the_cpu_does(capsys: CAPTURE) -> None:
    count = sum(device.usable for device in cyfes.devices()) - 1
    devices = ["0", ",".join(map(str, range(count)))]
    for device in (*devices, "cpu"):
        options = ["-oV", f"{device}.v", "-odat", f"{device}.z", "-device", device]
        assert cyfes45.main(["-i", "samples.txt", *options]) == 0
        said = capsys.readouterr().err
        assert said.count(f" points on {'cpu' if device == 'cpu' else f'cuda:{device}'}: ") == 2
    for kind in "vz":
        expected = read_dat(f"cpu.{kind}")
        for device in devices:
            np.testing.assert_allclose(read_dat(f"{device}.{kind}"), expected, atol=1e-8)


@pytest.mark.parametrize(
    ("arguments", "old"),
    [
        (["-i", "x.txt"], True),
        (["-o", "z.cub", "-i", "x.txt"], True),
        (["-h"], True),
        (["-i=x.txt"], True),
        (["sum-hills", "-i", "x.txt"], False),
        (["info"], False),
        (["--help"], False),
        (["--version"], False),
        (["-"], False),
        (["-1"], False),
        ([], False),
    ],
)
def test_the_first_argument_decides_between_the_command_lines(
    arguments: list[str], old: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cyfes45, "main", lambda given: ("old", given))
    monkeypatch.setattr("cyfes.cli.main.main", lambda given: ("new", given))
    found: Any = cyfes.__main__.main(arguments)
    assert found == ("old" if old else "new", arguments)


def test_the_help_of_each_command_line_names_the_other(capsys: CAPTURE) -> None:
    assert cyfes.__main__.main(["--help"]) == 0
    assert "'python -m cyfes -h'" in capsys.readouterr().out
    assert cyfes.__main__.main(["-h"]) == 0
    shown = capsys.readouterr().out
    assert "'python -m cyfes --help'" in shown
    assert "kT is 0.596128107 (300 K)" in shown
    assert "  python -m cyfes -i xyz_bias.txt" in shown


def test_every_option_of_cyfes45_is_there() -> None:
    options = (
        "i ic ib ir s e g o oV oF odat no_bias no_rbias f32 sigma device a b cmin cmax intg sink"
    )
    actions = cyfes45._parser()._actions
    assert {f"-{name}" for name in options.split()} | {"-h"} == {
        name for action in actions for name in action.option_strings
    }
    defaults = {action.dest: action.default for action in actions}
    assert (defaults["sigma"], defaults["e"], defaults["g"]) == (1.0, 0.0, [10, 10, 10])
    assert (defaults["a"], defaults["b"], defaults["no_rbias"]) == (1.0, 0.0, True)
