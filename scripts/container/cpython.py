"""Build a CPython from its sources: a free-threaded one, or one with ThreadSanitizer.

Debian has no free-threaded CPython, so the stand-in image takes its own from here. The sources are
those of python.org, pinned by hash; where python.org cannot be reached, the mirrors of this
machine's apt may have the same file. Of a CPython that was built before, only its path is printed.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared import steps
from shared.ledger import BUILD
from shared.steps import say
from wheelkit.base.cpythons import parse_version
from wheelkit.target.report import LackingError, MisusedError, Status

FOLDER = BUILD / "pythons"
PYTHON_ORG = "https://www.python.org/ftp/python"
# The longest wait for an answer of a server.
PATIENCE = 60
# Modules without which pip does not work, and the packages of Debian with the headers for them.
HEADERS = {"ZLIB": "zlib1g-dev", "_SSL": "libssl-dev", "_CTYPES": "libffi-dev"}
# A build that takes half the time of the usual one; these CPythons show what works, not how fast.
OPTIMIZATION = "-O1"
# Processes at once.
JOBS = len(os.sched_getaffinity(0))

Command = Sequence[str | Path]


class CPythonBuildError(Exception):
    """The sources of CPython do not build."""


@dataclass(frozen=True)
class Source:
    """A release of CPython, and the SHA-256 of its archive Python-RELEASE.tar.xz."""

    release: str
    sha256: str

    @property
    def archive(self) -> str:
        """The name of the archive."""
        return f"Python-{self.release}.tar.xz"

    def addresses(self) -> Iterator[str]:
        """Yield where the archive may be: python.org, then the mirrors of this machine's apt."""
        # "3.15.0rc2": the numbers, and what comes before a release.
        numbers, stage = re.findall(r"^([\d.]+)(.*)$", self.release)[0]
        yield f"{PYTHON_ORG}/{numbers}/{self.archive}"
        # Debian and Ubuntu call it so.
        name = f"python{numbers.rpartition('.')[0]}"
        debian = f"{numbers}~{stage}" if stage else numbers
        for site in apt_sites():
            yield f"{site}/pool/main/p/{name}/{name}_{debian}.orig.tar.xz"


# What python.org says of its archives.
SOURCES = {
    "3.13": Source("3.13.5", "93e583f243454e6e9e4588ca2c2662206ad961659863277afcdb96801647d640"),
    "3.14": Source("3.14.7", "3b48dac8fb59f62eaa67ac83c1eb12bda1b7a08406dd286e252c11a66be27f81"),
    "3.15": Source("3.15.0rc2", "8d93af5eaaaea5adfd41bd786a7ba3f03f2ad1ab57c6a65e0b963deab91d5ad7"),
}


@functools.cache
def apt_sites() -> tuple[str, ...]:
    """Return the addresses of the mirrors from which this machine's apt installs, if it has one."""
    if not shutil.which("apt-get"):
        return ()
    command = ["apt-get", "indextargets", "--format", "$(SITE)"]
    listed = subprocess.run(command, check=False, capture_output=True, text=True).stdout.split()
    return tuple(dict.fromkeys(site for site in listed if site.startswith("http")))


def fetch(series: str, folder: Path) -> Path:
    """Return the archive with the sources of a series such as 3.14, downloaded into a folder.

    Raises
    ------
    LackingError
        No server has it, or has another file of this name.
    """
    source = SOURCES[series]
    archive = folder / source.archive
    if archive.is_file() and sha256_of(archive) == source.sha256:
        return archive
    folder.mkdir(parents=True, exist_ok=True)
    partial = archive.with_suffix(".part")
    refused = []
    for address in source.addresses():
        say(f"downloading {address}")
        try:
            with urllib.request.urlopen(address, timeout=PATIENCE) as answer:  # noqa: S310 - http is enough, because the hash is compared
                partial.write_bytes(answer.read())
        except (urllib.error.URLError, OSError) as error:
            refused.append(f"{address}: {error}")
            continue
        found = sha256_of(partial)
        if found == source.sha256:
            return partial.replace(archive)
        partial.unlink()
        refused.append(f"{address}: it has SHA-256 {found}, which is another file")
    raise LackingError(
        f"no server has {source.archive} ({'; '.join(refused)}); put the file with SHA-256 "
        f"{source.sha256} at {archive}"
    )


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass(frozen=True)
class Build:
    """A CPython to build: its version, whether with ThreadSanitizer, and its C compiler.

    Without one, the compiler is CC of the environment, or cc.
    """

    version: str
    sanitized: bool = False
    compiler: str = ""

    @property
    def prefix(self) -> Path:
        """The folder into which it is installed."""
        return FOLDER / f"{self.version}{'-tsan' if self.sanitized else ''}"

    @property
    def python(self) -> Path:
        """The interpreter."""
        return self.prefix / "bin" / f"python{self.version}"

    @property
    def suppressions(self) -> Path:
        """What CPython itself tells ThreadSanitizer not to report."""
        return self.prefix / "suppressions.txt"

    @property
    def source(self) -> Source:
        """The sources."""
        return SOURCES[self.version.rstrip("t")]

    def options(self) -> list[str]:
        """Return the options of its configure."""
        # In one with ThreadSanitizer, pip would take minutes; packages are installed from outside.
        pip = "no" if self.sanitized else "install"
        found = [f"--prefix={self.prefix}", "--disable-test-modules", f"--with-ensurepip={pip}"]
        if self.version.endswith("t"):
            found.append("--disable-gil")
        if self.sanitized:
            found.append("--with-thread-sanitizer")
        return found

    def variables(self) -> dict[str, str]:
        """Return the environment variables of its configure that are not the user's."""
        return {"OPT": f"{OPTIMIZATION} -fwrapv {'-g' if self.sanitized else '-DNDEBUG'}"}

    def state(self) -> dict[str, object]:
        """Return what it is made from; when this changes, it is built again."""
        return {
            "sha256": self.source.sha256,
            "options": self.options(),
            "variables": self.variables(),
            "compiler": self.chosen_compiler(),
        }

    def chosen_compiler(self) -> str:
        """Return the C compiler; nothing if the sources choose it."""
        return self.compiler or os.environ.get("CC", "")


