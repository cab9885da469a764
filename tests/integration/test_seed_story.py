"""`auditwheel repair` is not enough for a library in the data scheme, but this project's repair is.

README explains this with the same commands.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from wheelkit.base import pinned_tools

SUM = (
    "import cyfes; print(cyfes.bias([[0.0]], "
    "cyfes.Hills(['x'], [[0.0]], [[1.0]], [1.0]), device='cpu'))"
)


def run(*command: str | Path, **environment: str) -> str:
    return subprocess.run(
        [str(part) for part in command],
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", **environment},
        stdout=subprocess.PIPE,
        # auditwheel lddtree prints its tree on standard error.
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
        cwd="/",
    ).stdout


def install(wheel: Path, folder: Path) -> Path:
    """Install a wheel in a new venv that uses this environment's NumPy; return its Python."""
    run(sys.executable, "-m", "venv", folder)
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "install", "--no-deps", "--no-index", wheel)
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('platlib'))").strip())
    # A .pth file adds this environment after the packages of the venv, so that cyfes is imported
    # from the wheel and NumPy from this environment.
    (site / "numpy.pth").write_text(f"{Path(np.__file__).parent.parent}\n")
    return python


def rpath(wheel: Path, tmp_path: Path) -> tuple[str, str]:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith("/libcufes.so"))
        return name, run(
            pinned_tools.patchelf(), "--print-rpath", archive.extract(name, tmp_path)
        ).strip()


def grafts(wheel: Path) -> set[tuple[str, str]]:
    """Return the folder and the stem of each grafted library."""
    names = zipfile.ZipFile(wheel).namelist()
    found = [name.rpartition("/") for name in names if ".libs/" in name]
    return {(folder, name.split("-")[0]) for folder, _, name in found if name}


@pytest.fixture(scope="module")
def plain_wheel(
    unrepaired_wheel: Path, cuda_toolkit: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The wheel after ``auditwheel repair`` alone."""
    out = tmp_path_factory.mktemp("plain")
    run(
        *(sys.executable, "-m", "auditwheel", "repair", unrepaired_wheel, "-w", out),
        LD_LIBRARY_PATH=str(cuda_toolkit / "lib64"),
        SOURCE_DATE_EPOCH="0",
    )
    return next(out.glob("*.whl"))


def test_plain_repair_grafts_into_site_packages_with_a_path_of_the_archive(
    plain_wheel: Path, tmp_path: Path
) -> None:
    name, found = rpath(plain_wheel, tmp_path)
    assert name.endswith(".data/data/cufes/libcufes.so")
    assert grafts(plain_wheel) == {("cyfes.libs", "libcudart"), ("cyfes.libs", "libgomp")}
    # Right inside the archive, but wrong when data and platlib are installed into different
    # folders.
    assert found == "$ORIGIN/../../../cyfes.libs"


def test_plain_repair_installs_but_cannot_load_libcudart(plain_wheel: Path, tmp_path: Path) -> None:
    python = install(plain_wheel, tmp_path / "venv")
    with pytest.raises(subprocess.CalledProcessError) as failure:
        run(python, "-c", SUM)
    last = failure.value.stdout.strip().splitlines()[-1]
    assert last.startswith("cyfes.errors.LibraryError: libcufes cannot be loaded: libcudart-")
    assert "cannot open shared object file" in last


def test_repair_puts_the_grafts_beside_their_library(wheel: Path, tmp_path: Path) -> None:
    name, found = rpath(wheel, tmp_path)
    assert found == "$ORIGIN/.cyfes.libs"
    folder = name.rpartition("/")[0] + "/.cyfes.libs"
    assert grafts(wheel) == {(folder, "libcudart"), (folder, "libgomp")}


def test_repaired_wheel_loads(wheel: Path, tmp_path: Path) -> None:
    assert run(install(wheel, tmp_path / "venv"), "-c", SUM) == "[1.]\n"


def test_auditwheel_accepts_the_repaired_wheel(wheel: Path, tmp_path: Path) -> None:
    """Auditwheel reports the platform tag of the name, and its lddtree finds libcudart."""
    tag = wheel.stem.rpartition("-")[2]
    shown = run(sys.executable, "-m", "auditwheel", "show", wheel)
    assert f'"{tag.split(".")[0]}"' in " ".join(shown.split())
    name, _ = rpath(wheel, tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "wheel")
    tree = run(sys.executable, "-m", "auditwheel", "lddtree", tmp_path / "wheel" / name)
    beside = os.fspath((tmp_path / "wheel" / name).parent)
    assert f"{beside}/.cyfes.libs/libcudart-" in tree
