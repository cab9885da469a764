"""Units of energy, and kT in each of them.

The unit "kT" is that of a surface divided by kT; into and out of it a temperature is needed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cyfes.base.numbers import check_positive
from cyfes.errors import InputError

if TYPE_CHECKING:
    from typing import Optional

    Number = Optional[float]

# In kJ/mol. The calorie is the thermochemical one; e and Avogadro's number are exact since 2019.
_KJ_PER_MOL = {"kJ/mol": 1.0, "kcal/mol": 4.184, "eV": 1.602176634e-22 * 6.02214076e23}

# In kJ/mol/K; exact since 2019.
GAS_CONSTANT = 8.31446261815324e-3

# In the first unit of each kind. The Bohr radius is that of CODATA 2018.
_CV_UNITS = (
    {"rad": 1.0, "deg": math.pi / 180.0, "°": math.pi / 180.0},
    {"nm": 1.0, "Å": 0.1, "A": 0.1, "pm": 1e-3, "bohr": 0.0529177210903},
)

#: The units of energy that can be converted into each other.
ENERGY_UNITS = (*_KJ_PER_MOL, "kT")


def check_energy_unit(unit: str) -> str:
    """Return a unit of energy if it is one that is known.

    Parameters
    ----------
    unit : str
        "kJ/mol", "kcal/mol", "eV" or "kT".

    Returns
    -------
    str
        The same.

    Raises
    ------
    InputError
        If it is another.
    """
    if unit not in ENERGY_UNITS:
        raise InputError(f"unit: found {unit!r}, expected {', '.join(ENERGY_UNITS)}")
    return unit


def thermal_energy(temperature: float, unit: str) -> float:
    """Return kT.

    Parameters
    ----------
    temperature : float
        The temperature in K.
    unit : str
        The unit of energy that kT is wanted in.

    Returns
    -------
    float
        kT; 1 for the unit "kT".

    Raises
    ------
    InputError
        If the temperature is not above zero, or the unit is unknown.
    """
    check_positive("temperature", temperature)
    if check_energy_unit(unit) == "kT":
        return 1.0
    return GAS_CONSTANT * temperature / _KJ_PER_MOL[unit]


def resolve_kT(unit: str | None, kT: Number = None, temperature: Number = None) -> float | None:  # noqa: N802 - the symbol of the field
    """Return kT as it was given, or from a temperature; None if neither was given.

    Parameters
    ----------
    unit : str or None
        The unit of energy; None if it is unknown, and then only kT itself will do.
    kT : float, optional
        kT in that unit.
    temperature : float, optional
        The temperature in K.

    Returns
    -------
    float or None
        kT.

    Raises
    ------
    InputError
        If both are given, a number is not above zero, or a temperature comes without a unit.
    """
    if kT is not None and temperature is not None:
        raise InputError("found both kT and temperature, expected one of them")
    if temperature is None:
        return None if kT is None else check_positive("kT", kT)
    if unit is None:
        raise InputError(
            "found a temperature without a unit of energy, expected the unit too "
            f"({', '.join(_KJ_PER_MOL)}), or kT in the unit of the values"
        )
    return thermal_energy(temperature, unit)


def conversion(old: str | None, new: str, kT: Number = None, temperature: Number = None) -> float:
    """Return the factor between two units of energy.

    Parameters
    ----------
    old, new : str
        The units. None for `old` stands for one that is not known.
    kT : float, optional
        kT in the unit of the two that is not "kT"; needed if one is.
    temperature : float, optional
        The temperature in K, instead of kT.

    Returns
    -------
    float
        By what to multiply an energy in the old unit.

    Raises
    ------
    InputError
        If a unit is unknown, or kT is needed and not given.
    """
    check_energy_unit(new)
    if old == new:
        return 1.0
    if new == "kT":
        return 1.0 / _needed_kT(
            f"from {old or 'the unit of the values'} to kT", old, kT, temperature
        )
    if old is None:
        raise InputError(
            f"found values in a unit that is not known, expected one to convert to {new} from; "
            "name it with with_units(unit)"
        )
    if check_energy_unit(old) == "kT":
        return _needed_kT(f"from kT to {new}", new, kT, temperature)
    return _KJ_PER_MOL[old] / _KJ_PER_MOL[new]


def _needed_kT(what: str, unit: str | None, kT: Number, temperature: Number) -> float:  # noqa: N802
    value = resolve_kT(unit, kT, temperature)
    if value is None:
        raise InputError(f"found no temperature, expected kT or a temperature to convert {what}")
    return value


def cv_conversion(name: str, old: str, new: str) -> float:
    """Return the factor between two units of a collective variable (CV).

    Parameters
    ----------
    name : str
        The CV, for the message.
    old, new : str
        The units: "rad" and "deg", or "nm", "Å", "pm" and "bohr"; any other only if both are equal.

    Returns
    -------
    float
        By what to multiply a number in the old unit.

    Raises
    ------
    InputError
        If the two cannot be converted into each other.
    """
    if old == new:
        return 1.0
    for units in _CV_UNITS:
        if old in units and new in units:
            return units[old] / units[new]
    known = "; ".join(", ".join(units) for units in _CV_UNITS)
    raise InputError(
        f"{name}: found the unit {old or 'none'}, which cannot be converted to {new or 'none'}; "
        f"expected both in one of: {known}"
    )
