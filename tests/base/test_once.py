"""What objects compute once, and the quick check of finite numbers."""

from __future__ import annotations

import numpy as np
import pytest

from cyfes.base.arrays import all_finite
from cyfes.base.once import computed_once


class Square:
    """A square that counts how often its area is computed."""

    def __init__(self, side: float) -> None:
        self.side = side
        self.computed = 0

    @computed_once
    def area(self) -> float:
        """The area."""
        self.computed += 1
        return self.side**2


def test_each_object_computes_its_own_value_once() -> None:
    small, large = Square(2.0), Square(3.0)
    assert [small.area, small.area, large.area, large.area] == [4.0, 4.0, 9.0, 9.0]
    assert [small.computed, large.computed] == [1, 1]
    assert isinstance(Square.area, computed_once)
    assert Square.area.__doc__ == "The area."


@pytest.mark.parametrize("count", [10, 100_000])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_number_that_is_not_finite_is_found_anywhere(count: int, bad: float) -> None:
    numbers = np.random.default_rng(0).normal(size=(count, 3))
    assert all_finite(numbers)
    for place in (0, count // 2, count - 1):
        wrong = numbers.copy()
        wrong[place, 1] = bad
        assert not all_finite(wrong)
    both = numbers.copy()
    both[0, 0], both[-1, 0] = np.inf, -np.inf
    assert not all_finite(both)


def test_finite_numbers_whose_sum_overflows_are_finite() -> None:
    assert all_finite(np.full(100_000, 1e308))
    assert all_finite(np.full(100_000, 3e38, dtype=np.float32))
