"""The container engine of this machine: docker or podman, whichever can run a container."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

from wheelkit.base.programs import last_words
from wheelkit.target.report import LackingError, MisusedError

ENGINES = ("docker", "podman")
# For podman where limits, networks and control groups cannot be set, as within a container.
RESTRICTED = Path(__file__).with_name("restricted-containers.conf")

# pip's own settings for where packages come from; a container does not have them otherwise.
PIP_SETTINGS = ("index-url", "extra-index-url", "find-links", "cert", "trusted-host", "proxy")
# Those of them that are several words; a path or an address in one has no spaces.
LISTS = ("extra-index-url", "find-links", "trusted-host")
# Below this folder a container has this machine's files that pip's settings name, and no others.
HOST = "/host"
# Marks the image with which an engine is tried, whose tag is the number of the process.
TRIAL, TRIAL_LABEL = "localhost/wheelkit-trial", "wheelkit.trial=true"


@dataclass(frozen=True)
class Engine:
    """An engine, and the environment variables that make it work here.

    The containers that it starts have the label, so that they are found if a run is cut off.
    """

    name: str
    environment: dict[str, str] = field(default_factory=dict)
    label: str = ""

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run one command of the engine; return what it said."""
        environment = {**os.environ, **self.environment}
        command = [self.name, *words]
        return subprocess.run(command, check=False, capture_output=True, text=True, env=environment)

    def container_options(
        self, mounts: Mapping[Path, str], variables: Mapping[str, str]
    ) -> list[str]:
        """Return options for a new container that sees folders of this machine, to read."""
        options = [f"--label={self.label}"] if self.label else []
        options += [f"--volume={folder}:{at}:ro" for folder, at in mounts.items()]
        return [*options, *(f"--env={name}={value}" for name, value in variables.items())]

    def run_container(
        self,
        image: str,
        mounts: Mapping[Path, str],
        variables: Mapping[str, str],
        words: Sequence[str],
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a new container that sees folders of this machine, to read."""
        return self.run("run", "--rm", *self.container_options(mounts, variables), image, *words)

    def images(self, label: str) -> list[str]:
        """Return the names of the images here that have a label, ``name=value``."""
        names = "{{.Repository}}:{{.Tag}}"
        return self.run(
            "image", "ls", f"--filter=label={label}", f"--format={names}"
        ).stdout.split()

    def containers(self, label: str) -> list[str]:
        """Return the ids of the containers that have a label, running or not."""
        return self.run("ps", "--all", "--quiet", f"--filter=label={label}").stdout.split()

    def labels(self, name: str) -> dict[str, str]:
        """Return the labels of an image or a container; none if there is no such thing."""
        done = self.run("inspect", name)
        if done.returncode:
            return {}
        return dict(json.loads(done.stdout)[0]["Config"].get("Labels") or {})

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
    # cibuildwheel takes options after the name.
    wanted = os.environ.get("CIBW_CONTAINER_ENGINE", "").partition(";")[0].strip()
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
    reason = last_words(first)
    if engine.name == "podman" and "CONTAINERS_CONF" not in os.environ:
        restricted = replace(engine, environment={"CONTAINERS_CONF": str(RESTRICTED)})
        second = restricted.run("run", "--rm", image, "true")
        if second.returncode == 0:
            return restricted
        reason += f"; with settings for a restricted machine: {last_words(second)}"
        if not shutil.which("runc", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"):
            reason += "; they need runc (Debian and Ubuntu: apt install runc)"
    raise LackingError(f"{engine.name} cannot run a container here ({reason})")


def runnable_engine() -> Engine:
    """Return an engine of this machine that runs containers, tried with an image made for that.

    Raises
    ------
    LackingError
        There is none.
    """
    engine = find_engine()
    _remove_trials(engine)
    image = f"{TRIAL}:{os.getpid()}"
    with tempfile.TemporaryDirectory(prefix="wheelkit-") as folder:
        archive = _smallest_root(Path(folder))
        done = engine.run("import", f"--change=LABEL {TRIAL_LABEL}", archive, image)
    if done.returncode:
        raise LackingError(f"{engine.name} cannot import an image: {last_words(done)}")
    try:
        return make_runnable(engine, image)
    finally:
        engine.run("rmi", "--force", image)


def _smallest_root(folder: Path) -> Path:
    """Write an archive of the smallest file system in which `true` runs: this machine's own."""
    program = "/bin/true"
    said = subprocess.run(["ldd", program], check=False, capture_output=True, text=True).stdout
    libraries = [word for word in said.split() if word.startswith("/") and word[-1] != ":"]
    root, archive = folder / "root", folder / "root.tar"
    for file in (program, *libraries):
        target = root / file.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    subprocess.run(["tar", "-C", root, "-cf", archive, "."], check=True)
    return archive


def _remove_trials(engine: Engine) -> None:
    """Remove the images of processes that were killed before they could."""
    for image in engine.images(TRIAL_LABEL):
        process = image.rpartition(":")[2]
        if not Path("/proc", process).exists():
            engine.run("rmi", "--force", image)


@dataclass(frozen=True)
class PipSettings:
    """pip's settings here as environment variables for a container, and the files that they name.

    `files` must be mounted below HOST; `mounts` says where.
    """

    variables: dict[str, str]
    files: tuple[Path, ...]

    @property
    def mounts(self) -> dict[Path, str]:
        """Where the container has each of the files."""
        return {path: f"{HOST}{path}" for path in self.files}


def seen_from_container(value: str) -> str:
    """Rewrite this machine's paths, as a container has them."""
    return re.sub(r"(^|\s|file://)/", rf"\1{HOST}/", value)


def pip_settings() -> PipSettings:
    """Return pip's settings here, for a container."""
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
            found[option] = value.strip("'").replace("\\n", " ").strip()
    files = {
        path
        for option, value in found.items()
        for word in (value.split() if option in LISTS else [value])
        for path in _named_files(word, is_index=option.endswith("index-url"))
        if path.exists()
    }
    if Path("/") in files:
        raise MisusedError(
            "a setting of pip names the folder /, which no container is shown; pip config list "
            "shows the settings; name the folder of the packages"
        )
    variables = {
        "PIP_" + option.upper().replace("-", "_"): seen_from_container(value)
        for option, value in found.items()
    }
    # What lies within another mounted folder is there already.
    chosen = sorted(path for path in files if not files & set(path.parents))
    return PipSettings(variables, tuple(chosen))


def _named_files(word: str, *, is_index: bool) -> Iterator[Path]:
    """Yield the file or folder that one word of a setting names, and what its pages link to."""
    url = urlsplit(word)
    if url.scheme not in ("", "file") or not url.path.startswith("/"):
        return
    path = Path(unquote(url.path))
    yield path
    if is_index:
        # The files may lie beside the pages and not below them.
        for page in path.glob("*/index.html"):
            for link in re.findall(r"""href=["']([^"'#]+)""", page.read_text(encoding="utf-8")):
                target = urlsplit(urljoin(page.as_uri(), link))
                if target.scheme == "file":
                    yield Path(unquote(target.path)).parent
