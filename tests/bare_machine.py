"""A bare machine: a Debian system with few packages, in which an ordinary user runs commands.

mmdebstrap makes the root file system, and bubblewrap runs commands in it. Neither of them needs the
rights of root.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wheelkit.base.programs import last_words
from wheelkit.containers import engines

# The programs that are needed, each with its Debian package.
PACKAGE_OF = {"mmdebstrap": "mmdebstrap", "bwrap": "bubblewrap", "tar": "tar"}
# The settings that this machine's apt needs to reach Debian's archive, which may be behind a proxy,
# or a mirror that is out of date.
APT_SETTINGS = ("Acquire::http", "Acquire::https", "Acquire::Check-")
USER, USER_ID, HOME = "user", "1000", "/home/user"
# The folder in the bare machine with the sources that its user clones.
SOURCES = "/srv/sources"
# The environment variables of a new user's shell on Debian.
VARIABLES = {
    "HOME": HOME,
    "USER": USER,
    "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games",
    "LANG": "C.UTF-8",
}
# bubblewrap with separate namespaces, in which a user may mount folders.
BWRAP = ("bwrap", "--die-with-parent", "--unshare-user", "--unshare-pid", "--unshare-ipc")
# The line that is printed after each command; the shell replaces the names by values.
COMMAND_ENDED = "[exit status {status}, {seconds} s]"


class BareMachineError(Exception):
    """A bare machine could not be made."""


def why_none() -> str:
    """Return why no bare machine can be made here; an empty text if one can."""
    lacking = [package for program, package in PACKAGE_OF.items() if not shutil.which(program)]
    if lacking:
        return f"{', '.join(lacking)} not installed (Debian: apt install {' '.join(lacking)})"
    # mmdebstrap mounts folders in the file system that it makes. It does so as root, or in a
    # namespace.
    unpack = ["unshare", "--mount", "true"]
    if os.geteuid() != 0:
        unpack = ["mmdebstrap", "--unshare-helper", "true"]
    enter = [*BWRAP, "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"]
    for command in (unpack, enter):
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            return f"{command[0]} may make no namespace of mounts here: {last_words(done)}"
    return ""


def apt_settings() -> str:
    """Return this machine's settings to reach Debian's archive, as an apt configuration."""
    done = subprocess.run(["apt-config", "dump"], check=True, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    return "".join(f"{line}\n" for line in lines if line.startswith(APT_SETTINGS))


def make_root(suite: str, packages: Sequence[str], folder: Path, log: Path) -> Path:
    """Make the root file system of a Debian suite with these packages and those that they need.

    Packages that are only recommended are not installed, so that a missing requirement is noticed.

    Parameters
    ----------
    suite
        A suite of Debian such as ``bookworm``.
    packages
        The packages to install in addition to Debian's smallest installation.
    folder
        An empty folder to work in.
    log
        The file for the output of mmdebstrap.

    Returns
    -------
    Path
        The root file system, a folder within `folder`.

    Raises
    ------
    BareMachineError
        mmdebstrap failed; its messages are in the log.
    """
    archive, root, settings = folder / "root.tar", folder / "root", folder / "apt.conf"
    settings.write_text(apt_settings(), encoding="utf-8")
    options = ["--variant=minbase", f"--include={','.join(packages)}", f"--aptopt={settings}"]
    with log.open("w", encoding="utf-8") as file:
        command = ["mmdebstrap", *options, suite, str(archive)]
        if subprocess.run(command, check=False, stdout=file, stderr=file).returncode:
            raise BareMachineError(f"mmdebstrap could not make a root of {suite}; see {log}")
    root.mkdir()
    # tar unpacks the files as this user's, who can remove them. bubblewrap provides the devices.
    subprocess.run(["tar", "-C", root, "--exclude=./dev/*", "-xf", archive], check=True)
    archive.unlink()
    return root


def complete_root(root: Path) -> None:
    """Add to a root file system what an installer adds: a user, and the settings of the network."""
    with (root / "etc" / "passwd").open("a", encoding="utf-8") as file:
        file.write(f"{USER}:x:{USER_ID}:{USER_ID}::{HOME}:/bin/bash\n")
    with (root / "etc" / "group").open("a", encoding="utf-8") as file:
        file.write(f"{USER}:x:{USER_ID}:\n")
    for name in ("hosts", "resolv.conf"):
        (root / "etc" / name).unlink(missing_ok=True)
        shutil.copy(Path("/etc", name), root / "etc" / name)
    # bubblewrap mounts these folders, and cannot make them in a read-only root file system.
    for place in (HOME, SOURCES, engines.HOST):
        (root / place.lstrip("/")).mkdir(parents=True, exist_ok=True)


def shell_script(commands: Sequence[str]) -> str:
    """Return a script that runs commands in one shell, and ends at the first that fails."""
    ended = COMMAND_ENDED.format(status="$status", seconds="$SECONDS")
    lines = []
    for command in commands:
        lines += [f"printf '%s\\n' {shlex.quote(f'$ {command}')}", "SECONDS=0", command]
        lines += ["status=$?", f'echo "{ended}"', '[ "$status" -eq 0 ] || exit "$status"']
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class BareMachine:
    """A complete root file system, the sources, and a folder for the files that its user writes."""

    root: Path
    sources: Path
    writable: Path

    def run(self, commands: Sequence[str], address: str, log: Path) -> int:
        """Run commands in a shell of the bare machine's user; return its exit status.

        Parameters
        ----------
        commands
            Shell commands.
        address
            The address in place of which git clones the sources.
        log
            The file to which the output is appended while the commands run.
        """
        command = [*BWRAP, "--uid", USER_ID, "--gid", USER_ID, "--ro-bind", str(self.root), "/"]
        command += ["--proc", "/proc", "--dev", "/dev", "--ro-bind", str(self.sources), SOURCES]
        for place in (HOME, "/tmp", "/var/tmp"):  # noqa: S108 - the bare machine's own
            folder = self.writable / place.lstrip("/")
            folder.mkdir(parents=True, exist_ok=True)
            command += ["--bind", str(folder), place]
        pip = engines.pip_settings()
        variables = {**VARIABLES, **git_settings(address), **pip.variables}
        # pip's settings may name files of this machine, which are then visible in this folder only.
        command += ["--tmpfs", engines.HOST]
        for path, at in pip.mounts.items():
            command += ["--ro-bind", str(path), at]
        command += ["--chdir", HOME, "--clearenv"]
        for name, value in variables.items():
            command += ["--setenv", name, value]
        command += ["bash", "-c", shell_script(commands)]
        with log.open("a", encoding="utf-8") as file:
            return subprocess.run(
                command, check=False, stdin=subprocess.DEVNULL, stdout=file, stderr=file
            ).returncode


def git_settings(address: str) -> Mapping[str, str]:
    """Return variables with which git clones SOURCES when it is told to clone an address."""
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{SOURCES}.insteadOf",
        "GIT_CONFIG_VALUE_0": address,
    }


def failure(log: Path) -> str:
    """Return the last command in a log and the last lines of its output."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
    said = lines[starts[-1] :] if starts else lines
    return "\n".join([*said[:1], "…", *said[1:][-80:]] if len(said) > 81 else said)
