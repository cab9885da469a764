"""A C program compiles with the installed header and calls the installed library."""

from __future__ import annotations

import math
import shutil
import subprocess
from pathlib import Path

import c_api
import pages
import pytest

from cyfes.native.library import library_path


def test_c_program_computes_and_gets_error_messages(tmp_path: Path) -> None:
    library = Path(library_path())
    program = tmp_path / "c_api"
    subprocess.run(
        [
            *("cc", "-std=c99", "-Wall", "-Wextra", "-Werror", f"-I{library.parent}"),
            *(str(Path(__file__).with_name("c_api.c")), str(library), "-o", str(program)),
            *(f"-Wl,-rpath,{library.parent}", "-Wl,--allow-shlib-undefined", "-lm"),
        ],
        check=True,
    )
    environment = {"CUDA_VISIBLE_DEVICES": ""}
    result = subprocess.run(
        [str(program)], env=environment, capture_output=True, text=True, check=True
    )
    c_api.check(result.stdout)
    assert result.stderr == ""


PROGRAMS = Path(pages.__file__).parent / "programs"
STRICT = ("-Wall", "-Wextra", "-Werror")


@pytest.mark.parametrize(
    ("compiler", "standard", "source"),
    [
        ("cc", "-std=c99", "sum.c"),
        ("g++", "-std=c++11", "sum.cpp"),
        ("gfortran", "-std=f2008", "sum.f90"),
    ],
)
def test_programs_of_the_page_print_the_sum(
    compiler: str, standard: str, source: str, tmp_path: Path
) -> None:
    if compiler == "gfortran" and not shutil.which("gfortran"):
        pytest.skip("no gfortran on this machine")
    folder = Path(library_path()).parent
    linked = [f"-L{folder}", "-lcufes", "-lm", f"-Wl,-rpath,{folder}"]
    command = [compiler, standard, *STRICT, f"-I{folder}", str(PROGRAMS / source), *linked]
    command += ["-Wl,--allow-shlib-undefined", "-o", "sum"]
    subprocess.run(command, cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "sum"], stdout=subprocess.PIPE, text=True, check=True)
    found = [tuple(map(float, line.split())) for line in done.stdout.splitlines()]
    hills = ((-1.0, 2.0), (1.0, 3.0))
    assert [x for x, _ in found] == [-2.0, -1.0, 0.0, 1.0, 2.0]
    for x, value in found:
        expected = sum(h * math.exp(-0.5 * ((x - center) / 0.5) ** 2) for center, h in hills)
        assert value == pytest.approx(expected, abs=6e-6)
    # The page shows what the programs print.
    shown = (PROGRAMS.parent / "libcufes.md").read_text(encoding="utf-8")
    assert done.stdout.strip("\n") in shown
