"""``cyfes plot``: the files it writes, and what it refuses."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from landscapes import mueller_brown, surface_of

from cyfes.cli.main import main
from cyfes.cli.plot import EXAMPLE
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
    curve = surface_of(lambda x: (x * x - 1.0) ** 2 - 20.0, Grid(-1.5, 1.5, 30), ("d",))
    replace(curve, error=np.full(31, 0.1)).save("curve.dat")
    angles = Grid(["-pi"] * 2, ["pi"] * 2, [20, 20], True)
    surface_of(lambda x, y: -np.cos(x) - np.cos(y), angles, ("phi", "psi")).save("angles.dat")
    yield
    assert not pyplot.get_fignums()


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures that a command writes."""
    written: list[Any] = []
    from cyfes.plotting.picture import Picture

    save = Picture.savefig

    def savefig(figure: Any, *arguments: Any, **options: Any) -> None:
        written.append(figure)
        save(figure, *arguments, **options)

    monkeypatch.setattr(Picture, "savefig", savefig)
    return written


def test_a_cut_says_where_it_is_and_keeps_its_zero(figures: list[Any], capsys: CAPTURE) -> None:
    assert main(["plot", "solid.npz", "--at", "y=0.4,z=1", "--cv-units", "nm,nm,nm"]) == 0
    assert "drew x, y, z at the grid point y = 0.333333 nm, z = 1 nm, wrote" in (
        capsys.readouterr().err
    )
    (axes,) = figures[0].axes
    assert axes.get_title() == "y = 0.3333 nm, z = 1 nm"
    # F = x² + y + z, whose lowest value is -2.
    assert axes.lines[0].get_ydata().min() == pytest.approx(0.0 + 1.0 / 3.0 + 1.0 + 2.0)
    assert main(["plot", "solid.npz", "--at", "y=0.4,z=1", "--zero", "picture"]) == 0
    assert figures[1].axes[0].lines[0].get_ydata().min() == 0.0
    assert main(["plot", "solid.npz", "--at", "y=0.4,z=1", "--zero", "none"]) == 0
    assert figures[2].axes[0].lines[0].get_ydata().min() == pytest.approx(4.0 / 3.0)


def test_errors_of_a_file_are_a_band(figures: list[Any]) -> None:
    assert main(["plot", "curve.dat", "--unit", "kcal/mol", "--convert", "kJ/mol"]) == 0
    (axes,) = figures[0].axes
    band = axes.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == pytest.approx(-0.1 * 4.184)


def test_minima_and_path_are_drawn_on_a_curve(figures: list[Any]) -> None:
    arguments = ["plot", "curve.dat", "--depth", "0.5", "--from", "1", "--to", "2"]
    assert main(arguments) == 0
    (axes,) = figures[0].axes
    assert [text.get_text() for text in axes.texts] == ["1", "2"]
    path = axes.lines[1].get_xdata()
    assert sorted((path[0], path[-1])) == pytest.approx([-1.0, 1.0])


def test_degrees_are_those_of_a_full_turn(figures: list[Any]) -> None:
    assert main(["plot", "angles.dat", "--cv-units", "deg,deg", "--depth", "1"]) == 0
    axes = figures[0].axes[0]
    assert axes.get_xlim() == (-180.0, 180.0)
    assert axes.get_xlabel() == r"$\phi$ (deg)"
    assert axes.texts[0].xy == pytest.approx((0.0, 0.0), abs=1e-9)


def test_the_examples_of_the_help_run() -> None:
    for name in ("fes", "other", "fes_0", "fes_1", "fes_2"):
        mueller_brown(40).save(f"{name}.dat")
    commands = [shlex.split(line) for line in EXAMPLE.splitlines() if " cyfes plot " in line]
    assert len(commands) == 4
    for _, *arguments in commands:
        assert main(arguments) == 0


