"""The programs that run under another interpreter: ``PYTHON …/wheelkit/target PROGRAM …``.

That interpreter has no wheelkit installed and may be of CPython 3.7. What it imports is this very
wheelkit, and nothing else that is installed beside it.
"""

import importlib
import importlib.util
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
PROGRAMS = ("smoke", "trial", "bootstrap")


def offer_wheelkit() -> None:
    """Make ``import wheelkit`` find the package that this file is part of."""
    # Python has put this folder first on the path, whose modules are not for others.
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != PACKAGE / "target"]
    spec = importlib.util.spec_from_file_location(
        "wheelkit", str(PACKAGE / "__init__.py"), submodule_search_locations=[str(PACKAGE)]
    )
    assert spec is not None  # noqa: S101 - the file is there: it is part of the same package
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    sys.modules["wheelkit"] = module
    spec.loader.exec_module(module)


def main() -> int:
    """Run the program that comes first among the arguments."""
    offer_wheelkit()
    report = importlib.import_module("wheelkit.target.report")
    name, arguments = (sys.argv[1:2] or [""])[0], sys.argv[2:]
    if name not in PROGRAMS:
        known = ", ".join(PROGRAMS)
        print(f"error: no program {name!r}; expected one of {known}", file=sys.stderr)
        return int(report.Status.MISUSED)
    program = importlib.import_module("wheelkit.target." + name)
    return int(report.run(lambda: program.main(arguments), oldest=program.OLDEST))


if __name__ == "__main__":
    sys.exit(main())
