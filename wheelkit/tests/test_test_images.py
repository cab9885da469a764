"""The containers in which wheels are tried."""

from __future__ import annotations

from pathlib import Path

import pytest
from wheelkit.base import cpythons
from wheelkit.containers import engines, images
from wheelkit.target.report import LackingError


@pytest.mark.parametrize("version", cpythons.CPYTHONS)
def test_every_python_is_verified_and_computes_somewhere(version: str) -> None:
    assert version in images.verifying(version).versions
    assert all(version in image.versions for image in images.smoking(version))


def test_a_python_that_no_container_has_is_reported() -> None:
    with pytest.raises(LackingError, match=r"3\.99"):
        images.smoking("3.99")


@pytest.mark.parametrize(
    ("version", "tag"),
    [("3.7", "cp37-cp37m"), ("3.10", "cp310-cp310"), ("3.13t", "cp313-cp313t")],
)
def test_tags(version: str, tag: str) -> None:
    assert cpythons.tag_of(version) == tag


@pytest.mark.parametrize(
    ("inspected", "expected"),
    [
        ('[{"Id": "sha256:1", "RepoDigests": ["a@sha256:2"]}]', "a@sha256:2"),
        ('[{"Id": "sha256:1", "RepoDigests": []}]', "a:tag@sha256:1"),
    ],
)
def test_an_image_is_named_by_its_digest(tmp_path: Path, inspected: str, expected: str) -> None:
    program = tmp_path / "engine"
    program.write_text(f"#!/bin/sh\necho '{inspected}'\n")
    program.chmod(0o755)
    assert engines.Engine(str(program)).reference("a:tag") == expected


@pytest.mark.parametrize(
    ("statuses", "expected"), [([0, 0], 0), ([0, 1], 1), ([0, 125], 3), ([3, 1], 3)]
)
def test_an_engines_own_status_is_the_machines_doing(statuses: list[int], expected: int) -> None:
    assert images.verdict(statuses) == expected
