"""The examples that the help of each command shows can be typed as they stand."""

from __future__ import annotations

import shlex
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hills_files import HEADER_2D, write_hills
from opes_files import STATE, state_text

from cyfes.cli.main import COMMANDS, main
from cyfes.model.grid import Grid
from cyfes.surface import FreeEnergySurface

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    CAPTURE = pytest.CaptureFixture[str]


def _examples() -> list[Any]:
    """Return the command lines, without what sends their output elsewhere."""
    lines: list[Any] = []
    for name in COMMANDS:
        text = import_module("cyfes.cli." + name.replace("-", "_")).EXAMPLE
        for line in text.replace("\\\n", " ").splitlines()[1:]:
            words = shlex.split(line.partition(">")[0])
            assert words[:2] == ["cyfes", name]
            lines.append(pytest.param(words[1:], id=" ".join(words[1:])))
    return lines


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder that has the files which the examples name."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(4)
    table = np.column_stack(
        [
            np.arange(400.0),
            rng.uniform(-3.0, 3.0, (400, 2)),
            rng.uniform(0.5, 2.5, 400),
            rng.normal(size=(400, 3)),
        ]
    )
    head = "#! FIELDS time phi psi d metad.rbias metad.bias walls.bias\n"
    ends = "".join(f"#! SET min_{cv} -pi\n#! SET max_{cv} pi\n" for cv in ("phi", "psi"))
    rows = "".join(" ".join(f"{x:.6f}" for x in row) + "\n" for row in table)
    (tmp_path / "COLVAR").write_text(head + ends + rows)
    (tmp_path / "STATE").write_text(
        state_text(8, 1, TWO_DIHEDRALS) + state_text(8, 2, TWO_DIHEDRALS)
    )
    kernels = TWO_DIHEDRALS.replace("_state", "_kernels").replace(" height", " height logweight")
    rows = "".join(
        f"{k} {x} {y} 0.3 0.3 1 -2\n" for k, (x, y) in enumerate(rng.normal(size=(9, 2)))
    )
    (tmp_path / "KERNELS").write_text(kernels + rows)
    x, y = np.meshgrid(*[np.linspace(-np.pi, np.pi, 40, endpoint=False)] * 2, indexing="ij")
    values = 10.0 * (np.cos(2.0 * x) + np.cos(2.0 * y)) + x
    grid = Grid(["-pi", "-pi"], ["pi", "pi"], [40, 40], periodic=True)
    for k, name in enumerate(["fes.dat", "other.dat", "fes_0.dat", "fes_1.dat", "fes_2.dat"]):
        FreeEnergySurface(values + k * np.sin(x), grid, ("phi", "psi")).save(tmp_path / name)


TWO_DIHEDRALS = (
    STATE.replace(" d ", " psi ").replace("sigma_d", "sigma_psi")
    + "#! SET min_psi -pi\n#! SET max_psi pi\n"
)


def _write_hills(words: list[str], folder: Path) -> None:
    """Write the hills of the run of the example: over d, or over phi and psi."""
    rng = np.random.default_rng(6)
    if "d" in words:
        head = "#! FIELDS time d sigma_d height biasf\n#! SET kerneltype stretched-gaussian\n"
        rows = "".join(f"{k} {x:.6f} 0.1 0.5 10\n" for k, x in enumerate(rng.uniform(1, 2, 50)))
        write_hills(folder / "HILLS", head + rows)
        return
    centers = np.where(rng.random((60, 1)) < 0.5, -1.5, 1.5) + rng.normal(size=(60, 2)) * 0.3
    rows = "".join(f"{k} {x:.6f} {y:.6f} 0.3 0.3 1 10\n" for k, (x, y) in enumerate(centers))
    write_hills(folder / "HILLS", HEADER_2D + rows)


@pytest.mark.parametrize("words", _examples())
def test_examples_run(
    words: list[str], tmp_path: Path, extra: Callable[[str], Any], capsys: CAPTURE
) -> None:
    if words[0] == "plot":
        extra("matplotlib")
    if words[0] == "completion":
        extra("shtab")
    _write_hills(words, tmp_path)
    assert main(words) == 0, capsys.readouterr().err
