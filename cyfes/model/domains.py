"""The domains of periodic collective variables, as the literals that stand for their ends."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cyfes.base.numbers import format_number, parse_number
from cyfes.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Optional, Tuple

    # The two ends, such as ("-pi", "pi"); None for a variable that is not periodic. Written with
    # typing's own names: an alias is evaluated where the type checker runs on Python 3.7 too.
    Domain = Optional[Tuple[str, str]]


# An end that is typed within this part of the period from the domain's own is that end, rounded.
_ROUNDED = 1e-3


def checked_ends(name: str, ends: tuple[str | float, str | float] | None) -> Domain:
    """Return the ends of a domain as literals, or refuse them with an InputError."""
    if ends is None:
        return None
    try:
        low, high = (x if isinstance(x, str) else format_number(float(x)) for x in ends)
        length = period((low, high))
    except (TypeError, ValueError) as error:
        raise InputError(f"domain of {name}: {error}") from error
    if length <= 0.0:
        raise InputError(f"domain of {name}: found {low} to {high}, expected ascending ends")
    return low, high


def checked_interval(interval: tuple[float, float] | None, ndim: int) -> tuple[float, float] | None:
    """Return the ends of an INTERVAL, or refuse them with an InputError."""
    if interval is None:
        return None
    low, high = map(float, interval)
    if ndim != 1 or not low < high:
        raise InputError(
            f"interval: found {low:g} to {high:g} for {ndim} CVs, expected ascending ends for one"
        )
    return low, high


def period(domain: Domain) -> float:
    """Return the length of a domain, 0 where there is none."""
    if domain is None:
        return 0.0
    low, high = end_values(domain)
    return high - low


def scaled_ends(ends: tuple[str, str], factor: float, unit: str) -> tuple[str, str]:
    """Return the ends of an axis in another unit; in rad, as multiples of pi where they are.

    Parameters
    ----------
    ends : pair of str
        The literals.
    factor : float
        By what their numbers are multiplied; with 1 they stay as they are.
    unit : str
        The new unit.

    Returns
    -------
    pair of str
        The literals.
    """
    if factor == 1.0:
        return ends
    low, high = (_literal(value * factor, unit) for value in end_values(ends))
    return low, high


def _literal(value: float, unit: str) -> str:
    halves = 2.0 * value / math.pi
    if unit == "rad" and round(halves) and abs(halves - round(halves)) < 1e-9:
        count, over = (round(halves) // 2, "") if round(halves) % 2 == 0 else (round(halves), "/2")
        return {1: f"pi{over}", -1: f"-pi{over}"}.get(count, f"{count}*pi{over}")
    # Without the digits that come from rounding.
    return format_number(float(f"{value:.15g}"))


def end_values(literals: tuple[str, str]) -> tuple[float, float]:
    """Return the numbers that two literals stand for."""
    return parse_number(literals[0]), parse_number(literals[1])


def same_domain(first: Domain, second: Domain) -> bool:
    """Whether two domains have the same ends, whatever the literals that stand for them."""
    if first is None or second is None:
        return first is second
    close = 1e-6 * period(first)
    return all(abs(a - b) <= close for a, b in zip(end_values(first), end_values(second)))


def axis_ends(
    name: str, domain: Domain, typed: tuple[str, str], tell: Callable[[str], object]
) -> tuple[str, str]:
    """Return the ends of a grid's axis, from the domain of its CV and the ends that were typed.

    Typed ends that are the domain's, exactly or rounded, stand for the domain. Any other range that
    is as long as the period is the domain shifted. As in PLUMED, a range from high to low or from
    one number to itself stands for the domain, too. A part of a period is refused, because hills
    reach around the whole of it.

    Parameters
    ----------
    name : str
        The CV.
    domain : None or (str, str)
        Its domain; None if it is not periodic, and then the ends are those typed.
    typed : (str, str)
        The lower and the upper end, as literals.
    tell : callable
        Takes a message, if the axis covers anything else than what was typed or PLUMED would take.

    Raises
    ------
    InputError
        If the range is not a whole period, or for a CV that is not periodic, not ascending.
    """
    low, high = end_values(typed)
    if domain is None:
        if high <= low:
            raise InputError(f"--max {typed[1]} for {name}: expected more than --min {typed[0]}")
        return typed
    (start, end), length = end_values(domain), period(domain)
    close = _ROUNDED * length
    whole = f"{name}'s domain, {domain[0]} to {domain[1]}"
    if abs(low - start) <= close and abs(high - end) <= close:
        return domain
    if high <= low:
        tell(f"the grid covers {whole}, and not {typed[0]} to {typed[1]}")
        return domain
    if abs(high - low - length) <= close:
        exact = abs(high - low - length) <= 1e-9 * length
        shifted = typed if exact else (typed[0], format_number(low + length))
        tell(
            f"the grid covers {name} from {shifted[0]} to {shifted[1]}, which is a whole period "
            f"like its domain, {domain[0]} to {domain[1]}; PLUMED would write the domain"
        )
        return shifted
    raise InputError(
        f"found --min {typed[0]} and --max {typed[1]} for {name}, expected a whole period such as "
        f"its domain, {domain[0]} to {domain[1]}: a periodic CV is computed over all of it"
    )
