"""What is handed to cibuildwheel, and what is read from it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from container import run_cibuildwheel
from container.run_cibuildwheel import Steps, WheelBuildError
from wheelkit.containers.engines import Engine, PipSettings
from wheelkit.target.report import LackingError

LOG = """\
Building cp37-manylinux_x86_64 wheel
CPython 3.7 manylinux x86_64

Setting up build environment...
                                                                       ✓ 0.38s
Building wheel...
  running 99.9s of nothing
9 passed in 99.9s
                                                                      ✓ 41.23s
Repairing wheel...
                                                                      ✓ 21.12s
Testing wheel...
  python -m pip install nothing
1 failed, 1 passed of another program
1234 passed, 56 skipped, 7 deselected in 201.02s (0:03:21)
                                                                     ✓ 205.48s

✓ cp37-manylinux_x86_64 finished in 4 minutes
Building cp314t-manylinux_x86_64 wheel
Building wheel...
                                                                      ✓ 1.00s
"""


def test_seconds_and_tests_are_read_from_the_log() -> None:
    # A line of the build itself may look like the end of a step, or of tests.
    steps = run_cibuildwheel.read_steps(LOG.splitlines(keepends=True))
    tests = "1234 passed, 56 skipped, 7 deselected"
    assert steps == {
        "cp37-manylinux_x86_64": Steps([41.23, 21.12, 205.48], tests),
        "cp314t-manylinux_x86_64": Steps([1.0], ""),
    }


@pytest.mark.parametrize(
    "line", ["= 3 passed in 0.10s =", "1 failed, 3 passed in 0.1s", "3 passed, 1 error in 0.1s"]
)
def test_tests_that_failed_are_no_result(line: str) -> None:
    found = run_cibuildwheel.TESTED.match(line)
    assert (found and found[1]) == ("3 passed" if line[0] == "=" else None)


def test_only_choices_are_taken_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    monkeypatch.setenv("PIP_QUIET", "1")
    monkeypatch.setattr(Engine, "reference", lambda _, image: image)
    pip = PipSettings({"PIP_CERT": f"/host{tmp_path}"}, (tmp_path,))
    monkeypatch.setattr(run_cibuildwheel, "pip_settings", lambda: pip)
    engine = Engine("podman", {"CONTAINERS_CONF": "settings"}, "mine=1")
    given = run_cibuildwheel.environment(engine, "image", ["3.7", "3.10"], Path.cwd())
    assert given["CIBW_BUILD"] == "cp37-manylinux_x86_64 cp310-manylinux_x86_64"
    assert given["CIBW_MANYLINUX_X86_64_IMAGE"] == "image"
    assert given["CIBW_CONTAINER_ENGINE"] == (
        "podman; disable_host_mount: true; "
        f"create_args: --label=mine=1 --volume={tmp_path}:/host{tmp_path}:ro"
    )
    assert given["CONTAINERS_CONF"] == "settings"
    assert given["SOURCE_DATE_EPOCH"] == "1700000000"
    assert given["WHEELKIT_IMAGE"] == "image"
    assert given["CIBW_ENVIRONMENT_PASS_LINUX"].split() == ["PIP_CERT", "WHEELKIT_IMAGE"]
    assert "PIP_QUIET" not in given


def test_root_is_never_mounted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even if nothing is to be mounted: cibuildwheel would mount all of this machine."""
    monkeypatch.setattr(Engine, "reference", lambda _, image: image)
    monkeypatch.setattr(run_cibuildwheel, "pip_settings", lambda: PipSettings({}, ()))
    given = run_cibuildwheel.environment(Engine("podman"), "image", ["3.7"], Path.cwd())
    assert given["CIBW_CONTAINER_ENGINE"] == "podman; disable_host_mount: true"


def test_older_python_is_told_what_cibuildwheel_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_cibuildwheel, "OLDEST", (3, 99))
    with pytest.raises(LackingError, match=r"cibuildwheel needs Python 3\.99 or newer"):
        run_cibuildwheel.check_python()


def test_failing_command_is_shown_logged_and_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-c", "print('said'); raise SystemExit(4)"]
    with pytest.raises(WheelBuildError, match=r"python[^ ]* ended with status 4; its log is .*log"):
        list(run_cibuildwheel.run_logged(command, log))
    assert log.read_text() == "said\n"
    assert "said" in capsys.readouterr().err
