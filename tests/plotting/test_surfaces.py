"""Figures: what is drawn, how it is labelled, and what cannot be drawn."""

from __future__ import annotations

import gc
import io
import subprocess
import sys
import tempfile
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from landscapes import mueller_brown, surface_of, two_wells_across_the_boundary

import cyfes
from cyfes.errors import InputError
from cyfes.landscape.projection import cut
from cyfes.landscape.sampled import not_sampled
from cyfes.model.grid import Grid
from cyfes.plotting.scale import scale_of
from cyfes.plotting.series import plot_path, plot_series
from cyfes.plotting.surfaces import plot, plot_difference
from cyfes.surface import FreeEnergySurface

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def pyplot(extra: Callable[[str], Any]) -> Iterator[Any]:
    """pyplot without a screen; no figure is open after a test that opened none."""
    extra("matplotlib").use("Agg")
    module = extra("matplotlib.pyplot")
    yield module
    assert not module.get_fignums()


def matplotlib_version() -> tuple[int, ...]:
    import matplotlib as mpl

    return tuple(map(int, mpl.__version__.split(".")[:2]))


def to_rgba(colour: str) -> tuple[float, ...]:
    from matplotlib.colors import to_rgba

    found: tuple[float, ...] = to_rgba(colour)
    return found


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
    figure.draw_without_rendering()
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
    assert tuple(mesh.cmap(mesh.norm(15.001))) == (1.0, 1.0, 1.0, 1.0)
    assert tuple(mesh.cmap(mesh.norm(15.0))) != (1.0, 1.0, 1.0, 1.0)
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
    pyplot.close("all")


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


def test_a_difference_of_one_variable_has_no_colours() -> None:
    with pytest.raises(InputError, match="found cmap, aspect for a curve of one CV"):
        plot_difference(_double_well(), _double_well(), cmap="jet", aspect="equal")


def test_an_existing_figure_is_drawn_into(pyplot: Any) -> None:
    figure, axes = pyplot.subplots()
    axes.set_title("mine")
    assert plot(_angles(), ax=axes) is figure
    assert axes.get_title() == "mine"
    assert len(pyplot.get_fignums()) == 1
    pyplot.close("all")


def _double_well(**changes: Any) -> FreeEnergySurface:
    surface = surface_of(lambda x: (x * x - 1.0) ** 2, Grid(-1.5, 1.5, 60), ("d",))
    return replace(surface, **changes)


def _hills_at_one_place() -> FreeEnergySurface:
    """A periodic surface of one hill, which reaches a part of it only."""
    hills = cyfes.Hills(["phi", "psi"], [[0.0, 0.0]], 0.3, 10.0, domain=[("-pi", "pi")] * 2)
    return cyfes.sum_hills(hills)


def test_a_figure_leaves_pyplot_and_its_settings_alone(pyplot: Any, tmp_path: Path) -> None:
    mine = pyplot.figure()
    before = dict(pyplot.rcParams)
    figure = _angles().plot()
    figure.savefig(tmp_path / "fes.png")
    assert pyplot.gcf() is mine
    assert pyplot.get_fignums() == [mine.number]
    assert dict(pyplot.rcParams) == before
    assert not mine.axes
    pyplot.close(mine)


def test_drawing_does_not_import_pyplot() -> None:
    code = (
        "import sys, numpy as np, cyfes\n"
        "fes = cyfes.FreeEnergySurface(np.eye(4), cyfes.Grid([0, 0], [1, 1], 3), ('x', 'y'))\n"
        "fes.plot().savefig('fes.svg')\n"
        "print('matplotlib.pyplot' in sys.modules)\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
        )
    assert done.stdout == "False\n"


def test_the_style_holds_when_a_figure_is_written(tmp_path: Path) -> None:
    figure = _double_well(unit="eV").plot(title="A title")
    figure.savefig(tmp_path / "fes.svg")
    assert ">A title</text>" in (tmp_path / "fes.svg").read_text("utf-8")
    figure.savefig(tmp_path / "fes.pdf")
    content = (tmp_path / "fes.pdf").read_bytes()
    assert b"/FontType 42" in content or b"/CIDFontType2" in content
    assert b"/FontType 3" not in content
    figure.savefig(tmp_path / "fes.png")
    assert _png_width(tmp_path / "fes.png") == pytest.approx(3.4 * 300, abs=1)
    figure.savefig(tmp_path / "small.png", dpi=100)
    assert _png_width(tmp_path / "small.png") == pytest.approx(3.4 * 100, abs=1)


