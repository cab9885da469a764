#!/opt/python/cp312-cp312/bin/python -IS
"""The compiler driver of the stand-in image: links shared libraries for glibc 2.17.

It is installed under the names of GCC's drivers, those for aarch64 included, in a folder that comes
first on the image's PATH.
A linker with the symbols of glibc 2.17 links objects to a shared library; every other command is
handed to GCC itself. GCC's C++ library is linked statically, because it is newer than that of
manylinux2014.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

# The folder into which standin_image.py unpacks the linker and its libraries, and this file.
PARTS = Path(__file__).resolve().parent
GCC = Path("/usr/bin")
GLIBC = "2.17"
X86_64, AARCH64 = "x86_64-linux-gnu", "aarch64-linux-gnu"
# Words that begin so are removed from the command line: CMake names OpenMP and libraries of the
# newer glibc there, and GNU ld has an option that lld does not need.
DROPPED_WORDS = (
    *("-fopenmp", "-Wl,--dependency-file", f"/usr/lib/{X86_64}/lib"),
    *(f"/usr/{AARCH64}/lib/lib", f"/usr/lib/gcc-cross/{AARCH64}/"),
)
OPENMP = "libgomp.so"
SOURCES = (".c", ".cc", ".cpp")


def gcc_libraries(driver: str) -> list[str]:
    """Return GCC's libraries: static ones for C++, and the system's shared one for unwinding."""
    libraries = ("libstdc++.a", "libgcc.a", "libgcc_s.so.1")
    return [
        str(PARTS / "glibc_symbols.o"),
        *(ask_gcc(driver, "-print-file-name=" + name) for name in libraries),
        *("-lc", "-lm", "-lpthread", "-ldl"),
    ]


def ask_gcc(driver: str, question: str) -> str:
    """Ask GCC where one of its files is."""
    return subprocess.check_output([GCC / driver, question], text=True).strip()


def link_command(driver: str, arguments: list[str]) -> list[str]:
    """Return the command that links for glibc 2.17, in place of the driver of this name."""
    triplet = AARCH64 if driver.startswith(AARCH64) else X86_64
    target = ["-target", f"{triplet}.{GLIBC}", "-nodefaultlibs"]
    openmp = any(Path(word).name == OPENMP for word in arguments) or "-fopenmp" in arguments
    kept = [word for word in arguments if not word.startswith(DROPPED_WORDS)]
    kept = [word for word in kept if Path(word).name != OPENMP]
    libraries = [str(PARTS / "libgomp.so.1")] if openmp else []
    return [
        str(PARTS / "ziglang" / "zig"),
        "cc",
        *target,
        *kept,
        *libraries,
        *gcc_libraries(driver),
    ]


def links_library_from_objects(arguments: list[str]) -> bool:
    """Tell whether the arguments link a shared library from objects, and compile nothing."""
    compiles = "-x" in arguments or any(word.endswith(SOURCES) for word in arguments)
    return "-shared" in arguments and not compiles


def main() -> None:
    """Replace this process with GCC or with the linker."""
    driver, arguments = Path(sys.argv[0]).name, sys.argv[1:]
    if links_library_from_objects(arguments):
        command = link_command(driver, arguments)
        cache = str(PARTS / "cache")
        os.environ["ZIG_GLOBAL_CACHE_DIR"] = os.environ["ZIG_LOCAL_CACHE_DIR"] = cache
    else:
        command = [str(GCC / driver), *arguments]
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
