"""What is handed to cibuildwheel, and what is read from it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from wheelkit.base.cpythons import CPYTHONS
from wheelkit.containers import cibuildwheel
from wheelkit.containers.cibuildwheel import BUILDERS, WheelBuildError
from wheelkit.containers.engines import Engine
from wheelkit.target.report import LackingError

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
    for version in CPYTHONS:
        assert sum(version in builder.selected(CPYTHONS) for builder in BUILDERS) == 1
    assert [len(builder.selected(CPYTHONS)) for builder in BUILDERS] == [2, 7]


def test_seconds_are_read_from_the_log() -> None:
    # A line of the build itself may look like the end of a step.
    times = cibuildwheel.read_times(LOG.splitlines(keepends=True))
    assert times == {"cp37": [41.23, 21.12, 205.48], "cp38": [1.0]}


def test_only_choices_are_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    monkeypatch.setenv("PIP_QUIET", "1")
    monkeypatch.setattr(Engine, "reference", lambda _, image: image)
    engine = Engine("podman", {"CONTAINERS_CONF": "settings"})
    given = cibuildwheel.environment(engine, "image", ["3.7", "3.10"], Path.cwd())
    assert given["CIBW_BUILD"] == "cp37-manylinux_x86_64 cp310-manylinux_x86_64"
    assert given["CIBW_MANYLINUX_X86_64_IMAGE"] == "image"
    assert given["CIBW_CONTAINER_ENGINE"] == "podman"
    assert given["CONTAINERS_CONF"] == "settings"
    assert given["SOURCE_DATE_EPOCH"] == "1700000000"
    assert given["WHEELKIT_IMAGE"] == "image"
    assert "WHEELKIT_IMAGE" in given["CIBW_ENVIRONMENT_PASS_LINUX"].split()
    assert "PIP_QUIET" not in given


def test_older_python_is_told_what_cibuildwheel_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cibuildwheel, "OLDEST", (3, 99))
    with pytest.raises(LackingError, match=r"cibuildwheel needs Python 3\.99 or newer"):
        cibuildwheel.check_python()


def test_failing_command_is_shown_logged_and_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-c", "print('said'); raise SystemExit(4)"]
    with pytest.raises(WheelBuildError, match="cibuildwheel ended with status 4"):
        list(cibuildwheel.run_logged(command, log))
    assert log.read_text() == "said\n"
    assert "said" in capsys.readouterr().err
