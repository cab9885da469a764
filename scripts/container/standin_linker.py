#!/opt/python/cp312-cp312/bin/python -IS
"""The compiler driver of the stand-in image: links shared libraries for glibc 2.17.

Under the names of GCC's drivers it comes first on the image's path. It leaves all that is not the
linking of objects to a shared library to GCC itself, and that to a linker with the symbols of
glibc 2.17.
GCC's C++ library is linked in statically, for it is newer than manylinux2014's.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

# Where standin_image.py has put its parts.
PARTS = Path("/opt/standin")
GCC = Path("/usr/bin")
GLIBC = "2.17"
# Named on the command line by what looks for OpenMP and threads, against glibc's own; and options
# of GNU ld's that lld does not need.
LEFT_OUT = ("-fopenmp", "/usr/lib/x86_64-linux-gnu/lib", "-Wl,--dependency-file")
OPENMP = "libgomp.so"
SOURCES = (".c", ".cc", ".cpp")


def archives() -> list[str]:
    """Return GCC's own libraries: the C++ ones static, the unwinder the system's."""
    return [
        str(PARTS / "glibc_symbols.o"),
        *(answer("-print-file-name=" + name) for name in ("libstdc++.a", "libgcc.a")),
        "/usr/lib/x86_64-linux-gnu/libgcc_s.so.1",
        *("-lc", "-lm", "-lpthread", "-ldl"),
    ]


def answer(question: str) -> str:
    """Ask GCC where one of its files is."""
    return subprocess.check_output([GCC / "g++", question], text=True).strip()


def link_command(arguments: list[str]) -> list[str]:
    """Return the command that links for the old glibc."""
    target = ["-target", f"x86_64-linux-gnu.{GLIBC}", "-nodefaultlibs"]
    openmp = any(Path(word).name == OPENMP for word in arguments) or "-fopenmp" in arguments
    kept = [word for word in arguments if not word.startswith(LEFT_OUT)]
    kept = [word for word in kept if Path(word).name != OPENMP]
    libraries = [str(PARTS / "libgomp.so.1")] if openmp else []
    return [str(PARTS / "ziglang" / "zig"), "cc", *target, *kept, *libraries, *archives()]


def links_alone(arguments: list[str]) -> bool:
    """Tell whether a shared library is linked, from objects only."""
    compiles = "-x" in arguments or any(word.endswith(SOURCES) for word in arguments)
    return "-shared" in arguments and not compiles


def main() -> None:
    """Become GCC or the linker."""
    arguments = sys.argv[1:]
    if links_alone(arguments):
        command = link_command(arguments)
        os.environ["ZIG_GLOBAL_CACHE_DIR"] = os.environ["ZIG_LOCAL_CACHE_DIR"] = "/var/cache/zig"
    else:
        command = [str(GCC / Path(sys.argv[0]).name), *arguments]
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
