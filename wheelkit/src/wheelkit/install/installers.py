"""Installing a wheel for real: with pip and uv, in every way that they offer.

Everything happens below a folder of our own: the interpreters' own directories, and those of
their users, stay as they are.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from wheelkit.base import pinned_tools
from wheelkit.base.programs import last_words
from wheelkit.install.pythons import Python
from wheelkit.target.report import INSTALL, LackingError

Answer = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Site:
    """A place to install to.

    Attributes
    ----------
    python
        The interpreter to install for.
    root
        An empty folder; what is installed comes below it.
    scratch
        A folder for what installers need besides: a home, a cache, pip itself.
    """

    python: Python
    root: Path
    scratch: Path

    @property
    def venv(self) -> str:
        """The interpreter of the virtual environment that `root` may be."""
        return str(self.root / "bin" / "python")


@dataclass(frozen=True)
class Way:
    """One way to install: an installer, and options that choose where.

    `options` has ``{root}`` for the site's root. `in_venv`: it is a virtual environment, made
    first. `removable`: the installer can uninstall from there.
    """

    installer: str
    layout: str
    options: tuple[str, ...] = ()
    in_venv: bool = False
    removable: bool = False
    environment: tuple[tuple[str, str], ...] = ()
    debian_only: bool = False


# pip would uninstall what an interpreter has under the wheel's name; it must not look.
_APART = ("--ignore-installed", "--no-warn-script-location")

WAYS = (
    Way("pip", "venv", in_venv=True, removable=True),
    Way("pip", "user", ("--user", *_APART), removable=True),
    Way("pip", "prefix", ("--prefix", "{root}", *_APART)),
    Way("pip", "root", ("--root", "{root}", *_APART)),
    Way("pip", "target", ("--target", "{root}")),
    Way("pip", "target-upgrade", ("--target", "{root}", "--upgrade")),
    Way(
        "pip",
        "root-deb",
        ("--root", "{root}", *_APART),
        environment=(("DEB_PYTHON_INSTALL_LAYOUT", "deb"),),
        debian_only=True,
    ),
    Way("uv", "venv", in_venv=True, removable=True),
    Way("uv", "prefix", ("--prefix", "{root}"), removable=True),
    Way("uv", "target", ("--target", "{root}"), removable=True),
    Way("uv", "target-upgrade", ("--target", "{root}", "--upgrade"), removable=True),
)


def prepare(way: Way, site: Site) -> None:
    """Make the empty root, or the virtual environment.

    Raises
    ------
    LackingError
        The interpreter cannot make one, or the installer is missing.
    """
    RUN[way.installer](way, site, ["--version"])
    if not way.in_venv:
        site.root.mkdir()
        return
    # Without pip: the pip that runs is the same for every way, and this takes no time.
    made = subprocess.run(
        [site.python.path, "-I", "-m", "venv", "--without-pip", str(site.root)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        raise LackingError(f"{site.python.path} cannot make a venv: {last_words(made)}")


def install(way: Way, site: Site, *wheels: Path) -> Answer:
    """Install wheels in one go, without what else they require and without an index."""
    options = [option.format(root=site.root) for option in way.options]
    files = (str(wheel.absolute()) for wheel in wheels)
    arguments = ["install", "--no-deps", "--no-index", *options, *files]
    return RUN[way.installer](way, site, arguments)


def uninstall(way: Way, site: Site, *names: str) -> Answer:
    """Uninstall distributions."""
    if way.installer == "pip":
        return _pip(way, site, ["uninstall", "--yes", *names])
    where = [o.format(root=site.root) for o in way.options if o != "--upgrade"]
    return _uv(way, site, ["uninstall", *where, *names])


def _pip(way: Way, site: Site, arguments: list[str]) -> Answer:
    python = site.venv if way.in_venv and site.root.exists() else str(site.python.path)
    environment = {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_CACHE_DIR": "1",
        # Debian's Python refuses even where its own directories are not touched.
        "PIP_BREAK_SYSTEM_PACKAGES": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        # What pip itself would leave behind looks like a remnant of the wheel.
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUSERBASE": str(site.root),
        "PYTHONPATH": str(_pip_folder(site)),
        **dict(way.environment),
    }
    return _run([python, "-m", "pip", *arguments], environment, site)


def _uv(way: Way, site: Site, arguments: list[str]) -> Answer:
    if arguments == ["--version"]:
        return _run([uv(), *arguments], {}, site)
    python = site.venv if way.in_venv else str(site.python.path)
    # Debian's Python refuses even where its own directories are not touched.
    common = ["--python", python, "--no-config", "--offline", "--break-system-packages"]
    environment = {"UV_CACHE_DIR": str(site.scratch / "uv"), "UV_LINK_MODE": "copy"}
    return _run([uv(), "pip", arguments[0], *common, *arguments[1:]], environment, site)


def uv() -> str:
    """Return the path of the pinned uv.

    Raises
    ------
    LackingError
        There is none beside this interpreter, or it is of another version.
    """
    wanted = pinned_tools.pinned("uv")
    path = shutil.which("uv", path=str(pinned_tools.TOOL_DIRECTORY))
    found: list[str] = []
    if path:
        command = [path, "--version"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        found = answer.stdout.split()[1:2]
    if found != [wanted]:
        have = f"uv {found[0]}" if found else "no uv"
        raise LackingError(f"{have} in {pinned_tools.TOOL_DIRECTORY}, not {wanted}; run: {INSTALL}")
    return str(path)


RUN: Mapping[str, Callable[[Way, Site, list[str]], Answer]] = {"pip": _pip, "uv": _uv}


def _run(command: list[str], environment: Mapping[str, str], site: Site) -> Answer:
    """Run an installer, undisturbed by the caller's configuration."""
    home = site.scratch / "home"
    home.mkdir(parents=True, exist_ok=True)
    return subprocess.run(
        command,
        env={"PATH": os.defpath, "HOME": str(home), **environment},
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )


def _pip_folder(site: Site) -> Path:
    """Return a folder with pip and nothing else: an interpreter's other packages stay unseen.

    Raises
    ------
    LackingError
        The interpreter has no pip and no wheel of it.
    """
    pip = site.python.pip
    folder = site.scratch / f"pip-{site.python.name}"
    if folder.exists():
        return folder
    if pip is None:
        raise LackingError(f"{site.python.path} has neither pip nor ensurepip; install one")
    folder.mkdir(parents=True)
    if pip.suffix == ".whl":
        with zipfile.ZipFile(pip) as archive:
            archive.extractall(folder)
    else:
        (folder / "pip").symlink_to(pip)
    return folder
