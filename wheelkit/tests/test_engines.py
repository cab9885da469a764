"""The container engine, with engines that are small shell scripts."""

from __future__ import annotations

import os
import shutil
import subprocess
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
    # cibuildwheel takes options too.
    monkeypatch.setenv("CIBW_CONTAINER_ENGINE", "podman; disable_host_mount: true")
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
    with pytest.raises(
        LackingError, match=r"podman cannot run a container here \(no cgroups; with "
    ):
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


@pytest.fixture
def no_pip_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """pip's settings are those of an empty file, which the test may write."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    settings = tmp_path / "pip.conf"
    settings.touch()
    monkeypatch.setenv("PIP_CONFIG_FILE", str(settings))
    # pip reads the files of the machine and of the user too.
    monkeypatch.setenv("HOME", str(tmp_path))
    return settings


def pip_lists(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """Let pip list these settings, whatever this machine has."""
    done = subprocess.CompletedProcess([], 0, "\n".join(lines) + "\n", "")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)


def test_settings_of_pip_reach_the_container(
    no_pip_settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_pip_settings.write_text(
        "[global]\nindex-url = https://a.example/simple\nfind-links = /srv/wheels\n"
    )
    monkeypatch.setenv("PIP_CERT", "/etc/cert.pem")
    monkeypatch.setenv("PIP_QUIET", "1")
    found = engines.pip_settings().variables
    assert found["PIP_FIND_LINKS"] == "/host/srv/wheels"
    assert found["PIP_INDEX_URL"] == "https://a.example/simple"
    assert found["PIP_CERT"] == "/host/etc/cert.pem"
    assert "PIP_QUIET" not in found


def test_a_container_sees_the_files_that_pips_settings_name_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("index/simple/tiny/index.html", "index/files/tiny.whl", "links/more/x", "cert"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    page = tmp_path / "index/simple/tiny/index.html"
    page.write_text('<a href="../../files/tiny.whl#sha256=1">tiny</a><a href="https://x/y">y</a>')
    address = tmp_path.as_uri()
    pip_lists(
        monkeypatch,
        f"global.extra-index-url='{address}/index/simple https://a.example/simple'",
        f"global.find-links='{address}/links\\n{address}/links/more\\n{address}/absent'",
        f":env:.cert='{tmp_path}/cert'",
    )
    found = engines.pip_settings()
    names = ("cert", "index/files", "index/simple", "links")
    assert found.mounts == {tmp_path / name: f"/host{tmp_path}/{name}" for name in names}
    below = address.replace("file://", "file:///host")
    assert found.variables["PIP_EXTRA_INDEX_URL"].startswith(f"{below}/index/simple")
    assert found.variables["PIP_CERT"] == f"/host{tmp_path}/cert"


def test_a_path_may_have_spaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cert = tmp_path / "a certificate"
    cert.touch()
    pip_lists(monkeypatch, f":env:.cert='{cert}'")
    assert engines.pip_settings().mounts == {cert: f"/host{cert}"}


def test_no_container_is_shown_the_whole_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    pip_lists(monkeypatch, "global.find-links='/'")
    with pytest.raises(MisusedError, match="a setting of pip names the folder /"):
        engines.pip_settings()


def test_an_engine_is_tried_with_an_image_that_is_removed(path: Path) -> None:
    for name in ("ldd", "tar"):
        (path / name).symlink_to(shutil.which(name, path="/usr/bin:/bin") or "")
    install(path, "podman", WORKS)
    assert engines.runnable_engine() == Engine("podman")
    said = (path / "podman.log").read_text().splitlines()
    image = f"localhost/wheelkit-trial:{os.getpid()}"
    assert any(line.startswith("import ") and line.endswith(image) for line in said)
    assert said[-2:] == [f"run --rm {image} true", f"rmi --force {image}"]


def test_an_image_of_a_killed_process_is_removed(path: Path) -> None:
    script = '[ "$1 $2" != "image ls" ] || echo localhost/wheelkit-trial:999999999\n' + WORKS
    install(path, "podman", script)
    for name in ("ldd", "tar"):
        (path / name).symlink_to(shutil.which(name, path="/usr/bin:/bin") or "")
    engines.runnable_engine()
    assert "rmi --force localhost/wheelkit-trial:999999999" in (path / "podman.log").read_text()


def test_a_missing_runc_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(path, "podman", RUNS_NOTHING)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(LackingError, match=r"they need runc \(Debian .*: apt install runc\)"):
        engines.make_runnable(Engine("podman"), "image")


def test_containers_are_labelled_and_see_folders_to_read() -> None:
    options = Engine("podman", label="a=b").container_options({Path("/x"): "/y"}, {"N": "v"})
    assert options == ["--label=a=b", "--volume=/x:/y:ro", "--env=N=v"]
