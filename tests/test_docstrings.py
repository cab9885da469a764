"""The examples in the docstrings of public names print what the docstrings say."""

from __future__ import annotations

import doctest
from typing import Any

import numpy as np
import pytest

import cyfes

FINDER = doctest.DocTestFinder(exclude_empty=True)
# A reader of an example knows these names.
KNOWN = {"cyfes": cyfes, "np": np}


def examples(thing: Any, name: str) -> list[doctest.DocTest]:
    """Return the examples of a function, or of a class and its methods."""
    found = FINDER.find(thing, name, globs=dict(KNOWN))
    return [test for test in found if test.examples]


def failures(test: doctest.DocTest) -> int:
    return doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test).failed


def public_examples() -> list[doctest.DocTest]:
    names = (name for name in cyfes.__all__ if not name.startswith("_"))
    return [test for name in names for test in examples(getattr(cyfes, name), name)]


@pytest.mark.parametrize("test", public_examples(), ids=lambda test: test.name)
def test_examples_print_what_they_say(test: doctest.DocTest) -> None:
    assert failures(test) == 0


def test_the_central_functions_have_examples() -> None:
    names = {test.name for test in public_examples()}
    assert {"sum_hills", "reweight", "Grid", "Hills", "FreeEnergySurface.minima"} <= names


def test_an_example_that_prints_something_else_fails(capsys: pytest.CaptureFixture[str]) -> None:
    def wrong() -> None:
        """Return nothing.

        >>> cyfes.Grid(0, 1, 10).shape
        (10,)
        """

    (test,) = examples(wrong, "wrong")
    assert failures(test) == 1
    assert "(11,)" in capsys.readouterr().out
