"""Surfaces over time: small pictures on one scale, and movies."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from landscapes import surface_of

import cyfes
from cyfes.errors import InputError
from cyfes.model.grid import Grid
from cyfes.plotting.frames import plot_frames, save_movie

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cyfes.surface import FreeEnergySurface


@pytest.fixture(autouse=True)
def matplotlib(extra: Callable[[str], Any]) -> Any:
    return extra("matplotlib")


def _growing(count: int, ndim: int = 2) -> list[FreeEnergySurface]:
    grid = Grid([-1.0] * ndim, [1.0] * ndim, [10] * ndim)
    one = surface_of(lambda *x: sum(a * a for a in x), grid).with_units("kJ/mol")
    return [replace(one, values=one.values * (k + 1) - 5.0) for k in range(count)]


def _series() -> cyfes.Convergence:
    centers = np.random.default_rng(2).normal(size=(100, 2))
    hills = cyfes.Hills(["x", "y"], centers, 0.5, 1.0, times=np.arange(1.0, 101.0))
    return cyfes.convergence(hills, portions=10)


def test_maps_share_one_scale_and_one_colour_bar() -> None:
    figure = plot_frames(_growing(4), ["a", "b", "c", "d"], columns=3, title="T")
    *maps, bar = figure.axes
    shown = [axes for axes in maps if axes.get_visible()]
    assert [axes.get_title() for axes in shown] == ["a", "b", "c", "d"]
    assert {axes.collections[0].get_clim() for axes in shown} == {(0.0, 8.0)}
    assert bar.get_ylabel() == "Free energy (kJ/mol)\ncontour lines every 1 kJ/mol"
    assert [axes.collections[0].get_array().max() for axes in shown] == pytest.approx([2, 4, 6, 8])


def test_curves_are_drawn_together() -> None:
    (axes,) = plot_frames(_growing(3, ndim=1), vmax=2.5).axes
    assert [line.get_label() for line in axes.lines] == ["1", "2", "3"]
    assert len({line.get_color() for line in axes.lines}) == 3
    assert np.nanmax(axes.lines[2].get_ydata()) <= 2.5


def test_some_surfaces_of_a_run_are_drawn_with_their_times() -> None:
    figure = _series().plot(count=4)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == ["time 20", "time 50", "time 80", "time 100"]
    hills = replace(_series(), times=None)
    titles = [axes.get_title() for axes in hills.plot(count=1).axes if axes.get_title()]
    assert titles == ["100 hills"]


@pytest.mark.parametrize(("name", "kind"), [("a.gif", "GIF"), ("a.webp", "WEBP")])
@pytest.mark.parametrize("ndim", [1, 2])
def test_a_movie_has_a_frame_for_each_surface(
    ndim: int, name: str, kind: str, tmp_path: Path, extra: Callable[[str], Any]
) -> None:
    path = tmp_path / name
    path.write_text("old")
    save_movie(_growing(3, ndim), path, dpi=50, seconds=0.25)
    with extra("PIL.Image").open(path) as movie:
        assert (movie.format, movie.n_frames) == (kind, 3)
        assert movie.size == (170, 140)
        movie.seek(1)
        # Pillow knows the time of a frame of a .webp only after it was decoded.
        movie.load()
        assert movie.info["duration"] == 250
    assert (tmp_path / "bck.0.a.gif").exists() or (tmp_path / "bck.0.a.webp").exists()


def test_frames_of_a_movie_differ(tmp_path: Path, extra: Callable[[str], Any]) -> None:
    _series().save_movie(tmp_path / "run.gif", dpi=50)
    with extra("PIL.Image").open(tmp_path / "run.gif") as movie:
        assert movie.n_frames == 10
        first = np.array(movie.convert("RGB"), dtype=int)
        movie.seek(9)
        last = np.array(movie.convert("RGB"), dtype=int)
    assert np.abs(last - first).max() > 50


@pytest.mark.parametrize(
    ("surfaces", "options", "message"),
    [
        ([], {}, "found no surfaces, expected at least one"),
        (_growing(2), {"labels": ["a"]}, "labels: found 1, expected 2"),
        (_growing(2), {"columns": 0}, "columns: found 0"),
        (_growing(2, 1), {"aspect": "equal"}, "found aspect for a curve of one CV"),
        (_growing(2, 1), {"step": 1.0}, "found step for a curve of one CV"),
        (_growing(1, 3), {}, "found 3 CVs, expected one or two"),
        ([*_growing(1), *_growing(1, 1)], {}, "found surfaces that differ in their CVs, grids"),
        ([_growing(1)[0], _growing(1)[0].to("eV")], {}, "found surfaces that differ in their"),
        (_growing(2), {"vmax": 1.0, "maximum": 1.0}, "found both maximum and vmax"),
    ],
)
def test_frames_that_cannot_be_drawn_are_refused(
    surfaces: list[Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        plot_frames(surfaces, **options)


@pytest.mark.parametrize("name", ["a.mp4", "a", "a.png"])
def test_files_that_are_no_movies_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected one of \.gif, \.webp; ffmpeg makes any other"):
        save_movie(_growing(2), tmp_path / name)
    with pytest.raises(InputError, match="seconds: found 0"):
        save_movie(_growing(2), tmp_path / "a.gif", seconds=0.0)
    with pytest.raises(InputError, match="count: found 0"):
        _series().plot(count=0)
    assert not list(tmp_path.iterdir())
