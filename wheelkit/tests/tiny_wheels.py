"""Tiny wheels and tiny ELF libraries, right ones and wrong ones, for the tests of wheelkit."""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import platform
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Container, Iterable, Mapping
from pathlib import Path

from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from wheelkit.wheel import layouts

MACHINE = platform.machine()
LINUX = f"py3-none-linux_{MACHINE}"
# The oldest that auditwheel knows for every machine; tiny libraries need no newer glibc.
MANYLINUX = f"py3-none-manylinux_2_17_{MACHINE}"
# Called since glibc 2.25 only, on every machine.
NEW_SYMBOL = "#include <sys/random.h>\nlong n(void *p) { return getrandom(p, 1, 0); }"
DATE = (2024, 2, 29, 12, 30, 58)

SOURCE = """
#include <stdio.h>
int {symbol}(void) {{ return puts("tiny"); }}
{more}
"""

Row = tuple[str, ...]


@functools.cache
def library(
    soname: str,
    *needed: str,
    rpath: str | None = None,
    code: str = "",
    flags: tuple[str, ...] = (),
) -> bytes:
    """Compile a library that needs libc and the libraries `needed`, in this order.

    `rpath` becomes DT_RPATH; `code` is C code to add and `flags` go to the compiler.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name in needed:
            stub = ["cc", "-shared", "-fPIC", "-x", "c", "/dev/null", f"-Wl,-soname,{name}"]
            subprocess.run([*stub, "-o", str(Path(folder, name))], check=True)
        symbol = "tiny_" + hashlib.sha256(soname.encode()).hexdigest()[:8]
        Path(folder, "tiny.c").write_text(SOURCE.format(symbol=symbol, more=code))
        link = [f"-Wl,-soname,{soname}", "-Wl,--no-as-needed", "-L.", *(f"-l:{n}" for n in needed)]
        if rpath is not None:
            link += ["-Wl,--disable-new-dtags", f"-Wl,-rpath,{rpath}"]
        command = ["cc", "-shared", "-fPIC", "-s", "tiny.c", *flags, *link, "-o", "tiny.out"]
        subprocess.run(command, check=True, cwd=folder)
        return Path(folder, "tiny.out").read_bytes()


def extension(name: str, *needed: str, rpath: str | None = None) -> bytes:
    """Compile a library that auditwheel takes for the Python extension module `name`."""
    return library(name, *needed, rpath=rpath, code=f"void *PyInit_{name}(void) {{ return 0; }}")


@functools.cache
def wanting(*names: str, needed: tuple[str, ...] = (), rpath: str | None = None) -> bytes:
    """Compile a module that calls functions which it does not define."""
    calls = "".join(
        f"extern void {name}(void); void c{name}(void) {{ {name}(); }}\n" for name in names
    )
    return library("wanting", *needed, rpath=rpath, code=calls)


@functools.cache
def static_program() -> bytes:
    """Compile a program without a dynamic section."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "p.c").write_text("void _start(void) { for (;;); }")
        command = ["cc", "-static", "-nostdlib", "-no-pie", "p.c", "-o", "p"]
        subprocess.run(command, check=True, cwd=folder)
        return Path(folder, "p").read_bytes()


