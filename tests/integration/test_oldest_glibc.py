"""Release wheels run on glibc 2.31: on Debian 11, the oldest that Debian still serves.

An image of manylinux2014 has 2.17, but what stands for it where no image can be pulled has a newer
one; so this is the oldest on which the wheels are always really executed. One is for Debian's own
CPython, the other for a newer CPython, which is built there from its sources.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import bare_machine
import c_api
import pytest
from bare_machine import BareMachine
from container import cpython
from shared.ledger import PROJECT

pytestmark = pytest.mark.container

SUITE, GLIBC = "bullseye", "2.31"
PACKAGES = (
    *("python3-venv", "gcc", "libc6-dev", "make", "xz-utils", "ca-certificates"),
    *("zlib1g-dev", "libssl-dev", "libffi-dev"),
)
# The CPython of the suite, and a newer one: the last with a NumPy for its glibc and manylinux2014.
OWN, NEWER = "3.9", "3.13"
# What a machine needs of the project to try a wheel.
PARTS = ("scripts", "wheelkit/src", "requirements", "tests/integration/c_api.c")
HERE = bare_machine.SOURCES


@dataclass(frozen=True)
class OldMachine:
    """A machine with an old glibc that sees the project's files, and the wheels."""

    machine: BareMachine
    wheels: dict[str, str]
    logs: Path

    def run(self, name: str, *commands: str) -> tuple[int, str]:
        """Run commands; return the exit status and what they printed."""
        log = self.logs / f"{SUITE}-{name}.log"
        log.unlink(missing_ok=True)
        status = self.machine.run(commands, "https://example.org/none", log)
        return status, log.read_text()


@pytest.fixture(scope="module")
def release_wheels(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with the release wheels of both CPythons."""
    given: Path | None = request.config.getoption("--release-wheels")
    if given:
        # pytest runs in another folder than the command that was typed.
        return (PROJECT / given).resolve(strict=True)
    folder = tmp_path_factory.mktemp("release")
    command = [sys.executable, str(PROJECT / "scripts"), "wheelhouse", "--out", str(folder)]
    command += ["--python", OWN, "--python", NEWER]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


@pytest.fixture(scope="module")
def old(release_wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OldMachine]:
    """A bare machine of the oldest suite."""
    reason = bare_machine.why_none()
    if reason:
        pytest.skip(f"no bare machine can be made here: {reason}")
    logs = PROJECT / "build" / "bare"
    logs.mkdir(parents=True, exist_ok=True)
    folder = tmp_path_factory.mktemp(SUITE)
    try:
        root = bare_machine.make_root(SUITE, PACKAGES, folder, logs / f"{SUITE}.log")
        bare_machine.complete_root(root)
        sources = folder / "sources"
        for part in PARTS:
            target = sources / part
            target.parent.mkdir(parents=True, exist_ok=True)
            is_folder = (PROJECT / part).is_dir()
            (shutil.copytree if is_folder else shutil.copy)(PROJECT / part, target)
        wheels = {}
        for version in (OWN, NEWER):
            (wheel,) = release_wheels.glob(f"cyfes-*-cp{version.replace('.', '')}-*.whl")
            shutil.copy(wheel, sources)
            wheels[version] = wheel.name
        yield OldMachine(BareMachine(root, sources, folder / "writable"), wheels, logs)
    finally:
        shutil.rmtree(folder)


def trial(version: str, wheel: str, python: str) -> list[str]:
    """Return commands that install a wheel, run its kernels, and call libcufes from C."""
    venv = f"venv-{version}"
    pip = f"{venv}/bin/python -m pip install --quiet"
    return [
        "getconf GNU_LIBC_VERSION",
        f"{python} --version",
        f"{python} -m venv {venv}",
        f"{pip} --require-hashes --only-binary=:all: -r {HERE}/requirements/numpy.txt",
        f"{pip} --no-index --no-deps {HERE}/{wheel}",
        f"{venv}/bin/python {HERE}/scripts/smoke_test.py --wheel {HERE}/{wheel} --device cpu",
        f"gcc -std=c99 -Wall -Werror -I{venv}/cufes {HERE}/tests/integration/c_api.c"
        f" {venv}/cufes/libcufes.so -o c_api-{version} -Wl,-rpath,$PWD/{venv}/cufes"
        " -Wl,--allow-shlib-undefined -lm",
        f"CUDA_VISIBLE_DEVICES= ./c_api-{version} > c_api-{version}.txt",
    ]


def check(old: OldMachine, version: str, python: str, *before: str) -> None:
    """Run all commands, and check what they show."""
    commands = [*before, *trial(version, old.wheels[version], python)]
    status, said = old.run(version, *commands)
    assert status == 0, said[-4000:]
    assert f"\nglibc {GLIBC}\n" in said
    assert f"\nPython {version}." in said
    assert "smoke test: " in said
    home = old.machine.writable / bare_machine.HOME.lstrip("/")
    c_api.check((home / f"c_api-{version}.txt").read_text())


def test_wheel_computes_under_the_cpython_of_the_oldest_debian(old: OldMachine) -> None:
    check(old, OWN, f"python{OWN}")


def test_wheel_computes_under_a_newer_cpython_that_is_built_there(
    old: OldMachine, tmp_path: Path
) -> None:
    archive = cpython.fetch(NEWER, tmp_path)
    shutil.copy(archive, old.machine.sources / "python.tar.xz")
    build = [
        "mkdir python-source",
        f"tar -C python-source --strip-components=1 -xf {HERE}/python.tar.xz",
        "cd python-source",
        "./configure --quiet --prefix=$HOME/python > ../configure.log 2>&1",
        "make --silent -j2 > ../make.log 2>&1",
        "make --silent install > ../install.log 2>&1",
        "cd ..",
    ]
    check(old, NEWER, f"python/bin/python{NEWER}", *build)


def test_library_for_a_newer_glibc_does_not_load_there(old: OldMachine, wheel: Path) -> None:
    """The wheel of this machine needs a newer glibc: the old one is really what is used."""
    with zipfile.ZipFile(wheel) as archive:
        (member,) = [name for name in archive.namelist() if name.endswith("/libcufes.so")]
        (old.machine.sources / "newer.so").write_bytes(archive.read(member))
    load = f"import ctypes; ctypes.CDLL('{HERE}/newer.so')"
    status, said = old.run("newer", f'python{OWN} -c "{load}"')
    assert status == 1
    assert "version `GLIBC_2." in said
    assert "not found" in said
