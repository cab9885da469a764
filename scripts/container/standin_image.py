"""Build the stand-in image: it replaces a manylinux2014 image that cannot be pulled.

The stand-in image is a Debian root file system with CPythons at /opt/python/cp3X-cp3X, where the
manylinux2014 image has them. They are copied from this machine; those that the machine lacks come
from Debian's unstable suite or, if they are free-threaded, are built from their sources. The
compiler of the image links for glibc 2.17, and its pips install what runs on that. The last line
printed is the name of the image. An image that was made from the same ingredients, with these
CPythons and perhaps others, is not built again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from container import cpython
from shared import children, requirement_uses
from shared.ledger import PROJECT
from shared.requirement_uses import oldest_glibc
from shared.steps import say
from wheelkit.base import pinned_tools
from wheelkit.base.cpythons import numbers, parse_version, tag_of
from wheelkit.base.programs import last_words
from wheelkit.containers.engines import Engine, runnable_engine
from wheelkit.install import pythons
from wheelkit.target.report import LackingError, Status

NAME = "localhost/cyfes-standin"
SUITE = "bookworm"
# A compiler, git, the libraries that CPythons load, and an old patchelf, which a repair must not
# use: with it here, a repair that does so is noticed.
PACKAGES = (
    *(
        "ca-certificates",
        "g++",
        "git",
        "patchelf",
        "libssl3",
        "libffi8",
        "libsqlite3-0",
        "libreadline8",
    ),
    *("libncursesw6", "libbz2-1.0", "liblzma5", "libexpat1", "libuuid1", "libdb5.3", "libgdbm6"),
)
# CPythons that Debian's unstable suite has. They need a newer C library than that of SUITE, so they
# are unpacked into a separate folder together with all packages that they need.
UNSTABLE_PYTHONS = ("3.14", "3.15")
# The files of the system's own interpreter lie among others below this folder, so that they cannot
# be copied as one.
SYSTEM = Path("/usr")
# Every image has these: cibuildwheel runs a helper program on 3.9, and before-all runs on 3.12 (see
# pyproject.toml).
CIBUILDWHEEL_PYTHONS = ("3.9", "3.12")
LINKER = PROJECT / "scripts" / "container" / "standin_linker.py"
GLIBC = PROJECT / "scripts" / "container" / "standin_glibc.py"
# The labels of an image: the checkout that has made it, and what it was made from.
CHECKOUT, INGREDIENTS, PYTHONS = (
    f"cyfes.standin.{name}" for name in ("checkout", "ingredients", "pythons")
)
PINS = PROJECT / "requirements" / "standin.txt"
# glibc has this variable since 2.32. The static libstdc++ reads it to know whether it may leave
# locks out.
GLIBC_SYMBOLS = 'char __libc_single_threaded __attribute__((visibility("hidden"))) = 0;\n'
# Parts of an installation that an interpreter does not need to build wheels.
UNWANTED = ("site-packages", "test", "tests", "idlelib", "__pycache__", "config-*", "*.a")

Command = Sequence[str | Path]


@dataclass(frozen=True)
class Interpreter:
    """A CPython for the image: its version and its prefix on this machine; None: from Debian."""

    version: str
    prefix: Path | None

    @property
    def folder(self) -> str:
        """The name of its folder below /opt/python."""
        return tag_of(self.version)


def is_standin(image: str) -> bool:
    """Tell whether an image is a stand-in image of this project."""
    return image.startswith(f"{NAME}:")


def run_command(command: Command, what: str) -> str:
    """Run a command; return its output. An error names `what` the command was for."""
    if not shutil.which(str(command[0])):
        raise LackingError(
            f"no {command[0]} here, for {what}; install it: apt install {command[0]}"
        )
    environment = dict(os.environ)
    if os.geteuid() == 0:
        # Other users, as which mmdebstrap works without root, may not see this folder.
        environment["TMPDIR"] = tempfile.gettempdir()
    done = children.run(command, env=environment)
    if done.returncode:
        raise LackingError(f"{what} failed: {last_words(done)}")
    return done.stdout


def built_here(version: str) -> bool:
    """Tell whether a CPython that this machine lacks is built from its sources."""
    return version.endswith("t") and version.rstrip("t") in cpython.SOURCES


def prefix_of(python: Path) -> Path:
    """Ask an interpreter where it is installed."""
    probe = "import sys; print(sys.base_prefix)"
    done = subprocess.run([python, "-I", "-c", probe], check=True, capture_output=True, text=True)
    return Path(done.stdout.strip())


def find_interpreter(version: str) -> Interpreter:
    """Return where the image gets an interpreter from.

    Raises
    ------
    LackingError
        Neither this machine nor Debian has it, and it is not built from its sources.
    """
    for python in pythons.candidates(version):
        if pythons.version_of(python) == version and prefix_of(python) != SYSTEM:
            return Interpreter(version, prefix_of(python))
    if version in UNSTABLE_PYTHONS:
        return Interpreter(version, None)
    if built_here(version):
        return Interpreter(version, cpython.Build(version).prefix)
    raise LackingError(
        f"no CPython {version} for the stand-in image: neither on the path nor in pyenv (the "
        f"system's own in {SYSTEM} cannot be copied); install it: pyenv install {version}"
    )


def copy_interpreter(version: str, prefix: Path, stage: Path) -> None:
    """Copy a CPython to the same path in the image, because its prefix is compiled into it."""
    target = stage / prefix.relative_to("/")
    found = [prefix / f"bin/python{version}", prefix / f"lib/python{version}"]
    found += prefix.glob(f"include/python{version}*")
    found += prefix.glob(f"lib/libpython{version}*.so*")
    ignore = shutil.ignore_patterns(*UNWANTED)
    for path in found:
        place = target / path.relative_to(prefix)
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, place, symlinks=True, ignore=ignore)
        else:
            shutil.copy2(path, place)
    (target / f"lib/python{version}/site-packages").mkdir()
    tell_glibc(version, target / f"lib/python{version}")


def tell_glibc(version: str, library: Path) -> None:
    """Let a CPython say that it runs on the oldest glibc on which its wheels are tested."""
    module = library / "sitecustomize.py"
    # Debian's own is a link to a file below /etc, which would be that of this machine.
    module.unlink(missing_ok=True)
    shutil.copy(GLIBC, module)
    glibc = oldest_glibc("numpy.txt", version)
    (library / "standin_glibc.txt").write_text(f"{glibc}\n", encoding="utf-8")


def fetch_parts(stage: Path) -> None:
    """Unpack the pinned linker and the libgomp of manylinux2014 into /opt/standin."""
    parts = stage / "opt" / "standin"
    parts.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        command: Command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command = [*command, "--require-hashes", "--only-binary=:all:", "--dest", scratch]
        command = [*command, "--platform", "manylinux2014_x86_64", "--python-version", "3.12"]
        run_command([*command, "--requirement", PINS], "the download of the stand-in's parts")
        for wheel in Path(scratch).glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(parts)
    (parts / "ziglang" / "zig").chmod(0o755)
    (openmp,) = parts.glob("pykdtree.libs/libgomp-*")
    openmp.rename(parts / "libgomp.so.1")
    soname: Command = [
        pinned_tools.patchelf(),
        "--set-soname",
        "libgomp.so.1",
        parts / "libgomp.so.1",
    ]
    run_command(soname, "the renaming of libgomp")
    (parts / "glibc_symbols.c").write_text(GLIBC_SYMBOLS, encoding="utf-8")


def unpack_unstable(versions: Sequence[str], stage: Path) -> None:
    """Unpack CPythons of Debian's unstable suite, and let them use the C library of that suite."""
    root = stage / "opt" / "unstable"
    root.parent.mkdir(parents=True, exist_ok=True)
    packages = [f"python{version}-{part}" for version in versions for part in ("venv", "dev")]
    # A mirror of Debian may be out of date. That does no harm: wheels from the stand-in image are
    # not published.
    options = ['--aptopt=Acquire::Check-Valid-Until "false"', f"--include={','.join(packages)}"]
    run_command(
        ["mmdebstrap", "--variant=extract", *options, "sid", root], "unpacking Debian's CPythons"
    )
    for version in versions:
        tell_glibc(version, root / f"usr/lib/python{version}")
    loader, libraries = "usr/lib64/ld-linux-x86-64.so.2", "usr/lib/x86_64-linux-gnu"
    for version in versions:
        patch: Command = [pinned_tools.patchelf(), "--set-interpreter", f"/opt/unstable/{loader}"]
        patch = [*patch, "--force-rpath", "--set-rpath", f"/opt/unstable/{libraries}"]
        run_command([*patch, root / f"usr/bin/python{version}"], f"patching CPython {version}")


