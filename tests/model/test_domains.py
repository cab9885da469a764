"""The ends of a grid's axis, from the domain of a periodic CV and the ends that are typed."""

from __future__ import annotations

import math

import pytest

from cyfes.errors import InputError
from cyfes.model.domains import axis_ends, end_values, same_domain

PI = ("-pi", "pi")


def _ends(domain: tuple[str, str] | None, *typed: str) -> tuple[tuple[str, str], list[str]]:
    told: list[str] = []
    return axis_ends("phi", domain, (typed[0], typed[1]), told.append), told


@pytest.mark.parametrize(
    ("domain", "typed"),
    [
        (PI, ("-pi", "pi")),
        (PI, ("-3.141592654", "3.141592654")),
        (PI, ("-3.14159", "3.14159")),
        (PI, ("-3.1416", "3.1416")),
        (PI, ("-3.14", "3.14")),
        (("-180", "180"), ("-180.0", "179.9")),
        (("0", "2*pi"), ("0", "6.2832")),
        (("-3.141592653589793", "3.141592653589793"), ("-pi", "pi")),
    ],
)
def test_rounded_ends_are_the_domain(domain: tuple[str, str], typed: tuple[str, str]) -> None:
    assert _ends(domain, *typed) == (domain, [])


@pytest.mark.parametrize(
    ("typed", "ends"),
    [
        (("0", "2*pi"), ("0", "2*pi")),
        (("-pi/2", "1.5*pi"), ("-pi/2", "1.5*pi")),
        (("0", "6.2832"), ("0", "6.283185307179586")),
        (("1", "7.283"), ("1", "7.283185307179586")),
    ],
)
def test_another_whole_period_is_the_domain_shifted(
    typed: tuple[str, str], ends: tuple[str, str]
) -> None:
    found, told = _ends(PI, *typed)
    assert found == ends
    low, high = end_values(found)
    assert high - low == pytest.approx(2.0 * math.pi, rel=1e-12)
    assert len(told) == 1
    assert f"the grid covers phi from {ends[0]} to {ends[1]}, which is a whole period" in told[0]


@pytest.mark.parametrize("typed", [("pi", "-pi"), ("-pi", "-pi"), ("2", "1")])
def test_ends_that_do_not_ascend_stand_for_the_domain_as_in_plumed(typed: tuple[str, str]) -> None:
    ends, told = _ends(PI, *typed)
    assert ends == PI
    assert told == [f"the grid covers phi's domain, -pi to pi, and not {typed[0]} to {typed[1]}"]


@pytest.mark.parametrize(
    "typed", [("0", "pi"), ("-3", "3"), ("-4", "4"), ("-pi", "3.1"), ("0", "7")]
)
def test_a_part_of_a_period_or_more_than_one_is_refused(typed: tuple[str, str]) -> None:
    message = f"found --min {typed[0]} and --max {typed[1]} for phi, expected a whole period"
    with pytest.raises(InputError, match=message):
        _ends(PI, *typed)


def test_ends_without_a_domain_ascend() -> None:
    assert _ends(None, "0", "2pi") == (("0", "2pi"), [])
    with pytest.raises(InputError, match="--max 1 for phi: expected more than --min 1"):
        _ends(None, "1", "1")


def test_domains_are_the_same_whatever_their_literals() -> None:
    assert same_domain(PI, ("-3.14159265", "3.14159265"))
    assert same_domain(None, None)
    assert not same_domain(PI, None)
    assert not same_domain(PI, ("0", "2*pi"))
    assert not same_domain(PI, ("-3.14", "3.14"))
