"""Which cibuildwheel builds for which CPython."""

from __future__ import annotations

import pytest
from wheelkit.base.cpythons import CPYTHONS
from wheelkit.containers import cibuildwheel
from wheelkit.containers.cibuildwheel import BUILDERS
from wheelkit.target.report import MisusedError


def test_each_version_has_one_builder() -> None:
    for version in CPYTHONS:
        assert sum(version in builder.selected(CPYTHONS) for builder in BUILDERS) == 1
    assert [len(builder.selected(CPYTHONS)) for builder in BUILDERS] == [2, 7]


@pytest.mark.parametrize(
    ("version", "pins"), [("3.7", "cibuildwheel-2.txt"), ("3.13", "cibuildwheel.txt")]
)
def test_each_python_has_its_cibuildwheel(version: str, pins: str) -> None:
    assert cibuildwheel.builder_for(version).pins == pins


def test_a_python_that_no_cibuildwheel_builds_is_wrong_usage() -> None:
    with pytest.raises(MisusedError, match=r"3\.6: no pinned cibuildwheel builds for it"):
        cibuildwheel.builder_for("3.6")