@functools.cache
def versioned(name: str, needed: bool) -> bytes:
    """Compile a library that wants a version of a symbol of another, which is NEEDED or not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "map").write_text("TINY_1 { global: tiny_v; local: *; };")
        Path(folder, "v.c").write_text("int tiny_v(void) { return 1; }")
        Path(folder, "u.c").write_text("int tiny_v(void); int tiny_u(void) { return tiny_v(); }")
        link = ["cc", "-shared", "-fPIC", "v.c", "-Wl,--version-script=map", f"-Wl,-soname,{name}"]
        subprocess.run([*link, "-o", name], check=True, cwd=folder)
        user = ["cc", "-shared", "-fPIC", "u.c", "-L.", f"-l:{name}", "-Wl,-rpath,$ORIGIN"]
        subprocess.run([*user, "-Wl,--disable-new-dtags", "-o", "u.so"], check=True, cwd=folder)
        data = Path(folder, "u.so").read_bytes()
    return data if needed else _without_first_needed(data)


def _without_first_needed(data: bytes) -> bytes:
    """Turn the first NEEDED into a DT_DEBUG, which libraries do not heed."""
    file = ELFFile(io.BytesIO(data))
    dynamic = next(s for s in file.iter_segments() if isinstance(s, DynamicSegment))
    number = next(n for n, t in enumerate(dynamic.iter_tags()) if t.entry.d_tag == "DT_NEEDED")
    at = dynamic["p_offset"] + 16 * number
    return data[:at] + struct.pack("<Q", 21) + data[at + 8 :]


def with_moved_segment(data: bytes) -> bytes:
    """Move the last PT_LOAD by 8 bytes in memory, and not in the file."""
    file = ELFFile(io.BytesIO(data))
    kinds = [segment["p_type"] for segment in file.iter_segments()]
    number = max(n for n, kind in enumerate(kinds) if kind == "PT_LOAD")
    at = file["e_phoff"] + number * file["e_phentsize"] + 16
    address = struct.unpack_from("<Q", data, at)[0]
    return data[:at] + struct.pack("<Q", address + 8) + data[at + 8 :]


def without_dynamic(data: bytes) -> bytes:
    """Make a library a file that the loader refuses: one without a dynamic section."""
    file = ELFFile(io.BytesIO(data))
    kinds = [segment["p_type"] for segment in file.iter_segments()]
    at = file["e_phoff"] + kinds.index("PT_DYNAMIC") * file["e_phentsize"]
    return data[:at] + bytes(4) + data[at + 4 :]


def for_arm(data: bytes) -> bytes:
    """Mark a library as one for another machine: for 32-bit ARM, whatever this machine is."""
    return data[:18] + b"\x28\x00" + data[20:]


def with_second_rpath(data: bytes) -> bytes:
    """Give a library that has DT_RPATH a DT_RUNPATH of the same text too."""
    file = ELFFile(io.BytesIO(data))
    dynamic = next(s for s in file.iter_segments() if isinstance(s, DynamicSegment))
    tags = [tag.entry for tag in dynamic.iter_tags()]
    rpath = next(tag.d_val for tag in tags if tag.d_tag == "DT_RPATH")
    return with_tag(data, 29, rpath)


def with_tag(data: bytes, tag: int, value: int) -> bytes:
    """Give a library one more entry in its dynamic section."""
    file = ELFFile(io.BytesIO(data))
    dynamic = next(s for s in file.iter_segments() if isinstance(s, DynamicSegment))
    tags = [tag.entry for tag in dynamic.iter_tags()]
    # Linkers leave spare DT_NULL entries behind the one that ends the section.
    end = dynamic["p_offset"] + 16 * next(n for n, t in enumerate(tags) if t.d_tag == "DT_NULL")
    assert data[end : end + 32] == bytes(32), "no spare entry"
    return data[:end] + struct.pack("<QQ", tag, value) + data[end + 16 :]


def toolkit(folder: Path, libraries: Mapping[str, bytes]) -> Path:
    """Write libraries that are outside of any wheel, and return their folder."""
    folder.mkdir(parents=True)
    for name, data in libraries.items():
        (folder / name).write_bytes(data)
    return folder


def wheel(
    folder: Path,
    files: Mapping[str, bytes],
    *,
    tag: str = MANYLINUX,
    name: str = "tiny-1.0",
    metadata: Mapping[str, bytes] | None = None,
    record: Callable[[list[Row]], Iterable[Row]] = lambda rows: rows,
    unlisted: Iterable[tuple[zipfile.ZipInfo, bytes]] = (),
    executable: Container[str] = (),
) -> Path:
    """Build a wheel of `files` and return its path.

    `metadata` replaces or adds files of the .dist-info directory, `record` may change the rows of
    RECORD, `unlisted` members are added to the archive alone, and `executable` are programs.
    """
    info = f"{name}.dist-info"
    distribution, _, version = name.partition("-")
    described = {
        "METADATA": core_metadata(distribution, version),
        "WHEEL": wheel_metadata(tag),
        **(metadata or {}),
    }
    members = {**files, **{f"{info}/{file}": text for file, text in described.items()}}
    if "RECORD" not in described:
        rows = [(member, digest(data), str(len(data))) for member, data in members.items()]
        lines = [",".join(row) for row in record([*rows, (f"{info}/RECORD", "", "")])]
        members[f"{info}/RECORD"] = "".join(f"{line}\n" for line in lines).encode()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{tag}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        modes = {member: 0o100755 if member in executable else 0o100644 for member in members}
        listed = [(entry(member, modes[member]), data) for member, data in members.items()]
        for member, data in [*listed, *unlisted]:
            archive.writestr(member, data)
    return path


def core_metadata(name: str = "tiny", version: str = "1.0", *, more: str = "") -> bytes:
    """Return the text of a METADATA file."""
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    return f"{head}{more or 'Requires-Python: >=3.7'}\n".encode()


def wheel_metadata(tag: str, *, purelib: bool = False, more: str = "") -> bytes:
    """Return the text of a WHEEL file."""
    python, abi, platforms = tag.split("-")
    tags = "".join(f"Tag: {python}-{abi}-{platform}\n" for platform in platforms.split("."))
    head = f"Wheel-Version: 1.0\nGenerator: tiny\nRoot-Is-Purelib: {str(purelib).lower()}\n"
    return (head + tags + more).encode()


def entry(member: str, mode: int = 0o100644) -> zipfile.ZipInfo:
    """Return the archive entry of a file."""
    info = zipfile.ZipInfo(member, DATE)
    info.external_attr = mode << 16
    return info


def digest(data: bytes) -> str:
    """Return the hash of a file's content as RECORD has it."""
    encoded = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"sha256={encoded}"


