"""Small jobs are done without NumPy, to the same bytes as any other."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hills_files import HEADER_1D, HEADER_2D, ROWS_1D, ROWS_2D, write_hills

from cyfes.cli import sum_hills as command
from cyfes.cli.main import main
from cyfes.cli.sum_hills_without_numpy import sum_without_numpy

if TYPE_CHECKING:
    from pathlib import Path

ONE = ["--min", "0", "--max", "4", "--bin", "57"]
TWO = ["--min", "-pi,-pi", "--max", "pi,pi", "--bin", "23,31"]

THREE = "#! FIELDS time a b.x c sigma_a sigma_b.x sigma_c height\n#! SET min_b.x 0\n"
THREE += "#! SET max_b.x 2*pi\n" + "".join(f"{i} {i} {i} 0.{i} 0.5 0.4 0.3 1\n" for i in range(7))


def _line(*options: str) -> list[str]:
    return ["sum-hills", "--hills", "HILLS", *options]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (HEADER_1D + ROWS_1D, ONE),
        (HEADER_1D + ROWS_1D, [*ONE, "--mintozero", "--fmt", "%.17g"]),
        (HEADER_1D.replace("stretched-", "") + ROWS_1D, [*ONE, "--outfile", "other.dat"]),
        (HEADER_2D + ROWS_2D, [*TWO, "--fmt", "%.17g"]),
        (HEADER_2D + ROWS_2D, [*TWO, "--mintozero"]),
        (HEADER_2D.replace("stretched-", "") + ROWS_2D, [*TWO, "--fmt", "%.17g"]),
        (HEADER_2D.replace(" biasf", "") + ROWS_2D.replace("  10\n", "\n"), TWO),
        (THREE, ["--min", "-1,0,-2", "--max", "7,2*pi,3", "--bin", "9,12,8", "--fmt", "%.17g"]),
    ],
)
def test_the_quick_job_writes_the_same_bytes(
    text: str, options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_hills(tmp_path / "HILLS", text)
    name = "other.dat" if "--outfile" in options else "fes.dat"
    assert main(_line(*options)) == 0
    quick = (tmp_path / name).read_text()
    done: list[object] = []
    monkeypatch.setattr(command, "sum_without_numpy", done.append)
    assert main(_line(*options, "--device", "cpu")) == 0
    assert len(done) == 1
    assert (tmp_path / name).read_text() == quick


def test_the_quick_job_does_not_import_numpy(tmp_path: Path) -> None:
    write_hills(tmp_path / "HILLS")
    code = "from cyfes.cli.main import main; import sys; main(sys.argv[1:])"
    line = [sys.executable, "-c", f"{code}; print('numpy' in sys.modules)", *_line(*TWO)]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert done.stderr.startswith(
        "cyfes: summed 3 hills (stretched-gaussian) over phi, psi onto 23"
    )


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (HEADER_2D + ROWS_2D, [*TWO, "--stride", "2"]),
        (HEADER_2D + ROWS_2D, [*TWO, "--dtype", "float32"]),
        (HEADER_2D + ROWS_2D, [*TWO, "--device", "cuda"]),
        (HEADER_2D + ROWS_2D, [*TWO, "--negbias"]),
        (HEADER_2D + ROWS_2D, ["--bin", "9,9"]),
        (HEADER_2D + ROWS_2D, [*TWO[:-1], "200,200"]),
        (HEADER_2D + ROWS_2D, ["--min", "-3,-pi", *TWO[2:]]),
        (HEADER_2D + ROWS_2D, ["--min", "-pi", "--max", "pi", "--bin", "9"]),
        (HEADER_2D + ROWS_2D.replace("0.30", "1.30"), [*TWO[:-1], "9,9"]),
        (HEADER_2D + ROWS_2D.replace("0.30", "0.00"), TWO),
        (HEADER_2D + ROWS_2D.replace("1.10", "nan"), TWO),
        (HEADER_2D + ROWS_2D.replace("1.10", "1e999"), TWO),
        (HEADER_2D + ROWS_2D + HEADER_2D + ROWS_2D, TWO),
        (HEADER_2D + ROWS_2D.rstrip("\n"), TWO),
        (HEADER_2D, TWO),
        (ROWS_2D, TWO),
        (HEADER_2D.replace("false", "true") + ROWS_2D, TWO),
        (HEADER_1D + "#! SET lower_int 1\n#! SET upper_int 2\n" + ROWS_1D, ONE),
        ("# note\n" + HEADER_2D + ROWS_2D, TWO),
        ("", TWO),
    ],
)
def test_anything_out_of_the_ordinary_is_left_to_the_general_job(
    text: str, options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_hills(tmp_path / "HILLS", text)
    found: list[object] = []
    quick = sum_without_numpy

    def note(options: object) -> object:
        found.append(quick(options))  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "sum_without_numpy", note)
    assert main(_line(*options)) == 130
    assert found == [None]
