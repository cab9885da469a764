"""Lay out a CUDA toolkit from hash-pinned wheels of PyPI, usable as CUDA_HOME.

It holds what a build of cyfes needs and no more: the headers, the runtime and NVRTC.
CMake runs this during ``pip install .``, and cibuildwheel in a manylinux image: so it
runs on CPython 3.7 and up with the standard library and pip alone.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Dict, Iterator

# Nothing but the standard library is installed where this runs: wheelkit is the checkout's own.
sys.path.append(str(Path(__file__).resolve().parents[2] / "wheelkit" / "src"))
from wheelkit.target.report import LackingError, MisusedError, Status, run

PINS = Path(__file__).with_name("cuda-toolkit.txt")
STAMP = "version.json"

# Members of the wheels (a pattern) and where in the toolkit they go (a template).
WANTED = (
    (re.compile(r"nvidia/cuda_(?:runtime|nvrtc)/include/(.+)"), r"include/\1"),
    (re.compile(r"nvidia/cuda_nvcc/include/(crt/.+)"), r"include/\1"),
    (re.compile(r"nvidia/cuda_runtime/lib/(libcudart\.so\.12)"), r"lib64/\1"),
    # The ".alt" variants only make PTX for very new kernels smaller; nothing loads them here.
    (re.compile(r"nvidia/cuda_nvrtc/lib/(libnvrtc(?:-builtins)?\.so\.12.*)"), r"lib64/\1"),
    (re.compile(r"(nvidia_cuda_\w+)-[^/]+\.dist-info/licenses/(.+)"), r"licenses/\1/\2"),
)
# What a linker asks for, against the SONAME that the wheels carry; and both names of lib64.
LINKS = {
    "lib": "lib64",
    "lib64/libcudart.so": "libcudart.so.12",
    "lib64/libnvrtc.so": "libnvrtc.so.12",
}
# One file that each build step opens first: without it the wheels are not what was pinned.
ESSENTIAL = (
    "include/cuda_runtime_api.h",
    "include/crt/host_defines.h",
    "include/nvrtc.h",
    "lib64/libcudart.so.12",
    "lib64/libnvrtc.so.12",
    "lib64/libnvrtc-builtins.so.12.9",
)

Pins = Dict[str, Dict[str, str]]


class UntrustedError(LackingError):
    """The index served something else than what is pinned: there is none here to trust."""


def read_pins(path: Path) -> Pins:
    """Return name -> version and hash, as the requirements file lists them."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    found = re.findall(r"^([\w-]+)==(\S+)\s+--hash=sha256:([0-9a-f]{64})\s*$", text, re.M)
    return {name: {"version": version, "sha256": sha256} for name, version, sha256 in found}


def check_platform() -> None:
    """Refuse a machine for which there are no such wheels."""
    found = f"{platform.system()} {platform.machine()}"
    if found != "Linux x86_64":
        raise LackingError(
            f"the toolkit's wheels are for Linux x86_64 and this is {found}; "
            "install CUDA yourself and set CUDA_HOME"
        )


def download(pins: Path, folder: Path) -> list[Path]:
    """Have pip fetch and check the pinned wheels; return their paths."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
    command += ["--require-hashes", "--no-deps", "--only-binary=:all:"]
    command += ["--requirement", str(pins), "--dest", str(folder)]
    done = subprocess.run(
        command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        raise_for_pip(done.stdout)
    return sorted(folder.glob("*.whl"))


def raise_for_pip(output: str) -> None:
    """Raise what pip's output means, in one line."""
    mismatch = re.search(
        r"DO NOT MATCH THE HASHES.*?\n\s+(\S+).*?Expected sha256 (\w+).*?Got\s+(\w+)", output, re.S
    )
    if mismatch:
        name, expected, got = mismatch.groups()
        raise UntrustedError(
            f"{name} has sha256 {got}, but {PINS.name} pins {expected}: nothing was installed; "
            "do not trust the index that served it"
        )
    if "No module named pip" in output:
        raise LackingError(
            f"{sys.executable} has no pip; run '{sys.executable} -m ensurepip' or set CUDA_HOME"
        )
    errors = [line for line in output.splitlines() if line.startswith("ERROR:")]
    reason = (errors or output.strip().splitlines() or ["it said nothing"])[-1]
    raise LackingError(
        f"pip could not download the CUDA toolkit ({reason}); "
        "check the network and pip's settings, or set CUDA_HOME to a toolkit"
    )


