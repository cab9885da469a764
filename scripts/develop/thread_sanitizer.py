"""Test with ThreadSanitizer what threads share: libcufes, the extension modules, and their OpenMP.

Everything that runs is compiled by Clang with -fsanitize=thread: a free-threaded CPython, which the
command `cpython` builds from its sources, libcufes and the extension modules. Archer, a part of
LLVM's OpenMP, tells ThreadSanitizer how the threads of a parallel loop wait for each other. NumPy
is not compiled so; what it does is not watched. First a program with a race shows that a race is
reported, and one without that nothing else is. Then the tests run; each report is an error.
thread_sanitizer.txt lists what is not reported, each entry with its reason.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from container import cpython
from container.cpython import Build
from develop.run_tests import full_path
from shared import requirement_uses, steps
from shared.ledger import BUILD, PROJECT
from shared.steps import say
from wheelkit.install.pythons import make_venv
from wheelkit.target.report import LackingError, Status
from wheels.build_wheels import cuda_home

WORK = BUILD / "thread-sanitizer"
VERSION = "3.14t"
SUPPRESSIONS = Path(__file__).with_name("thread_sanitizer.txt")
# The newest first; Debian's and Ubuntu's packages have the number in their names.
CLANGS = ("clang", *(f"clang-{number}" for number in range(30, 14, -1)))
FLAGS = "-fsanitize=thread -g -O1 -fno-omit-frame-pointer"
# ThreadSanitizer's own functions are in the interpreter: a library that uses them lacks them.
LINK_LAST = "-Wl,-z,undefs"
TESTS = (
    *("sums/test_threads.py", "sums/test_boxes.py"),
    *("native/test_text.py", "native/test_wrapper.py"),
)
# A loop of OpenMP has several threads, on any machine.
OPENMP_THREADS = "3"
# Two loops: in one, all threads add to the same number without a lock.
CONTROL = """
#include <omp.h>
extern "C" long tidy(long *numbers, int count) {
#pragma omp parallel for
  for (int i = 0; i < count; i++) numbers[i] += i;
  long sum = 0;
  for (int i = 0; i < count; i++) sum += numbers[i];
  return sum;
}
extern "C" long racy(long *numbers, int count) {
#pragma omp parallel for
  for (int i = 0; i < count; i++) numbers[0] += i;
  return numbers[0];
}
"""
CALL_CONTROL = """
import ctypes, sys, threading
function = getattr(ctypes.CDLL(sys.argv[1]), sys.argv[2])
for _ in range(20):
    threads = [threading.Thread(target=function, args=((ctypes.c_long * 999)(), 999))
               for _ in range(2)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
"""

Command = Sequence[str | Path]


class RaceError(Exception):
    """ThreadSanitizer has reported something, or a test has failed."""


def find_clang() -> str:
    """Return the name of a Clang that has ThreadSanitizer and Archer.

    Raises
    ------
    LackingError
        There is none.
    """
    for name in CLANGS:
        if shutil.which(name) and shutil.which(cxx(name)) and archer(name):
            return name
    raise LackingError(
        "no Clang with LLVM's OpenMP and its Archer here; install one (Debian: apt install "
        "clang-19 libclang-rt-19-dev libomp-19-dev)"
    )


def cxx(clang: str) -> str:
    """Return the name of the C++ compiler that goes with a Clang."""
    return clang.replace("clang", "clang++")


def archer(clang: str) -> Path | None:
    """Return the library Archer of a Clang, if it has one."""
    command = [clang, "-print-file-name=libarcher.so"]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    return Path(found) if Path(found).is_absolute() else None


def run(what: str, command: Command, environment: Mapping[str, str]) -> None:
    """Run a step whose output is shown only if it fails."""
    if steps.run(what, command, shown=False, environment=environment).status:
        raise LackingError(f"could not {what}; the messages are above")


def build_package(usual: Path, compilers: Mapping[str, str]) -> Path:
    """Build cyfes with ThreadSanitizer, with an interpreter without it, which is fast.

    A folder is returned in which it is installed with what the tests need.
    """
    site = WORK / "site"
    shutil.rmtree(site, ignore_errors=True)
    python = make_venv(usual, WORK / "venv")
    pip: Command = [python, "-m", "pip", "install", "--quiet"]
    pinned: Command = [*pip, "--only-binary=:all:", "--require-hashes"]
    needed = requirement_uses.of_tests(VERSION)
    run("install what the tests need", [*pinned, "--target", site, "-r", needed], os.environ)
    build = PROJECT / "requirements" / "build.txt"
    run("install what the build needs", [*pinned, "-r", build], os.environ)
    environment = {
        **os.environ,
        **compilers,
        "CFLAGS": FLAGS,
        "CXXFLAGS": FLAGS,
        "CUDA_HOME": str(cuda_home()),
        # The device code is not tested here, so it is compiled for one architecture only.
        "SKBUILD_CMAKE_DEFINE": f"CUFES_SASS=90;CMAKE_CXX_STANDARD_LIBRARIES={LINK_LAST}",
        "SKBUILD_INSTALL_STRIP": "false",
    }
    options: Command = ["--no-deps", "--no-build-isolation", "--upgrade", "--target", site, PROJECT]
    run("build cyfes with ThreadSanitizer", [*pip, *options], environment)
    return site


class Sanitizer:
    """The interpreter with ThreadSanitizer, and the environment of what it runs."""

    def __init__(self, built: Build, clang: str, site: Path) -> None:
        self.python = built.python
        self.site = site
        self.archer = archer(clang)
        self.suppressions = WORK / "suppressions.txt"
        texts = (built.suppressions, SUPPRESSIONS)
        self.suppressions.write_bytes(b"\n".join(path.read_bytes() for path in texts))

    def watch(self, arguments: Command, folder: Path) -> tuple[int, str]:
        """Run a Python program; return its exit status and what ThreadSanitizer has reported."""
        with tempfile.TemporaryDirectory(dir=WORK) as scratch:
            # Libraries that are not compiled with ThreadSanitizer wait for each other in ways that
            # it does not see.
            settings = {
                "ignore_noninstrumented_modules": 1,
                "suppressions": self.suppressions,
                "log_path": f"{scratch}/report",
                "exitcode": 0,
            }
            environment = {
                **os.environ,
                "PYTHONPATH": str(self.site),
                "PYTHONPYCACHEPREFIX": str(WORK / "pycache"),
                "OMP_NUM_THREADS": OPENMP_THREADS,
                "OMP_TOOL_LIBRARIES": str(self.archer),
                "TSAN_OPTIONS": ":".join(f"{name}={value}" for name, value in settings.items()),
            }
            command: Command = [self.python, *arguments]
            status = subprocess.run(command, check=False, env=environment, cwd=folder).returncode
            reports = sorted(Path(scratch).glob("report*"))
            return status, "".join(path.read_text(errors="replace") for path in reports)


def check_control(sanitizer: Sanitizer, compilers: Mapping[str, str]) -> None:
    """Refuse a machine where a race is not reported, or something that is none.

    Raises
    ------
    LackingError
        This is one.
    """
    source, library = WORK / "control.cpp", WORK / "control.so"
    source.write_text(CONTROL, encoding="utf-8")
    compile_it: Command = [
        compilers["CXX"],
        *FLAGS.split(),
        "-fopenmp",
        "-fPIC",
        "-shared",
        LINK_LAST,
    ]
    run("compile a race", [*compile_it, "-o", library, source], os.environ)
    for name, expected in (("tidy", False), ("racy", True)):
        status, reported = sanitizer.watch(["-c", CALL_CONTROL, library, name], WORK)
        if status or ("data race" in reported) != expected:
            found = reported or "nothing"
            raise LackingError(
                f"ThreadSanitizer does not work here: of the loop '{name}' it reported (status "
                f"{status}): {found}"
            )
    say("control: ThreadSanitizer reports a race in a loop of OpenMP, and nothing without one")


def run_tests(sanitizer: Sanitizer, chosen: Sequence[str]) -> None:
    """Run tests of the package.

    Raises
    ------
    RaceError
        One fails, or ThreadSanitizer reports something.
    """
    # pytest runs in another folder.
    tests = [full_path(word) for word in chosen or [f"tests/{name}" for name in TESTS]]
    pytest: Command = ["-m", "pytest", "-c", PROJECT / "pyproject.toml", f"--rootdir={PROJECT}"]
    options = ["--package-only", "-p", "no:cacheprovider"]
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        status, reported = sanitizer.watch([*pytest, *options, *tests], Path(folder))
    count = reported.count("WARNING: ThreadSanitizer:")
    if status or count or reported:
        print(reported, file=sys.stderr)
        raise RaceError(
            f"pytest ended with status {status}, and ThreadSanitizer has reported {count} faults"
        )
    say("ThreadSanitizer has reported nothing")


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    _, chosen = parser.parse_known_args()
    WORK.mkdir(parents=True, exist_ok=True)
    clang = find_clang()
    usual = cpython.build(Build(VERSION), cpython.JOBS)
    compilers = {"CC": clang, "CXX": cxx(clang)}
    built = Build(VERSION, sanitized=True, compiler=clang)
    cpython.build(built, cpython.JOBS)
    sanitizer = Sanitizer(built, clang, build_package(usual, compilers))
    try:
        check_control(sanitizer, compilers)
        run_tests(sanitizer, chosen)
    except RaceError as error:
        print(f"error: {error}", file=sys.stderr)
        return Status.FAULTY
    return Status.DONE
