"""[tool.cibuildwheel] of pyproject.toml agrees with wheelkit and with the pinned requirements."""

from __future__ import annotations

from pathlib import Path

import pytest
import tomli
from ledger import PROJECT
from wheelkit.base import source_files
from wheelkit.base.cpythons import CPYTHONS
from wheelkit.containers import cibuildwheel, images
from wheelkit.containers.cibuildwheel import IMAGE_KEY


def test_the_oldest_systems_are_the_images_that_build() -> None:
    table = tomli.loads((PROJECT / "pyproject.toml").read_text())["tool"]["cibuildwheel"]
    built_in = {table[IMAGE_KEY], *(override[IMAGE_KEY] for override in table["overrides"])}
    assert {images.verifying(version).reference for version in CPYTHONS} == built_in


@pytest.mark.parametrize("version", CPYTHONS)
def test_wheels_are_built_where_they_are_verified(version: str) -> None:
    assert cibuildwheel.pinned_image(version, PROJECT) == images.verifying(version).reference


def test_images_are_pinned_by_digest_or_date() -> None:
    for version in CPYTHONS:
        _, _, pin = cibuildwheel.pinned_image(version, PROJECT).rpartition("/")
        assert "@sha256:" in pin or pin.endswith(":2025.05.03-1")


def test_builds_are_made_with_what_pyproject_requires(project_root: Path) -> None:
    table = tomli.loads((project_root / "pyproject.toml").read_text())["build-system"]
    lines = (project_root / "requirements" / "build.in").read_text().splitlines()
    pinned = {line for line in lines if "==" in line and not line.startswith("#")}
    # The interpreters of the images have their own pip.
    assert pinned == {line for line in table["requires"] if not line.startswith("pip")}


def test_sources_are_what_git_would_commit(tmp_path: Path) -> None:
    source_files.export(PROJECT, tmp_path)
    assert (tmp_path / "pyproject.toml").is_file()
    assert (tmp_path / "scripts" / "prepare_container.py").is_file()
    assert not (tmp_path / ".git").exists()
    assert not (tmp_path / "build").exists()
