"""Surfaces: what they contain, which arguments they refuse, and what they write."""

from __future__ import annotations

import math
import pickle
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from landscapes import surface_of

from cyfes.errors import InputError
from cyfes.model.grid import Grid
from cyfes.surface import FreeEnergySurface, load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GRID = Grid(["-pi", 0], ["pi", 1], [2, 1], [True, False])
VALUES = np.array([[-1.0, -2.0], [-3.0, 4.0]])
NAMES = ("phi", "d")


def _surface(**changes: Any) -> FreeEnergySurface:
    given: dict[str, Any] = {"values": VALUES, "grid": GRID, "names": NAMES}
    return FreeEnergySurface(**{**given, **changes})


def test_numpy_uses_the_values_of_a_surface() -> None:
    surface = _surface()
    assert np.asarray(surface) is VALUES
    assert (np.exp(surface) == np.exp(VALUES)).all()
    single = np.asarray(surface, dtype=np.float32)
    assert single.dtype == np.float32
    copied = np.array(surface)
    copied[0, 0] = 99.0
    assert VALUES[0, 0] == -1.0


def test_the_array_protocol_never_copies_where_a_copy_is_forbidden() -> None:
    surface = _surface()
    assert surface.__array__(copy=False) is VALUES
    assert surface.__array__(np.dtype(float), copy=True) is not VALUES
    with pytest.raises(ValueError, match="needs a copy"):
        surface.__array__(np.dtype("float32"), copy=False)


def test_shift_to_zero_makes_a_new_surface_with_minimum_zero() -> None:
    gradient = np.ones((2, 2, 2))
    surface = _surface(gradient=gradient, device="cuda:0")
    shifted = surface.shift_to_zero()
    assert shifted.values.tolist() == [[2.0, 1.0], [0.0, 7.0]]
    assert surface.values[1, 0] == -3.0
    assert shifted.gradient is gradient
    assert shifted.device == "cuda:0"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"values": np.zeros((2, 3))}, r"values: found shape \(2, 3\), expected \(2, 2\)"),
        ({"values": np.zeros(4)}, r"values: found shape \(4,\)"),
        ({"gradient": np.zeros((2, 2))}, r"gradient: found shape .* expected \(2, 2, 2\)"),
        ({"names": ("phi",)}, "names: found 1, expected 2"),
        ({"domain": (None,)}, "domain: found 1, expected 2"),
        ({"cv_units": ("rad",)}, "cv_units: found 1, expected 2"),
        ({"unit": "kJ"}, "unit: found 'kJ', expected kJ/mol, kcal/mol, eV, kT"),
        ({"kT": 0.0}, "kT: found 0.0, expected a number above zero"),
    ],
)
def test_parts_that_do_not_fit_the_grid_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        _surface(**changes)


def test_repr_describes_a_surface_in_one_line() -> None:
    assert repr(_surface()) == (
        "<FreeEnergySurface over phi, d: 2 x 2 points, -3 to 4, computed on cpu>"
    )
    # A file does not say where its surface was computed.
    assert repr(_surface(device="unknown")) == (
        "<FreeEnergySurface over phi, d: 2 x 2 points, -3 to 4>"
    )


def test_save_writes_values_and_gradient(tmp_path: Path) -> None:
    gradient = np.stack([VALUES * 10.0, VALUES * 100.0])
    _surface(gradient=gradient).save(tmp_path / "fes.dat", fmt="%.1f")
    lines = (tmp_path / "fes.dat").read_text().split("\n")
    assert lines[0] == "#! FIELDS phi d file.free der_phi der_d"
    assert lines[9:] == [
        " -3.1 0.0 -1.0 -10.0 -100.0",
        " 0.0 0.0 -3.0 -30.0 -300.0",
        "",
        " -3.1 1.0 -2.0 -20.0 -200.0",
        " 0.0 1.0 4.0 40.0 400.0",
        "",
    ]


