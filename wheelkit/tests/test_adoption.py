"""README's three styles, each as a small project with NVIDIA's own wheels of the index.

The tables of pyproject.toml are those that README shows, word by word.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Any

import pytest
import tomli
from tiny_wheels import members

pytestmark = [pytest.mark.network, pytest.mark.slow]

README = Path(__file__).resolve().parents[1] / "README.md"
RUNTIME, LINKER = "nvidia-cuda-runtime-cu12", "nvidia-nvjitlink-cu12"
CUDART, NVJITLINK = "cuda_runtime/lib/libcudart.so.12", "nvjitlink/lib/libnvJitLink.so.12"

MODULE = """
#include <Python.h>
#include <stdio.h>
int cudaRuntimeGetVersion(int *);
static PyObject *version(PyObject *self, PyObject *none) {
    int number = 0;
    puts("styled");
    return cudaRuntimeGetVersion(&number) ? Py_None : PyLong_FromLong(number);
}
static PyMethodDef methods[] = {{"version", version, METH_NOARGS, 0}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_core", 0, -1, methods};
PyMODINIT_FUNC PyInit__core(void) { return PyModule_Create(&module); }
"""
# A function that is exported by this name; the header hides it behind another one.
LINKED = "int __nvJitLinkCreate_12_9(void);\nvoid *used(void) { return __nvJitLinkCreate_12_9; }\n"

CMAKE = """
cmake_minimum_required(VERSION 3.18)
project(graft C)
find_package(Python REQUIRED COMPONENTS Development.Module)
python_add_library(_core MODULE core.c)
target_link_libraries(_core PRIVATE "$ENV{NVIDIA}/cuda_runtime/lib/libcudart.so.12")
install(TARGETS _core DESTINATION styled)
install(FILES __init__.py DESTINATION styled)
"""
MESON = """
project('companions', 'c')
py = import('python').find_installation(pure: false)
py.install_sources('__init__.py', subdir: 'styled')
py.extension_module('_core', 'core.c', subdir: 'styled', install: true,
  link_args: [run_command('printenv', 'NVIDIA', check: true).stdout().strip()
    + '/cuda_runtime/lib/libcudart.so.12'])
"""
SETUP = """
import os
from setuptools import Extension, setup
nvidia = os.environ["NVIDIA"]
links = [nvidia + "/cuda_runtime/lib/libcudart.so.12", "-Wl,--no-as-needed"]
links += [nvidia + "/nvjitlink/lib/libnvJitLink.so.12"]
core = Extension("styled._core", ["core.c", "linked.c"], extra_link_args=links)
setup(ext_modules=[core], packages=["styled"], package_dir={"styled": "."})
"""
# The build back end, its requirements, and the files that it reads.
BUILDS: dict[str, tuple[str, list[str], dict[str, str]]] = {
    "graft": ("scikit_build_core.build", ["scikit-build-core"], {"CMakeLists.txt": CMAKE}),
    "companions": ("mesonpy", ["meson-python", "ninja"], {"meson.build": MESON}),
    "mixed": ("setuptools.build_meta", ["setuptools"], {"setup.py": SETUP, "linked.c": LINKED}),
}
DEPENDENCIES = {"graft": [], "companions": [RUNTIME], "mixed": [LINKER]}


def tables(style: str) -> str:
    """Return the TOML that README shows for a style."""
    section = re.split(rf"^### .*`{style}`.*$", README.read_text(), flags=re.MULTILINE)[1]
    match = re.search(r"^```toml\n(.*?)^```$", section, flags=re.MULTILINE | re.DOTALL)
    assert match is not None
    return match[1]


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def nvidia(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack NVIDIA's wheels; return the folder of their components."""
    folder = tmp_path_factory.mktemp("nvidia")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    run(*pip, "--dest", str(folder), RUNTIME, f"{LINKER}>=12.9,<12.10", cwd=folder)
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder / "unpacked")
    return folder / "unpacked" / "nvidia"


def project(folder: Path, style: str) -> dict[str, Any]:
    """Write the project of a style; return its pyproject.toml."""
    backend, requires, files = BUILDS[style]
    shown = tables(style)
    own = tomli.loads(shown)
    lines = [
        "[build-system]",
        f"requires = {requires}",
        f'build-backend = "{backend}"',
    ]
    if "project" not in own:
        lines += ["[project]", 'name = "styled"', 'version = "1.0"']
    text = "\n".join(lines) + "\n" + shown
    folder.mkdir()
    (folder / "pyproject.toml").write_text(text)
    for name, content in {**files, "core.c": MODULE, "__init__.py": ""}.items():
        (folder / name).write_text(content)
    return tomli.loads(text)


@pytest.mark.parametrize("style", BUILDS)
def test_a_style_of_the_readme_works_when_pasted(tmp_path: Path, nvidia: Path, style: str) -> None:
    source = tmp_path / "source"
    written = project(source, style)
    assert written["project"].get("dependencies", []) == DEPENDENCIES[style]
    environment = {"NVIDIA": str(nvidia)}
    built = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        "../built",
    ]
    run(*built, ".", cwd=source, **environment)
    (wheel,) = (tmp_path / "built").iterdir()
    command = written["tool"]["cibuildwheel"]["linux"]["repair-wheel-command"]
    words = shlex.split(command.format(wheel=wheel, dest_dir=tmp_path / "repaired"))
    program = [str(Path(sys.executable).parent / "wheelkit"), *words[1:]]
    assert Path(words[0]).name == "wheelkit"
    folders = os.pathsep.join(map(str, sorted(nvidia.glob("*/lib"))))
    run(*program, cwd=source, LD_LIBRARY_PATH=folders)
    (repaired,) = (tmp_path / "repaired").iterdir()
    grafted = {m.rpartition("/")[2].partition("-")[0] for m in members(repaired) if ".libs/" in m}
    assert grafted == ({"libcudart"} if style in ("graft", "mixed") else set())
    verify = [program[0], "verify", str(repaired), "--layouts", "install", "--ways", "venv"]
    version = sysconfig.get_python_version()
    run(*verify, "--installers", "pip", "--pythons", version, cwd=source)
    run(sys.executable, "-m", "venv", "venv", cwd=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", str(repaired), cwd=tmp_path)
    code = "import styled._core as c; print(c.version()); print(open('/proc/self/maps').read())"
    said = run(python, "-I", "-c", code, cwd=tmp_path)
    (number,) = re.findall(r"^(\d{5})$", said, flags=re.MULTILINE)
    maps = said.splitlines()
    assert int(number) >= 12000
    mapped = {line.split()[-1] for line in maps if ".so" in line}
    site = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    for library, distribution in ((CUDART, RUNTIME), (NVJITLINK, LINKER)):
        place = str((site / "nvidia" / library).resolve())
        assert (place in mapped) == (distribution in DEPENDENCIES[style])
