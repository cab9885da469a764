"""A second repository: a small project whose workflow is that of the page docs/your_wheels.md."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from release import workflow_run
from release.scenes import GPU_RUNNER, Scene
from release.stage import other_pythons
from release.workflow_run import Event
from shared.ledger import PROJECT
from wheelkit.base.cpythons import CPYTHONS
from wheelkit.install.pythons import version_of

PAGE = PROJECT / "docs" / "your_wheels.md"
SOURCES = workflow_run.STANDINS / "example"
NAME = "tinykernels"
# What the page says in place of this project's address on GitHub.
ADDRESS = "https://github.com/cyfes/cyfes"
# What the page says in place of the commit of an action.
ACTIONS = {
    "CHECKOUT": "actions/checkout",
    "SETUP": "actions/setup-python",
    "UPLOAD": "actions/upload-artifact",
    "DOWNLOAD": "actions/download-artifact",
    "PUBLISH": "pypa/gh-action-pypi-publish",
}
SCENE = Scene(
    "example",
    "tag of another project",
    Event("push", {"ref": "refs/tags/v1.0"}, {"GPU_RUNNERS": json.dumps([GPU_RUNNER])}),
    ("build", "verify", "smoke-gpu", "gates", "publish"),
    planner="build",
)


def blocks(page: str) -> dict[str, str]:
    """Return the files that the page shows, by their names, which are their first lines."""
    found = re.findall(r"```\w+\n# (\S+)\n(.*?)```", page, re.S)
    return {name: text for name, text in found if "/" in name or name == "pyproject.toml"}


def filled_in(text: str, commit: str, pins: Mapping[str, str]) -> str:
    """Replace the words in capitals, as the page asks its reader to do.

    Parameters
    ----------
    commit
        The commit of wheelkit's repository.
    pins
        The commits of the actions, by their names.
    """
    for word, action in ACTIONS.items():
        text = text.replace(f"@{word}", f"@{pins[action]}")
    return text.replace("COMMIT", commit).replace("--project NAME", f"--project {NAME}")


def make(folder: Path, wheelkit: Path) -> Path:
    """Make the repository, with an annotated tag on main; return its folder.

    `wheelkit` is the repository from which the project installs wheelkit.
    """
    shutil.copytree(SOURCES, folder)
    shown = blocks(PAGE.read_text(encoding="utf-8"))
    workflow = (PROJECT / workflow_run.WORKFLOW).read_text(encoding="utf-8")
    pins = dict(re.findall(r"uses: ([\w-]+/[\w-]+)@([0-9a-f]{40})", workflow))
    setup = (PROJECT / ".github/actions/setup/action.yml").read_text(encoding="utf-8")
    pins |= dict(re.findall(r"uses: ([\w-]+/[\w-]+)@([0-9a-f]{40})", setup))
    head: list[str | Path] = ["git", "-C", wheelkit, "rev-parse", "HEAD"]
    commit = subprocess.run(head, check=True, capture_output=True, text=True).stdout.strip()
    project = (folder / "project.toml").read_text(encoding="utf-8")
    (folder / "project.toml").unlink()
    shown["pyproject.toml"] = f"{project}\n{shown['pyproject.toml']}"
    for name in ("pyproject.toml", str(workflow_run.WORKFLOW)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(filled_in(shown[name], commit, pins), encoding="utf-8")
    workflow_run.publish_locally(folder, "v1.0")
    return folder


def settings(wheelkit: Path) -> dict[str, str]:
    """Return the variables with which git takes a local repository for wheelkit's on GitHub."""
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{wheelkit}.insteadOf",
        "GIT_CONFIG_VALUE_0": ADDRESS,
    }


def environment(given: Mapping[str, str], wheelkit: Path) -> dict[str, str]:
    """Return the environment of the steps: one wheel is built, of the Python that runs this.

    `given` is the environment of the other scenes, and `wheelkit` the repository of wheelkit, which
    the container sees too.
    """
    own = settings(wheelkit)
    engine = given.get("CIBW_CONTAINER_ENGINE", "docker; disable_host_mount: true")
    volume = f"--volume={wheelkit}:{wheelkit}:ro"
    engine += f" {volume}" if "create_args:" in engine else f"; create_args: {volume}"
    passed = given.get("CIBW_ENVIRONMENT_PASS_LINUX", "")
    here = str(version_of(Path(sys.executable)))
    skipped = other_pythons([here]) if here in CPYTHONS else ""
    # Images of manylinux have the program `build` for each CPython, and the stand-in has pip only.
    standin = "CIBW_MANYLINUX_X86_64_IMAGE" in given
    return {
        **given,
        **own,
        **({"CIBW_BUILD_FRONTEND": "pip"} if standin else {}),
        "CIBW_SKIP": skipped,
        "CIBW_CONTAINER_ENGINE": engine,
        "CIBW_ENVIRONMENT_PASS_LINUX": " ".join([passed, *own]).strip(),
    }
