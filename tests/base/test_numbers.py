"""Number literals and formats as PLUMED has them."""

from __future__ import annotations

import ctypes
import math

import pytest

from cyfes.base.numbers import check_number_format, format_number, parse_number
from cyfes.errors import InputError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0.0),
        ("-1.5", -1.5),
        ("+.5e1", 5.0),
        ("3.", 3.0),
        ("pi", math.pi),
        ("-pi", -math.pi),
        ("+PI", math.pi),
        ("2*pi", 2.0 * math.pi),
        ("2pi", 2.0 * math.pi),
        ("-0.5*pi", -0.5 * math.pi),
        ("pi/2", math.pi / 2.0),
        ("-3*pi/4", -3.0 * math.pi / 4.0),
        ("1/3", 1.0 / 3.0),
        (" 7 ", 7.0),
    ],
)
def test_parse_number_reads_numbers_and_multiples_of_pi(text: str, value: float) -> None:
    assert parse_number(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "x", "Pi", "--pi", "pi*2", "1_000", "0x10", "nan", "inf", "1e999", "pi/0", "1 2", "1,2"],
)
def test_parse_number_refuses_anything_else(text: str) -> None:
    with pytest.raises(InputError, match="expected"):
        parse_number(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.5, "-0.5"),
        (100.0, "100"),
        (1e8, "1e+08"),
        (0.726691, "0.726691"),
        (0.1234567, "0.1234567"),
        (-math.pi, "-3.141592653589793"),
    ],
)
def test_format_number_is_short_where_nothing_is_lost(value: float, text: str) -> None:
    assert format_number(value) == text
    assert parse_number(text) == value


@pytest.mark.parametrize(
    "fmt",
    ["", "14.9f", "%d", "%s", "%14.9", "%f%f", "%%", "%*f", "%n", "%f\n", "x%f", "%9999f", "%lld"],
)
def test_a_format_of_anything_but_one_number_is_refused(fmt: str) -> None:
    with pytest.raises(InputError, match=r"expected one such as %14\.9f"):
        check_number_format(fmt)


@pytest.mark.parametrize(
    "fmt",
    ["%14.9f", "%8.3lf", "%23.16lg", "%f", "%.6e", "%G", "%-12.3E", "%+08.2F", "%#.0f", "% .4f"],
)
@pytest.mark.parametrize("value", [0.0, -0.0, 1.0 / 3.0, -1e-12, 123456.789, -1e-300, 1e300])
def test_a_number_is_printed_as_c_prints_it(fmt: str, value: float) -> None:
    buffer = ctypes.create_string_buffer(1000)
    ctypes.CDLL(None).snprintf(buffer, 1000, fmt.encode(), ctypes.c_double(value))
    assert check_number_format(fmt) % value == buffer.value.decode()
