"""Prove that an installed wheel computes: right files, right numbers, its own libraries.

Run it with the interpreter in whose environment WHEEL is installed. It needs the standard
library and NumPy only, and CPython 3.7 or newer.
"""

from __future__ import annotations

import argparse
import base64
import csv
import hashlib
import importlib
import importlib.util
import json
import platform
import re
import sys
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any, Iterator, NamedTuple

from wheelkit.report import (
    Fault,
    FaultyError,
    LackingError,
    MisusedError,
    Outcome,
    Status,
    conclude,
    run,
    write_whole,
)

TOOL = "smoke_test"
PACKAGE = "cyfes"
# Libraries that must come from the wheel: ours, and the two that the repair grafts.
OWN_LIBRARIES = ("libcufes", "libcudart", "libgomp")
REINSTALL = "install the wheel anew in a clean environment (pip install --force-reinstall WHEEL)"


class Member(NamedTuple):
    """A row of the wheel's RECORD."""

    name: str
    sha256: str


class Wheel(NamedTuple):
    """What the wheel's archive says of itself."""

    dist_info: str
    members: list[Member]


def read_wheel(path: Path) -> Wheel:
    """Read the RECORD inside the wheel."""
    if not path.is_file():
        raise MisusedError(f"{path} is no file; pass the wheel that is installed here")
    try:
        with zipfile.ZipFile(str(path)) as archive:
            names = archive.namelist()
            record = next(name for name in names if re.fullmatch(r"[^/]+\.dist-info/RECORD", name))
            rows = list(csv.reader(archive.read(record).decode("utf-8").splitlines()))
    except (zipfile.BadZipFile, StopIteration):
        expected = "a zip archive with a RECORD"
        fault = Fault("not-a-wheel", str(path), "something else", expected, "pass a wheel")
        raise FaultyError([fault]) from None
    return Wheel(record.split("/")[0], [Member(row[0], to_hex(row[1])) for row in rows if row[1]])


def to_hex(recorded: str) -> str:
    """Turn RECORD's ``sha256=<base64>`` into hexadecimal digits."""
    digest = recorded.partition("=")[2]
    return base64.urlsafe_b64decode(digest + "=" * (-len(digest) % 4)).hex()


def sha256(path: Path) -> str:
    """Return the hash of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def find_site(dist_info: str) -> Path | None:
    """Return the directory on the import path that holds the installed distribution."""
    for entry in sys.path:
        if (Path(entry) / dist_info / "RECORD").is_file():
            return Path(entry).resolve()
    return None


def other_versions() -> list[str]:
    """Return the other distributions of the package that are installed."""
    folders = (Path(entry).glob(f"{PACKAGE}-*.dist-info") for entry in sys.path)
    return [str(found) for paths in folders for found in paths]


def installed_paths(site: Path, dist_info: str) -> dict[str, Path]:
    """Return what the installed RECORD lists: POSIX path from the site directory -> file."""
    text = (site / dist_info / "RECORD").read_text(encoding="utf-8")
    return {row[0]: site / row[0] for row in csv.reader(text.splitlines()) if row}


def place_of(member: str, site: Path, recorded: dict[str, Path]) -> Path:
    """Return where an installer has put a member of the wheel."""
    top, _, rest = member.partition("/")
    if not top.endswith(".data"):
        return site / member
    inner = rest.partition("/")[2]
    # The row of another scheme leads out of site-packages and ends like the member.
    for row, path in recorded.items():
        if PurePosixPath(row).parts[:1] == ("..",) and row.endswith("/" + inner) and path.is_file():
            return path
    # `pip --target` keeps the data scheme beside the package, where its RECORD does not say.
    return site / inner


def check_files(wheel: Wheel, site: Path) -> tuple[dict[Path, str], list[Fault]]:
    """Compare every installed file with the wheel's RECORD; return those that are equal."""
    recorded = installed_paths(site, wheel.dist_info)
    good: dict[Path, str] = {}
    faults = []
    for member in wheel.members:
        path = place_of(member.name, site, recorded)
        if not path.is_file():
            faults.append(Fault("file-missing", member.name, "no file", str(path), REINSTALL))
        elif sha256(path) != member.sha256:
            found, expected = f"sha256 {sha256(path)}", f"sha256 {member.sha256}"
            faults.append(Fault("file-differs", str(path), found, expected, REINSTALL))
        else:
            good[path.resolve()] = member.sha256
    return good, faults


