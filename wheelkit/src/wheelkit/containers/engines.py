"""The container engine of this machine: docker or podman, whichever can run a container."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from wheelkit.base.programs import last_words
from wheelkit.target.report import LackingError, MisusedError

ENGINES = ("docker", "podman")
# For podman where limits, networks and control groups cannot be set, as within a container.
RESTRICTED = Path(__file__).with_name("restricted-containers.conf")

# pip's own settings for where packages come from; a container does not have them otherwise.
PIP_SETTINGS = ("index-url", "extra-index-url", "find-links", "cert", "trusted-host", "proxy")
# cibuildwheel shows a container this machine's files there.
HOST = "/host"


@dataclass(frozen=True)
class Engine:
    """An engine and the environment variables that make it work here."""

    name: str
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run one command of the engine; return what it said."""
        environment = {**os.environ, **self.environment}
        command = [self.name, *words]
        return subprocess.run(command, check=False, capture_output=True, text=True, env=environment)

    def run_container(
        self,
        image: str,
        mounts: Mapping[Path, str],
        variables: Mapping[str, str],
        words: Sequence[str],
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a new container that sees folders of this machine, to read."""
        options = [f"--volume={folder}:{at}:ro" for folder, at in mounts.items()]
        options += [f"--env={name}={value}" for name, value in variables.items()]
        return self.run("run", "--rm", *options, image, *words)

    def has_image(self, image: str) -> bool:
        """Tell whether an image is here already."""
        return self.run("image", "inspect", image).returncode == 0

    def reference(self, image: str) -> str:
        """Return an image's name with its digest; what was built here has its id for one."""
        known = json.loads(self.run("image", "inspect", image).stdout)[0]
        digests = known.get("RepoDigests") or [f"{image}@{known['Id']}"]
        return str(digests[0])

    def why_not_pulled(self, image: str) -> str:
        """Pull an image unless it is here; return why that failed, or nothing."""
        if self.has_image(image):
            return ""
        done = self.run("pull", "--quiet", image)
        return last_words(done) if done.returncode else ""


def find_engine() -> Engine:
    """Return an engine that answers; CIBW_CONTAINER_ENGINE chooses among several.

    Raises
    ------
    LackingError
        There is none, or none answers; the message says what each said.
    """
    wanted = os.environ.get("CIBW_CONTAINER_ENGINE")
    if wanted and wanted not in ENGINES:
        raise MisusedError(f"CIBW_CONTAINER_ENGINE={wanted}; expected {' or '.join(ENGINES)}")
    reasons = []
    for name in [wanted] if wanted else ENGINES:
        if not shutil.which(name):
            reasons.append(f"{name} is not installed")
            continue
        answer = Engine(name).run("info")
        if answer.returncode == 0:
            return Engine(name)
        reasons.append(f"{name}: {last_words(answer)}")
    raise LackingError(
        f"no container engine works here ({'; '.join(reasons)}); install one (Debian and Ubuntu: "
        "apt install podman)"
    )


def make_runnable(engine: Engine, image: str) -> Engine:
    """Return the engine with the settings with which it runs a container of this image.

    Raises
    ------
    LackingError
        It runs none; the message says what the engine said.
    """
    first = engine.run("run", "--rm", image, "true")
    if first.returncode == 0:
        return engine
    if engine.name == "podman" and "CONTAINERS_CONF" not in os.environ:
        restricted = replace(engine, environment={"CONTAINERS_CONF": str(RESTRICTED)})
        if restricted.run("run", "--rm", image, "true").returncode == 0:
            return restricted
    raise LackingError(f"{engine.name} cannot run a container here ({last_words(first)})")


def seen_from_container(value: str) -> str:
    """Rewrite this machine's paths, as a container of cibuildwheel sees them."""
    return re.sub(r"(^|\s|file://)/", rf"\1{HOST}/", value)


def pip_environment() -> dict[str, str]:
    """Return pip's settings here as environment variables for the container."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    # A quiet pip lists nothing.
    spoken = {**os.environ, "PIP_QUIET": "0"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=spoken)
    found: dict[str, str] = {}
    # As in :env:.cert='/etc/cert.pem' and global.cert='…'; the environment goes before all others.
    lines = done.stdout.splitlines()
    for line in sorted(lines, key=lambda line: line.startswith(":env:.")):
        name, _, value = line.partition("=")
        section, _, option = name.rpartition(".")
        if section in ("global", ":env:") and option in PIP_SETTINGS:
            variable = "PIP_" + option.upper().replace("-", "_")
            found[variable] = seen_from_container(value.strip("'").replace("\\n", " ").strip())
    return found
