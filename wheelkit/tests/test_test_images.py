"""The containers in which wheels are tried."""

from __future__ import annotations

from pathlib import Path

import pytest
from wheelkit.base import cpythons
from wheelkit.containers import engines, images
from wheelkit.containers.images import Reference
from wheelkit.target.report import MisusedError

PROJECT = Path(__file__).resolve().parents[2]

CIBUILDWHEEL = """
[tool.cibuildwheel]
manylinux-x86_64-image = "new:1"
test-skip = "cp314-*"

[[tool.cibuildwheel.overrides]]
select = ["cp3[78]-*", "pp*"]
manylinux-x86_64-image = "old:1"

[[tool.cibuildwheel.overrides]]
select = "cp38-*"
test-command = "true"
"""
FURTHER = """
[tool.wheelkit]
test-images = [
  { image = "slim:3.9", pythons = ["3.9"], python = "python", prepare = "dnf install python" },
  { image = "host:5000/big@sha256:0123456789abcdef", pythons = ["3.12", "3.14"] },
]
"""


def project(folder: Path, text: str) -> Path:
    (folder / "pyproject.toml").write_text(text)
    return folder


def smoking(version: str, folder: Path) -> list[str]:
    return [image.reference for image in images.smoking(version, folder)]


def test_a_wheel_is_tried_where_it_is_built_and_in_what_is_declared(tmp_path: Path) -> None:
    folder = project(tmp_path, CIBUILDWHEEL + FURTHER)
    assert smoking("3.7", folder) == ["old:1"]
    assert smoking("3.9", folder) == ["new:1", "slim:3.9"]
    # Where cibuildwheel does not test it, it does not compute.
    assert smoking("3.14", folder) == ["host:5000/big@sha256:0123456789abcdef"]
    assert images.verifying("3.8", folder).reference == "old:1"
    assert images.verifying("3.14", folder).reference == "new:1"
    assert images.verifying("3.14", folder).python == "/opt/python/{tag}/bin/python"
    slim = images.smoking("3.9", folder)[1]
    assert (slim.python, slim.prepare) == ("python", "dnf install python")


def test_the_table_of_linux_goes_first(tmp_path: Path) -> None:
    text = '[tool.cibuildwheel.linux]\nmanylinux-x86_64-image = "linux:1"\n'
    assert smoking("3.9", project(tmp_path, CIBUILDWHEEL + text)) == ["linux:1"]


def test_a_project_may_name_no_image_of_cibuildwheel(tmp_path: Path) -> None:
    folder = project(tmp_path, FURTHER)
    assert smoking("3.9", folder) == ["slim:3.9"]
    # wheelkit verifies where its own CPython is beside the wheel's.
    assert images.verifying("3.14", folder).reference.startswith("host:5000/big")
    with pytest.raises(MisusedError, match=r"names no image .* CPython 3\.9"):
        images.verifying("3.9", folder)


@pytest.mark.parametrize("text", ["", "[tool.cibuildwheel]\n", FURTHER])
def test_a_python_that_no_image_has_is_reported_with_what_to_write(
    tmp_path: Path, text: str
) -> None:
    message = r"CPython 3\.8 .*manylinux-x86_64-image in \[tool.cibuildwheel\].*test-images"
    with pytest.raises(MisusedError, match=message):
        images.smoking("3.8", project(tmp_path, text))


def test_an_image_that_is_no_string_is_refused(tmp_path: Path) -> None:
    text = "[tool.cibuildwheel]\nmanylinux-x86_64-image = ['new:1']\n"
    with pytest.raises(MisusedError, match="expected a string"):
        images.smoking("3.9", project(tmp_path, text))


@pytest.mark.parametrize("version", cpythons.CPYTHONS)
def test_every_python_of_this_project_is_verified_and_computes_somewhere(version: str) -> None:
    assert images.verifying(version, PROJECT).reference
    found = images.smoking(version, PROJECT)
    assert found
    # The names tell the reports of a wheel apart.
    assert len({image.name for image in found}) == len(found)


@pytest.mark.parametrize(
    ("text", "repository", "tag", "digest", "title"),
    [
        ("fedora", "fedora", "", "", "fedora"),
        ("fedora:44", "fedora", "44", "", "fedora-44"),
        ("localhost:5000/a/b", "localhost:5000/a/b", "", "", "b"),
        ("localhost:5000/b:1", "localhost:5000/b", "1", "", "b-1"),
        ("q.io/b@sha256:0123456789abcd", "q.io/b", "", "sha256:0123456789abcd", "b-0123456789ab"),
        ("q.io/b:1@sha256:0123", "q.io/b", "1", "sha256:0123", "b-1"),
    ],
)
def test_the_name_of_an_image_is_taken_apart(
    text: str, repository: str, tag: str, digest: str, title: str
) -> None:
    found = Reference.parse(text)
    assert found == Reference(repository, tag, digest)
    assert (str(found), found.title) == (text, title)


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


TWO_ARCHITECTURES = """
[tool.cibuildwheel]
manylinux-x86_64-image = "intel:1"
manylinux-aarch64-image = "arm:1"
test-skip = "cp314-*"

[tool.wheelkit]
test-images = [
  { image = "slim:1", pythons = ["3.9", "3.14"] },
  { image = "new-intel:1", pythons = ["3.14"], architectures = ["x86_64"] },
  { image = "new-arm:1", pythons = ["3.14"], architectures = ["aarch64"] },
]
"""


def test_a_wheel_is_tried_in_images_of_its_architecture(tmp_path: Path) -> None:
    folder = project(tmp_path, TWO_ARCHITECTURES)
    found = {
        (architecture, version): [
            image.reference for image in images.smoking(version, folder, architecture)
        ]
        for architecture in ("x86_64", "aarch64")
        for version in ("3.9", "3.14")
    }
    assert found == {
        ("x86_64", "3.9"): ["intel:1", "slim:1"],
        ("x86_64", "3.14"): ["slim:1", "new-intel:1"],
        ("aarch64", "3.9"): ["arm:1", "slim:1"],
        ("aarch64", "3.14"): ["slim:1", "new-arm:1"],
    }
    assert images.verifying("3.14", folder, "aarch64").reference == "arm:1"


def test_an_architecture_without_an_image_is_named(tmp_path: Path) -> None:
    folder = project(tmp_path, '[tool.cibuildwheel]\nmanylinux-x86_64-image = "intel:1"\n')
    with pytest.raises(
        MisusedError, match="on aarch64 can be tried; write manylinux-aarch64-image"
    ):
        images.smoking("3.9", folder, "aarch64")