def check_origin(site: Path) -> list[Fault]:
    """Refuse another package of the same name that hides the installed one."""
    spec = importlib.util.find_spec(PACKAGE)
    found = Path(spec.origin).resolve() if spec and spec.origin else None
    expected = site / PACKAGE / "__init__.py"
    if found == expected:
        return []
    remedy = "leave that folder, and take it off PYTHONPATH"
    return [Fault("package-shadowed", PACKAGE, str(found), str(expected), remedy)]


def import_package() -> tuple[Any, list[Fault]]:
    """Import the package; any exception is a fault of the wheel."""
    try:
        return importlib.import_module(PACKAGE), []
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
        return None, [Fault("import-fails", PACKAGE, found, "import succeeds", "rebuild the wheel")]


def choose_device(cyfes: Any, wanted: str) -> str:
    """Return the id of the device to run on.

    Raises
    ------
    LackingError
        A GPU was asked for, and none is usable.
    """
    if wanted == "cpu":
        return wanted
    gpus = [found.id for found in cyfes.devices() if found.usable and found.id != "cpu"]
    if not gpus and wanted == "cuda":
        raise LackingError(f"no usable GPU: {why_no_gpu(cyfes)}")
    return gpus[0] if gpus else "cpu"


def why_no_gpu(cyfes: Any) -> str:
    """Return what the package tells its users when they ask for a GPU here."""
    hill = cyfes.Hills(names=["x"], centers=[[0.0]], sigmas=[[1.0]], heights=[1.0])
    try:
        cyfes.bias([[0.0]], hill, device="cuda")
    except cyfes.DeviceError as error:
        return str(error)
    return "cyfes.devices() lists none as usable, although one computes"


def run_kernels(cyfes: Any, device: str) -> tuple[list[dict[str, Any]], list[Fault]]:
    """Run every kernel; return each one's error and the faults of those that are wrong."""
    import smoke_kernels

    results, faults = [], []
    for kernel in smoke_kernels.all_kernels():
        limit = smoke_kernels.TOLERANCE[kernel.dtype]
        try:
            error = smoke_kernels.max_error(kernel.compute(cyfes, device), kernel.reference())
            found = f"relative error {error:.2g}"
        except Exception as failure:
            error, found = float("inf"), f"{type(failure).__name__}: {failure}"
        # JSON has no infinity; null says that there is no number.
        shown = error if error < float("inf") else None
        results.append({"name": kernel.name, "dtype": kernel.dtype, "max_error": shown})
        if not error <= limit:
            expected = f"at most {limit:g} from the NumPy reference, on {device}"
            faults.append(
                Fault("kernel-wrong", kernel.name, found, expected, "report it with this output")
            )
    return results, faults


def mapped_libraries() -> dict[str, list[Path]]:
    """Return the files of each of OWN_LIBRARIES that this process has mapped."""
    lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    paths = {line.split(None, 5)[5] for line in lines if len(line.split(None, 5)) == 6}
    mapped: dict[str, list[Path]] = {name: [] for name in OWN_LIBRARIES}
    for path in sorted(paths):
        # A graft's name has a hash after the stem: libcudart-1a2b3c4d.so.12.
        match = re.match(rf"({'|'.join(OWN_LIBRARIES)})[-.]", PurePosixPath(path).name)
        if match:
            mapped[match.group(1)].append(Path(path))
    return mapped


def check_mapped(
    mapped: dict[str, list[Path]], good: dict[Path, str], built_here: bool = False
) -> Iterator[Fault]:
    """Yield a fault for each library that is absent, foreign, or there twice.

    What was built on this machine and not repaired takes the grafts' originals from it.
    """
    own = OWN_LIBRARIES[:1] if built_here else OWN_LIBRARIES
    for name, paths in mapped.items():
        expected = f"one {name}, from the wheel"
        if not paths:
            yield Fault("library-not-mapped", name, "none", expected, "repair the wheel")
        for path in paths:
            if name in own and path.resolve() not in good:
                remedy = "repair the wheel; see LD_LIBRARY_PATH and LD_PRELOAD"
                yield Fault("library-not-from-wheel", name, str(path), expected, remedy)
        if len(paths) > 1:
            found = ", ".join(map(str, paths))
            yield Fault("library-twice", name, found, expected, "one SONAME, one file: repair it")


