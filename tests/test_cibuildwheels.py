"""What is handed to cibuildwheel, and what is read from it."""

from __future__ import annotations

import sys
from pathlib import Path

import cibuildwheels
import places
import pytest
import source_files
import tomli
from build_wheelhouse import VERSIONS
from cibuildwheels import BUILDERS, BuildError
from containers import Engine
from ledger import PROJECT
from wheelkit.report import LackingError

LOG = """\
Building cp37-manylinux_x86_64 wheel
CPython 3.7 manylinux x86_64

Setting up build environment...
                                                                       ✓ 0.38s
Building wheel...
  running 99.9s of nothing
                                                                      ✓ 41.23s
Repairing wheel...
                                                                      ✓ 21.12s
Testing wheel...
                                                                     ✓ 205.48s

✓ cp37-manylinux_x86_64 finished in 4 minutes
Building cp38-manylinux_x86_64 wheel
Building wheel...
                                                                      ✓ 1.00s
"""


def test_each_version_has_one_builder() -> None:
    for version in VERSIONS:
        assert sum(version in builder.selected(VERSIONS) for builder in BUILDERS) == 1
    assert [len(builder.selected(VERSIONS)) for builder in BUILDERS] == [2, 7]


@pytest.mark.parametrize("version", VERSIONS)
def test_wheels_are_built_where_they_are_verified(version: str) -> None:
    assert cibuildwheels.pinned_image(version) == places.verifying(version).image


def test_images_are_pinned_by_digest_or_date() -> None:
    for version in VERSIONS:
        _, _, pin = cibuildwheels.pinned_image(version).rpartition("/")
        assert "@sha256:" in pin or pin.endswith(":2025.05.03-1")


def test_seconds_are_read_from_the_log() -> None:
    # A line of the build itself may look like the end of a step.
    times = cibuildwheels.read_times(LOG.splitlines(keepends=True))
    assert times == {"cp37": [41.23, 21.12, 205.48], "cp38": [1.0]}


def test_builds_are_made_with_what_pyproject_requires(project_root: Path) -> None:
    table = tomli.loads((project_root / "pyproject.toml").read_text())["build-system"]
    lines = (project_root / "requirements" / "build.in").read_text().splitlines()
    pinned = {line for line in lines if "==" in line and not line.startswith("#")}
    # The interpreters of the images have their own pip.
    assert pinned == {line for line in table["requires"] if not line.startswith("pip")}


def test_only_choices_are_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    monkeypatch.setenv("PIP_QUIET", "1")
    monkeypatch.setattr(Engine, "reference", lambda _, image: image)
    engine = Engine("podman", {"CONTAINERS_CONF": "settings"})
    given = cibuildwheels.environment(engine, "image", ["3.7", "3.10"])
    assert given["CIBW_BUILD"] == "cp37-manylinux_x86_64 cp310-manylinux_x86_64"
    assert given["CIBW_MANYLINUX_X86_64_IMAGE"] == "image"
    assert given["CIBW_CONTAINER_ENGINE"] == "podman"
    assert given["CONTAINERS_CONF"] == "settings"
    assert given["SOURCE_DATE_EPOCH"] == "1700000000"
    assert given["WHEELKIT_IMAGE"] == "image"
    assert "WHEELKIT_IMAGE" in given["CIBW_ENVIRONMENT_PASS_LINUX"].split()
    assert "PIP_QUIET" not in given


def test_older_python_is_told_what_cibuildwheel_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cibuildwheels, "OLDEST", (3, 99))
    with pytest.raises(LackingError, match=r"cibuildwheel needs Python 3\.99 or newer"):
        cibuildwheels.check_python()


def test_sources_are_what_git_would_commit(tmp_path: Path) -> None:
    source_files.export(PROJECT, tmp_path)
    assert (tmp_path / "pyproject.toml").is_file()
    assert (tmp_path / "scripts" / "prepare_container.py").is_file()
    assert not (tmp_path / ".git").exists()
    assert not (tmp_path / "build").exists()


def test_failing_command_is_shown_logged_and_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-c", "print('said'); raise SystemExit(4)"]
    with pytest.raises(BuildError, match="cibuildwheel ended with status 4"):
        list(cibuildwheels.run_logged(command, log))
    assert log.read_text() == "said\n"
    assert "said" in capsys.readouterr().err
