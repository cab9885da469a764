"""A C program compiles with the installed header and calls the installed library."""

from __future__ import annotations

import subprocess
from pathlib import Path

from cyfes.native.library import library_path

EXPECTED = """\
table: 1, of another version: 0
grid: ok
value: 1, gradient: 1
points: ok
no points: ok
versions: ok
null hills: hills is NULL
null grid: the grid, or an array of it, is NULL
null values: values is NULL
null count: count is NULL
no hills: there are 0 hills, expected at least 1
sigma rows: there are 3 rows of sigma for 2 hills, expected 1 or one for each hill
huge grid: the grid has 1099511627776 points along axis 0, expected 1 to 2147483647
multivariate: multivariate is 2, expected 0 or 1
boxes: ok
once and none: 1
boxes at points: the boxed kernel, and boxes, are defined by the bins of a grid; sum it on a grid
path: path 9 is unknown
device memory: device_memory is memory of a CUDA device, but the device of the call is the CPU
run: ok
path: 2, plan: 1
stopped: the caller stopped the sum
asked: 2
"""


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
    said, absent = result.stdout[: len(EXPECTED)], result.stdout[len(EXPECTED) :].splitlines()
    assert said == EXPECTED
    calls = [line.partition(":")[0] for line in absent]
    assert calls == ["device", "device -2", "devices", "devices"]
    assert all("no CUDA d" in line for line in absent[:3])
    assert absent[3] == "devices: 0"
    assert result.stderr == ""
