"""Finding interpreters among ones that exist, lie, or refuse to run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from wheelkit.base import cpythons
from wheelkit.install import pythons
from wheelkit.target.report import LackingError, MisusedError

# A version that no machine has, so that only the interpreters of a test can be found.
VERSION = "3.98"
ANSWER = (
    '#!/bin/sh\necho \'{{"implementation": "{}", "version": "{}", "threaded": false, '
    '"path": "/p", "debian": false, "pip": null}}\'\n'
)
WORKS = ANSWER.format("CPython", VERSION)
THREADED = WORKS.replace('"threaded": false', '"threaded": true')
REFUSES = "#!/bin/sh\necho 'command not found' >&2\nexit 127\n"
OTHER_VERSION = ANSWER.format("CPython", "3.97")
OTHER_IMPLEMENTATION = ANSWER.format("PyPy", VERSION)


def place(folder: Path, script: str) -> Path:
    """Put a stand-in for the interpreter into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    python = folder / f"python{VERSION}"
    python.write_text(script)
    python.chmod(0o755)
    return python


@pytest.fixture
def path_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two empty folders that are the path, and a pyenv without versions."""
    folders = tmp_path / "shims", tmp_path / "bin"
    monkeypatch.setenv("PATH", ":".join(map(str, folders)))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    return folders


@pytest.mark.parametrize("broken", [REFUSES, OTHER_VERSION, OTHER_IMPLEMENTATION])
def test_interpreter_behind_a_broken_one_is_found(
    path_folders: tuple[Path, Path], broken: str
) -> None:
    place(path_folders[0], broken)
    python = place(path_folders[1], WORKS)
    assert pythons.find_python(VERSION) == python


@pytest.mark.parametrize("broken", [REFUSES, OTHER_VERSION, OTHER_IMPLEMENTATION])
def test_broken_interpreter_is_none_and_is_named(
    path_folders: tuple[Path, Path], broken: str
) -> None:
    shim = place(path_folders[0], broken)
    with pytest.raises(LackingError, match=rf"no CPython {VERSION} runs here .tried: {shim}"):
        pythons.find_python(VERSION)


def test_version_of_pyenv_is_found_behind_its_shim(
    path_folders: tuple[Path, Path], tmp_path: Path
) -> None:
    place(path_folders[0], REFUSES)
    python = place(tmp_path / "pyenv" / "versions" / f"{VERSION}.4" / "bin", WORKS)
    assert pythons.find_python(VERSION) == python


@pytest.mark.usefixtures("path_folders")
def test_free_threaded_version_of_pyenv_is_found(tmp_path: Path) -> None:
    """Its name ends with t, and it is another interpreter than the one without."""
    versions = tmp_path / "pyenv" / "versions"
    threaded = place(versions / f"{VERSION}.4t" / "bin", THREADED)
    threaded = threaded.rename(f"{threaded}t")
    with pytest.raises(LackingError, match=f"no CPython {VERSION} runs here"):
        pythons.find_python(VERSION)
    assert pythons.find_python(f"{VERSION}t") == threaded


@pytest.mark.usefixtures("path_folders")
def test_running_interpreter_is_taken_first() -> None:
    version = pythons.version_of(Path(sys.executable))
    assert version is not None
    assert pythons.find_python(version) == Path(sys.executable)


def test_file_that_is_no_program_has_no_version(tmp_path: Path) -> None:
    assert pythons.version_of(tmp_path) is None
    assert pythons.version_of(tmp_path / "absent") is None


@pytest.mark.parametrize("text", ["3.7", "3.13t"])
def test_version_is_kept(text: str) -> None:
    assert cpythons.parse_version(text) == text


@pytest.mark.parametrize("text", ["3", "2.7", "3.7.1", "python3.7", "", "3.7/../.."])
def test_anything_else_is_no_version(text: str) -> None:
    with pytest.raises(MisusedError, match="is no CPython version"):
        cpythons.parse_version(text)


def test_interpreter_without_venv_is_the_environments_fault(tmp_path: Path) -> None:
    python = place(tmp_path, "#!/bin/sh\necho 'No module named venv' >&2\nexit 1\n")
    with pytest.raises(LackingError, match=r"No module named venv.*python3-venv"):
        pythons.make_venv(python, tmp_path / "venv")
