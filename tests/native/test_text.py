"""Text to numbers and back: equal to float() and printf, for every number and format."""

from __future__ import annotations

import ctypes
import locale
import math

import numpy as np
import pytest

from cyfes.native import _text

FORMATS = [
    *("%14.9f", "%8.3f", "%f", "%.0f", "%.1f", "%5.0f", "%.17f", "%30.18f", "%30.19f", "%.25f"),
    *(
        "%e",
        "%.16g",
        "%23.16G",
        "%-14.9f",
        "%+.3f",
        "% .3f",
        "%#.0f",
        "%014.3f",
        "  %9.4f",
        "%200f",
    ),
]

SPECIAL = [0.0, -0.0, 0.5, 1.5, 2.5, -0.5, 999.9995, 1e19, -1e19, 9.9999999999999e18, 2.0**52]
SPECIAL += [2.0**53 + 2.0, 2.0**63, 5e-324, 1e-308, 1.7976931348623157e308, math.inf, -math.inf]


def _numbers(count: int = 4000) -> list[float]:
    """Return numbers of all sizes; many lie half-way between two decimals."""
    rng = np.random.default_rng(2)
    with np.errstate(all="ignore"):
        bits = rng.integers(0, 2**64, count, dtype=np.uint64).view(np.float64)
    halves = rng.integers(-(10**6), 10**6, count) / 2.0 ** rng.integers(0, 30, count)
    sizes = 10.0 ** rng.uniform(-30, 25, count) * rng.choice([-1.0, 1.0], count)
    numbers = np.concatenate([bits, halves, sizes, rng.uniform(-100, 100, count), SPECIAL])
    return [float(x) for x in numbers if not math.isnan(x)]


def _formatted(fmt: str, numbers: list[float], threads: int = 2) -> list[str]:
    zeros = np.zeros(len(numbers))
    text = _text.GridText([zeros], [np.array(numbers)], fmt.encode())
    lines = b"".join(text.format(0, text.rows, threads)).decode().split("\n")
    assert lines.pop() == ""
    zero = fmt % 0.0
    assert all(line.startswith(zero) for line in lines)
    return [line[len(zero) :] for line in lines]


@pytest.mark.parametrize("fmt", FORMATS)
def test_numbers_are_written_as_printf_writes_them(fmt: str) -> None:
    numbers = _numbers()
    for found, number in zip(_formatted(fmt, numbers), numbers):
        if math.isfinite(number):
            assert found == fmt % number, number.hex()


