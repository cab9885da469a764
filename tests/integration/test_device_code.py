"""wheelkit finds the architectures of device code in the files that real compilers write."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from wheelkit.cli import verify as verify_wheel
from wheelkit.target.report import Status
from wheelkit.wheel import device_images, settings

KERNEL = 'extern "C" __global__ void twice(double *x) { x[threadIdx.x] *= 2; }\n'


def test_each_declared_architecture_is_found(
    project_root: Path, cuda_toolkit: Path, tmp_path: Path
) -> None:
    declared = settings.from_file(project_root / "pyproject.toml")
    assert declared.sass is not None
    assert declared.ptx is not None
    kernel, embedded = tmp_path / "kernel.cu", tmp_path / "embedded.cpp"
    kernel.write_text(KERNEL)
    command = [sys.executable, str(project_root / "scripts" / "kernels" / "compile_kernels.py")]
    command += ["--nvrtc", str(cuda_toolkit / "lib64" / "libnvrtc.so")]
    command += ["--sass", *map(str, declared.sass), "--ptx", *map(str, declared.ptx)]
    command += ["--out", str(tmp_path), "--embed", str(embedded), str(kernel)]
    subprocess.run(command, check=True)
    for arch in declared.sass:
        (cubin,) = tmp_path.glob(f"*.sm_{arch}.cubin")
        assert device_images.read(cubin) == device_images.Images(sass=frozenset({arch}))
    for arch in declared.ptx:
        (text,) = tmp_path.glob(f"*.compute_{arch}.ptx")
        assert device_images.read(text) == device_images.Images(ptx=frozenset({arch}))


@pytest.mark.slow
@pytest.mark.parametrize("option", ["-no-compress", "-Xfatbin=-compress-all"])
def test_architectures_that_nvcc_embeds_are_found(tmp_path: Path, option: str) -> None:
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("no nvcc on this machine")
    (tmp_path / "kernel.cu").write_text(KERNEL)
    codes = ["arch=compute_80,code=sm_80", "arch=compute_90,code=[sm_90,compute_90]"]
    command = [nvcc, "-shared", "-Xcompiler", "-fPIC", "kernel.cu", "-o", "library.so"]
    command += [option, *(f"-gencode={code}" for code in codes)]
    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True)
    found = device_images.read(tmp_path / "library.so")
    assert found == device_images.Images(sass=frozenset({80, 90}), ptx=frozenset({90}))


def test_the_wheel_has_the_declared_architectures(project_root: Path, wheel: Path) -> None:
    project_settings = str(project_root / "pyproject.toml")
    assert verify_wheel.main([str(wheel), "--settings", project_settings]) == Status.DONE
    # The settings are really read: with one architecture less, the wheel is at fault.
    declared = settings.from_file(project_root / "pyproject.toml")
    fewer = ",".join(map(str, (declared.sass or ())[1:]))
    options = ["--settings", project_settings, "--sass", fewer, "--layouts", "none"]
    assert verify_wheel.main([str(wheel), *options]) == Status.FAULTY