def test_the_style_holds_when_a_notebook_prints_a_figure() -> None:
    # As IPython does, once it knows of matplotlib.
    stream = io.BytesIO()
    printed: Any = plot(_double_well())
    printed.canvas.print_figure(stream, format="png", dpi=printed.dpi)
    written: Any = plot(_double_well())
    assert stream.getvalue() == written._repr_png_()


def _png_width(path: Path) -> int:
    return int.from_bytes(path.read_bytes()[16:20], "big")


def test_figures_are_freed() -> None:
    figures = [weakref.ref(plot(_double_well())) for _ in range(3)]
    gc.collect()
    assert [figure() for figure in figures] == [None] * 3


def test_a_notebook_shows_a_figure_as_a_picture() -> None:
    figure: Any = plot(_double_well())
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_what_was_not_sampled_is_grey() -> None:
    surface = _hills_at_one_place()
    axes, bar = plot(surface).axes
    mesh = axes.collections[0]
    drawn = np.ma.getmaskarray(mesh.get_array()).reshape(np.array(surface.shape) + 1)
    # The hill ends at d = 6.25 from its centre; at 0.0 exactly, no hill adds anything.
    x, y = np.meshgrid(*surface.grid.axes, indexing="ij")
    beyond = 0.5 * (x**2 + y**2) / 0.09 >= 6.25
    np.testing.assert_array_equal(drawn[:-1, :-1].T, beyond)
    assert mesh.cmap.get_bad() == pytest.approx(to_rgba("0.85"))
    assert bar.get_ylabel().endswith("grey: not sampled")


def test_a_ridge_is_no_area_that_was_not_sampled() -> None:
    grid = Grid(["-pi", -1], ["pi", 1], [20, 20], [True, False])
    ridge = surface_of(lambda x, y: -np.abs(x) + 0.0 * y, grid, ("phi", "y"))
    assert not not_sampled(ridge.values, grid).any()
    assert not not_sampled(np.ones(grid.shape), grid).any()
    flat = ridge.values.copy()
    flat[8:11, 3:6] = 5.0
    assert not_sampled(flat, grid).sum() == 9
    flat[9, 4] = 4.9
    assert not not_sampled(flat, grid).any()
    flat[9, 4] = np.nan
    assert not_sampled(flat, grid).sum() == 1


def test_a_curve_has_a_gap_where_nothing_was_sampled() -> None:
    hills = cyfes.Hills(["d"], [0.0, 9.0], 1.0, 1.0)
    surface = cyfes.sum_hills(hills, Grid(-10.0, 19.0, 290))
    drawn = plot(surface).axes[0].lines[0].get_ydata()
    gap = np.isnan(drawn)
    x = surface.grid.axes[0]
    reach = np.sqrt(12.5)
    np.testing.assert_array_equal(gap, (np.abs(x) >= reach) & (np.abs(x - 9.0) >= reach))


@pytest.mark.parametrize(("aspect", "ratio"), [(None, 1.0), ("auto", 2.3), (2.0, 0.5)])
def test_periodic_maps_are_square(aspect: Any, ratio: float) -> None:
    from cyfes.plotting.picture import new_figure

    figure = new_figure(6.0, 2.5)
    plot(_angles(), ax=figure.add_subplot(), aspect=aspect)
    figure.draw_without_rendering()
    map_, bar = (axes.get_window_extent() for axes in figure.axes)
    assert map_.width / map_.height == pytest.approx(ratio, rel=0.1)
    if matplotlib_version() >= (3, 6):
        # Before, a colour bar was as high as the room that the map had.
        assert bar.height == pytest.approx(map_.height, rel=0.02)


def test_looks_are_those_that_were_asked_for() -> None:
    options: dict[str, Any] = {"cmap": "magma", "title": "T", "aspect": 0.5, "vmax": 30.0}
    axes, bar = plot(_angles(unit="kJ/mol"), levels=[5.0, 10.0, 20.0], **options).axes
    mesh = axes.collections[0]
    assert mesh.get_cmap().name == "magma"
    assert mesh.get_clim() == (0.0, 30.0)
    assert (axes.get_title(), axes.get_aspect()) == ("T", 0.5)
    assert bar.get_ylabel() == "Free energy (kJ/mol)"