def build(wanted: Build, jobs: int) -> Path:
    """Build and install a CPython, unless it is there; return its interpreter.

    Raises
    ------
    LackingError
        The machine lacks the sources, a compiler, or headers.
    CPythonBuildError
        It does not build.
    """
    stamp = wanted.prefix / "made-from.json"
    state = wanted.state()
    if stamp.is_file() and json.loads(stamp.read_text(encoding="utf-8")) == state:
        return wanted.python
    compiler = wanted.chosen_compiler() or "cc"
    for program in ("make", compiler.split()[0]):
        if not shutil.which(program):
            raise LackingError(f"no {program} here, which builds CPython; install make and gcc")
    archive = fetch(wanted.version.rstrip("t"), FOLDER)
    shutil.rmtree(wanted.prefix, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="build-", dir=FOLDER) as scratch:
        folder = Path(scratch)
        run("unpack the sources", ["tar", "-C", folder, "--strip-components=1", "-xf", archive])
        run("configure CPython", ["./configure", "--quiet", *wanted.options()], folder, wanted)
        check_headers(folder / "Makefile")
        run(f"build CPython {wanted.version}", ["make", "--silent", f"-j{jobs}"], folder, wanted)
        install: Command = ["make", "--silent", "install"]
        if wanted.sanitized:
            # The slow interpreter would compile all modules; it shows the help of that instead.
            install = [*install, "COMPILEALL_OPTS=--help"]
        run(f"install CPython {wanted.version}", install, folder, wanted)
        if wanted.sanitized:
            known = sorted(folder.glob("Tools/tsan/suppressions*.txt"))
            wanted.suppressions.write_bytes(b"".join(path.read_bytes() for path in known))
    # Written last, so that an interrupted build is not used.
    stamp.write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
    return wanted.python


def run(
    what: str, command: Command, folder: Path | None = None, wanted: Build | None = None
) -> None:
    """Run a step of a build."""
    environment = dict(os.environ)
    if wanted:
        environment.update(wanted.variables())
    if wanted and wanted.compiler:
        environment["CC"] = wanted.compiler
    done = steps.run(what, command, shown=False, folder=folder, environment=environment)
    if done.status:
        raise CPythonBuildError(f"{what}: it ended with status {done.status}; see above")


def check_headers(makefile: Path) -> None:
    """Refuse a configuration that leaves out a module which pip needs.

    Raises
    ------
    LackingError
        Headers are missing.
    """
    text = makefile.read_text(encoding="utf-8")
    built = dict(re.findall(r"^MODULE_(\w+)_STATE=(\w+)$", text, re.M))
    lacking = [package for name, package in HEADERS.items() if built.get(name) != "yes"]
    if lacking:
        raise LackingError(
            "CPython would lack modules, because headers are missing; install them (Debian: apt "
            f"install {' '.join(lacking)})"
        )


def main() -> int:
    """Run the command; the path of the interpreter is printed last."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--python", metavar="X.Y", default="3.14t", help="its version (default: %(default)s)")
    add("--sanitize", action="store_true", help="build it with ThreadSanitizer")
    add(
        "--jobs",
        metavar="N",
        type=int,
        default=JOBS,
        help="processes at once (default: %(default)s)",
    )
    asked = parser.parse_args()
    version = parse_version(asked.python)
    if version.rstrip("t") not in SOURCES:
        raise MisusedError(f"--python {version}: expected one of {', '.join(SOURCES)}, or with t")
    try:
        print(build(Build(version, asked.sanitize), asked.jobs))
    except CPythonBuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return Status.FAULTY
    return Status.DONE
