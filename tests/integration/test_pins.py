"""Each hash-pinned file can be installed wherever requirements/uses.toml says that it is used."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import List, Union

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from shared import requirement_uses
from shared.ledger import PROJECT
from shared.requirement_uses import Use
from wheelkit.base.cpythons import CPYTHONS

USES = requirement_uses.read()
REQUIREMENTS = PROJECT / "requirements"
Command = List[Union[str, Path]]
# The last NumPy with a manylinux2014 wheel, and the first CPython that it has none for.
NUMPY_OF_MANYLINUX2014 = Version("2.2.6")
WITHOUT_NUMPY_SINCE = "3.14"


# uv evaluates markers and tags for another CPython and glibc. pip's own --platform evaluates
# markers with the running interpreter.
UV = Path(sys.executable).with_name("uv")


def why_not_installed(file: Path, version: str, glibc: str, folder: Path) -> str:
    """Return why the wheels of a file cannot be installed; nothing if they can."""
    major, minor = glibc.split(".")
    # A dry run compares no hashes: it asks only whether there are wheels.
    command: Command = [UV, "pip", "install", "--quiet", "--dry-run", "--no-deps"]
    command += ["--require-hashes", "--only-binary=:all:", f"--python-version={version}"]
    command += [f"--target={folder}"]
    command += [f"--python-platform=x86_64-manylinux_{major}_{minor}", "-r", file]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stderr.strip() or "no reason" if done.returncode else ""


@pytest.mark.network
@pytest.mark.parametrize("use", USES, ids=lambda use: f"{use.file.stem}-{use.glibc}")
def test_every_file_installs_where_it_is_used(use: Use, tmp_path: Path) -> None:
    reasons = {
        version: why_not_installed(use.file, version, use.glibc, tmp_path)
        for version in use.pythons
    }
    assert {version: reason for version, reason in reasons.items() if reason} == {}


# What the release once installed in manylinux2014 containers, and on CPython 3.15.
BROKEN = [
    ("numpy==2.4.6", "3.11", "2.17"),
    ("numpy==2.5.5", "3.12", "2.17"),
    ("pandas==2.3.3", "3.10", "2.17"),
    ("zstandard==0.25.0", "3.15", "2.36"),
    ("pyyaml==6.0.3", "3.15", "2.36"),
    ("numpy==2.5.5", "3.14", "2.17"),
]


@pytest.mark.network
@pytest.mark.parametrize(("requirement", "version", "glibc"), BROKEN)
def test_pins_without_a_wheel_are_refused(
    requirement: str, version: str, glibc: str, tmp_path: Path
) -> None:
    file = tmp_path / "broken.txt"
    listed = tmp_path / "broken.in"
    listed.write_text(requirement)
    # Where there is a wheel, it is not refused for another reason.
    newer = {"3.15": "3.13"}.get(version, version)
    command: Command = [UV, "pip", "compile", "--quiet", "--generate-hashes", "--no-deps"]
    command += ["--universal", f"--python-version={newer}", listed, f"--output-file={file}"]
    subprocess.run(command, check=True)
    reason = why_not_installed(file, version, glibc, tmp_path / "target")
    assert "has no usable wheels" in reason
    assert why_not_installed(file, newer, "2.36", tmp_path / "target") == ""


def files_in(folder: Path) -> set[Path]:
    return set(folder.rglob("*.txt"))


def test_every_file_of_requirements_has_a_use() -> None:
    own = {*files_in(REQUIREMENTS), *files_in(PROJECT / "wheelkit" / "src")}
    assert own | {PROJECT / "scripts/kernels/cuda-toolkit.txt"} == {use.file for use in USES}


def test_every_cpython_has_what_its_tests_need() -> None:
    for version in CPYTHONS:
        used = {use.file.name for use in USES if version in use.pythons}
        assert {"numpy.txt", "tests.txt", "build.txt"} <= used
    assert requirement_uses.oldest_glibc("numpy.txt", "3.13") == "2.17"
    assert requirement_uses.oldest_glibc("numpy.txt", "3.14") == "2.28"
    assert requirement_uses.oldest_glibc("tests.txt", "3.14") == "2.28"


def newer_numpy(file: Path, version: str) -> list[str]:
    """Return the pins of a NumPy for a CPython that has no wheel for manylinux2014."""
    lines = [line.rstrip(" \\") for line in file.read_text().splitlines() if line[:1].isalpha()]
    environment = {"python_version": version, "python_full_version": f"{version}.0"}
    pins = [Requirement(line) for line in lines]
    return [
        str(pin)
        for pin in pins
        if pin.name == "numpy"
        and (pin.marker is None or pin.marker.evaluate(environment))
        and not pin.specifier.contains(NUMPY_OF_MANYLINUX2014)
        and Version(str(pin.specifier).lstrip("=")) > NUMPY_OF_MANYLINUX2014
    ]


def test_numpy_for_manylinux2014_is_not_too_new() -> None:
    """The part of the test above that needs no package index."""
    used = [use for use in USES if use.glibc == "2.17"]
    assert {(use.file.name, v): newer_numpy(use.file, v) for use in used for v in use.pythons} == {
        (use.file.name, v): [] for use in used for v in use.pythons
    }


def test_newer_numpy_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "numpy.txt"
    shutil.copy(REQUIREMENTS / "numpy.txt", file)
    assert newer_numpy(file, WITHOUT_NUMPY_SINCE)
    assert not newer_numpy(file, "3.13")
    file.write_text(file.read_text().replace("numpy==2.2.6", "numpy==2.4.6"))
    assert newer_numpy(file, "3.13") == [
        'numpy==2.4.6; python_full_version >= "3.10" and python_full_version < "3.14"'
    ]
