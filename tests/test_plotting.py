"""Figures: what is drawn, how it is labelled, and what cannot be drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from landscapes import mueller_brown, surface_of, two_wells_across_the_boundary

from cyfes.errors import InputError
from cyfes.landscape.projection import cut
from cyfes.model.grid import Grid
from cyfes.plotting import plot, plot_path, plot_series
from cyfes.surface import FreeEnergySurface

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def pyplot(extra: Callable[[str], Any]) -> Iterator[Any]:
    """Draw without a screen, and close all figures after the test."""
    extra("matplotlib").use("Agg")
    module = extra("matplotlib.pyplot")
    yield module
    module.close("all")


def _angles(**changes: Any) -> FreeEnergySurface:
    grid = Grid(["-pi", "-pi"], ["pi", "pi"], [20, 24], True)
    surface = surface_of(lambda x, y: 20.0 * (2.0 - np.cos(x) - np.cos(y)), grid, ("phi", "psi"))
    return surface.with_units(**changes)


def _solid() -> FreeEnergySurface:
    return surface_of(
        lambda x, y, z: x + 10.0 * y + 100.0 * z, Grid([0.0] * 3, [1.0] * 3, [4, 5, 6])
    )


def test_map_is_labelled_with_names_units_and_contour_distance() -> None:
    figure = plot(_angles(unit="kJ/mol", temperature=300.0))
    axes, bar = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == (r"$\phi$ (rad)", r"$\psi$ (rad)")
    assert bar.get_ylabel() == "Free energy (kJ/mol)\ncontour lines every 2 kT"
    figure.canvas.draw()
    ticks = [text.get_text() for text in axes.get_xticklabels()]
    assert "−π −π/2 0 π/2 π" in " ".join(ticks)
    # The map reaches to the end of the period.
    assert axes.get_xlim() == pytest.approx((-np.pi, np.pi))


@pytest.mark.parametrize(
    ("units", "words"),
    [
        ({}, "Free energy\ncontour lines every 10"),
        ({"unit": "eV"}, "Free energy (eV)\ncontour lines every 10 eV"),
        ({"kT": 10.0}, "Free energy\ncontour lines every 1 kT"),
    ],
)
def test_an_unknown_unit_is_not_shown(units: dict[str, Any], words: str) -> None:
    assert plot(_angles(**units)).axes[1].get_ylabel() == words


def test_values_above_the_limit_are_left_white() -> None:
    figure = plot(_angles(unit="kJ/mol"), maximum=15.0, step=5.0)
    mesh = figure.axes[0].collections[0]
    assert mesh.get_clim() == (0.0, 15.0)
    shown = np.ma.asarray(mesh.get_array())
    assert np.ma.is_masked(shown)
    assert shown.max() <= 15.0
    assert figure.axes[1].get_ylabel().endswith("every 5 kJ/mol")


def test_infinite_values_set_no_scale() -> None:
    surface = _angles()
    surface.values[0, 0] = np.inf
    assert plot(surface).axes[0].collections[0].get_clim()[1] == pytest.approx(80.0, rel=0.1)


def test_curve_has_its_band_and_its_minimum_at_zero() -> None:
    surface = surface_of(lambda x: (x - 1.0) ** 2 + 5.0, Grid(0.0, 3.0, 30), ("d",))
    figure = plot(surface.with_units(cv_units=["nm"]), error=np.full(31, 0.5), label="run 1")
    (axes,) = figure.axes
    assert axes.lines[0].get_ydata().min() == 0.0
    assert axes.get_xlabel() == "d (nm)"
    band = axes.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == pytest.approx(-0.5)


def test_three_cvs_give_the_three_maps_through_the_lowest_point() -> None:
    figure = plot(_solid())
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == ["z = 0", "y = 0", "x = 0"]


def test_cut_holds_a_cv_at_the_nearest_grid_point() -> None:
    surface = _solid().with_units("eV", cv_units=["nm", "rad", ""])
    plane = cut(surface, {"y": 0.41})
    assert plane.names == ("x", "z")
    assert plane.cv_units == ("nm", "")
    np.testing.assert_array_equal(plane.values, surface.values[:, 2, :])
    periodic = cut(_angles(), {"psi": np.pi - 0.01})
    assert periodic.grid.bounds == (("-pi", "pi"),)
    np.testing.assert_array_equal(periodic.values, _angles().values[:, 0])


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ({"w": 0.0}, "at: found w, expected fewer than all of x, y, z"),
        ({"x": 0.0, "y": 0.0, "z": 0.0}, "at: found x, y, z"),
        ({"x": 2.0}, "found 2 in CV 0"),
    ],
)
def test_wrong_cuts_are_refused(at: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        plot(_solid(), at=at)


@pytest.mark.parametrize("option", ["maximum", "step"])
def test_scales_below_zero_are_refused(option: str) -> None:
    with pytest.raises(InputError, match=f"{option}: found -1"):
        plot(_angles(), **{option: -1.0})  # type: ignore[arg-type]


def test_three_cvs_do_not_fit_one_ax(pyplot: Any) -> None:
    _, axes = pyplot.subplots()
    with pytest.raises(InputError, match="found 3 CVs for one ax"):
        plot(_solid(), ax=axes)


def test_path_and_minima_are_drawn_within_the_domain() -> None:
    surface = two_wells_across_the_boundary()
    minima = surface.minima()
    path = surface.path(minima[0].position, minima[1].position)
    (axes, _) = plot(surface, minima=minima, path=path).axes
    drawn = axes.lines[-1].get_xdata()
    assert np.nanmin(drawn) >= -np.pi
    assert np.nanmax(drawn) <= np.pi
    # The line has one gap, where the path crosses the periodic boundary.
    assert np.isnan(drawn).sum() == 1
    assert [text.get_text() for text in axes.texts] == ["1", "2"]


def test_profile_of_a_path_names_its_barrier() -> None:
    path = mueller_brown(40).path((-0.558, 1.442), (0.623, 0.028))
    (axes,) = plot_path(path).axes
    assert [text.get_text() for text in axes.texts] == [f"{path.barrier:.3g}"]
    assert axes.lines[0].get_ydata()[0] == 0.0


def test_series_have_a_legend_each() -> None:
    curves = {f"1 to {k}": np.arange(3.0) * k for k in (2, 3, 4, 5)}
    (axes,) = plot_series([0.0, 1.0, 2.0], curves, xlabel="t", ylabel="F").axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(curves)
    looks = {(line.get_color(), line.get_linestyle()) for line in axes.lines}
    assert len(looks) == 4


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_figures_are_written_in_vector_and_pixel_formats(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"fes.{suffix}"
    plot(_angles()).savefig(path)
    content = path.read_bytes()
    assert content.startswith({"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[suffix])
    assert len(content) < 500_000
    if suffix == "svg":
        # Text is stored as text, not as outlines.
        assert b"contour lines every" in content


def test_an_existing_figure_is_drawn_into(pyplot: Any) -> None:
    figure, axes = pyplot.subplots()
    assert plot(_angles(), ax=axes) is figure
    assert len(pyplot.get_fignums()) == 1
