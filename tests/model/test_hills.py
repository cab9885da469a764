"""Hills made from arrays, and what is refused."""

from __future__ import annotations

import math
import pickle
from copy import copy
from dataclasses import FrozenInstanceError, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from cyfes.errors import InputError
from cyfes.model.hills import Hill, Hills

if TYPE_CHECKING:
    from collections.abc import Callable

CENTERS_2D = [[-1.2, 2.7], [0.5, -2.9], [3.1, 3.0]]
GOOD: dict[str, Any] = {"names": ("a", "b"), "centers": CENTERS_2D, "sigmas": 0.1, "heights": 1.0}


def test_multivariate_hills_made_from_arrays_know_their_deviations() -> None:
    hills = Hills(("a", "b"), CENTERS_2D, None, 1.0, cholesky=[3.0, 4.0, 3.0])
    assert hills.sigmas.tolist() == [[3.0, 5.0]] * 3
    assert hills.cholesky is not None
    assert hills.cholesky.tolist() == [[3.0, 4.0, 3.0]] * 3
    raised = replace(hills, heights=2.0 * hills.heights)
    assert raised.cholesky is not None
    assert raised.sigmas.tolist() == hills.sigmas.tolist()


def test_a_slice_of_hills_shares_their_numbers() -> None:
    hills = Hills(("a", "b"), CENTERS_2D, [0.1, 0.2], [1.0, 2.0, 3.0], times=[4.0, 5.0, 6.0])
    part = hills[1:]
    assert part.heights.tolist() == [2.0, 3.0]
    assert part.times is not None
    assert part.times.tolist() == [5.0, 6.0]
    assert part.names == hills.names
    assert np.shares_memory(part.centers, hills.centers)
    assert hills[[2, 0]].heights.tolist() == [3.0, 1.0]
    assert hills[np.array([True, False, True])].heights.tolist() == [1.0, 3.0]
    with pytest.raises(TypeError, match="taken by numbers, slices such as"):
        hills["a"]  # type: ignore[index]


def test_hills_are_taken_one_by_one() -> None:
    hills = Hills(
        ("a", "b"), CENTERS_2D, [0.1, 0.2], [1.0, 2.0, 3.0], times=[4.0, 5.0, 6.0], bias_factors=8.0
    )
    first = Hill(4.0, (-1.2, 2.7), (0.1, 0.2), 1.0, 8.0)
    assert hills[0] == first
    assert hills[np.int64(-3)] == first
    assert [hill.height for hill in hills] == [1.0, 2.0, 3.0]
    assert first.center == (-1.2, 2.7)
    with pytest.raises(IndexError):
        hills[3]
    assert Hills(("a",), [1.0], 0.1, 1.0)[0].time is None


def test_hills_become_a_table_with_the_columns_of_plumed(extra: Callable[[str], Any]) -> None:
    pandas = extra("pandas")
    hills = Hills(("a", "b"), CENTERS_2D, [0.1, 0.2], [1.0, 2.0, 3.0], times=[4.0, 5.0, 6.0])
    table = hills.to_dataframe()
    assert isinstance(table, pandas.DataFrame)
    assert list(table) == ["time", "a", "b", "sigma_a", "sigma_b", "height", "biasf"]
    assert table.loc[1].tolist() == [5.0, 0.5, -2.9, 0.1, 0.2, 2.0, 1.0]
    multivariate = Hills(("a", "b"), CENTERS_2D, None, 1.0, cholesky=[3.0, 4.0, 5.0])
    table = multivariate.to_dataframe()
    # As METAD writes them.
    assert list(table)[2:5] == ["sigma_a_a", "sigma_b_a", "sigma_b_b"]
    assert table.loc[0].tolist()[2:5] == [3.0, 4.0, 5.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sigmas": 2.0, "cholesky": [1.0, 0.0, 1.0]}, "found sigmas that are not those of chol"),
        ({"sigmas": None}, "found neither sigmas nor cholesky"),
        ({"sigmas": None, "cholesky": [1.0, 0.0]}, r"found shape \(2,\), expected \(3, 3\)"),
        ({"sigmas": None, "cholesky": [1.0, 0.0, -1.0]}, "found -1 on the diagonal"),
        ({"sigmas": 1.0, "interval": (0.0, 1.0)}, "found 0 to 1 for 2 CVs"),
    ],
)
def test_shapes_that_are_none_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Hills(("a", "b"), CENTERS_2D, heights=1.0, **options)


def test_hills_made_from_arrays_broadcast_widths_and_heights() -> None:
    hills = Hills(("a", "b"), CENTERS_2D, [0.1, 0.2], 1.5, domain=[None, (-1.0, "pi")])
    assert hills.sigmas.tolist() == [[0.1, 0.2]] * 3
    assert hills.heights.tolist() == [1.5] * 3
    assert hills.bias_factors.tolist() == [1.0] * 3
    assert hills.domain == (None, ("-1", "pi"))
    assert hills.periods.tolist() == [0.0, math.pi + 1.0]
    assert hills.times is None


def test_hills_own_their_numbers() -> None:
    centers = np.zeros((2, 1))
    hills = Hills(("a",), centers, 0.1, 1.0)
    centers[:] = 9.0
    assert hills.centers.tolist() == [[0.0], [0.0]]
    with pytest.raises(ValueError, match="read-only"):
        hills.centers[0] = 1.0
    with pytest.raises(FrozenInstanceError):
        hills.kernel = "gaussian"  # type: ignore[misc]
    assert replace(hills, kernel="gaussian").kernel == "gaussian"


