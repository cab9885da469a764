"""Build the source distribution of the project in the current folder.

Two builds of the same sources give the same bytes. With --requirements, the build requirements are
installed from this file, checked by hash, into a separate environment. Otherwise they are installed
from the package index, as [build-system] of pyproject.toml lists them.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from wheelkit.base import github, source_files
from wheelkit.target.report import INSTALL, LackingError, MisusedError, Status, say
from wheelkit.target.trial import prepare


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="wheelkit sdist", description=__doc__)
    add = parser.add_argument
    add("--out", metavar="DIR", type=Path, default=Path("dist"))
    add("--requirements", metavar="FILE", type=Path, help="the pinned build requirements")
    return parser.parse_args(arguments)


def build(folder: Path, requirements: Path | None) -> Path | None:
    """Build into `folder`; None if the sources give no source distribution."""
    # A copy without what git ignores: the build backend looks at each file that it finds.
    sources = folder / "sources"
    source_files.export(Path.cwd(), sources)
    words = [sys.executable, "-m", "build", "--sdist", "--outdir", str(folder), str(sources)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": source_files.date(Path.cwd())}
    if requirements is not None:
        python = prepare(folder / "venv", requirements)
        refuse_missing(python, sources, requirements)
        words = [sys.executable, "-c", WITHOUT_ISOLATION, str(sources), str(folder), str(python)]
    with github.commands_stopped():
        subprocess.run(words, check=False, env=environment, stdout=sys.stderr)
    made = list(folder.glob("*.tar.gz"))
    return made[0] if len(made) == 1 else None


# `python -m build --no-isolation` would need build itself in the environment.
WITHOUT_ISOLATION = """
import sys
from build import ProjectBuilder
sources, folder, python = sys.argv[1:]
ProjectBuilder(sources, python_executable=python).build("sdist", folder)
"""


def refuse_missing(python: Path, sources: Path, requirements: Path) -> None:
    """Refuse a file of requirements that lacks what the project needs to be built.

    Raises
    ------
    MisusedError
        Something is missing, or is there in another version.
    """
    from build import BuildBackendException, BuildException, ProjectBuilder

    try:
        builder = ProjectBuilder(sources, python_executable=str(python))
        needed = builder.build_system_requires
        pip: list[str | Path] = [
            python,
            "-m",
            "pip",
            "--isolated",
            "install",
            "--quiet",
            "--no-index",
            *needed,
        ]
        # pip installs nothing: it compares with what is there, and has nowhere to look for more.
        environment = {**os.environ, "PIP_CONFIG_FILE": os.devnull}
        answer = subprocess.run(pip, check=False, capture_output=True, text=True, env=environment)
    except (BuildException, BuildBackendException) as error:
        raise MisusedError(f"the project cannot be built: {error}") from None
    if answer.returncode:
        words = answer.stderr.strip().splitlines()[-1:]
        raise MisusedError(f"{requirements} lacks what builds the project: {' '.join(words)}")


def main(arguments: list[str] | None = None) -> int:
    """Build it; its path is the last line."""
    asked = parse(arguments)
    if importlib.util.find_spec("build") is None:
        raise LackingError(f"{sys.executable} has no module 'build'; run: {INSTALL}")
    if asked.requirements and not asked.requirements.is_file():
        raise MisusedError(f"no such file: {asked.requirements}")
    asked.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".sdist-", dir=asked.out) as scratch:
        made = build(Path(scratch).resolve(), asked.requirements)
        if made is None:
            say("error: the sources do not build; see the messages above", error=True)
            return Status.FAULTY
        # Beside it first, so that the last step is a rename within one file system.
        say(shutil.move(made, asked.out / made.name))
    return Status.DONE
