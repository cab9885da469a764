"""The smoke test of this project: imports the installed cyfes and runs its kernels.

wheelkit's part of the test compares the installed files and the mapped libraries with the wheel,
and writes the report. The test needs CPython 3.7 or newer, the standard library and NumPy. Run it
with the interpreter of the environment in which the wheel is installed::

    python scripts/smoke_test.py --wheel WHEEL --device cuda --report FILE
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

# wheelkit is not installed in the environment of the wheel: the checkout's own is imported.
sys.path.append(str(Path(__file__).resolve().parents[1] / "wheelkit" / "src"))
from wheelkit.target import smoke
from wheelkit.target.report import LackingError, run

PACKAGE = "cyfes"
# The libraries that must be loaded from the wheel: libcufes, and the two that the repair grafts.
GRAFTS = ("libcudart", "libgomp")
LIBRARIES = ("libcufes", *GRAFTS)


def choose_device(cyfes: Any, wanted: str) -> str:
    """Return the id of the device on which to run the kernels.

    Raises
    ------
    LackingError
        A GPU is wanted, but none is usable.
    """
    if wanted == "cpu":
        return wanted
    gpus = [found.id for found in cyfes.devices() if found.usable and found.id != "cpu"]
    if not gpus and wanted == "cuda":
        raise LackingError(f"no usable GPU: {why_no_gpu(cyfes)}")
    return gpus[0] if gpus else "cpu"


def why_no_gpu(cyfes: Any) -> str:
    """Return the message of the error that the package raises for device="cuda" here."""
    hill = cyfes.Hills(names=["x"], centers=[[0.0]], sigmas=[[1.0]], heights=[1.0])
    try:
        cyfes.bias([[0.0]], hill, device="cuda")
    except cyfes.DeviceError as error:
        return str(error)
    return "cyfes.devices() lists no usable GPU, although device='cuda' works"


def run_kernels(cyfes: Any, wanted: str) -> dict[str, Any]:
    """Run every kernel on a device; return the device, the driver and each kernel's error."""
    from kernels import smoke_kernels

    device = choose_device(cyfes, wanted)
    kernels = []
    for kernel in smoke_kernels.all_kernels():
        result: dict[str, Any] = {"name": kernel.name, "dtype": kernel.dtype}
        result["limit"] = smoke_kernels.TOLERANCE[kernel.dtype]
        try:
            computed = kernel.compute(cyfes, device)
            result["max_error"] = smoke_kernels.max_error(computed, kernel.reference())
        except Exception as failure:
            result["max_error"] = None
            result["found"] = f"{type(failure).__name__}: {failure}"
        kernels.append(result)
    versions = importlib.import_module(f"{PACKAGE}.native.device_choice").cuda_versions()
    names = {found.id: found.name for found in cyfes.devices()}
    return {
        "device": {"id": device, "name": names.get(device)},
        "driver": versions["driver"],
        "kernels": kernels,
    }


def main() -> int:
    """Run the smoke test; print its result as the last line."""
    asked = smoke.parser_of("smoke_test.py").parse_args()
    if importlib.util.find_spec("numpy") is None:
        raise LackingError(
            f"{sys.executable} has no NumPy; run: {sys.executable} -m pip install numpy"
        )
    return smoke.run_smoke_test(Path(__file__), asked)


if __name__ == "__main__":
    sys.exit(run(main, oldest=smoke.OLDEST))