def members(path: Path) -> dict[str, bytes]:
    """Return the files of a wheel."""
    with zipfile.ZipFile(path) as archive:
        return {
            info.filename: archive.read(info) for info in archive.infolist() if not info.is_dir()
        }


# Loads a library as the first thing in its process, and prints what was mapped or why not.
LOAD = """
import ctypes, os, sys
try:
    ctypes.CDLL(sys.argv[1], mode=os.RTLD_NOW)
except OSError as problem:
    sys.exit(str(problem))
for line in open("/proc/self/maps"):
    print(line.split(None, 5)[-1].rstrip())
"""


def install(path: Path, prefix: Path, installation: layouts.Installation) -> dict[str, Path]:
    """Put the members of a wheel where an install layout has them, below `prefix`.

    Returns
    -------
    dict of str to Path
        The path by which each installed member is opened.
    """
    content = members(path)
    for link, target in installation.links(content, "platlib").items():
        (prefix / target).mkdir(parents=True)
        (prefix / link).parent.mkdir(parents=True, exist_ok=True)
        (prefix / link).symlink_to(prefix / target)
    places = installation.places(content, "platlib")
    for member, place in places.items():
        (prefix / place).parent.mkdir(parents=True, exist_ok=True)
        (prefix / place).write_bytes(content[member])
    return {member: prefix / place for member, place in places.items()}


def load(library: Path, **environment: str) -> list[str]:
    """Load a library with the real loader, in a process with this environment alone.

    Returns
    -------
    list of str
        The files mapped afterwards; what the loader said if it failed.
    """
    command = [sys.executable, "-I", "-S", "-c", LOAD, str(library)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.stdout.splitlines() if done.returncode == 0 else [done.stderr.strip()]