@pytest.mark.parametrize(
    ("options", "levels", "words"),
    [
        ({"levels": 4}, [20.0, 40.0, 60.0], "contour lines every 20"),
        ({"levels": [30.0, 10.0]}, [10.0, 30.0], ""),
        ({"step": 25.0}, [25.0, 50.0, 75.0], "contour lines every 25"),
        ({}, [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0], "contour lines every 10"),
    ],
)
def test_contour_lines_are_those_that_were_asked_for(
    options: dict[str, Any], levels: list[float], words: str
) -> None:
    surface = _angles()
    scale = scale_of(surface, 0.0, None, **options)
    assert scale.levels.tolist() == levels
    assert (scale.low, scale.words) == (0.0, words)
    assert scale.high == pytest.approx(80.0)
    # Each of them is labelled, if labels are asked for.
    axes = plot(surface, contour_labels=True, **options).axes[0]
    assert {text.get_text() for text in axes.texts} <= {f"{level:g}" for level in levels}


def test_lines_below_zero_are_multiples_too() -> None:
    surface = replace(_angles(), values=_angles().values - 45.0)
    assert scale_of(surface, -45.0, None, 20.0).levels.tolist() == [-40.0, -20.0, 0.0, 20.0]


def test_contour_lines_are_numbered() -> None:
    axes = plot(_angles(), step=20.0, contour_labels=True).axes[0]
    assert {text.get_text() for text in axes.texts} == {"20", "40", "60"}


def test_a_colour_map_of_the_user_stays_as_it_was() -> None:
    import matplotlib as mpl

    mine = mpl.colormaps["viridis"].with_extremes(bad="red")
    plot(_hills_at_one_place(), cmap=mine)
    assert mine.get_bad() == pytest.approx(to_rgba("red"))


