"""A bare Debian machine: a root file system of few packages, entered as a user without rights.

mmdebstrap makes the root and bubblewrap enters it. Neither needs to be run by root.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import containers
from wheelkit.tools import last_words

# Each with the Debian package that has it.
NEEDED = {"mmdebstrap": "mmdebstrap", "bwrap": "bubblewrap", "tar": "tar"}
# The machine's apt reaches Debian's archive with these; a mirror may be behind a proxy or late.
APT_SETTINGS = ("Acquire::http", "Acquire::https", "Acquire::Check-")
USER, NUMBER, HOME = "user", "1000", "/home/user"
# Where the bare machine sees the sources that are cloned.
SOURCES = "/srv/sources"
# What a new user's shell has on Debian.
VARIABLES = {
    "HOME": HOME,
    "USER": USER,
    "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games",
    "LANG": "C.UTF-8",
}
# Namespaces in which a user may mount, with a root file system that cannot be written to.
ENTER = ("bwrap", "--die-with-parent", "--unshare-user", "--unshare-pid", "--unshare-ipc")
# The line that ends the output of each command; the shell fills it in.
ENDED = "[exit status {status}, {seconds} s]"


class BareMachineError(Exception):
    """A bare machine could not be made."""


def why_none() -> str:
    """Return why no bare machine can be made here; empty if one can."""
    lacking = [package for program, package in NEEDED.items() if not shutil.which(program)]
    if lacking:
        return f"{', '.join(lacking)} not installed (Debian: apt install {' '.join(lacking)})"
    # mmdebstrap mounts within the root that it makes: as root, or in a namespace of its own.
    unpack = ["unshare", "--mount", "true"]
    if os.geteuid() != 0:
        unpack = ["mmdebstrap", "--unshare-helper", "true"]
    enter = [*ENTER, "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"]
    for command in (unpack, enter):
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            return f"{command[0]} may make no namespace of mounts here: {last_words(done)}"
    return ""


def apt_settings() -> str:
    """Return this machine's settings for reaching Debian's archive, in apt's own form."""
    done = subprocess.run(["apt-config", "dump"], check=True, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    return "".join(f"{line}\n" for line in lines if line.startswith(APT_SETTINGS))


def make_root(suite: str, packages: Sequence[str], folder: Path, log: Path) -> Path:
    """Make the root file system of a Debian suite with these packages and those that they need.

    Packages that are only recommended are left out, so that nothing is there by luck.

    Parameters
    ----------
    suite
        A suite of Debian such as ``bookworm``.
    packages
        The packages to have beside Debian's smallest installation.
    folder
        An empty folder to work in.
    log
        The file that gets what mmdebstrap says.

    Returns
    -------
    Path
        The root: a folder within `folder`.

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
    # The files become this user's, who can remove them. bubblewrap provides the devices.
    subprocess.run(["tar", "-C", root, "--exclude=./dev/*", "-xf", archive], check=True)
    archive.unlink()
    return root


def settle(root: Path) -> None:
    """Give a root what the installation of a machine adds: a user, its name, and the network."""
    with (root / "etc" / "passwd").open("a", encoding="utf-8") as file:
        file.write(f"{USER}:x:{NUMBER}:{NUMBER}::{HOME}:/bin/bash\n")
    with (root / "etc" / "group").open("a", encoding="utf-8") as file:
        file.write(f"{USER}:x:{NUMBER}:\n")
    for name in ("hosts", "resolv.conf"):
        (root / "etc" / name).unlink(missing_ok=True)
        shutil.copy(Path("/etc", name), root / "etc" / name)
    # bubblewrap mounts there, and cannot make folders in a root that is only read.
    for place in (HOME, SOURCES, containers.HOST):
        (root / place.lstrip("/")).mkdir(parents=True, exist_ok=True)


def shell_script(commands: Sequence[str]) -> str:
    """Return a script that runs commands as if typed in one shell, and ends at a failure."""
    ended = ENDED.format(status="$status", seconds="$SECONDS")
    lines = []
    for command in commands:
        lines += [f"printf '%s\\n' {shlex.quote(f'$ {command}')}", "SECONDS=0", command]
        lines += ["status=$?", f'echo "{ended}"', '[ "$status" -eq 0 ] || exit "$status"']
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class BareMachine:
    """A settled root, and folders of this machine for what its user writes."""

    root: Path
    sources: Path
    writable: Path

    def run(self, commands: Sequence[str], address: str, log: Path) -> int:
        """Run commands in one shell of the user; return its exit status.

        Parameters
        ----------
        commands
            Shell commands, as typed.
        address
            The address for which git takes the sources.
        log
            The file to which what is printed is added at once.
        """
        command = [*ENTER, "--uid", NUMBER, "--gid", NUMBER, "--ro-bind", str(self.root), "/"]
        command += ["--proc", "/proc", "--dev", "/dev", "--ro-bind", str(self.sources), SOURCES]
        for place in (HOME, "/tmp", "/var/tmp"):  # noqa: S108 - the bare machine's own
            folder = self.writable / place.lstrip("/")
            folder.mkdir(parents=True, exist_ok=True)
            command += ["--bind", str(folder), place]
        variables = {**VARIABLES, **git_settings(address), **containers.pip_environment()}
        # pip's settings may name files of this machine; nothing else knows of that folder.
        if any(containers.HOST in value for value in variables.values()):
            command += ["--ro-bind", "/", containers.HOST]
        command += ["--chdir", HOME, "--clearenv"]
        for name, value in variables.items():
            command += ["--setenv", name, value]
        command += ["bash", "-c", shell_script(commands)]
        with log.open("a", encoding="utf-8") as file:
            return subprocess.run(
                command, check=False, stdin=subprocess.DEVNULL, stdout=file, stderr=file
            ).returncode


def git_settings(address: str) -> Mapping[str, str]:
    """Return variables by which git clones the given sources when it is told an address."""
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{SOURCES}.insteadOf",
        "GIT_CONFIG_VALUE_0": address,
    }


def failure(log: Path) -> str:
    """Return the last command in a log and the end of what it said."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
    said = lines[starts[-1] :] if starts else lines
    return "\n".join([*said[:1], "…", *said[1:][-80:]] if len(said) > 81 else said)
