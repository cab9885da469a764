"""The containers in which wheels are tried."""

from __future__ import annotations

from pathlib import Path

import containers
import places
import pytest
import tomli
from wheelkit.report import LackingError

PROJECT = Path(places.__file__).resolve().parent.parent
IMAGE_KEY = "manylinux-x86_64-image"


def test_the_oldest_systems_are_the_images_that_build() -> None:
    table = tomli.loads((PROJECT / "pyproject.toml").read_text())["tool"]["cibuildwheel"]
    built_in = {table[IMAGE_KEY], *(override[IMAGE_KEY] for override in table["overrides"])}
    versions = [f"3.{minor}" for minor in range(7, 16)]
    assert {places.verifying(version).image for version in versions} == built_in


@pytest.mark.parametrize("version", [f"3.{minor}" for minor in range(7, 16)])
def test_every_python_is_verified_and_computes_somewhere(version: str) -> None:
    assert version in places.verifying(version).versions
    assert all(version in place.versions for place in places.smoking(version))


def test_a_python_that_no_container_has_is_reported() -> None:
    with pytest.raises(LackingError, match=r"3\.99"):
        places.smoking("3.99")


@pytest.mark.parametrize(
    ("version", "tag"),
    [("3.7", "cp37-cp37m"), ("3.10", "cp310-cp310"), ("3.13t", "cp313-cp313t")],
)
def test_tags(version: str, tag: str) -> None:
    assert places.tag_of(version) == tag


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
    assert containers.Engine(str(program)).reference("a:tag") == expected


@pytest.mark.parametrize(
    ("statuses", "expected"), [([0, 0], 0), ([0, 1], 1), ([0, 125], 3), ([3, 1], 3)]
)
def test_an_engines_own_status_is_the_machines_doing(statuses: list[int], expected: int) -> None:
    assert places.verdict(statuses) == expected