@pytest.mark.parametrize(
    ("surface", "options", "message"),
    [
        (_double_well(), {"step": 1.0}, "found step for a curve of one CV, which cannot show it"),
        (_double_well(), {"cmap": "jet"}, "found cmap for a curve"),
        (_angles(), {"error": np.ones((20, 24))}, "found error for maps of 2 CVs"),
        (_solid(), {"label": "a"}, "found label for maps of 3 CVs"),
        (_angles(), {"maximum": 1.0, "vmax": 1.0}, "found both maximum and vmax"),
        (_angles(), {"levels": 3, "step": 1.0}, "found both step and levels"),
        (_angles(), {"levels": 0}, "levels: found 0, expected a number from 1"),
        (_angles(), {"levels": [np.nan]}, "levels: found .*, expected numbers"),
        (_angles(), {"zero": "mean"}, "zero: found 'mean', expected one of surface, picture, none"),
        (_angles(), {"minima": _double_well().minima()}, "minima: found <Minimum at .d -1"),
        (_angles(), {"path": _double_well().path(1, 2)}, "path: found one over d, expected phi"),
        (_double_well(error=np.ones(61)), {"error": np.ones(3)}, r"found shape \(3,\)"),
        (_double_well(values=np.full(61, np.inf)), {}, "found a surface that is nowhere finite"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    surface: FreeEnergySurface, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        plot(surface, **options)


def test_zero_is_that_of_the_whole_surface_unless_asked() -> None:
    surface = _solid()  # x + 10 y + 100 z from 0 to 1

    def lowest(**options: Any) -> float:
        axes = plot(surface, at={"y": 0.5, "z": 0.5}, **options).axes[0]
        return float(axes.lines[0].get_ydata().min())

    assert lowest() == pytest.approx(4.0 + 50.0)
    assert lowest(zero="picture") == 0.0
    shifted = replace(surface, values=surface.values - 7.0)
    axes = plot(shifted, at={"y": 0.5, "z": 0.5}, zero="none").axes[0]
    assert axes.lines[0].get_ydata().min() == pytest.approx(47.0)
    # The nearest points: y has 6 of them, z has 7.
    assert axes.get_title() == "y = 0.4, z = 0.5"


def test_a_surface_below_zero_is_drawn_as_it_is() -> None:
    surface = _double_well(values=_double_well().values - 10.0)
    axes = plot(surface, zero="none").axes[0]
    assert axes.lines[0].get_ydata().min() == -10.0
    below = replace(_angles(), values=_angles().values - 100.0)
    mesh = plot(below, zero="none").axes[0].collections[0]
    assert mesh.get_clim() == pytest.approx((-100.0, -20.0))


def test_minima_and_path_are_marked_on_a_curve() -> None:
    surface = _double_well(values=_double_well().values + 0.1 * _double_well().grid.axes[0])
    path = surface.path(1, 2)
    (axes,) = plot(surface, minima=surface.minima(), path=path).axes
    assert [text.get_text() for text in axes.texts] == ["1", "2"]
    assert axes.texts[0].xy[0] == pytest.approx(-1.0, abs=0.05)
    drawn = axes.lines[1].get_xydata()
    assert drawn[0, 0] == pytest.approx(surface.minima()[0].position[0])
    assert drawn[:, 1].max() == pytest.approx(path.barrier, rel=1e-2)


def test_errors_of_the_surface_are_a_band() -> None:
    (axes,) = plot(_double_well(error=np.full(61, 0.25))).axes
    band = axes.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == pytest.approx(-0.25)


def test_minima_and_path_are_projected_into_slices() -> None:
    surface = surface_of(
        lambda x, y, z: 5.0 * (x * x - 1.0) ** 2 + (y - 0.5 * x) ** 2 + z * z + 0.5 * x,
        Grid([-1.5] * 3, [1.5] * 3, [30] * 3),
    )
    minima = surface.minima()
    figure = plot(surface, minima=minima, path=surface.path(1, 2))
    maps = figure.axes[:3]
    assert [[text.get_text() for text in axes.texts] for axes in maps] == [["1", "2"]] * 3
    for axes, (a, b) in zip(maps, ((0, 1), (0, 2), (1, 2))):
        places = [(m.position[a], m.position[b]) for m in minima]
        np.testing.assert_allclose([text.xy for text in axes.texts], places)
        assert axes.lines[1].get_linestyle() == "--"
    # Both minima lie in the plane z = 0; the second is beside the planes of y and x.
    rings = [[t.get_bbox_patch().get_linestyle() for t in axes.texts] for axes in maps]
    assert [ring[0] for ring in rings] == ["-"] * 3
    assert rings[0][1] == "-"
    assert rings[1][1] == rings[2][1] != "-"


def test_a_difference_is_white_at_zero() -> None:
    one = _angles(unit="kJ/mol")
    x, _ = np.meshgrid(*one.grid.axes, indexing="ij")
    # A constant does not count; the lowest point is at x = 0.
    other = replace(one, values=one.values + 3.0 * np.sin(x) ** 2 + 100.0)
    axes, bar = plot_difference(other, one).axes
    mesh = axes.collections[0]
    assert mesh.get_clim() == pytest.approx((-3.0, 3.0))
    assert mesh.cmap(mesh.norm(0.0))[:3] == pytest.approx((1.0, 1.0, 1.0), abs=0.04)
    assert bar.get_ylabel() == "Difference of free energy (kJ/mol)"
    kept = plot_difference(other, one, zero="none", vmax=200.0).axes[0].collections[0]
    assert kept.get_array().max() == pytest.approx(103.0)
    assert kept.get_clim() == (-200.0, 200.0)


def test_a_difference_of_one_variable_is_a_curve() -> None:
    one = _double_well()
    other = _double_well(values=one.values + one.grid.axes[0] ** 2)
    axes = plot_difference(other, one, title="T", vmax=9.0).axes[0]
    assert axes.get_ylim() == (-9.0, 9.0)
    lowest = other.values.min()
    expected = one.grid.axes[0] ** 2 - lowest
    np.testing.assert_allclose(axes.lines[1].get_ydata(), expected)
    assert axes.get_title() == "T"


def test_differences_are_drawn_where_both_were_sampled() -> None:
    one = _hills_at_one_place()
    hills = cyfes.Hills(["phi", "psi"], [[0.5, 0.0]], 0.3, 10.0, domain=[("-pi", "pi")] * 2)
    other = cyfes.sum_hills(hills, one.grid)
    mesh = plot_difference(one, other).axes[0].collections[0]
    both = ~not_sampled(one.values, one.grid) & ~not_sampled(other.values, one.grid)
    drawn = ~np.ma.getmaskarray(mesh.get_array()).reshape(np.array(one.shape) + 1)
    np.testing.assert_array_equal(drawn[:-1, :-1].T, both)


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        (_angles(), _double_well(), "found two surfaces that differ in their CVs"),
        (_angles(), _angles(unit="eV"), "found two surfaces that differ in their CVs"),
        (_solid(), _solid(), "found 3 CVs, expected one or two"),
    ],
)
def test_differences_that_cannot_be_drawn_are_refused(
    one: FreeEnergySurface, other: FreeEnergySurface, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        plot_difference(one, other)
