"""Build the source distribution of the project in the current folder, the same bytes each time."""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from wheelkit.base import source_files
from wheelkit.target.report import INSTALL, LackingError, Status


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="wheelkit sdist", description=__doc__)
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("dist"))
    return parser.parse_args(arguments)


def build(folder: Path) -> Path | None:
    """Build into `folder`; None if the sources give no source distribution."""
    # A copy without what git ignores: the build backend looks at each file that it finds.
    sources = folder / "sources"
    source_files.export(Path.cwd(), sources)
    command = [sys.executable, "-m", "build", "--sdist", "--outdir", str(folder), str(sources)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": source_files.date(Path.cwd())}
    subprocess.run(command, check=False, env=environment, stdout=sys.stderr)
    made = list(folder.glob("*.tar.gz"))
    return made[0] if len(made) == 1 else None


def main(arguments: list[str] | None = None) -> int:
    """Build it; its path is the last line."""
    out = parse(arguments).out
    if importlib.util.find_spec("build") is None:
        raise LackingError(f"{sys.executable} has no module 'build'; run: {INSTALL}")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".sdist-", dir=out) as scratch:
        made = build(Path(scratch))
        if made is None:
            print("error: the sources do not build; see the messages above", file=sys.stderr)
            return Status.FAULTY
        # Beside it first, so that the last step is a rename within one file system.
        print(shutil.move(made, out / made.name))
    return Status.DONE
