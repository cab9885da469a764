"""Build, repair, verify and smoke-test a wheel for each interpreter: ``nox -s wheel``.

Each stage runs a command that a user could type. The wheels are put into wheelhouse/ only when all
of them have passed every stage; wheels that were made from the same sources stay there, and are not
made a second time. The reports are in build/reports/, also if a stage fails.
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
# An installed wheel must find its libraries and modules without these variables.
SEARCH_VARIABLES = frozenset({"LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONPATH", "PYTHONHOME"})


class StageError(Exception):
    """A stage ended with a status other than 0; the stage has printed why."""

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
    """Run the command of a stage; return its last line, in which the scripts print their result."""
    title = f"CPython {product.python}: {name}"
    done = steps.run(title, command, environment=environment, folder=folder, shown=shown)
    if done.status:
        raise StageError(name, done.status)
    return done.result


def report(name: str, wheel: Path) -> Path:
    """Return the path for the report of a stage; make its folder."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    return REPORTS / f"{wheel.stem}.{name}.json"


def remove_reports(kept: Iterable[LocalWheel]) -> None:
    """Remove the reports of other wheels than these, so that nobody takes an old one for new."""
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
    """Repair the wheel into a separate folder: it is not yet fit for wheelhouse/."""
    out = BUILD / "repaired" / unrepaired.stem
    shutil.rmtree(out, ignore_errors=True)
    # auditwheel grafts the libraries that the loader finds, and only the toolkit has libcudart.
    search = os.pathsep.join(filter(None, [f"{home}/lib64", os.environ.get("LD_LIBRARY_PATH")]))
    command: Command = [sys.executable, SCRIPTS / "repair_wheel.py", unrepaired, out]
    command += ["--report", report("repair", unrepaired)]
    environment = {**os.environ, "LD_LIBRARY_PATH": search}
    repaired = stage(product, "repair", command, environment=environment)
    sbom: Command = [sys.executable, "-m", "wheelkit", "sbom", repaired, "--cuda-home", home]
    product.wheel = stage(product, "bill of materials", sbom)
    return Path(product.wheel)


def verify(product: LocalWheel, wheel: Path) -> None:
    """Verify the files and libraries of the wheel, and install it to load them."""
    product.verified = "FAILED"
    command: Command = [sys.executable, SCRIPTS / "verify_wheel.py", wheel, "--layouts", "install"]
    # verify_wheel.py looks for the wheel's interpreter on PATH. The right one comes first there,
    # because a pyenv shim may refuse to run.
    search = os.pathsep.join([str(find_python(product.python).parent), *os.get_exec_path()])
    environment = {**os.environ, "PATH": search}
    command += ["--report", report("verify", wheel)]
    stage(product, "verify", command, environment=environment)
    product.verified = "ok"


def smoke_test(product: LocalWheel, wheel: Path) -> None:
    """Install the wheel in a new environment, and run its kernels outside of the source tree."""
    product.smoke = "FAILED"
    with tempfile.TemporaryDirectory(prefix="smoke-") as scratch:
        python = make_venv(find_python(product.python), Path(scratch) / "venv")
        pip: Command = [python, "-m", "pip", "install"]
        pins: Command = ["--only-binary=:all:", "--require-hashes", "-r", NUMPY]
        stage(product, "install NumPy", [*pip, *pins], shown=False)
        stage(product, "install the wheel", [*pip, "--no-index", "--no-deps", wheel], shown=False)
        results = [smoke_on(device, product, python, wheel) for device in devices_to_test()]
    product.smoke = ", ".join(results)


def devices_to_test() -> Iterator[str]:
    """Yield the devices of this machine on which the kernels must run."""
    yield "cpu"
    if has_gpu():
        yield "cuda"


def has_gpu() -> bool:
    """Tell whether there is a GPU; an empty CUDA_VISIBLE_DEVICES hides an unsupported one."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1") or not shutil.which("nvidia-smi"):
        return False
    done = subprocess.run(["nvidia-smi", "-L"], check=False, capture_output=True, text=True)
    return done.returncode == 0 and done.stdout.startswith("GPU ")


def smoke_on(device: str, product: LocalWheel, python: Path, wheel: Path) -> str:
    """Run the smoke test on one device; return its result."""
    name = f"smoke-{device}"
    command: Command = [python, SCRIPTS / "smoke_test.py", "--wheel", wheel, "--device", device]
    clean = {key: value for key, value in os.environ.items() if key not in SEARCH_VARIABLES}
    command += ["--report", report(name, wheel)]
    result = stage(product, name, command, environment=clean, folder=python.parent)
    return result.removeprefix("smoke test: ")


def make(python: str, home: Path) -> LocalWheel:
    """Run all stages for one interpreter's wheel, until one fails."""
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
    """Return a table with a row for each wheel: its name, and the results of the stages."""
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
        "--again",
        action="store_true",
        help="make the wheels again, also those that wheelhouse/ has from the present sources",
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, help="copy the wheels to this folder too"
    )
    return parser.parse_args()


def copy_wheels(products: list[LocalWheel], out: Path) -> None:
    """Copy the finished wheels to a folder."""
    out.mkdir(parents=True, exist_ok=True)
    for product in products:
        shutil.copy(product.wheel, out)


def chosen_versions(versions: list[str] | None) -> list[str]:
    """Return the versions to build for; a missing interpreter is an error before any build."""
    chosen = versions or [str(version_of(Path(sys.executable)))]
    for version in chosen:
        find_python(parse_version(version))
    return list(dict.fromkeys(chosen))


def make_all(versions: list[str]) -> dict[str, LocalWheel]:
    """Make a wheel for each version, each until a stage fails."""
    check_compiler()
    home = cuda_home()
    return {version: make(version, home) for version in versions}


def main() -> int:
    """Run the command; print the table and the results of the smoke tests last."""
    arguments = parse_arguments()
    versions = chosen_versions(arguments.python)
    state = ledger.source_state()
    # Wheels from the same sources stay in wheelhouse/; wheels from other sources are removed.
    known = ledger.read(state)
    missing = [version for version in versions if version not in known or arguments.again]
    kept = {version: product for version, product in known.items() if version not in missing}
    if missing:
        remove_reports(kept.values())
        made = make_all(missing)
        known = {**kept, **made}
        if not any(product.status for product in made.values()):
            for name in ledger.replace_wheels(known, state):
                print(f"removed wheelhouse/{name}, which was made from other sources")
    products = [known[version] for version in versions]
    print(table(products))
    present = sorted(set(versions) - set(missing))
    if present:
        print(
            f"already in wheelhouse/, from the same sources: CPython {', '.join(present)}; "
            "--again makes them again"
        )
    others = sorted(set(kept) - set(versions))
    if others:
        print(f"kept in wheelhouse/, from the same sources: CPython {', '.join(others)}")
    for product in products:
        print(f"smoke test: {product.smoke}")
    status = next((product.status for product in products if product.status), Status.DONE)
    if arguments.out and status == Status.DONE:
        copy_wheels(products, arguments.out)
    return status
