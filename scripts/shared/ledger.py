"""wheelhouse/ and its ledger, the file that records which wheels are there and from which sources.

With the ledger, the tests use the wheel that ``nox -s wheel`` has made, and never one that was made
from older sources.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
BUILD = PROJECT / "build"
WHEELHOUSE = PROJECT / "wheelhouse"
LEDGER = BUILD / "wheelhouse.json"

# Everything that a wheel is made from. A change of any other file does not change the wheel.
SOURCES = (
    "CMakeLists.txt",
    "LICENSE",
    "README.md",
    "cmake",
    "cyfes",
    "pyproject.toml",
    "scripts",
    "wheelkit/src",
)
# Prefixes of the environment variables that change how a wheel is built.
SETTINGS = ("CC", "CFLAGS", "CMAKE_", "CPPFLAGS", "CUDA_HOME", "CXX", "LDFLAGS", "SKBUILD_")


@dataclass
class LocalWheel:
    """The wheel of one interpreter: its paths so far, and the result of each stage."""

    python: str
    unrepaired: str = ""
    wheel: str = ""
    verified: str = "not run"
    smoke: str = "not run"
    status: int = 0

    def files(self) -> tuple[str, str]:
        """Return the paths of the unrepaired and the repaired wheel."""
        return self.unrepaired, self.wheel

    def is_unchanged(self, hashes: dict[str, str]) -> bool:
        """Tell whether both wheels exist and have the recorded hashes."""
        files = [Path(path) for path in self.files()]
        return all(file.is_file() and sha256(file) == hashes[str(file)] for file in files)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def source_files() -> Iterator[Path]:
    """Yield the files that a wheel is made from."""
    for name in SOURCES:
        path = PROJECT / name
        for file in path.rglob("*") if path.is_dir() else [path]:
            compiled = "__pycache__" in file.parts or file.suffix == ".so"
            if file.is_file() and not compiled:
                yield file


def source_state() -> str:
    """Return a hash of all files and environment variables from which a wheel is made."""
    state = {name: value for name, value in os.environ.items() if name.startswith(SETTINGS)}
    state |= {path.relative_to(PROJECT).as_posix(): sha256(path) for path in source_files()}
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def read(state: str) -> dict[str, LocalWheel]:
    """Return the wheels of this source state, by interpreter, without changed or missing ones."""
    try:
        content = json.loads(LEDGER.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    if content["state"] != state:
        return {}
    found = {python: LocalWheel(**entry) for python, entry in content["products"].items()}
    hashes = content["sha256"]
    return {python: product for python, product in found.items() if product.is_unchanged(hashes)}


def replace_wheels(products: dict[str, LocalWheel], state: str) -> list[str]:
    """Put exactly these wheels into wheelhouse/ and write the ledger; return the removed names."""
    # While the folder changes, the old ledger would list wheels that are no longer there.
    LEDGER.unlink(missing_ok=True)
    WHEELHOUSE.mkdir(exist_ok=True)
    names = {Path(product.wheel).name for product in products.values()}
    removed = sorted(path.name for path in WHEELHOUSE.glob("*.whl") if path.name not in names)
    for name in removed:
        (WHEELHOUSE / name).unlink()
    for product in products.values():
        product.wheel = str(_copy_to_wheelhouse(Path(product.wheel)))
    content = {
        "state": state,
        "products": {python: asdict(product) for python, product in products.items()},
        "sha256": {path: sha256(Path(path)) for p in products.values() for path in p.files()},
    }
    partial = LEDGER.with_suffix(".part")
    partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    partial.replace(LEDGER)
    return removed


def _copy_to_wheelhouse(wheel: Path) -> Path:
    """Copy a wheel to wheelhouse/ under its own name, so that never a part of it is there."""
    target = WHEELHOUSE / wheel.name
    if wheel == target:
        return target
    partial = target.with_suffix(".part")
    shutil.copyfile(wheel, partial)
    return partial.replace(target)
