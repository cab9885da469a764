"""What a container is shown of wheelkit, and the environment that is made from it there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_wheels import wheel
from wheelkit.containers import copy_of_wheelkit
from wheelkit.target import bootstrap
from wheelkit.target.report import LackingError, Status

import wheelkit


def test_the_copy_runs_and_knows_the_pinned_versions(tmp_path: Path) -> None:
    copy = copy_of_wheelkit.write(tmp_path / "copy")
    # Before the program below, which compiles what it imports.
    assert not list(copy.rglob("*.pyc"))
    program = (
        "import wheelkit; from wheelkit.base import pinned_tools\n"
        "print(wheelkit.__file__, pinned_tools.pinned('auditwheel'), sep='\\n')"
    )
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    file, version = done.stdout.splitlines()
    assert Path(file) == copy / "wheelkit" / "__init__.py"
    assert f"auditwheel=={version}" in (copy / "wheelkit" / "requirements.txt").read_text()


def test_an_installation_for_development_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Editable:
        files = ()

    monkeypatch.setattr("importlib.metadata.distribution", lambda _: Editable())
    with pytest.raises(LackingError, match="installed for development"):
        copy_of_wheelkit.write(tmp_path / "copy")


def test_dependencies_that_cannot_be_had_are_lacking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_IGNORE_INSTALLED", "1")
    with pytest.raises(LackingError, match="pip could not install the pinned tools"):
        bootstrap.install_dependencies(Path(sys.executable))


@pytest.mark.network
@pytest.mark.slow
def test_a_machine_that_has_nothing_but_python_verifies_a_wheel(tmp_path: Path) -> None:
    copy = copy_of_wheelkit.write(tmp_path / "copy")
    pure = wheel(tmp_path, {"tiny.py": b""}, tag="py3-none-any")
    command = [sys.executable, "-I", str(copy / "wheelkit" / "target"), "bootstrap", "verify"]
    done = subprocess.run([*command, str(pure)], check=False, capture_output=True, text=True)
    assert done.returncode == Status.DONE, done.stderr
    assert pure.name in done.stdout
    broken = pure.with_name("broken-1.0-py3-none-any.whl")
    broken.write_bytes(b"text")
    done = subprocess.run([*command, str(broken)], check=False, capture_output=True, text=True)
    assert done.returncode == Status.FAULTY
    assert "not-a-zip" in done.stderr


def test_the_version_is_written_once() -> None:
    from importlib import metadata

    assert metadata.version("wheelkit") == wheelkit.__version__
