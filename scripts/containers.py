"""The container engine of this machine: docker or podman, whichever can run a container."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from wheelkit.report import LackingError, MisusedError
from wheelkit.tools import last_words

ENGINES = ("docker", "podman")
# For podman where limits, networks and control groups cannot be set, as within a container.
RESTRICTED = Path(__file__).with_name("restricted-containers.conf")

Words = Sequence[str | Path]


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

    def has_image(self, image: str) -> bool:
        """Tell whether an image is here already."""
        return self.run("image", "inspect", image).returncode == 0

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
