"""``cyfes plot``: the files it writes, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from landscapes import mueller_brown, surface_of

from cyfes.cli.main import main
from cyfes.model.grid import Grid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    CAPTURE = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def surfaces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: Callable[[str], Any]
) -> Iterator[None]:
    """Two surfaces in an empty folder; no figure left behind."""
    pyplot = extra("matplotlib.pyplot")
    monkeypatch.chdir(tmp_path)
    mueller_brown(40).save("mb.dat")
    solid = surface_of(lambda x, y, z: x * x + y + z, Grid([-1.0] * 3, [1.0] * 3, [6] * 3))
    solid.save("solid.npz")
    yield
    pyplot.close("all")


@pytest.mark.parametrize(
    ("arguments", "written", "start"),
    [
        (["mb.dat"], "mb.pdf", b"%PDF"),
        (["mb.dat", "--depth", "5", "--output", "a.png"], "a.png", b"\x89PNG"),
        (["mb.dat", "--from", "1", "--to", "2", "--output", "a.svg"], "a.svg", b"<?xml"),
        (["mb.dat", "--from", "1", "--to", "2", "--profile"], "mb.pdf", b"%PDF"),
        (["mb.dat", "--unit", "kJ/mol", "--convert", "kcal/mol", "--step", "5"], "mb.pdf", b"%PDF"),
        (["solid.npz"], "solid.pdf", b"%PDF"),
        (["solid.npz", "--at", "y=-0.3", "--cv-units", "nm,nm,nm"], "solid.pdf", b"%PDF"),
        (["solid.npz", "--at", "y=-0.3,z=1", "--maximum", "0.5"], "solid.pdf", b"%PDF"),
    ],
)
def test_pictures_are_written(arguments: list[str], written: str, start: bytes) -> None:
    assert main(["plot", *arguments]) == 0
    assert Path(written).read_bytes().startswith(start)
    assert main(["plot", *arguments]) == 0
    assert Path(f"bck.0.{written}").read_bytes().startswith(start)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["nowhere.dat"], 1, "nowhere.dat: No such file"),
        (["mb.dat", "--output", "a.xyz"], 1, "a.xyz: found the format .xyz, expected one of"),
        (["mb.dat", "--output", "a"], 1, "a: found the format none"),
        (["mb.dat", "--output", "no/a.pdf"], 1, "found no directory no"),
        (["mb.dat", "--profile"], 1, "found --profile without a path"),
        (["mb.dat", "--at", "w=1"], 1, "at: found w"),
        (["mb.dat", "--at", "x"], 2, "found 'x', expected CV=VALUE"),
        (["mb.dat", "--to", "1"], 2, "found one of --from and --to"),
        (["mb.dat", "--maximum", "-1"], 2, "expected a number above zero"),
    ],
)
def test_refusals_write_nothing(
    arguments: list[str], status: int, message: str, capsys: CAPTURE
) -> None:
    before = sorted(Path().iterdir())
    assert main(["plot", *arguments]) == status
    assert message in capsys.readouterr().err
    assert sorted(Path().iterdir()) == before
