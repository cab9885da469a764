"""What all parts of wheelkit use: versions of CPython, outputs of a step, a project's sources."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from wheelkit.base import cpythons, github, programs, source_files
from wheelkit.target.report import LackingError, MisusedError

# ------------------------------------------------------------------------- versions of CPython


@pytest.mark.parametrize(
    ("version", "tag", "numbers"),
    [
        # PEP 425, PEP 703, and the ABI tag with the m of pymalloc, which CPython 3.8 dropped.
        ("3.7", "cp37-cp37m", (3, 7)),
        ("3.8", "cp38-cp38", (3, 8)),
        ("3.10", "cp310-cp310", (3, 10)),
        ("3.13t", "cp313-cp313t", (3, 13)),
    ],
)
def test_a_version_has_its_tag(version: str, tag: str, numbers: tuple[int, ...]) -> None:
    assert cpythons.tag_of(version) == tag
    assert cpythons.python_tag(version) == tag.partition("-")[0]
    assert cpythons.numbers(version) == numbers
    assert cpythons.parse_version(version) == version


@pytest.mark.parametrize("text", ["3", "3.", "3.1.2", "2.7", "3.13d", "3.13tt", " 3.9", "3.9\n"])
def test_another_text_is_no_version(text: str) -> None:
    with pytest.raises(MisusedError, match="is no CPython version"):
        cpythons.parse_version(text)


def test_versions_between_two_are_listed() -> None:
    assert cpythons.between("3.9", "3.11") == ("3.9", "3.10", "3.11")
    assert cpythons.between("3.9", "3.9") == ("3.9",)
    assert cpythons.between("3.7") == cpythons.CPYTHONS
    # None is left out.
    assert tuple(f"3.{minor}" for minor in range(7, 16)) == cpythons.CPYTHONS
    # The first without the lock is 3.13.
    assert tuple(f"{v}t" for v in cpythons.between("3.13")) == cpythons.FREE_THREADED


# -------------------------------------------------------------------------------- GitHub Actions


@pytest.mark.parametrize(
    ("variable", "write", "line"),
    [
        ("GITHUB_OUTPUT", lambda: github.set_output("name", "a=b c"), "name=a=b c\n"),
        ("GITHUB_STEP_SUMMARY", lambda: github.add_summary("| a |\n| b |"), "| a |\n| b |\n"),
    ],
)
def test_what_a_step_tells_is_appended_to_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, write: object, line: str
) -> None:
    assert callable(write)
    for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    write()
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv(variable, str(tmp_path / "file"))
    (tmp_path / "file").write_text("before\n")
    write()
    assert (tmp_path / "file").read_text() == f"before\n{line}"


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "\n"])
def test_an_output_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "file"))
    with pytest.raises(ValueError, match="output seal has more than one line"):
        github.set_output("seal", value)
    assert not (tmp_path / "file").exists()


def test_a_name_that_is_no_text_can_be_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "file"))
    github.add_summary(f"\u00fc {os.fsdecode(bytes([255]))}")
    assert (tmp_path / "file").read_bytes() == "\u00fc \\udcff\n".encode()


def test_no_program_gives_commands_to_the_runner(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    with github.commands_stopped():
        print("::set-env::")
    assert capsys.readouterr().out == "::set-env::\n"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")

    def interrupted() -> None:
        with github.commands_stopped():
            print("::set-env::")
            raise KeyboardInterrupt

    tokens = set()
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            interrupted()
        first, middle, last = capsys.readouterr().out.splitlines()
        token = first.removeprefix("::stop-commands::")
        assert (middle, last) == ("::set-env::", f"::{token}::")
        assert len(token) == 32
        tokens.add(token)
    assert len(tokens) == 2


# ------------------------------------------------------------------- the sources of a project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with two commits of 2001-09-09, and with files of every kind."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    root = tmp_path / "project"
    (root / "sub").mkdir(parents=True)
    for name in ("kept", "gone", "sub/a b\u00fc", "ignored"):
        (root / name).write_text(name)
    (root / ".gitignore").write_text("ignored\n")
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    dates = {f"GIT_{who}_DATE": "1000000000 +0000" for who in ("AUTHOR", "COMMITTER")}
    for words in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-qm", "first")):
        subprocess.run(["git", "-C", root, *words], check=True, env={**os.environ, **dates})
    last = {"GIT_COMMITTER_DATE": "1000000001 +0000"}
    command = ["git", "-C", str(root), *identity, "commit", "-qm", "second", "--allow-empty"]
    subprocess.run(command, check=True, env={**os.environ, **last})
    (root / "new").write_text("")
    (root / "sub" / "more").write_text("")
    (root / "gone").unlink()
    return root


SOURCES = {".gitignore", "kept", "sub/a b\u00fc", "sub/more", "new"}


def test_sources_are_what_git_tracks_or_would_add(project: Path) -> None:
    found = source_files.listed(project)
    assert set(found) == SOURCES
    assert len(found) == len(SOURCES)


def test_sources_are_copied_with_dates_and_modes(project: Path, tmp_path: Path) -> None:
    os.utime(project / "kept", (1e9, 1e9))
    (project / "new").chmod(0o751)
    (tmp_path / "copy").mkdir()
    source_files.export(project, tmp_path / "copy")
    copied = {
        p.relative_to(tmp_path / "copy").as_posix(): p for p in (tmp_path / "copy").rglob("*")
    }
    assert {name for name, path in copied.items() if path.is_file()} == SOURCES
    assert copied["kept"].stat().st_mtime == 1e9
    assert copied["new"].stat().st_mode & 0o777 == 0o751
    assert copied["sub/a b\u00fc"].read_text() == "sub/a b\u00fc"


def test_archives_have_the_date_of_the_last_commit(
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert source_files.date(project) == "1000000001"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "7")
    assert source_files.date(project) == "7"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "")
    assert source_files.date(project) == "1000000001"
    assert capsys.readouterr().err == ""
    # The first second of 1980, which is the first that a zip archive can hold.
    subprocess.run(["git", "init", "-q", tmp_path / "empty"], check=True)
    for folder in (tmp_path, tmp_path / "empty"):
        assert source_files.date(folder) == "315532800"
        assert f"no git history in {folder}" in capsys.readouterr().err
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert source_files.date(project) == "315532800"


def test_without_git_there_are_no_sources(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LackingError, match=r"git cannot list the sources \(fatal: not a git rep"):
        source_files.listed(tmp_path)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(LackingError, match="git is not installed"):
        source_files.listed(project)


@pytest.mark.parametrize(
    ("stdout", "stderr", "said"),
    [
        ("a\nb\n", "", "b"),
        ("a\n", "c\n  d \n\n", "d"),
        ("", "", "exit status 3, and no message"),
        ("a\n", "\n", "exit status 3, and no message"),
    ],
)
def test_the_last_words_say_why_a_program_failed(stdout: str, stderr: str, said: str) -> None:
    answer = subprocess.CompletedProcess(["x"], 3, stdout, stderr)
    assert programs.last_words(answer) == said