@pytest.mark.parametrize("dpi", [50, 120])
def test_pixels_to_an_inch(dpi: int) -> None:
    assert main(["plot", "curve.dat", "--output", "a.png", "--dpi", str(dpi)]) == 0
    width = int.from_bytes(Path("a.png").read_bytes()[16:20], "big")
    assert width == pytest.approx(3.4 * dpi, abs=1)


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
        (["solid.npz", "--from", "1", "--to", "1,1,1", "--depth", "1"], "solid.pdf", b"%PDF"),
        (["curve.dat", "--from", "1", "--to", "2", "--depth", "0.5"], "curve.pdf", b"%PDF"),
        (["mb.dat", "--minus", "mb.dat", "--vmax", "3"], "mb.pdf", b"%PDF"),
        (["mb.dat", "mb.dat", "--title", "two", "--output", "a.png"], "a.png", b"\x89PNG"),
        (["mb.dat", "mb.dat", "--output", "a.gif", "--dpi", "40"], "a.gif", b"GIF89a"),
        (["curve.dat", "curve.dat", "--output", "a.webp", "--dpi", "40"], "a.webp", b"RIFF"),
        (["solid.npz", "solid.npz", "--at", "x=0"], "solid.pdf", b"%PDF"),
        (
            ["mb.dat", "--levels", "10,20", "--contour-labels", "--cmap", "magma", "--title", "T"],
            "mb.pdf",
            b"%PDF",
        ),
        (["angles.dat", "--cv-units", "deg,deg", "--aspect", "auto"], "angles.pdf", b"%PDF"),
        (
            ["mb.dat", "--unit", "kJ/mol", "--temperature", "300", "--integrate-out", "y"],
            "mb.pdf",
            b"%PDF",
        ),
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
        (["mb.dat", "--profile"], 2, "found --profile without a path"),
        (["mb.dat", "--at", "w=1"], 1, "at: found w"),
        (["mb.dat", "--at", "x"], 2, "found 'x', expected CV=VALUE"),
        (["mb.dat", "--to", "1"], 2, "found one of --from and --to"),
        (["mb.dat", "--maximum", "-1"], 2, "expected a number above zero"),
        (["mb.dat", "--cmap", "gray9"], 1, "--cmap: found 'gray9', expected a colour map"),
        (["mb.dat", "--step", "1", "--levels", "1,2"], 2, "found both --step and --levels"),
        (["curve.dat", "--levels", "1"], 1, "found levels for a curve of one CV"),
        (["curve.dat", "--contour-labels"], 1, "found contour_labels for a curve of one CV"),
        (["mb.dat", "mb.dat", "--depth", "5"], 2, "found --depth with several FES"),
        (["mb.dat", "mb.dat", "--zero", "none"], 2, "found --zero none with several FES"),
        (["mb.dat", "solid.npz"], 1, "found surfaces that differ in their CVs"),
        (["solid.npz", "solid.npz"], 1, "found 3 CVs, expected one or two"),
        (["mb.dat", "--minus", "mb.dat", "--from", "1", "--to", "2"], 2, "found --from with --min"),
        (["mb.dat", "--minus", "solid.npz"], 1, "found two surfaces that differ in their CVs"),
        (["mb.dat", "mb.dat", "--output", "a.gif", "--title", "a"], 2, "found --title for a movie"),
        (["mb.dat", "--integrate-out", "y"], 1, "found a surface of unknown temperature"),
        (["angles.dat", "--cv-units", "nm,nm"], 1, "phi: found the unit rad, which cannot be"),
        (
            ["mb.dat", "--from", "1", "--to", "2", "--profile", "--at", "x=1"],
            2,
            "found --at with --profile",
        ),
    ],
)
def test_refusals_write_nothing(
    arguments: list[str], status: int, message: str, capsys: CAPTURE
) -> None:
    before = sorted(Path().iterdir())
    assert main(["plot", *arguments]) == status
    assert message in capsys.readouterr().err
    assert sorted(Path().iterdir()) == before