def test_any_memory_layout_becomes_contiguous_double() -> None:
    hills = Hills(("a", "b"), np.ones((2, 4), dtype=np.float32).T[::2], 0.1, 1.0)
    assert hills.centers.dtype == np.float64
    assert hills.centers.flags.c_contiguous
    assert hills.centers.shape == (2, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": "ab"}, "names: found the string 'ab'"),
        ({"names": ()}, "names: found"),
        ({"names": ("a", "a")}, "names: found .* expected different names"),
        ({"names": ("a", "b c")}, "expected different names without blanks"),
        ({"centers": [[1.0, 2.0, 3.0]]}, r"centers: found shape \(1, 3\), expected \(N, 2\)"),
        ({"centers": [1.0, 2.0]}, r"centers: found shape \(2,\), expected \(N, 2\)"),
        ({"centers": [[1.0, math.nan]]}, "centers: found nan or inf, expected finite"),
        ({"centers": [["x", "y"]]}, "centers: found no array of numbers"),
        ({"sigmas": [0.1, 0.2, 0.3]}, r"sigmas: found shape \(3,\), expected \(3, 2\)"),
        ({"sigmas": np.ones((3, 1))}, r"sigmas: found shape \(3, 1\), expected \(3, 2\)"),
        ({"sigmas": np.ones((1, 3, 2))}, r"sigmas: found shape \(1, 3, 2\)"),
        ({"sigmas": [0.1, 0.0]}, "sigmas: found 0, expected widths above zero"),
        ({"sigmas": -0.1}, r"sigmas: found -0\.1"),
        ({"heights": [1.0, 2.0]}, r"heights: found shape \(2,\), expected \(3,\)"),
        ({"heights": math.inf}, "heights: found nan or inf"),
        ({"times": [1.0]}, r"times: found shape \(1,\), expected \(3,\)"),
        ({"bias_factors": [[1.0]]}, r"bias_factors: found shape \(1, 1\)"),
        ({"kernel": "box"}, "kernel: found 'box', expected stretched-gaussian or gaussian"),
        ({"domain": [None]}, "domain: found 1 entries, expected 2"),
        ({"domain": [None, ("pi", "-pi")]}, "domain of b: found pi to -pi, expected ascending"),
        ({"domain": [None, ("pi",)]}, "domain of b: "),
        ({"domain": [None, ("0", "x")]}, "domain of b: found 'x'"),
        ({"domain": [None, (0.0, math.inf)]}, "domain of b: "),
        ({"domain": [None, 3]}, "domain of b: "),
    ],
)
def test_arguments_that_make_no_hills_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Hills(**{**GOOD, **changes})


def test_equal_widths_are_one_row_however_they_were_given() -> None:
    centers = np.zeros((5, 2))
    for sigmas in (0.3, [0.3, 0.3], np.full((5, 2), 0.3)):
        hills = Hills(("a", "b"), centers, sigmas, 1.0)
        assert hills.sigmas.tolist() == [[0.3, 0.3]] * 5
        assert hills.width_rows.tolist() == [[0.3, 0.3]]
        assert hills[np.array([True, False, True, False, False])].sigmas.shape == (2, 2)
        assert hills[np.array([4, 1, 1])].width_rows.tolist() == [[0.3, 0.3]]
        assert hills[1:3].sigmas.tolist() == [[0.3, 0.3]] * 2
        with pytest.raises(ValueError, match="read-only"):
            hills.sigmas[0] = 1.0


@pytest.mark.parametrize("place", [0, 2, 4])
def test_one_other_width_keeps_all_rows(place: int) -> None:
    sigmas = np.full((5, 2), 0.3)
    sigmas[place, 1] = 0.4
    hills = Hills(("a", "b"), np.zeros((5, 2)), sigmas, 1.0)
    np.testing.assert_array_equal(hills.width_rows, sigmas)
    assert hills.widest.tolist() == [0.3, 0.4]
    sigmas[:] = 9.0
    assert hills.sigmas[0, 0] == 0.3


def test_heights_of_the_bias_and_of_f_are_computed_once() -> None:
    hills = Hills(("a",), np.zeros((3, 1)), 0.1, [1.0, 2.0, 4.0], bias_factors=[1.0, -1.0, 4.0])
    assert hills.bias_heights.tolist() == [1.0, 2.0, 3.0]
    assert hills.negated_heights.tolist() == [-1.0, -2.0, -4.0]
    assert hills.bias_heights is hills.bias_heights
    assert hills.negated_heights is hills.negated_heights
    plain = Hills(("a",), np.zeros((3, 1)), 0.1, 2.0)
    assert plain.bias_heights is plain.heights


def test_a_copy_has_the_fields_and_nothing_that_was_computed_from_them() -> None:
    hills = Hills(("a",), np.zeros((1000, 1)), 0.1, 2.0)
    before = len(pickle.dumps(hills))
    assert hills.negated_heights[0] == -2.0
    assert len(pickle.dumps(hills)) == before
    assert copy(hills).negated_heights[0] == -2.0
    assert replace(hills, heights=np.full(1000, 3.0)).negated_heights[0] == -3.0
