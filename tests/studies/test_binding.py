"""Standard free energies of binding: the published constants, and a profile that is known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import cyfes
from cyfes.errors import InputError
from cyfes.studies.binding import (
    funnel_binding_energy,
    standard_state_correction,
    standard_volume,
)

KT = 0.596  # kcal/mol at 300 K


def _profile(depth: float, unit: str = "nm") -> cyfes.FreeEnergySurface:
    """A square well at 0.5 to 1.0 nm, and F = 5 elsewhere."""
    scale = {"nm": 1.0, "Å": 10.0}[unit]
    grid = cyfes.Grid(0.0, 3.0 * scale, 600)
    x = grid.axes[0] / scale
    # Ends between points, so that the well is 0.5 nm wide by any rule.
    values = np.where((x > 0.4975) & (x < 0.9975), 5.0 - depth, 5.0)
    return cyfes.FreeEnergySurface(values, grid, ("z",), unit="kcal/mol", kT=KT, cv_units=(unit,))


def test_the_standard_volume_is_the_published_one() -> None:
    # 1661 Å³, as in D. L. Mobley, K. A. Dill, Structure 17, 489 (2009), and others.
    assert standard_volume("Å") == pytest.approx(1660.539, abs=1e-3)
    assert standard_volume() == pytest.approx(1.660539, abs=1e-6)


def test_the_correction_is_zero_at_the_standard_concentration() -> None:
    assert standard_state_correction(standard_volume(), KT) == 0.0
    # Ten times the volume: the unbound state counts for ten times too much.
    larger = standard_state_correction(16605.390671738465, KT, unit="Å")
    assert larger == pytest.approx(-KT * math.log(10.0), rel=1e-12)


@pytest.mark.parametrize("unit", ["nm", "Å"])
def test_a_square_well_in_a_funnel_binds_as_its_formula_says(unit: str) -> None:
    scale = {"nm": 1.0, "Å": 10.0}[unit]
    found = funnel_binding_energy(
        _profile(8.0, unit), (0.4 * scale, 1.1 * scale), (2.0 * scale, 2.8 * scale), 0.1 * scale
    )
    # K = C° π R² ∫ exp(-(F - F_u) / kT) dz, in nm: the well, and 0.2 nm beside it.
    integral = 0.5 * math.exp(8.0 / KT) + 0.2
    constant = math.pi * 0.1**2 * integral / 1.6605390671738466
    assert found == pytest.approx(-KT * math.log(constant), rel=1e-6)


def test_the_length_of_the_unbound_range_does_not_matter() -> None:
    energies = [
        funnel_binding_energy(_profile(8.0), (0.4, 1.1), ends, 0.1)
        for ends in ((1.5, 2.0), (1.2, 3.0))
    ]
    assert energies[0] == pytest.approx(energies[1], abs=1e-9)


def test_it_is_the_difference_and_the_correction() -> None:
    profile = _profile(8.0)
    bound, unbound = (cyfes.box(profile.grid, [ends]) for ends in ((0.4, 1.1), (2.0, 2.8)))
    difference = profile.difference(unbound, bound)
    correction = standard_state_correction(math.pi * 0.1**2 * 0.8, KT)
    found = funnel_binding_energy(profile, (0.4, 1.1), (2.0, 2.8), 0.1)
    assert found == pytest.approx(difference + correction, abs=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"radius": 0.0}, "radius: found 0"),
        ({"unit": "rad"}, "unit: found the unit nm, which cannot be converted to rad"),
        ({"bound": (0.5, 2.5)}, "expected separate ones"),
        ({"unbound": (8.0, 9.0)}, "found no grid point"),
    ],
)
def test_wrong_arguments_are_refused(change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"bound": (0.4, 1.1), "unbound": (2.0, 2.8), "radius": 0.1}
    with pytest.raises(InputError, match=message):
        funnel_binding_energy(_profile(8.0), **{**given, **change})


def test_a_profile_needs_one_axis_with_a_unit_and_a_temperature() -> None:
    grid = cyfes.Grid([0.0, 0.0], [1.0, 1.0], 4)
    flat = cyfes.FreeEnergySurface(np.zeros((5, 5)), grid, ("z", "r"), kT=KT)
    with pytest.raises(InputError, match="found a surface over z, r"):
        funnel_binding_energy(flat, (0.0, 0.4), (0.5, 1.0), 0.1)
    line = flat.cut(r=0.0)
    with pytest.raises(InputError, match="found no unit of z"):
        funnel_binding_energy(line, (0.0, 0.4), (0.5, 1.0), 0.1)
    with pytest.raises(InputError, match="volume: found -1"):
        standard_state_correction(-1.0, KT)
    cold = cyfes.FreeEnergySurface(line.values, line.grid, ("z",), cv_units=("nm",))
    with pytest.raises(InputError, match="unknown temperature"):
        funnel_binding_energy(cold, (0.0, 0.4), (0.5, 1.0), 0.1)
