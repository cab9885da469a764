"""The container engine, with engines that are small shell scripts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from wheelkit.containers import engines
from wheelkit.containers.engines import Engine
from wheelkit.target.report import LackingError, MisusedError

WORKS = 'echo "$@" >> "$0.log"\nexit 0\n'
NO_DAEMON = "echo Cannot connect to the Docker daemon >&2\nexit 1\n"
# Runs containers with the settings for restricted machines only, as podman does on one.
RESTRICTED = '[ "$1" != run ] || [ -n "$CONTAINERS_CONF" ] || { echo setrlimit >&2; exit 126; }\n'
RUNS_NOTHING = '[ "$1" != run ] || { echo no cgroups >&2; exit 126; }\n'


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A path with nothing on it but the shell's own."""
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("CIBW_CONTAINER_ENGINE", "CONTAINERS_CONF"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def install(path: Path, name: str, script: str) -> None:
    (path / name).write_text(f"#!/bin/sh\n{script}")
    (path / name).chmod(0o755)


@pytest.mark.usefixtures("path")
def test_no_engine_is_one_line_that_says_what_to_do() -> None:
    with pytest.raises(LackingError) as error:
        engines.find_engine()
    assert str(error.value).startswith("no container engine works here (docker is not installed; ")
    assert "apt install podman" in str(error.value)
    assert "\n" not in str(error.value)


def test_docker_without_a_daemon_gives_way_to_podman(path: Path) -> None:
    install(path, "docker", NO_DAEMON)
    install(path, "podman", WORKS)
    assert engines.find_engine().name == "podman"


def test_docker_without_a_daemon_alone_is_reported(path: Path) -> None:
    install(path, "docker", NO_DAEMON)
    with pytest.raises(LackingError, match="docker: Cannot connect to the Docker daemon; podman"):
        engines.find_engine()


def test_environment_chooses_the_engine(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(path, "docker", WORKS)
    install(path, "podman", WORKS)
    assert engines.find_engine().name == "docker"
    monkeypatch.setenv("CIBW_CONTAINER_ENGINE", "podman")
    assert engines.find_engine().name == "podman"
    monkeypatch.setenv("CIBW_CONTAINER_ENGINE", "lxc")
    with pytest.raises(MisusedError, match="expected docker or podman"):
        engines.find_engine()


def test_restricted_settings_are_taken_only_where_needed(path: Path) -> None:
    install(path, "podman", WORKS)
    assert engines.make_runnable(Engine("podman"), "image").environment == {}
    install(path, "podman", RESTRICTED)
    settings = engines.make_runnable(Engine("podman"), "image").environment
    assert Path(settings["CONTAINERS_CONF"]).is_file()


def test_an_engine_that_runs_nothing_is_reported(path: Path) -> None:
    install(path, "podman", RUNS_NOTHING)
    with pytest.raises(LackingError, match=r"podman cannot run a container here \(no cgroups\)"):
        engines.make_runnable(Engine("podman"), "image")


def test_image_that_is_here_is_not_pulled(path: Path) -> None:
    install(path, "podman", WORKS)
    assert Engine("podman").why_not_pulled("image") == ""
    assert (path / "podman.log").read_text() == "image inspect image\n"


def test_reason_of_a_failed_pull_is_returned(path: Path) -> None:
    install(path, "podman", "echo no such host >&2\nexit 125\n")
    assert Engine("podman").why_not_pulled("image") == "no such host"


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ("/etc/ssl/cert.pem", "/host/etc/ssl/cert.pem"),
        ("file:///srv/a file:///srv/b", "file:///host/srv/a file:///host/srv/b"),
        ("https://mirror.example/simple", "https://mirror.example/simple"),
    ],
)
def test_paths_are_rewritten_for_the_container(here: str, there: str) -> None:
    assert engines.seen_from_container(here) == there


def test_settings_of_pip_reach_the_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    settings = tmp_path / "pip.conf"
    settings.write_text(
        "[global]\nindex-url = https://a.example/simple\nfind-links = /srv/wheels\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(settings))
    monkeypatch.setenv("PIP_CERT", "/etc/cert.pem")
    monkeypatch.setenv("PIP_QUIET", "1")
    found = engines.pip_environment()
    assert found["PIP_FIND_LINKS"] == "/host/srv/wheels"
    assert found["PIP_INDEX_URL"] == "https://a.example/simple"
    assert found["PIP_CERT"] == "/host/etc/cert.pem"
    assert "PIP_QUIET" not in found
