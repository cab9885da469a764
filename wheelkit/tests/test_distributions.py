"""File names of a release, taken apart."""

from __future__ import annotations

import pytest
from wheelkit.release import distributions
from wheelkit.target.report import FaultyError


def test_each_file_has_a_purpose() -> None:
    files = [
        "a_b-1.0.tar.gz",
        "a_b-1.0-cp37-cp37m-manylinux_2_17_x86_64.whl",
        "a_b-1.0-cp313-cp313t-manylinux_2_17_x86_64.whl",
    ]
    found = {member.purpose: member.project for member in distributions.parse_all(files)}
    assert found == {"source distribution": "a-b", "3.7": "a-b", "3.13t": "a-b"}


@pytest.mark.parametrize(
    ("file", "fault"),
    [
        ("tiny.tar.gz", "sdist-filename"),
        ("tiny-one.tar.gz", "sdist-filename"),
        ("tiny-1.0.whl", "wheel-filename"),
        ("tiny-one-py3-none-any.whl", "wheel-filename"),
    ],
)
def test_another_name_is_a_fault(file: str, fault: str) -> None:
    with pytest.raises(FaultyError, match=fault):
        distributions.parse_all([file])
