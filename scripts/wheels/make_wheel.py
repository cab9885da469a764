"""The main job: build, repair, verify and smoke-test a wheel for each interpreter.

Each stage is the command that one would type by hand. Only when every wheel has passed
every stage do they go to wheelhouse/, beside those of other interpreters that were made from the
same sources; reports are in build/reports/ either way.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from shared import ledger, steps
from shared.ledger import BUILD, PROJECT, LocalWheel
from wheelkit.base.cpythons import parse_version
from wheelkit.install.pythons import find_python, make_venv, version_of
from wheelkit.target.report import Status
from wheels.build_wheels import check_compiler, cuda_home

SCRIPTS = PROJECT / "scripts"
NUMPY = PROJECT / "requirements" / "numpy.txt"
REPORTS = BUILD / "reports"
Command = list[str | Path]
# A wheel must find its libraries and modules without these.
CRUTCHES = frozenset({"LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONPATH", "PYTHONHOME"})


class StageError(Exception):
    """A stage ended with a status other than 0; its messages have been shown."""

    def __init__(self, name: str, status: int) -> None:
        super().__init__(f"{name} failed (status {status})")
        self.status = status


def stage(
    product: LocalWheel,
    name: str,
    command: Command,
    *,
    environment: Mapping[str, str] = os.environ,
    folder: Path = PROJECT,
    shown: bool = True,
) -> str:
    """Run one command; return the last line that it printed, where a script says its result."""
    title = f"CPython {product.python}: {name}"
    done = steps.run(title, command, environment=environment, folder=folder, shown=shown)
    if done.status:
        raise StageError(name, done.status)
    return done.result


def report(name: str, wheel: Path) -> Path:
    """Return where the report of a stage goes."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    return REPORTS / f"{wheel.stem}.{name}.json"


def remove_reports(kept: Iterable[LocalWheel]) -> None:
    """Remove all reports but those of wheels that are kept: none may pass for one of this run."""
    stems = {Path(path).stem for product in kept for path in product.files()}
    for path in REPORTS.glob("*.json"):
        if path.name.removesuffix(".json").rpartition(".")[0] not in stems:
            path.unlink()


def build(product: LocalWheel, home: Path) -> Path:
    """Build the unrepaired wheel."""
    command: Command = [sys.executable, SCRIPTS, "build", "--python", product.python]
    environment = {**os.environ, "CUDA_HOME": str(home)}
    product.unrepaired = stage(product, "build", command, environment=environment)
    return Path(product.unrepaired)


def repair(product: LocalWheel, unrepaired: Path, home: Path) -> Path:
    """Repair the wheel into a folder of its own, not yet the wheelhouse."""
    out = BUILD / "repaired" / unrepaired.stem
    shutil.rmtree(out, ignore_errors=True)
    # auditwheel grafts what the dynamic loader finds, and libcudart is in the toolkit alone.
    search = os.pathsep.join(filter(None, [f"{home}/lib64", os.environ.get("LD_LIBRARY_PATH")]))
    command: Command = [sys.executable, SCRIPTS / "repair_wheel.py", unrepaired, out]
    command += ["--report", report("repair", unrepaired)]
    environment = {**os.environ, "LD_LIBRARY_PATH": search}
    repaired = stage(product, "repair", command, environment=environment)
    bill: Command = [sys.executable, "-m", "wheelkit", "sbom", repaired, "--cuda-home", home]
    product.wheel = stage(product, "bill of materials", bill)
    return Path(product.wheel)


def verify(product: LocalWheel, wheel: Path) -> None:
    """Check the ELF and archive contract, and a real installation."""
    product.verified = "FAILED"
    command: Command = [sys.executable, SCRIPTS / "verify_wheel.py", wheel, "--layouts", "install"]
    # It takes the wheel's interpreter from the path, where a pyenv shim may refuse to run.
    search = os.pathsep.join([str(find_python(product.python).parent), *os.get_exec_path()])
    environment = {**os.environ, "PATH": search}
    command += ["--report", report("verify", wheel)]
    stage(product, "verify", command, environment=environment)
    product.verified = "ok"


def smoke_test(product: LocalWheel, wheel: Path) -> None:
    """Run the kernels from the wheel in a clean environment, far from the sources."""
    product.smoke = "FAILED"
    with tempfile.TemporaryDirectory(prefix="smoke-") as scratch:
        python = make_venv(find_python(product.python), Path(scratch) / "venv")
        pip: Command = [python, "-m", "pip", "install"]
        pins: Command = ["--only-binary=:all:", "--require-hashes", "-r", NUMPY]
        stage(product, "install NumPy", [*pip, *pins], shown=False)
        stage(product, "install the wheel", [*pip, "--no-index", "--no-deps", wheel], shown=False)
        results = [smoke_on(device, product, python, wheel) for device in devices()]
    product.smoke = ", ".join(results)