def environment(cyfes: Any, device: str) -> dict[str, Any]:
    """Return what the run ran on."""
    versions = importlib.import_module(f"{PACKAGE}.native.device_choice").cuda_versions()
    names = {found.id: found.name for found in cyfes.devices()}
    return {
        "device": {"id": device, "name": names.get(device)},
        "driver": versions["driver"],
        "python": platform.python_version(),
    }


def examine(
    wheel: Wheel, device: str, built_here: bool = False
) -> tuple[list[Fault], dict[str, Any]]:
    """Run all checks; those that need what has failed are left out."""
    site = find_site(wheel.dist_info)
    if site is None:
        expected = f"{wheel.dist_info} on the import path of {sys.executable}"
        found = ", ".join(other_versions()) or "none"
        return [Fault("not-installed", PACKAGE, found, expected, REINSTALL)], {}
    good, faults = check_files(wheel, site)
    faults += check_origin(site)
    cyfes, failures = import_package() if not faults else (None, [])
    if cyfes is None:
        return faults + failures, {}
    chosen = choose_device(cyfes, device)
    kernels, wrong = run_kernels(cyfes, chosen)
    mapped = mapped_libraries()
    extra = {
        **environment(cyfes, chosen),
        "kernels": kernels,
        "mapped": [str(path) for paths in mapped.values() for path in paths],
    }
    return [*wrong, *check_mapped(mapped, good, built_here)], extra


def summary(extra: dict[str, Any]) -> str:
    """Return the line that says what ran where, and how well."""
    errors: dict[str, float] = {}
    for kernel in extra["kernels"]:
        dtype = kernel["dtype"]
        errors[dtype] = max(errors.get(dtype, 0.0), kernel["max_error"])
    listed = ", ".join(f"{error:.0e} {dtype}" for dtype, error in sorted(errors.items()))
    return f"{extra['device']['id']} ok ({len(extra['kernels'])} kernels, max error {listed})"


def prepare_report(path: Path | None) -> None:
    """Refuse a place where no report can be written, and remove an older one."""
    if path is None:
        return
    if not path.parent.is_dir() or path.is_dir():
        raise MisusedError(f"--report {path}: no file can be written there; name another place")
    if path.exists():
        # An older verdict must not pass for this run's, should it end without one.
        path.unlink()


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--wheel", required=True, type=Path, help="the wheel that is installed in this environment"
    )
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="where the kernels run; cuda fails without a GPU (default: %(default)s)",
    )
    parser.add_argument(
        "--built-here",
        action="store_true",
        help="WHEEL was built on this machine, and not repaired",
    )
    parser.add_argument("--report", metavar="FILE", type=Path, help="write a JSON report")
    return parser.parse_args()


def main() -> int:
    """Run the command; its verdict is the last line."""
    arguments = parse_arguments()
    if importlib.util.find_spec("numpy") is None:
        raise LackingError(
            f"{sys.executable} has no NumPy; run: {sys.executable} -m pip install numpy"
        )
    prepare_report(arguments.report)
    try:
        wheel = read_wheel(arguments.wheel)
        faults, extra = examine(wheel, arguments.device, arguments.built_here)
    except FaultyError as error:
        faults, extra = list(error.faults), {}
    outcome = Outcome(arguments.wheel, tuple(faults))
    status = conclude(TOOL, [outcome], None)
    if arguments.report:
        content = {**outcome.as_json(TOOL), **extra}
        write_whole(arguments.report, json.dumps(content, indent=2))
    verdict = summary(extra) if status == Status.DONE else f"FAILED ({len(faults)} faults)"
    print(f"smoke test: {verdict}")
    return status


if __name__ == "__main__":
    sys.exit(run(main, oldest=(3, 7)))
