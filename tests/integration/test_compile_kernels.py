"""compile_kernels.py: which images it embeds, and which kernels and toolkits are errors."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

KERNEL = """
#include "cufes.h"
extern "C" __global__ void twice(double *x) { x[threadIdx.x] *= 2; }
"""


def compile_kernels(
    project_root: Path, tmp_path: Path, source: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    kernel = tmp_path / "kernel.cu"
    kernel.write_text(source)
    command = [
        sys.executable,
        str(project_root / "scripts" / "kernels" / "compile_kernels.py"),
        *arguments,
    ]
    command += ["--include", str(project_root / "cyfes/kernels/include"), "--out", str(tmp_path)]
    command += ["--embed", str(tmp_path / "embedded.cpp"), str(kernel)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def nvrtc(cuda_toolkit: Path) -> list[str]:
    return ["--nvrtc", str(cuda_toolkit / "lib64" / "libnvrtc.so")]


def test_each_target_becomes_one_image(
    project_root: Path, tmp_path: Path, nvrtc: list[str]
) -> None:
    result = compile_kernels(
        project_root, tmp_path, KERNEL, *nvrtc, "--sass", "50", "90", "--ptx", "90"
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert {path.name for path in tmp_path.glob("kernel.*")} == {
        "kernel.cu",
        "kernel.sm_50.cubin",
        "kernel.sm_90.cubin",
        "kernel.compute_90.ptx",
    }
    assert (tmp_path / "kernel.sm_90.cubin").read_bytes().startswith(b"\x7fELF")
    ptx = (tmp_path / "kernel.compute_90.ptx").read_bytes()
    assert b".target sm_90" in ptx
    assert ptx.endswith(b"\0")
    embedded = (tmp_path / "embedded.cpp").read_text()
    rows = [line.split(",")[:3] for line in embedded.splitlines() if line.startswith("    {")]
    assert rows == [
        ["    {50", " false", ' "sm_50"'],
        ["    {90", " false", ' "sm_90"'],
        ["    {90", " true", ' "compute_90"'],
    ]


def test_images_are_kept_until_something_they_are_made_from_changes(
    project_root: Path, tmp_path: Path, nvrtc: list[str]
) -> None:
    cache, header = tmp_path / "cache", tmp_path / "more" / "more.cuh"
    header.parent.mkdir()

    def image(source: str, content: str, sass: str = "90") -> bytes:
        header.write_text(content)
        more = ("--include", str(header.parent), "--sass", sass, "--cache", str(cache))
        result = compile_kernels(project_root, tmp_path, source, *nvrtc, *more)
        assert (result.returncode, result.stderr) == (0, "")
        return (tmp_path / f"kernel.sm_{sass}.cubin").read_bytes()

    first = image(KERNEL, "// 1")
    (kept,) = cache.iterdir()
    assert kept.read_bytes() == first
    # A change of the kept file shows that it was taken.
    kept.write_bytes(b"kept")
    assert image(KERNEL, "// 1") == b"kept"
    # What is no longer needed is removed, so each of these is compiled.
    assert image(KERNEL, "// 2") == first
    assert image(KERNEL + "// 3", "// 2") == first
    assert image(KERNEL, "// 2", "80") != first
    assert len(list(cache.iterdir())) == 1


def test_a_cache_for_nvcc_is_wrong_usage(project_root: Path, tmp_path: Path) -> None:
    arguments = ("--nvcc", "false", "--sass", "90", "--cache", str(tmp_path))
    result = compile_kernels(project_root, tmp_path, KERNEL, *arguments)
    assert result.returncode == 2
    assert "--cache: expected --nvrtc with it" in result.stderr


@pytest.mark.parametrize(
    ("source", "sass", "message"),
    [
        (KERNEL.replace("*= 2", "*= y"), "90", 'identifier "y" is undefined'),
        (KERNEL, "35", "does not know sm_35, only 50 to 121; unset CUDA_HOME"),
    ],
)
def test_wrong_kernel_or_architecture_is_an_error(
    project_root: Path, tmp_path: Path, nvrtc: list[str], source: str, sass: str, message: str
) -> None:
    result = compile_kernels(project_root, tmp_path, source, *nvrtc, "--sass", sass)
    assert result.returncode == 1
    assert result.stderr.startswith("compile_kernels: error: ")
    assert message in result.stderr
    assert not (tmp_path / "embedded.cpp").exists()


def test_absent_nvrtc_is_an_error(project_root: Path, tmp_path: Path) -> None:
    result = compile_kernels(
        project_root, tmp_path, KERNEL, "--nvrtc", "/nonexistent/libnvrtc.so", "--sass", "90"
    )
    assert result.returncode == 1
    assert "cannot load NVRTC: /nonexistent/libnvrtc.so" in result.stderr


def test_failing_nvcc_is_an_error(project_root: Path, tmp_path: Path) -> None:
    result = compile_kernels(project_root, tmp_path, KERNEL, "--nvcc", "false", "--sass", "90")
    assert result.returncode == 1
    assert "nvcc failed for sm_90" in result.stderr


@pytest.mark.slow
def test_the_projects_kernels_compile_with_a_plain_nvcc(project_root: Path, tmp_path: Path) -> None:
    nvcc = shutil.which("nvcc") or os.environ.get("NVCC")
    if nvcc is None:
        pytest.skip("no nvcc on this machine")
    kernels = project_root / "cyfes/kernels"
    for stem in ("FES", "FES_f32"):
        image = tmp_path / f"{stem}.fatbin"
        command = [nvcc, "-std=c++17", "-fatbin", "-arch=sm_90", f"-I{kernels}/include"]
        subprocess.run([*command, str(kernels / f"{stem}.cu"), "-o", str(image)], check=True)
        assert Path(image).stat().st_size > 10_000
