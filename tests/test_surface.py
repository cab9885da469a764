"""Surfaces: what they contain, which arguments they refuse, and what they write."""

from __future__ import annotations

import math
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from cyfes.errors import InputError
from cyfes.model.grid import Grid
from cyfes.surface import FreeEnergySurface

if TYPE_CHECKING:
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
