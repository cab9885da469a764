"""prepare_container.py with tools that are small shell scripts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from container import prepare_container
from kernels import install_cuda
from wheelkit.target.report import LackingError, run

SCRIPTS = Path(prepare_container.__file__).parents[1]


def tool(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_libcufes_is_configured_built_and_stripped(tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tool(tools, "cmake", f'echo "$@" >> "{tmp_path}/log"')
    library = prepare_container.build_libcufes(tools, tmp_path / "cuda", tmp_path / "libcufes")
    assert library == tmp_path / "libcufes" / "cufes" / "libcufes.so"
    configure, build, install = (tmp_path / "log").read_text().splitlines()
    assert "-DCUFES_BUNDLE_RUNTIME=OFF" in configure
    assert f"-DCUDA_HOME={tmp_path}/cuda" in configure
    assert build.startswith("--build ")
    assert f"--strip --prefix {tmp_path}/libcufes" in install


def test_sources_that_do_not_build_are_an_error(tmp_path: Path) -> None:
    tool(tmp_path / "tools", "cmake", '[ "$1" != --build ] || exit 2')
    with pytest.raises(
        prepare_container.LibraryBuildError, match=r"--build .* ended with status 2"
    ):
        prepare_container.build_libcufes(tmp_path / "tools", tmp_path, tmp_path / "libcufes")


def test_without_a_network_no_file_is_left_behind(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PIP_")}
    environment |= {"PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "0"}
    environment["PIP_INDEX_URL"] = "http://127.0.0.1:9/simple"
    command = [sys.executable, str(SCRIPTS), "prepare-container", str(tmp_path / "opt")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 3
    assert done.stderr.startswith("error: pip could not download the CUDA toolkit")
    assert done.stderr.count("\n") == 1
    assert not [path for path in (tmp_path / "opt").rglob("*") if path.is_file()]


def test_tools_that_cannot_be_installed_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setattr(prepare_container, "make_venv", lambda *_: Path(sys.executable))
    with pytest.raises(LackingError, match=r"requirements\.txt and requirements/build\.txt"):
        prepare_container.install_tools(tmp_path / "tools")


def test_toolkit_of_a_wrong_hash_is_refused_before_anything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def distrust(_: Path) -> str:
        raise install_cuda.UntrustedError("a wheel has another sha256")

    monkeypatch.setattr(install_cuda, "install", distrust)
    monkeypatch.setattr(sys, "argv", ["prepare_container.py", str(tmp_path / "opt")])
    assert run(prepare_container.main) == 3
    assert capsys.readouterr().err == "error: a wheel has another sha256\n"
    assert not (tmp_path / "opt").exists()
