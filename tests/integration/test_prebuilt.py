"""CUFES_PREBUILT: an earlier build of libcufes is used only if a new one would be the same."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from wheelkit.base.pinned_tools import TOOL_DIRECTORY

SOURCES = ("CMakeLists.txt", "cmake", "cyfes/_version.py", "cyfes/kernels")
SCRIPT = "scripts/kernels/compile_kernels.py"
# The options that tests set on CMake's command line.
OPTIONS = ("CUFES_SASS", "CUFES_PTX", "CMAKE_CXX_FLAGS", "CMAKE_BUILD_TYPE")


class Site:
    """A copy of the sources, a toolkit of small text files, and the build folders of CMake."""

    def __init__(self, root: Path, project: Path) -> None:
        self.root, self.source, self.toolkit = root, root / "source", root / "cuda"
        for name in (*SOURCES, SCRIPT):
            if (project / name).is_dir():
                shutil.copytree(project / name, self.source / name)
            elif (project / name).is_file():
                (self.source / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(project / name, self.source / name)
        for name in ("include/cuda_runtime_api.h", "lib64/libcudart.so", "lib64/libnvrtc.so"):
            (self.toolkit / name).parent.mkdir(parents=True, exist_ok=True)
            (self.toolkit / name).write_text(name)
        self.prefix = root / "prefix"
        self.library = self.prefix / "cufes" / "libcufes.so"
        self.fingerprint = self.prefix / "cufes.fingerprint"

    def contents(self) -> dict[Path, bytes]:
        """Return the content of every file outside of the build folders."""
        folders = (self.source, self.toolkit, self.prefix)
        files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
        return {path: path.read_bytes() for path in files}

    def cmake(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("CUDA_", "CMAKE_"))}
        command = [TOOL_DIRECTORY / "cmake", *words]
        return subprocess.run(command, check=False, capture_output=True, text=True, env=environment)

    def configure(self, name: str, *options: str) -> subprocess.CompletedProcess[str]:
        off = ("-DCUFES_BUNDLE_RUNTIME=OFF", f"-DCUDA_HOME={self.toolkit}")
        # The pinned Ninja is used, because a bare machine has neither Ninja nor make.
        ninja = ("-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={TOOL_DIRECTORY / 'ninja'}")
        return self.cmake("-S", self.source, "-B", self.root / name, *ninja, *off, *options)

    def install(self, name: str, prefix: Path) -> None:
        done = self.cmake("--install", self.root / name, "--prefix", prefix)
        assert done.returncode == 0, done.stderr

    def reuse(self, *options: str) -> subprocess.CompletedProcess[str]:
        # CMake would otherwise keep the options that an earlier test has set.
        forget = [word for name in OPTIONS for word in ("-U", name)]
        return self.configure("taker", *forget, f"-DCUFES_PREBUILT={self.prefix}", *options)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, project_root: Path) -> Site:
    """An installation by `cmake --install`, of an empty library in place of the compiled one."""
    site = Site(tmp_path_factory.mktemp("prebuilt"), project_root)
    done = site.configure("maker")
    assert done.returncode == 0, done.stderr
    # The installation removes the rpath of the build, so the library must have it.
    rpath = f"-Wl,-rpath,{site.toolkit}/lib64:"
    library = site.root / "maker" / "libcufes.so"
    options = ["-shared", "-nostdlib", rpath, "-x", "c", "/dev/null", "-o", str(library)]
    subprocess.run(["cc", *options], check=True)
    site.install("maker", site.prefix)
    return site


@pytest.fixture
def site(made: Site) -> Iterator[Site]:
    """The installation for one test, which may change it; afterwards it is restored."""
    before = made.contents()
    yield made
    for path in made.contents().keys() - before.keys():
        path.unlink()
    for path, content in before.items():
        if not path.is_file() or path.read_bytes() != content:
            path.write_bytes(content)


def test_same_sources_and_options_use_the_same_file(site: Site) -> None:
    done = site.reuse()
    assert done.returncode == 0, done.stderr
    site.install("taker", site.root / "taken")
    assert (site.root / "taken" / "cufes" / "libcufes.so").read_bytes() == site.library.read_bytes()
    names = {path.name for path in (site.root / "taken" / "cufes").iterdir()}
    assert names == {"libcufes.so", "cufes.h", "FES.cuh", "FES_f32.cuh"}


def append(name: str) -> Callable[[Site], tuple[str, ...]]:
    """Return a change that adds a line to a file."""

    def change(site: Site) -> tuple[str, ...]:
        with (site.root / name).open("a") as file:
            file.write("\n")
        return ()

    return change


def add_source(site: Site) -> tuple[str, ...]:
    (site.source / "cyfes" / "kernels" / "another.hpp").write_text("")
    return ()


def new_version(site: Site) -> tuple[str, ...]:
    (site.source / "cyfes" / "_version.py").write_text('__version__ = "99.0.0"\n')
    return ()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(append("source/cyfes/kernels/cpu.cpp"), id="a source"),
        pytest.param(append("source/cyfes/kernels/include/FES.cuh"), id="a header"),
        pytest.param(append("source/cyfes/kernels/cufes.map"), id="the exported symbols"),
        pytest.param(append("source/cmake/libcufes.cmake"), id="the build's rules"),
        pytest.param(append(f"source/{SCRIPT}"), id="the kernels' compiler"),
        pytest.param(add_source, id="a new source"),
        pytest.param(append("cuda/lib64/libcudart.so"), id="the CUDA runtime"),
        pytest.param(append("cuda/lib64/libnvrtc.so"), id="NVRTC"),
        pytest.param(append("prefix/cufes/libcufes.so"), id="the library itself"),
        pytest.param(new_version, id="the version"),
        pytest.param(lambda _: ("-DCUFES_SASS=90",), id="the machine code"),
        pytest.param(lambda _: ("-DCUFES_PTX=80",), id="the PTX"),
        pytest.param(lambda _: ("-DCMAKE_CXX_FLAGS=-g",), id="the compiler's options"),
        pytest.param(lambda _: ("-DCMAKE_BUILD_TYPE=Debug",), id="the kind of build"),
        pytest.param(lambda _: ("-DCUFES_BUNDLE_RUNTIME=ON",), id="the rpath"),
    ],
)
def test_any_difference_is_refused(site: Site, change: Callable[[Site], tuple[str, ...]]) -> None:
    done = site.reuse(*change(site))
    assert done.returncode != 0
    message = " ".join(done.stderr.split())
    assert "was not built from these sources with these options" in message
    assert "build and install it again" in message


@pytest.mark.parametrize("lost", ["library", "fingerprint"])
def test_an_interrupted_installation_is_refused(site: Site, lost: str) -> None:
    getattr(site, lost).unlink()
    done = site.reuse()
    assert done.returncode != 0
    assert "holds no cufes/libcufes.so with a cufes.fingerprint" in " ".join(done.stderr.split())


def test_a_source_that_changes_after_the_configuration_changes_the_fingerprint(site: Site) -> None:
    before = (site.root / "maker" / "cmake_install.cmake").read_text()
    append("source/cyfes/kernels/cpu.cpp")(site)
    # A build configures again first. Only this is done here, because nothing must be compiled.
    site.cmake("--build", site.root / "maker", "--target", "rebuild_cache")
    after = (site.root / "maker" / "cmake_install.cmake").read_text()
    assert before != after
