"""The words of the types are those that the functions accept."""

from __future__ import annotations

import sys
import typing
from typing import Any

import pytest

import cyfes.base.choices
from cyfes.base.arrays import precision
from cyfes.base.units import ENERGY_UNITS
from cyfes.native.constants import PATHS

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 8), reason="no CPython with typing.Literal, which came with 3.8"
)


@pytest.fixture
def choices(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The aliases, as a type checker sees them."""
    monkeypatch.setattr(typing, "TYPE_CHECKING", True)
    source = cyfes.base.choices.__loader__.get_source(cyfes.base.choices.__name__)  # type: ignore[union-attr]
    names: dict[str, Any] = {}
    exec(compile(source, "choices.py", "exec"), names)  # noqa: S102 - the package's own source
    return names


def words(alias: Any) -> list[str]:
    """Return the words of a Literal, or of those in a Union."""
    found: list[str] = []
    for part in typing.get_args(alias):
        found += [part] if isinstance(part, str) else [w for w in words(part) if w]
    return found


def test_words_are_those_that_are_accepted(choices: Any) -> None:
    assert tuple(words(choices["EnergyUnit"])) == ENERGY_UNITS
    assert words(choices["Plan"]) == list(PATHS)
    assert [precision(word).name for word in words(choices["Precision"])[:2]] == [
        "float64",
        "float32",
    ]
    assert words(choices["DeviceName"]) == ["auto", "cpu", "cuda", "cuda:all"]