def test_save_without_gradient_writes_only_values(tmp_path: Path) -> None:
    _surface(values=VALUES.astype(np.float32)).save(tmp_path / "fes.dat")
    lines = (tmp_path / "fes.dat").read_text().split("\n")
    assert lines[0] == "#! FIELDS phi d file.free"
    assert lines[9] == "   -3.141592654    0.000000000   -1.000000000"


@pytest.mark.parametrize(
    ("grid", "lower"),
    [
        (Grid([-math.pi, 0], [math.pi, 1], [2, 1], [True, False]), "-pi"),
        (Grid([-3.0, 0], [3.0, 1], [2, 1], [True, False]), "-3"),
    ],
)
def test_save_writes_pi_only_where_the_grid_ends_at_pi(
    grid: Grid, lower: str, tmp_path: Path
) -> None:
    surface = _surface(grid=grid, domain=(("-pi", "pi"), None))
    surface.save(tmp_path / "fes.dat")
    assert f"#! SET min_phi {lower}\n" in (tmp_path / "fes.dat").read_text()


def test_save_refuses_a_bad_format_and_keeps_the_older_file(tmp_path: Path) -> None:
    target = tmp_path / "fes.dat"
    target.write_text("old")
    with pytest.raises(InputError, match="number format '%d'"):
        _surface().save(target, fmt="%d")
    assert target.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_with_units_changes_no_values() -> None:
    surface = _surface().with_units("kJ/mol", temperature=300.0, cv_units=["rad", "nm"])
    assert surface.values is VALUES
    assert surface.kT == pytest.approx(2.494338785)
    assert (surface.unit, surface.cv_units) == ("kJ/mol", ("rad", "nm"))
    assert "-3 to 4 kJ/mol" in repr(surface)
    assert surface.with_units().kT == surface.kT


def test_conversion_changes_values_gradient_and_kT() -> None:  # noqa: N802
    gradient = np.ones((2, 2, 2), dtype=np.float32)
    surface = _surface(gradient=gradient).with_units("kcal/mol", kT=0.5).to("kJ/mol")
    np.testing.assert_allclose(surface.values, VALUES * 4.184)
    assert surface.gradient is not None
    assert surface.gradient.dtype == np.float32
    assert surface.kT == pytest.approx(2.092)
    in_kT = surface.to("kT")  # noqa: N806
    np.testing.assert_allclose(in_kT.values, VALUES * 2.0)
    assert in_kT.kT == 1.0
    back = in_kT.to("kcal/mol", kT=0.5)
    np.testing.assert_allclose(back.values, VALUES)
    assert back.kT == pytest.approx(0.5)


def test_conversion_without_unit_or_temperature_is_refused() -> None:
    with pytest.raises(InputError, match="unit that is not known"):
        _surface().to("kJ/mol")
    with pytest.raises(InputError, match="no temperature"):
        _surface(unit="eV").to("kT")
    with pytest.raises(InputError, match="a temperature without a unit"):
        _surface().with_units(temperature=300.0)


def test_a_pickled_surface_is_restored_completely() -> None:
    surface = _surface(gradient=np.ones((2, 2, 2)), domain=(("-pi", "pi"), None), plan="separable")
    back = pickle.loads(pickle.dumps(surface))  # noqa: S301
    assert back.values.tolist() == VALUES.tolist()
    assert (back.grid, back.names, back.plan) == (GRID, NAMES, "separable")
    assert back.domain == surface.domain


def test_a_notebook_shows_a_table_with_escaped_text() -> None:
    html = _surface(names=("<b>", "d"), plan="tiles & threads")._repr_html_()
    assert "<td>&lt;b&gt;, d</td>" in html
    assert "tiles &amp; threads" in html


def _wells() -> FreeEnergySurface:
    """Two wells along x, the one at 1 higher by 2, in kJ/mol at 300 K."""
    return surface_of(
        lambda x, y: 10.0 * (x * x - 1.0) ** 2 + x + 5.0 * y * y,
        Grid([-1.6, -1], [1.6, 1], [64, 8]),
    ).with_units("kJ/mol", 300)