def setup_script(pythons: Sequence[Interpreter]) -> str:
    """Return the shell commands that are run in the root file system to finish it."""
    lines = [
        "set -eu",
        "gcc -c -fPIC -o /opt/standin/glibc_symbols.o /opt/standin/glibc_symbols.c",
        "cp /opt/standin/libgomp.so.1 $(readlink -f /usr/lib/x86_64-linux-gnu/libgomp.so.1)",
        "chmod +x /opt/standin/driver",
        "for name in cc gcc c++ g++; do ln -s /opt/standin/driver /usr/local/bin/$name; done",
        "mkdir -p /opt/python",
    ]
    for python in pythons:
        link, base = f"/opt/python/{python.folder}", f"{python.prefix}/bin/python{python.version}"
        if python.prefix is None:
            base = f"/opt/unstable/usr/bin/python{python.version}"
            headers = f"include/x86_64-linux-gnu/python{python.version}"
            lines.append(f"ln -sf /opt/unstable/usr/{headers} /usr/{headers}")
            lines.append("ln -sfn /opt/unstable/usr/share/python-wheels /usr/share/python-wheels")
            lines.append(f"{base} -m venv {link}")
        else:
            lines.append(f"ln -s {python.prefix} {link}")
            lines.append(f"ln -sf python{python.version} {link}/bin/python")
            lines.append(f"{base} -m ensurepip --default-pip")
        lines.append(f"{link}/bin/python -c 'import ctypes, ssl, zlib'")
        lines.append(f"test -x {link}/bin/pip")
    return "\n".join(lines) + "\n"


