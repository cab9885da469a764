"""Units of energy: factors against published numbers, and no temperature out of thin air."""

from __future__ import annotations

from typing import Any

import pytest

from cyfes.base import units
from cyfes.errors import InputError


@pytest.mark.parametrize(
    ("old", "new", "factor"),
    [
        ("kcal/mol", "kJ/mol", 4.184),
        ("kJ/mol", "kcal/mol", 1.0 / 4.184),
        # CODATA 2018: 1 eV is 96.485 332 12… kJ/mol.
        ("eV", "kJ/mol", 96.48533212331),
        ("kJ/mol", "kJ/mol", 1.0),
    ],
)
def test_factors(old: str, new: str, factor: float) -> None:
    assert units.conversion(old, new) == pytest.approx(factor, rel=1e-13)


@pytest.mark.parametrize(
    ("unit", "expected"),
    [("kJ/mol", 2.494338785), ("kcal/mol", 0.5961612776), ("eV", 0.02585199979), ("kT", 1.0)],
)
def test_thermal_energy_at_300_kelvin(unit: str, expected: float) -> None:
    assert units.thermal_energy(300.0, unit) == pytest.approx(expected, rel=1e-9)


def test_kT_converts_with_a_temperature_or_with_kT() -> None:  # noqa: N802
    assert units.conversion("kJ/mol", "kT", temperature=300.0) == pytest.approx(1 / 2.494338785)
    assert units.conversion("kT", "kJ/mol", kT=2.5) == 2.5
    assert units.conversion(None, "kT", kT=2.0) == 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("kJ/mol", "kT"), "no temperature, expected kT or a temperature to convert from kJ/mol"),
        (("kT", "eV"), "no temperature, expected kT or a temperature to convert from kT to eV"),
        ((None, "kT"), "no temperature"),
        ((None, "eV"), "unit that is not known"),
        (("kJ", "eV"), "unit: found 'kJ', expected kJ/mol"),
        (("eV", "kJ"), "unit: found 'kJ'"),
        (("eV", "kT", 1.0, 300.0), "both kT and temperature"),
        (("eV", "kT", -1.0), "kT: found -1.0, expected a number above zero"),
        (("eV", "kT", None, 0.0), "temperature: found 0.0"),
        ((None, "kT", None, 300.0), "a temperature without a unit"),
    ],
)
def test_what_is_not_known_is_not_assumed(arguments: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        units.conversion(*arguments)


@pytest.mark.parametrize(
    ("old", "new", "factor"),
    [
        # CODATA 2018: the Bohr radius is 5.291 772 109 03e-11 m.
        ("bohr", "Å", 0.529177210903),
        ("bohr", "nm", 0.0529177210903),
        ("pm", "bohr", 1.0 / 52.9177210903),
        ("nm", "pm", 1000.0),
        ("A", "Å", 1.0),
        ("deg", "rad", 0.017453292519943295),
        ("°", "deg", 1.0),
    ],
)
def test_factors_of_lengths_and_angles(old: str, new: str, factor: float) -> None:
    assert units.cv_conversion("x", old, new) == pytest.approx(factor, rel=1e-13)
