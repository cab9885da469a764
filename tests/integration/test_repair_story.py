"""The commands of the page on the repair are run; each must print what the page shows."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pages
import pytest

PAGE = Path("docs", "pipeline", "story.md")
# A line of the page that stands for any number of lines.
LEFT_OUT = "..."


@dataclass(frozen=True)
class Step:
    """A command of the page and the lines that the page shows below it."""

    command: str
    shown: tuple[str, ...]


def steps_of(page: Path) -> list[Step]:
    """Return the commands in the console blocks of a page."""
    found = []
    for _, block, _ in pages.blocks_of(page, (pages.SHELL_CODE,)):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *shown = part.splitlines()
            found.append(Step(command, tuple(shown)))
    return found


def without_variables(line: str) -> str:
    """Replace what differs between builds: the version of the package, and hashes in names."""
    line = re.sub(r"cyfes-\d[\w.]*?(?=\.data|-cp)", "cyfes-VERSION", line)
    return re.sub(r"-[0-9a-f]{8}(?=\.so)", "-HASH", line)


def matches(shown: tuple[str, ...], printed: list[str]) -> bool:
    """Tell whether a command printed the lines that the page shows."""
    parts = [".*" if line == LEFT_OUT else re.escape(without_variables(line)) for line in shown]
    text = "\n".join(map(without_variables, printed))
    return re.fullmatch("\n".join(parts), text, re.DOTALL) is not None


def run_in_one_shell(
    steps: list[Step], folder: Path, environment: dict[str, str]
) -> list[list[str]]:
    """Run commands in one shell; return the lines that each printed, errors included."""
    ended = "-- end of a step --"
    script = "".join(f"{step.command}\necho; echo '{ended}'\n" for step in steps)
    done = subprocess.run(
        ["bash", "-c", script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
        cwd=folder,
        env=environment,
    )
    # `echo` printed the line break before the mark, not the command.
    outputs = done.stdout.split(f"\n{ended}\n")[:-1]
    return [output.removesuffix("\n").splitlines() for output in outputs]


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        (("a",), ["a"], True),
        (("a",), ["b"], False),
        (("a",), [], False),
        ((), ["an error"], False),
        (("a",), ["a", "b"], False),
        (("...", "b"), ["x", "y", "b"], True),
        (("...", "b"), ["x", "b", "c"], False),
        (("./cyfes.libs/libx-0123abcd.so.1",), ["./cyfes.libs/libx-ffffffff.so.1"], True),
        (("./cyfes.libs/libx-0123abcd.so.1",), ["./cyfes.libs/libx-ffffffff.so.2"], False),
        (("./cyfes-5.0.0.dev0.data/x",), ["./cyfes-6.1.data/x"], True),
        (("$ORIGIN/.libs",), ["$ORIGIN/.lib"], False),
    ],
)
def test_output_is_compared_except_for_versions_and_hashes(
    shown: tuple[str, ...], printed: list[str], *, same: bool
) -> None:
    assert matches(shown, printed) is same


def test_every_command_of_the_story_is_read(project_root: Path) -> None:
    steps = steps_of(project_root / PAGE)
    programs = {shlex.split(step.command)[0].rpartition("/")[2] for step in steps}
    assert {"auditwheel", "patchelf", "pip", "python", "python3", "cd"} <= programs
    assert steps[0].shown == ()
    assert steps[-1].shown == ("[1.]",)


@pytest.mark.network
def test_the_story_prints_what_the_page_shows(
    project_root: Path, unrepaired_wheel: Path, cuda_toolkit: Path, tmp_path: Path
) -> None:
    """The folder is like a checkout after ``nox -s wheel``, with its virtual environment."""
    for name in ("scripts", "requirements", "wheelkit", "pyproject.toml"):
        (tmp_path / name).symlink_to(project_root / name)
    (tmp_path / "build" / "wheels").mkdir(parents=True)
    (tmp_path / "build" / "wheels" / unrepaired_wheel.name).symlink_to(unrepaired_wheel)
    (tmp_path / "build" / "cuda").symlink_to(cuda_toolkit)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    kept = {key: os.environ[key] for key in os.environ if key.startswith(("PIP_", "HOME"))}
    path = f"{tmp_path}/venv/bin:/usr/bin:/bin"
    steps = steps_of(project_root / PAGE)
    # pip must not print that a newer version exists, which depends on the machine.
    environment = {**kept, "PATH": path, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    outputs = run_in_one_shell(steps, tmp_path, environment)
    assert len(outputs) == len(steps)
    for step, printed in zip(steps, outputs, strict=True):
        lines = [line for line in printed if not line.startswith("WARNING: Location ")]
        assert matches(step.shown, lines), f"$ {step.command}\n" + "\n".join(lines)