def build_root(pythons: Sequence[Interpreter], archive: Path) -> None:
    """Write the image's root file system as a tar archive."""
    with tempfile.TemporaryDirectory(prefix="standin-") as scratch:
        stage = Path(scratch) / "stage"
        fetch_parts(stage)
        for python in pythons:
            if built_here(python.version) and python.prefix == cpython.Build(python.version).prefix:
                cpython.build(cpython.Build(python.version), cpython.JOBS)
            if python.prefix is not None:
                copy_interpreter(python.version, python.prefix, stage)
        lacking = [python.version for python in pythons if python.prefix is None]
        if lacking:
            unpack_unstable(lacking, stage)
        shutil.copy(LINKER, stage / "opt" / "standin" / "driver")
        (stage / "opt/standin/setup.sh").write_text(setup_script(pythons), encoding="utf-8")
        hooks = [f"--customize-hook=tar-in {scratch}/stage.tar /"]
        run_command(
            ["tar", "-C", stage, "-cf", f"{scratch}/stage.tar", "."], "packing the stand-in"
        )
        hooks.append('--customize-hook=chroot "$1" sh /opt/standin/setup.sh')
        options = ["--variant=minbase", f"--include={','.join(PACKAGES)}", *hooks]
        run_command(
            ["mmdebstrap", *options, SUITE, archive], "building the stand-in's root file system"
        )


def ingredients() -> str:
    """Return a hash of the files that decide what an image is, apart from its CPythons."""
    files = (Path(__file__), LINKER, GLIBC, PINS, requirement_uses.TABLE)
    return hashlib.sha256(b"".join(map(Path.read_bytes, files))).hexdigest()


def sources_of(pythons: Iterable[Interpreter]) -> list[str]:
    """Return each CPython with the place that it comes from, as the label of an image has them."""
    return [f"{python.version}={python.prefix or 'unstable'}" for python in pythons]


def image_name(pythons: Sequence[Interpreter]) -> str:
    """Return the name of the image, whose tag is a hash of the ingredients of the image."""
    key = hashlib.sha256(json.dumps([ingredients(), *sources_of(pythons)]).encode()).hexdigest()
    return f"{NAME}:{key[:16]}"


def labels(pythons: Sequence[Interpreter]) -> dict[str, str]:
    """Return the labels of an image that is made here."""
    return {
        CHECKOUT: str(PROJECT),
        INGREDIENTS: ingredients(),
        PYTHONS: " ".join(sources_of(pythons)),
    }


def find_image(engine: Engine, pythons: Sequence[Interpreter]) -> str | None:
    """Return an image of the present ingredients that has these CPythons, if there is one."""
    wanted = set(sources_of(pythons))
    for image in engine.images(f"{INGREDIENTS}={ingredients()}"):
        if wanted <= set(engine.labels(image).get(PYTHONS, "").split()):
            return image
    return None


def build(engine: Engine, versions: Sequence[str]) -> str:
    """Build an image with these CPythons if the engine lacks one; return its name."""
    wanted = sorted(
        {*versions, *CIBUILDWHEEL_PYTHONS}, key=lambda version: (numbers(version), version)
    )
    pythons = [find_interpreter(version) for version in wanted]
    present = find_image(engine, pythons)
    if present:
        say(f"the stand-in image {present} exists already")
        return present
    image = image_name(pythons)
    say(f"building the stand-in image {image} with CPython {', '.join(wanted)}")
    with tempfile.TemporaryDirectory(prefix="standin-") as scratch:
        archive = Path(scratch) / "root.tar"
        build_root(pythons, archive)
        # The manylinux images name their platform in this variable.
        changes = ["ENV AUDITWHEEL_PLAT=manylinux2014_x86_64"]
        changes += [f'LABEL {name}="{value}"' for name, value in labels(pythons).items()]
        options = [word for change in changes for word in ("--change", change)]
        done = engine.run("import", *options, archive, image)
    if done.returncode:
        raise LackingError(f"{engine.name} cannot import an image: {last_words(done)}")
    return image


def prune(engine: Engine, kept: str) -> list[str]:
    """Remove the images that this checkout has made, other than `kept`; return their names.

    An image in which a container runs stays.
    """
    old = [image for image in engine.images(f"{CHECKOUT}={PROJECT}") if image != kept]
    return [image for image in old if engine.run("rmi", image).returncode == 0]


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--python",
        metavar="X.Y",
        action="append",
        required=True,
        help="a CPython to have in the image (may be repeated)",
    )
    versions = [parse_version(version) for version in parser.parse_args().python]
    image = build(runnable_engine(), versions)
    print(image)
    return Status.DONE