def test_a_surface_is_indexed_like_its_values() -> None:
    surface = _surface()
    assert surface.shape == (2, 2)
    assert (surface.ndim, len(surface)) == (2, 2)
    assert surface[1, 0] == -3.0
    assert surface[surface.values > 0.0].tolist() == [4.0]
    assert [row.tolist() for row in surface] == VALUES.tolist()


def test_surfaces_on_one_grid_are_added_and_subtracted() -> None:
    one = _surface(gradient=np.ones((2, 2, 2)), error=np.full((2, 2), 3.0), unit="eV")
    other = _surface(values=VALUES * 2.0, error=np.full((2, 2), 4.0), kT=0.1)
    change = other - one
    assert change.values.tolist() == VALUES.tolist()
    assert change.error is not None
    assert change.error.tolist() == [[5.0, 5.0], [5.0, 5.0]]
    assert (change.unit, change.kT, change.gradient) == ("eV", 0.1, None)
    mean = sum([one, one]) / 2
    assert isinstance(mean, FreeEnergySurface)
    assert mean == replace(one, error=mean.error)
    assert mean.gradient is not None
    assert (-one)[0, 0] == 1.0
    assert (one - 1.0)[0, 0] == -2.0
    assert (one + np.ones((2, 2)))[0, 0] == 0.0
    single = _surface(values=VALUES.astype(np.float32))
    assert (2.0 * single - 1.0).values.dtype == np.float32


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (_surface(names=("psi", "d")), "found a surface over psi, d, expected phi, d"),
        (
            _surface(grid=Grid(["-pi", 0], ["pi", 2], [2, 1], [True, False])),
            "found surfaces on two grids, phi -pi to pi in 2 points, d 0 to 1 in 2 points and phi",
        ),
        (_surface(unit="eV"), "found surfaces of unit kJ/mol and eV"),
        (np.zeros(3), r"found an array of shape \(3,\), expected a number"),
    ],
)
def test_surfaces_that_do_not_fit_are_not_subtracted(other: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        _surface(unit="kJ/mol") - other


def test_equality_compares_grid_values_and_units() -> None:
    surface = _surface(unit="eV")
    assert surface == _surface(values=VALUES.copy(), unit="eV", device="cuda:0", plan="tiles")
    assert surface != _surface()
    assert surface != _surface(values=VALUES + 1e-12, unit="eV")
    assert surface != _surface(unit="eV", gradient=np.ones((2, 2, 2)))
    assert surface != "eV"
    gaps = np.array([[np.nan, 1.0], [2.0, 3.0]])
    assert _surface(values=gaps) == _surface(values=gaps.copy())
    with pytest.raises(TypeError, match="unhashable"):
        hash(surface)


def test_places_are_minima_their_numbers_or_points() -> None:
    surface = _wells()
    first, second = surface.minima()
    expected = surface.path(first.position, second.position)
    for places in ((first, second), (1, 2), (first, 2)):
        np.testing.assert_array_equal(surface.path(*places).points, expected.points)
        assert surface.difference(*places) == surface.difference(first.position, second.position)
    # Fewer minima are that deep.
    with pytest.raises(InputError, match="found the minimum 2, expected 1 to 1"):
        surface.path(1, 2, depth=20.0)
    with pytest.raises(InputError, match="found the minimum 0, expected 1 to 2"):
        surface.difference(0, 1)


def test_the_default_depth_of_minima_is_kT() -> None:  # noqa: N802
    noisy = _wells()
    # The lowest point becomes a small hill between two.
    noisy.values[12, 3:6] += 1.0
    assert len(noisy.minima()) == 2
    assert len(noisy.minima(0.0)) > 2
    assert len(replace(noisy, kT=None).minima()) == len(noisy.minima(0.0))
    assert noisy.path(1, 2).points[-1] == pytest.approx([1.0, 0.0], abs=0.03)


def test_minima_are_shown_with_names_and_units() -> None:
    lowest = _wells().minima()[0]
    assert repr(lowest) == "<Minimum at (x -1, y 0): -1 kJ/mol, depth inf kJ/mol>"


def test_variables_are_integrated_out() -> None:
    surface = _wells()
    assert surface.kT is not None
    over_x = surface.integrate_out("y")
    assert (over_x.names, over_x.shape, over_x.unit) == (("x",), (65,), "kJ/mol")
    expected = -surface.kT * np.log(np.exp(-surface.values / surface.kT).sum(axis=1))
    np.testing.assert_allclose(over_x.values, expected, rtol=1e-12)
    other = surface.integrate_out(["x"], 1.5)
    expected = -1.5 * np.log(np.exp(-surface.values / 1.5).sum(axis=0))
    np.testing.assert_allclose(other.values, expected, rtol=1e-12)


@pytest.mark.parametrize("constant", [-5000.0, 5000.0])
def test_a_constant_of_any_size_stays_one_when_variables_are_integrated_out(
    constant: float,
) -> None:
    # exp(5000 / kT) is more than a float64 holds, and exp(-5000 / kT) is less.
    raised = replace(_wells(), values=_wells().values + constant)
    found = raised.integrate_out("y").values
    np.testing.assert_allclose(found, _wells().integrate_out("y").values + constant, rtol=1e-12)


@pytest.mark.parametrize("names", ["z", ["x", "y"], []])
def test_what_cannot_be_integrated_out_is_refused(names: Any) -> None:
    with pytest.raises(InputError, match="to integrate out, expected some, not all, of x, y"):
        _wells().integrate_out(names)
    with pytest.raises(InputError, match="unknown temperature"):
        replace(_wells(), kT=None).integrate_out("y")


def test_units_are_given_by_position() -> None:
    assert _surface().with_units("kJ/mol", 300).kT == pytest.approx(2.494338785)
    assert _surface(unit="kJ/mol").to("kT", 300)[1, 1] == pytest.approx(4.0 / 2.494338785)


def test_angles_and_lengths_are_converted() -> None:
    gradient = np.ones((2, 2, 2))
    surface = _surface(gradient=gradient, domain=(("-pi", "pi"), None), cv_units=("rad", "nm"))
    changed = surface.to(cv_units=["deg", "Å"])
    assert changed.grid.bounds == (("-180", "180"), ("0", "10"))
    assert changed.domain == (("-180", "180"), None)
    assert changed.gradient is not None
    assert changed.gradient[:, 0, 0] == pytest.approx([math.pi / 180.0, 0.1])
    assert changed.values is surface.values
    back = changed.to(cv_units=["rad", "nm"])
    assert back.grid == GRID
    assert back.grid.bounds == GRID.bounds
    # An angle is known by the ends of its domain; a unit that is not known is named.
    plain = _surface().to(cv_units=["deg", "nm"])
    assert plain.grid.bounds == (("-180", "180"), ("0", "1"))
    assert "phi (deg), d (nm)" in repr(plain)


@pytest.mark.parametrize(
    ("ends", "unit", "expected"),
    [
        (("0", "360"), "rad", ("0", "2*pi")),
        (("-90", "90"), "rad", ("-pi/2", "pi/2")),
        (("90", "270"), "rad", ("pi/2", "3*pi/2")),
        (("-170", "190"), "rad", ("-2.96705972839036", "3.31612557878923")),
    ],
)
def test_ends_in_degrees_become_multiples_of_pi(
    ends: tuple[str, str], unit: str, expected: tuple[str, str]
) -> None:
    grid = Grid([ends[0]], [ends[1]], [4], True)
    surface = FreeEnergySurface(np.zeros(4), grid, ("phi",), cv_units=("deg",))
    assert surface.to(cv_units=[unit]).grid.bounds == (expected,)


def test_wrong_units_of_variables_are_refused() -> None:
    with pytest.raises(InputError, match="phi: found the unit deg for a CV from -pi to pi"):
        _surface().with_units(cv_units=["deg", "nm"])
    with pytest.raises(InputError, match="phi: found the unit rad, which cannot be converted to"):
        _surface().to(cv_units=["nm", "nm"])
    with pytest.raises(InputError, match="cv_units: found 'rad', expected 2, one for each of phi"):
        _surface().to(cv_units="rad")
    with pytest.raises(InputError, match="a temperature without a unit to convert to"):
        _surface().to(temperature=300.0)


@pytest.mark.parametrize("name", ["fes.csv", "fes.h5", "fes.png", "fes.csv.gz"])
def test_save_refuses_a_suffix_of_no_format(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"found the suffix \.\w+, expected \.cube, .*\.dat"):
        _surface().save(tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["fes.dat", "fes.txt", "fes", "fes.npz", "fes.nc"])
def test_errors_are_saved_and_loaded(
    name: str, tmp_path: Path, extra: Callable[[str], Any]
) -> None:
    extra("scipy")
    surface = _surface(error=np.array([[0.5, 0.25], [1.0, 2.0]]))
    surface.save(tmp_path / name)
    back = load(tmp_path / name)
    assert back.error is not None
    assert back.error.tolist() == surface.error.tolist()  # type: ignore[union-attr]
    assert back.values.tolist() == VALUES.tolist()


def test_errors_are_converted_and_cut() -> None:
    surface = _surface(error=np.ones((2, 2)), unit="kcal/mol")
    in_kj = surface.to("kJ/mol")
    assert in_kj.error is not None
    assert in_kj.error.tolist() == [[4.184] * 2] * 2
    part = surface.cut(d=0.9)
    assert part.error is not None
    assert part.values.tolist() == VALUES[:, 1].tolist()
    assert part.error.tolist() == [1.0, 1.0]
    with pytest.raises(InputError, match=r"error: found shape \(2,\), expected \(2, 2\)"):
        _surface(error=np.ones(2))


def test_a_notebook_shows_a_picture(extra: Callable[[str], Any]) -> None:
    extra("matplotlib")
    surface = _wells()
    picture = surface._repr_png_()
    assert picture is not None
    assert picture.startswith(b"\x89PNG")
    assert '<img alt="the surface" src="data:image/png;base64,' in surface._repr_html_()


def test_a_notebook_without_matplotlib_shows_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert _wells()._repr_png_() is None
    assert _wells()._repr_html_().endswith("</table>")


def test_xarray_goes_there_and_back(extra: Callable[[str], Any]) -> None:
    xarray = extra("xarray")
    surface = _surface(unit="kJ/mol", kT=2.5, cv_units=("rad", "nm"), domain=(("-pi", "pi"), None))
    assert FreeEnergySurface.from_xarray(surface.to_xarray()) == surface
    theirs = xarray.DataArray(
        VALUES, dims=("a", "b"), coords={"a": [0.0, 1.0], "b": ("b", [2, 4], {"units": "nm"})}
    )
    found = FreeEnergySurface.from_xarray(theirs)
    assert found.names == ("a", "b")
    assert found.cv_units == ("", "nm")
    assert found.grid == Grid([0, 2], [1, 4], [1, 1])
    assert found.values.tolist() == VALUES.tolist()


@pytest.mark.parametrize("values", [[0.0, 1.0, 3.0], [1.0, 0.0, -1.0], None, ["a", "b", "c"]])
def test_xarrays_without_even_coordinates_are_refused(
    values: Any, extra: Callable[[str], Any]
) -> None:
    xarray = extra("xarray")
    array = xarray.DataArray(
        np.zeros(3), dims=("a",), coords={} if values is None else {"a": values}
    )
    with pytest.raises(InputError, match="a: found no evenly spaced, rising coordinates"):
        FreeEnergySurface.from_xarray(array)