def wanted_members(wheel: zipfile.ZipFile) -> Iterator[tuple[zipfile.ZipInfo, str]]:
    """Yield the members that belong to the toolkit, each with its place there."""
    for member in wheel.infolist():
        for pattern, template in WANTED:
            match = pattern.fullmatch(member.filename)
            if match and not member.is_dir():
                yield member, match.expand(template)


def unpack(wheel_path: Path, root: Path) -> None:
    """Extract the wanted members of one wheel into the toolkit."""
    with zipfile.ZipFile(wheel_path) as wheel:
        for member, place in wanted_members(wheel):
            target = root / place
            target.parent.mkdir(parents=True, exist_ok=True)
            with wheel.open(member) as source, target.open("wb") as sink:
                shutil.copyfileobj(source, sink)


def list_files(root: Path) -> dict[str, int]:
    """Return every file and link below `root`, the stamp aside, with its size."""
    paths = (path for path in root.rglob("*") if path.is_symlink() or not path.is_dir())
    sizes = {path.relative_to(root).as_posix(): path.lstat().st_size for path in paths}
    sizes.pop(STAMP, None)
    return sizes


def lay_out(wheels: list[Path], pins: Pins, root: Path) -> None:
    """Build the whole toolkit at `root`, which must not exist; the stamp comes last."""
    for wheel in wheels:
        unpack(wheel, root)
    lacking = [name for name in ESSENTIAL if not (root / name).is_file()]
    if lacking:
        raise UntrustedError(
            f"the wheels of {PINS.name} lack {', '.join(lacking)}; nothing was installed"
        )
    for link, target in LINKS.items():
        (root / link).symlink_to(target)
    runtime = pins["nvidia-cuda-runtime-cu12"]["version"]
    stamp = {
        # The key that NVIDIA's own version.json has; FindCUDAToolkit and people look there.
        "cuda": {"name": "CUDA toolkit from PyPI", "version": runtime},
        "pins": pins,
        "files": list_files(root),
    }
    (root / STAMP).write_text(json.dumps(stamp, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def read_stamp(root: Path) -> dict[str, Any]:
    """Return our stamp in `root`, or an empty one where there is none of ours."""
    try:
        stamp = json.loads((root / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    ours = isinstance(stamp, dict) and {"pins", "files"} <= stamp.keys()
    return stamp if ours else {}


def is_complete(root: Path, pins: Pins) -> bool:
    """Tell whether `root` holds this very toolkit, each file in its full size."""
    stamp = read_stamp(root)
    return stamp.get("pins") == pins and stamp["files"] == list_files(root)


def check_replaceable(root: Path) -> None:
    """Refuse a place that holds anything which this script did not write."""
    if not root.exists():
        return
    if not root.is_dir():
        raise MisusedError(f"{root} exists and is no directory; name another place")
    stamp = read_stamp(root)
    if not stamp and any(root.iterdir()):
        raise MisusedError(f"{root} is not empty and no toolkit of this script; name another place")
    foreign = sorted(set(list_files(root)) - set(stamp.get("files", {})))
    if foreign:
        raise MisusedError(
            f"{root} holds a toolkit of this script and {len(foreign)} files that are not its own "
            f"({foreign[0]}); move them away or name another place"
        )


def move_into_place(new: Path, root: Path, trash: Path) -> None:
    """Put `new` at `root` by renaming; what was there goes to `trash`."""
    if root.is_dir():
        root.replace(trash)
    new.replace(root)


def install(root: Path) -> str:
    """Bring the toolkit to `root` unless it is there; return what was done."""
    pins = read_pins(PINS)
    if is_complete(root, pins):
        return "already there"
    check_platform()
    check_replaceable(root)
    root.parent.mkdir(parents=True, exist_ok=True)
    # Beside DIR, so that the last step is a rename within one file system.
    with tempfile.TemporaryDirectory(prefix=f".{root.name}.", dir=str(root.parent)) as scratch:
        work = Path(scratch)
        lay_out(download(PINS, work / "wheels"), pins, work / "toolkit")
        try:
            move_into_place(work / "toolkit", root, work / "old")
        except OSError:
            # Another run of this script may have been quicker.
            if not is_complete(root, pins):
                raise
    return "installed"


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "directory", metavar="DIR", type=Path, help="where the toolkit goes; becomes CUDA_HOME"
    )
    return parser.parse_args()


def main() -> int:
    """Run the command; print where the toolkit is."""
    root = parse_arguments().directory.resolve()
    try:
        outcome = install(root)
    except OSError as error:
        raise LackingError(f"cannot write the toolkit: {error}") from None
    print(f"CUDA toolkit {outcome}: {root}")
    return Status.DONE


if __name__ == "__main__":
    sys.exit(run(main, oldest=(3, 7)))