def devices() -> Iterator[str]:
    """Yield the devices on which the wheel must run here."""
    yield "cpu"
    if gpu_is_here():
        yield "cuda"


def gpu_is_here() -> bool:
    """Tell whether this machine shows a GPU; CUDA_VISIBLE_DEVICES= hides an unsupported one."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1") or not shutil.which("nvidia-smi"):
        return False
    done = subprocess.run(["nvidia-smi", "-L"], check=False, capture_output=True, text=True)
    return done.returncode == 0 and done.stdout.startswith("GPU ")


def smoke_on(device: str, product: LocalWheel, python: Path, wheel: Path) -> str:
    """Run the smoke test on one device; return what it says of it."""
    name = f"smoke-{device}"
    command: Command = [python, SCRIPTS / "smoke_test.py", "--wheel", wheel, "--device", device]
    clean = {key: value for key, value in os.environ.items() if key not in CRUTCHES}
    command += ["--report", report(name, wheel)]
    result = stage(product, name, command, environment=clean, folder=python.parent)
    return result.removeprefix("smoke test: ")


def make(python: str, home: Path) -> LocalWheel:
    """Take one interpreter's wheel through all stages, as far as it gets."""
    product = LocalWheel(python)
    try:
        wheel = repair(product, build(product, home), home)
        verify(product, wheel)
        smoke_test(product, wheel)
    except StageError as error:
        print(f"make_wheel.py: CPython {python}: {error}", file=sys.stderr)
        product.status = error.status
    return product


def table(products: list[LocalWheel]) -> str:
    """Return one line a wheel: what it is and what was verified."""
    rows = [("CPython", "wheel", "size", "verified", "smoke test")]
    for product in products:
        wheel = Path(product.wheel or product.unrepaired)
        size = f"{wheel.stat().st_size / 1e6:.1f} MB" if wheel.is_file() else "-"
        rows.append((product.python, wheel.name or "-", size, product.verified, product.smoke))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--python",
        metavar="X.Y",
        action="append",
        help="make the wheel for this CPython (may be repeated; default: the one that runs this)",
    )
    parser.add_argument(
        "--reuse",
        action="store_true",
        help="make no wheel anew that wheelhouse/ has of the present sources",
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, help="put copies of the wheels there too"
    )
    return parser.parse_args()


def hand_out(products: list[LocalWheel], out: Path) -> None:
    """Copy the finished wheels to a folder."""
    out.mkdir(parents=True, exist_ok=True)
    for product in products:
        shutil.copy(product.wheel, out)


def chosen_versions(versions: list[str] | None) -> list[str]:
    """Return the interpreters' versions; each must be here before anything is built."""
    chosen = versions or [str(version_of(Path(sys.executable)))]
    for version in chosen:
        find_python(parse_version(version))
    return list(dict.fromkeys(chosen))


def make_all(versions: list[str]) -> dict[str, LocalWheel]:
    """Make a wheel for each version, as far as each gets."""
    check_compiler()
    home = cuda_home()
    return {version: make(version, home) for version in versions}


def main() -> int:
    """Run the command; the table and the smoke test's verdicts come last."""
    arguments = parse_arguments()
    versions = chosen_versions(arguments.python)
    state = ledger.source_state()
    # Wheels of the same sources stay in wheelhouse/; those of other sources would be stale there.
    known = ledger.read(state)
    missing = [version for version in versions if version not in known or not arguments.reuse]
    kept = {version: product for version, product in known.items() if version not in missing}
    if missing:
        remove_reports(kept.values())
        made = make_all(missing)
        known = {**kept, **made}
        if not any(product.status for product in made.values()):
            for name in ledger.fill(known, state):
                print(f"removed wheelhouse/{name}, which was made from other sources")
    products = [known[version] for version in versions]
    print(table(products))
    others = sorted(set(kept) - set(versions))
    if others:
        print(f"kept in wheelhouse/, of the same sources: CPython {', '.join(others)}")
    for product in products:
        print(f"smoke test: {product.smoke}")
    status = next((product.status for product in products if product.status), Status.DONE)
    if arguments.out and status == Status.DONE:
        hand_out(products, arguments.out)
    return status
