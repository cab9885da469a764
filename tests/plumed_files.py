"""Compares files as PLUMED's regression tests do, but allows one unit of a number's last digit."""

from __future__ import annotations

import math


def assert_same_file(found: str, expected: str) -> None:
    """Compare headers and layout exactly, and numbers within one unit of their last digit."""
    found_lines, expected_lines = found.split("\n"), expected.split("\n")
    assert len(found_lines) == len(expected_lines)
    for line, wanted in zip(found_lines, expected_lines):
        if wanted.startswith("#") or not wanted:
            assert line == wanted
            continue
        assert len(line) == len(wanted)
        numbers = line.split(), wanted.split()
        assert len(numbers[0]) == len(numbers[1])
        assert all(_same_number(*pair) for pair in zip(*numbers)), (line, wanted)


def _same_number(found: str, expected: str) -> bool:
    """Tell whether two decimals of equal width differ by at most one unit of the last digit."""
    values = float(found), float(expected)
    if not all(map(math.isfinite, values)):
        return found == expected
    digits = len(expected.partition(".")[2])
    units = [round(value * 10**digits) for value in values]
    return len(found) == len(expected) and abs(units[0] - units[1]) <= 1
