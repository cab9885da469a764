"""Compare the libcufes of finished wheels: one container compiles it once for all its wheels."""

from __future__ import annotations

import argparse
import hashlib
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

from wheelkit.target.report import MisusedError, Status

LIBRARY = "libcufes.so"


def sha256_of_library(wheel: Path) -> str:
    """Return the SHA-256 of the libcufes.so in a wheel.

    Raises
    ------
    MisusedError
        The wheel holds none, or several.
    """
    with zipfile.ZipFile(wheel) as archive:
        members = [name for name in archive.namelist() if name.endswith(f"/{LIBRARY}")]
        if len(members) != 1:
            raise MisusedError(f"{wheel}: expected one {LIBRARY}, found {len(members)}")
        return hashlib.sha256(archive.read(members[0])).hexdigest()


def differences(wheels: Iterable[Path]) -> str:
    """Return which wheels hold which library, or nothing if all hold the same."""
    hashes = {wheel.name: sha256_of_library(wheel) for wheel in wheels}
    if len(set(hashes.values())) <= 1:
        return ""
    listed = "\n".join(f"  {sha256[:12]}  {name}" for name, sha256 in hashes.items())
    return f"the wheels hold different {LIBRARY}:\n{listed}"


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", metavar="DIR", type=Path, help="the folder of the wheels")
    folder = parser.parse_args().folder
    wheels = sorted(folder.glob("*.whl"))
    if not wheels:
        raise MisusedError(f"{folder} holds no wheels")
    if found := differences(wheels):
        print(f"error: {found}", file=sys.stderr)
        return Status.FAULTY
    print(f"{len(wheels)} wheels hold the same {LIBRARY}: sha256 {sha256_of_library(wheels[0])}")
    return Status.DONE
