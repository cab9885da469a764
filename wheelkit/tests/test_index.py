"""What a package index has of a version."""

from __future__ import annotations

from pathlib import Path

import pytest
from wheelkit.release import index, loopback_index
from wheelkit.target.report import LackingError, sha256

OURS = {"tiny-1.0.tar.gz": "a" * 64}


def test_the_files_of_a_version_are_listed_with_their_hashes(tmp_path: Path) -> None:
    names = ("tiny-1.0.tar.gz", "Tiny-1.0.0-py3-none-any.whl", "tiny-1.0.1.tar.gz")
    for name in names:
        (tmp_path / name).write_text(name)
    with loopback_index.serving(tmp_path) as address:
        listed = index.published(f"{address}/simple/", "Tiny", "1.0")
        assert index.published(f"{address}/simple/", "other", "1.0") == {}
    assert listed == {name: sha256(tmp_path / name) for name in names[:2]}


def test_an_index_that_does_not_answer_lacks() -> None:
    with pytest.raises(LackingError, match="cannot be asked"):
        index.published("http://127.0.0.1:9/simple/", "tiny", "1.0")


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ({}, []),
        ({"tiny-1.0.tar.gz": "a" * 64}, []),
        ({"tiny-1.0.tar.gz": "b" * 64}, ["version-published"]),
        ({"tiny-1.0.tar.gz": None}, ["index-without-hash"]),
        ({"tiny-1.0.zip": "a" * 64}, ["version-published"]),
    ],
)
def test_conflicts(listed: dict[str, str | None], expected: list[str]) -> None:
    assert [fault.id for fault in index.conflicts(listed, OURS)] == expected