@pytest.mark.parametrize("fmt", ["%014.3f", "%8.3f", "%e", "%-9.1f"])
@pytest.mark.parametrize("number", [math.nan, -math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_written_as_c_writes_it(fmt: str, number: float) -> None:
    buffer = ctypes.create_string_buffer(100)
    # As in PLUMED's files, nan has no sign.
    plain = abs(number) if math.isnan(number) else number
    ctypes.CDLL(None).snprintf(buffer, 100, fmt.encode(), ctypes.c_double(plain))
    assert _formatted(fmt, [number]) == [buffer.value.decode()]


def _parsed(words: list[str], threads: int = 2) -> list[float]:
    text = "".join(word + "\n" for word in words).encode()
    table = np.empty((len(words), 1))
    target = np.zeros(1, np.int32)
    assert _text.parse_rows(text, target, table, threads) == (len(words), len(words), len(text))
    numbers: list[float] = table[:, 0].tolist()
    return numbers


def _assert_parsed_as_python_does(words: list[str]) -> None:
    for word, found in zip(words, _parsed(words)):
        expected = float(word)
        assert (found, math.copysign(1.0, found)) == (expected, math.copysign(1.0, expected)), word


@pytest.mark.parametrize("fmt", ["%r", "%.9f", "%23.16g", "%.17e", "%.3g", "%+.12E"])
def test_numbers_are_read_as_float_reads_them(fmt: str) -> None:
    finite = [number for number in _numbers() if math.isfinite(number)]
    _assert_parsed_as_python_does([fmt % number for number in finite])


def test_numbers_of_any_length_and_half_way_cases_are_read_as_float_reads_them() -> None:
    rng = np.random.default_rng(3)
    mantissas = [int(m) | 1 << 52 for m in rng.integers(0, 2**52, 3000)]
    halves = [str((2 * m + 1) << int(s)) for m, s in zip(mantissas, rng.integers(0, 9, 3000))]
    digits = ["".join(map(str, rng.integers(0, 10, n))) for n in rng.integers(1, 40, 3000)]
    long = [f"{a}.{b}e{int(e)}" for a, b, e in zip(digits, digits[1:], rng.integers(-40, 40, 3000))]
    plain = [".5", "5.", "-.5e1", "+7", "00001", "0e99999", "1e-400", "1e-320", "0.1e+2", "1E5"]
    _assert_parsed_as_python_does(halves + digits + long + plain)


@pytest.mark.parametrize(
    "word",
    [
        "nan",
        "inf",
        "0x1p3",
        "1_000",
        "1e",
        "e5",
        ".",
        "-",
        "+-1",
        "1.2.3",
        "1,5",
        "2pi",
        "1d5",
        "1\0",
    ],
)
def test_the_first_line_that_is_no_plain_row_ends_the_reading(word: str) -> None:
    text = f"1 2\n\n 3 4 # note\n#c\n5 {word}\n6 7\n".encode()
    table = np.full((10, 2), np.nan)
    rows, lines, size = _text.parse_rows(text, np.array([0, 1], np.int32), table, 1)
    assert (rows, lines) == (2, 4)
    assert text[size:].startswith(b"5 ")
    assert table[:2].tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_columns_go_where_they_are_wanted_and_others_are_skipped_whatever_they_are() -> None:
    text = b"1 word 3\r\n4\t??? 6\n"
    table = np.full((2, 3), -1.0)
    assert _text.parse_rows(text, np.array([2, -1, 0], np.int32), table, 1) == (2, 2, len(text))
    assert table.tolist() == [[3.0, -1.0, 1.0], [6.0, -1.0, 4.0]]


@pytest.mark.parametrize("stop", [0, 1, 29_999, 50_000, 89_999, 90_000])
@pytest.mark.parametrize("odd", [b"#! SET a b\n", b"1 2 3\n", b"1\n"])
def test_threads_share_a_text_and_stop_at_the_same_line(stop: int, odd: bytes) -> None:
    lines = [b"%d %d\n" % (i, 2 * i) if i % 7 else b"\n" for i in range(90_000)]
    text = b"".join([*lines[:stop], odd, *lines[stop:]])
    results = []
    for threads in (1, 2):
        table = np.empty((90_001, 2))
        counts = _text.parse_rows(text, np.array([0, 1], np.int32), table, threads)
        results.append((counts, table[: counts[0]].tolist()))
    assert results[0] == results[1]
    (rows, count, size), table_rows = results[0]
    assert (count, size) == (stop, sum(map(len, lines[:stop])))
    assert table_rows == [[i, 2 * i] for i in range(stop) if i % 7]
    assert rows == len(table_rows)


@pytest.mark.parametrize(
    ("text", "targets", "shape", "message"),
    [
        (b"1 2", [0, 1], (5, 2), "does not end with a line end"),
        (b"1 2\n3 4\n", [0, 1], (1, 2), "the table has 1 rows"),
        (b"1 2\n", [0, 2], (1, 2), "column 2 is not in the table"),
        (b"1 2\n", [], (1, 2), "there is no column"),
    ],
)
def test_a_table_that_would_be_left_is_refused(
    text: bytes, targets: list[int], shape: tuple[int, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        _text.parse_rows(text, np.array(targets, np.int32), np.empty(shape), 1)


def test_a_grid_text_refuses_columns_and_rows_that_are_not_there() -> None:
    axes = [np.zeros(2), np.zeros(3)]
    with pytest.raises(ValueError, match="found 5 values for 6 points"):
        _text.GridText(axes, [np.zeros(5)], b"%f")
    with pytest.raises(ValueError, match="rows 0 to 7 are not in the grid"):
        _text.GridText(axes, [np.zeros(6)], b"%f").format(0, 7, 1)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_a_grid_text_is_the_same_in_any_pieces(threads: int) -> None:
    axes = [np.arange(n) / 7.0 for n in (30, 11, 23)]
    values = np.random.default_rng(4).normal(size=30 * 11 * 23)
    text = _text.GridText(axes, [values], b" %9.4f")
    whole = b"".join(text.format(0, text.rows, 1))
    cuts = [0, 1, 31, 4097, 4100, text.rows]
    pieces = [b"".join(text.format(a, b, threads)) for a, b in zip(cuts, cuts[1:])]
    assert b"".join(pieces) == whole


def test_a_decimal_comma_of_the_locale_changes_nothing() -> None:
    former = locale.setlocale(locale.LC_NUMERIC)
    try:
        locale.setlocale(locale.LC_NUMERIC, "de_DE.UTF-8")
    except locale.Error:
        # No such locale is installed; the C library's own test is what is left.
        assert _formatted("%e", [1.5]) == ["1.500000e+00"]
        return
    try:
        assert _formatted("%e", [1.5]) == ["1.500000e+00"]
        assert _parsed(["1.5", "1.50000000000000000000000001"]) == [1.5, 1.5]
    finally:
        locale.setlocale(locale.LC_NUMERIC, former)


@pytest.mark.parametrize(
    ("setting", "expected"), [("3", 3), ("2,4", 2), ("", None), ("0", None), ("many", None)]
)
def test_the_number_of_threads_can_be_set(
    setting: str, expected: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", setting)
    threads = _text.threads()
    assert threads == expected if expected else threads >= 1
