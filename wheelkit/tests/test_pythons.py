"""Interpreters are found, and matched with the tags of a wheel."""

from __future__ import annotations

import json
import subprocess
import sys
import types
import venv
from pathlib import Path

import pytest
from packaging.tags import sys_tags
from wheelkit.install import pythons
from wheelkit.install.pythons import Python
from wheelkit.wheel import identity

HERE = pythons.found()[0]


def test_the_running_interpreter_is_the_first_and_no_virtual_environment() -> None:
    assert HERE.path == Path(sys.executable).resolve()
    assert HERE.version == identity.running_python()
    every = [python.name for python in pythons.found()]
    assert len(set(every)) == len(every)


@pytest.mark.parametrize("symlinks", [True, False], ids=["links", "copies"])
def test_a_virtual_environment_is_left(tmp_path: Path, symlinks: bool) -> None:
    venv.create(tmp_path / "venv", symlinks=symlinks)
    found = pythons.probe(tmp_path / "venv" / "bin" / "python")
    assert found is not None
    code = "import sys; print(sys.prefix == sys.base_prefix)"
    said = subprocess.run([found.path, "-c", code], check=True, capture_output=True, text=True)
    assert said.stdout == "True\n"


def test_its_tags_are_those_that_packaging_knows() -> None:
    # The running one's own platform tag, linux_x86_64, is among both.
    assert set(sys_tags()) == HERE.tags


@pytest.mark.parametrize(
    ("version", "tag", "fits"),
    [
        ("3.7", "cp37-cp37m-linux_x86_64", True),
        ("3.8", "cp38-cp38-linux_x86_64", True),
        ("3.13t", "cp313-cp313t-linux_x86_64", True),
        ("3.13", "cp313-cp313t-linux_x86_64", False),
        ("3.13t", "cp313-cp313-linux_x86_64", False),
        ("3.12", "cp39-abi3-linux_x86_64", True),
        ("3.13t", "cp39-abi3-linux_x86_64", False),
        ("3.8", "cp39-abi3-linux_x86_64", False),
        ("3.8", "py3-none-any", True),
    ],
)
def test_a_wheel_is_for_some_versions(
    monkeypatch: pytest.MonkeyPatch, version: str, tag: str, *, fits: bool
) -> None:
    monkeypatch.setattr("packaging.tags.platform_tags", lambda: iter(["linux_x86_64"]))
    named = identity.identify(f"tiny-1.0-{tag}.whl")
    python = Python(Path("python"), version, debian=False, pip=None)
    assert (not python.tags.isdisjoint(named.tags)) is fits


@pytest.mark.parametrize(
    "answer",
    ["exit 1", "echo no json", 'echo \'{"implementation": "PyPy", "version": "3.10"}\''],
)
def test_what_is_no_cpython_is_passed_over(tmp_path: Path, answer: str) -> None:
    fake = tmp_path / "python3"
    fake.write_text(f"#!/bin/sh\n{answer}\n")
    fake.chmod(0o755)
    assert pythons.probe(fake) is None
    assert pythons.probe(tmp_path / "gone") is None


@pytest.mark.parametrize("own_folder", [True, False])
def test_the_pip_that_a_new_venv_would_get_is_found(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    own_folder: bool,
) -> None:
    """CPython has pip's wheel in ensurepip; Debian has it in a folder of its own."""
    distribution = tmp_path / "wheels"
    folder = distribution if own_folder else tmp_path / "ensurepip" / "_bundled"
    folder.mkdir(parents=True)
    (folder / "pip-99.0-py3-none-any.whl").touch()
    ensurepip = types.ModuleType("ensurepip")
    ensurepip.__file__ = str(tmp_path / "ensurepip" / "__init__.py")
    monkeypatch.setitem(sys.modules, "ensurepip", ensurepip)
    # As in an interpreter without packages.
    monkeypatch.setitem(sys.modules, "pip", None)
    known = {"WHEEL_PKG_DIR": str(distribution)} if own_folder else {}
    monkeypatch.setattr("sysconfig.get_config_var", known.get)
    exec(pythons.PROBE, {})  # noqa: S102 - it is what an interpreter is asked
    assert json.loads(capsys.readouterr().out)["pip"] == str(folder / "pip-99.0-py3-none-any.whl")
