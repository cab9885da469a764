"""Numbers as PLUMED writes and reads them, the formats to write them in, and their check."""

from __future__ import annotations

import math
import re

from cyfes.errors import InputError

_UNSIGNED = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_LITERAL = re.compile(
    rf"(?P<sign>[+-]?)(?:(?P<factor>{_UNSIGNED})(?:\*?(?P<pi>pi|PI))?|(?P<only_pi>pi|PI))"
    rf"(?:/(?P<divisor>{_UNSIGNED}))?"
)

# At most three digits: a width or precision of millions is a mistake, and would fill the memory.
_FORMAT = re.compile(r"(?P<lead> *%[-+ #0]*[0-9]{0,3}(?:\.[0-9]{0,3})?)l?(?P<kind>[eEfFgG])")


def parse_number(text: str) -> float:
    """Return the value of a number literal as PLUMED writes and reads it.

    Parameters
    ----------
    text : str
        A number, a multiple of pi, or a fraction of one: ``0.5``, ``-pi``, ``2*pi``, ``pi/2``.

    Returns
    -------
    float
        The value.

    Raises
    ------
    InputError
        If `text` is no such literal, or not finite.
    """
    match = _LITERAL.fullmatch(text.strip())
    if match is None:
        raise InputError(f"found {text!r}, expected a number or a multiple of pi: 0.5, -pi, pi/2")
    value = float(match["factor"] or 1.0)
    if match["pi"] or match["only_pi"]:
        value *= math.pi
    divisor = float(match["divisor"] or 1.0)
    if divisor == 0.0 or not math.isfinite(value / divisor):
        raise InputError(f"found {text!r}, expected a finite number")
    return -value / divisor if match["sign"] == "-" else value / divisor


def format_number(value: float) -> str:
    """Return a number as PLUMED prints it in a header, with more digits where six lose some.

    Parameters
    ----------
    value : float
        The number.

    Returns
    -------
    str
        ``%g`` of the number if that reads back as the same number, otherwise its shortest
        representation that does.
    """
    short = f"{value:g}"
    return short if float(short) == value else repr(float(value))


def check_number_format(fmt: str) -> str:
    """Check a C format for one floating-point number, and return it as Python writes it.

    Parameters
    ----------
    fmt : str
        One conversion such as ``%14.9f``, ``%8.3lf`` or ``%.6e``; blanks may precede it.

    Returns
    -------
    str
        The same without the ``l``, which means nothing for a double.

    Raises
    ------
    InputError
        If `fmt` is anything else.
    """
    match = _FORMAT.fullmatch(fmt)
    if match is None:
        raise InputError(f"found the number format {fmt!r}, expected one such as %14.9f or %.6e")
    return match["lead"] + match["kind"]


def check_positive(name: str, value: float) -> float:
    """Return a number that is above zero and finite; refuse any other."""
    if not (math.isfinite(value) and value > 0.0):
        raise InputError(f"{name}: found {value}, expected a number above zero")
    return float(value)
