"""A C program compiles with the installed header and calls the installed library."""

from __future__ import annotations

import subprocess
from pathlib import Path

import c_api

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
