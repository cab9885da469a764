"""README's commands make and test a wheel on a machine with only the packages that README names."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import bare_machine
import pytest
import readme_commands
from bare_machine import BareMachine, BareMachineError
from readme_commands import ReadmeError
from wheelkit.base import source_files

SECTION = "Make a wheel"
# A bare machine is made for each suite: the oldest supported Debian, the present one and the next
# one.
SUITES = ("bookworm", "trixie", "sid")

README = """
# Title

```console
$ not this one
```

## Make a wheel

Some words.

```console
$ sudo apt install g++ git
Reading package lists... Done
$ git clone https://example.org/project
$ cd project && \\
    echo it
```

### Details

```console
$ nor this one
```
"""


def publish_sources(project: Path, folder: Path) -> None:
    """Make a git repository with one commit of the present sources, committed before or not."""
    source_files.export(project, folder)
    author = ("-c", "user.name=A developer", "-c", "user.email=developer@example.org")
    for words in (("init", "--quiet"), ("add", "--all"), (*author, "commit", "-qm", "All of it")):
        subprocess.run(["git", "-C", folder, *words], check=True)


@pytest.fixture(scope="module", params=SUITES)
def machine(
    request: pytest.FixtureRequest, project_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BareMachine]:
    """A bare machine of each Debian suite, from which the present sources can be cloned."""
    reason = bare_machine.why_none()
    if reason:
        pytest.skip(f"no bare machine can be made here: {reason}")
    folder = tmp_path_factory.mktemp(request.param)
    try:
        commands = readme_commands.console_commands(project_root / "README.md", SECTION)
        packages = readme_commands.packages(commands[0])
        log = log_of(request.param, project_root)
        root = bare_machine.make_root(request.param, packages, folder, log)
        bare_machine.complete_root(root)
        sources = folder / "sources"
        publish_sources(project_root, sources)
        yield BareMachine(root, sources, folder / "writable")
    finally:
        # The folder has more than three gigabytes, and pytest would keep it.
        shutil.rmtree(folder)


def log_of(suite: str, project: Path) -> Path:
    """Return the file for the output of a suite, in a folder that git ignores."""
    folder = project / "build" / "bare"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{suite}.log"


@pytest.mark.container
def test_readme_commands_make_and_test_a_wheel(
    machine: BareMachine, project_root: Path, request: pytest.FixtureRequest
) -> None:
    commands = readme_commands.console_commands(project_root / "README.md", SECTION)[1:]
    # Without these two commands, this test would test nothing.
    assert {"nox -s wheel", "nox -s tests"} <= set(commands)
    log = log_of(request.node.callspec.params["machine"], project_root)
    status = machine.run(commands, readme_commands.cloned_address(commands), log)
    said = bare_machine.failure(log)
    assert status == 0, f"exit status {status}; the whole output is in {log}\n{said}"
    ended = re.findall(r"^\[exit status (\d+), \d+ s\]$", log.read_text(), re.MULTILINE)
    assert ended == ["0"] * len(commands), f"not every command has ended; see {log}\n{said}"


def test_commands_are_read_from_the_right_section(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(README)
    commands = readme_commands.console_commands(page, SECTION)
    assert commands[:2] == ["sudo apt install g++ git", "git clone https://example.org/project"]
    assert commands[2:] == ["cd project && \\\n    echo it"]
    assert readme_commands.packages(commands[0]) == ["g++", "git"]
    assert readme_commands.cloned_address(commands) == "https://example.org/project"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("## Make a wheel", "## Wheels", "README.md has no section 'Make a wheel'"),
        ("Some words.", "## Another", "section 'Make a wheel' of README.md has no ```console"),
        ("$ ", "% ", "the console block of 'Make a wheel' in README.md has no line"),
    ],
)
def test_section_without_commands_is_refused(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    page = tmp_path / "README.md"
    page.write_text(README.replace(old, new))
    with pytest.raises(ReadmeError, match=re.escape(message)):
        readme_commands.console_commands(page, SECTION)


@pytest.mark.parametrize("command", ["apt install g++", "sudo apt install -y", "git clone x"])
def test_command_that_installs_no_packages_is_refused(command: str) -> None:
    with pytest.raises(ReadmeError, match=re.escape(f"found '{command}', expected")):
        readme_commands.packages(command)


@pytest.mark.parametrize("commands", [["cd x"], ["git clone a", "git clone b"]])
def test_one_clone_is_expected(commands: list[str]) -> None:
    with pytest.raises(ReadmeError, match="expected one"):
        readme_commands.cloned_address(commands)


def test_commands_share_one_shell_and_the_first_failure_ends_it(tmp_path: Path) -> None:
    commands = ["word='it is'", 'echo "$word" kept', "false && true", "echo never"]
    log = tmp_path / "log"
    with log.open("w") as file:
        command = ["bash", "-c", bare_machine.shell_script(commands)]
        status = subprocess.run(command, check=False, stdout=file).returncode
    assert status == 1
    assert log.read_text().splitlines() == [
        *("$ word='it is'", "[exit status 0, 0 s]"),
        *('$ echo "$word" kept', "it is kept", "[exit status 0, 0 s]"),
        *("$ false && true", "[exit status 1, 0 s]"),
    ]
    assert bare_machine.failure(log) == "$ false && true\n[exit status 1, 0 s]"


def test_failure_shows_the_end_of_a_long_output(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("$ first\n$ second\n" + "".join(f"{number}\n" for number in range(1000)))
    shown = bare_machine.failure(log).splitlines()
    assert (shown[0], shown[1], shown[-1], len(shown)) == ("$ second", "…", "999", 82)


def test_error_names_the_packages_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert bare_machine.why_none() == (
        "mmdebstrap, bubblewrap, tar not installed (Debian: apt install mmdebstrap bubblewrap tar)"
    )


def test_error_says_that_the_machine_allows_no_namespaces(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("mmdebstrap", "bwrap", "tar", "unshare"):
        (tmp_path / name).write_text("#!/bin/sh\necho Operation not permitted >&2\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert bare_machine.why_none().endswith(
        "may make no namespace of mounts here: Operation not permitted"
    )


def test_error_of_mmdebstrap_names_the_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, code in (("mmdebstrap", "echo no such package; exit 25"), ("apt-config", "true")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{code}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    log = tmp_path / "log"
    with pytest.raises(BareMachineError, match=f"could not make a root of sid; see {log}"):
        bare_machine.make_root("sid", ["none"], tmp_path, log)
    assert log.read_text() == "no such package\n"


def test_settings_for_debians_archive_are_read_from_apt(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "apt-config"
    lines = ['Acquire::http::Proxy "http://proxy:1";', 'Acquire::Languages "";', 'APT "";']
    program.write_text("#!/bin/sh\ncat <<'END'\n" + "\n".join(lines) + "\nEND\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert bare_machine.apt_settings() == f"{lines[0]}\n"


def test_present_sources_are_published_committed_or_not(tmp_path: Path) -> None:
    project, folder, clone = tmp_path / "project", tmp_path / "folder", tmp_path / "clone"
    subprocess.run(["git", "init", "--quiet", project], check=True)
    (project / ".gitignore").write_text("ignored\n")
    for name in ("ignored", "new"):
        (project / name).write_text(name)
    publish_sources(project, folder)
    subprocess.run(["git", "clone", "--quiet", folder, clone], check=True)
    assert sorted(path.name for path in clone.iterdir()) == [".git", ".gitignore", "new"]
