"""Compare the libcufes of finished wheels: one container compiles it once for all its wheels.

With --device-code, the wheels may be for several architectures, whose libraries differ; the device
code in them must be the same, byte for byte, because it does not depend on the host.
"""

from __future__ import annotations

import argparse
import hashlib
import struct
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from wheelkit.target.report import MisusedError, Status
from wheelkit.wheel.device_images import ELF_START, EM_CUDA, PTX_START, places

LIBRARY = "libcufes.so"
DEVICE_CODE = f"device code in {LIBRARY}"


def library_in(wheel: Path) -> bytes:
    """Return the libcufes.so in a wheel.

    Raises
    ------
    MisusedError
        The wheel holds none, or several.
    """
    with zipfile.ZipFile(wheel) as archive:
        members = [name for name in archive.namelist() if name.endswith(f"/{LIBRARY}")]
        if len(members) != 1:
            raise MisusedError(f"{wheel}: expected one {LIBRARY}, found {len(members)}")
        return archive.read(members[0])


def device_images(library: bytes) -> Iterator[bytes]:
    """Yield each cubin and each PTX text that is embedded in a library."""
    for at in places(library, ELF_START):
        (machine,) = struct.unpack_from("<H", library, at + 18)
        if machine == EM_CUDA:
            # The table of sections is at the end of a cubin: where it begins, and how long it is.
            (table,) = struct.unpack_from("<Q", library, at + 40)
            size, count = struct.unpack_from("<HH", library, at + 58)
            yield library[at : at + table + size * count]
    at = library.find(PTX_START)
    while at >= 0:
        end = library.index(b"\0", at)
        yield library[at:end]
        at = library.find(PTX_START, end)


def sha256_of_library(wheel: Path) -> str:
    """Return the SHA-256 of the libcufes.so in a wheel."""
    return hashlib.sha256(library_in(wheel)).hexdigest()


def sha256_of_device_code(wheel: Path) -> str:
    """Return one SHA-256 over the device images in the libcufes.so of a wheel.

    Raises
    ------
    MisusedError
        There are none.
    """
    images = [hashlib.sha256(image).digest() for image in device_images(library_in(wheel))]
    if not images:
        raise MisusedError(f"{wheel}: its {LIBRARY} has no device code")
    return hashlib.sha256(b"".join(sorted(images))).hexdigest()


def differences(
    wheels: Iterable[Path], hash_of: Callable[[Path], str] = sha256_of_library, what: str = LIBRARY
) -> str:
    """Return which wheels hold which library, or nothing if all hold the same."""
    hashes = {wheel.name: hash_of(wheel) for wheel in wheels}
    if len(set(hashes.values())) <= 1:
        return ""
    listed = "\n".join(f"  {sha256[:12]}  {name}" for name, sha256 in hashes.items())
    return f"the wheels hold different {what}:\n{listed}"


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", metavar="DIR", type=Path, help="the folder of the wheels")
    parser.add_argument("--device-code", action="store_true", help="compare only the device code")
    asked = parser.parse_args()
    wheels = sorted(asked.folder.glob("*.whl"))
    if not wheels:
        raise MisusedError(f"{asked.folder} holds no wheels")
    hash_of = sha256_of_device_code if asked.device_code else sha256_of_library
    what = DEVICE_CODE if asked.device_code else LIBRARY
    if found := differences(wheels, hash_of, what):
        print(f"error: {found}", file=sys.stderr)
        return Status.FAULTY
    print(f"{len(wheels)} wheels hold the same {what}: sha256 {hash_of(wheels[0])}")
    return Status.DONE
