"""cpython.py, with small archives in place of CPython's sources."""

from __future__ import annotations

import io
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from container import cpython
from container.cpython import Build, CPythonBuildError, Source
from wheelkit.target.report import LackingError, MisusedError

# What a configure of CPython writes, with all modules; and a make install of a CPython.
CONFIGURE = """#!/bin/sh
echo "$@" > {log}
echo "$OPT" >> {log}
printf 'MODULE_ZLIB_STATE=yes\\nMODULE__SSL_STATE={ssl}\\nMODULE__CTYPES_STATE=yes\\n' > Makefile
printf 'all:\\n\\ttrue\\ninstall:\\n\\tmkdir -p {prefix}/bin\\n\\t{install}\\n' >> Makefile
"""


def archive(folder: Path, **text: str) -> Path:
    """Return an archive of sources whose configure writes a Makefile."""
    folder.mkdir(exist_ok=True)
    path = folder / "Python-3.14.99.tar.xz"
    names = {"log": folder / "log", "ssl": "yes", "prefix": cpython.FOLDER / "3.14t"}
    names["install"] = f"touch {cpython.FOLDER}/3.14t/bin/python3.14t"
    content = CONFIGURE.format(**{**names, **text}).encode()
    with tarfile.open(path, "w:xz") as file:
        member = tarfile.TarInfo("Python-3.14.99/configure")
        member.size, member.mode = len(content), 0o755
        file.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpython, "FOLDER", tmp_path / "pythons")
    monkeypatch.delenv("CC", raising=False)


def serve(monkeypatch: pytest.MonkeyPatch, served: list[Path], expected: Path) -> None:
    """Let 3.14 be the archive `expected`, and the servers have the files `served`."""
    source = Source("3.14.99", cpython.sha256_of(expected))
    monkeypatch.setattr(cpython, "SOURCES", {"3.14": source})

    def addresses(_: Source) -> Iterator[str]:
        return (path.as_uri() for path in served)

    monkeypatch.setattr(Source, "addresses", addresses)


def test_sources_are_looked_for_at_python_org_and_on_mirrors_of_debian(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cpython, "apt_sites", lambda: ("http://mirror/debian",))
    assert list(Source("3.15.0rc2", "").addresses()) == [
        "https://www.python.org/ftp/python/3.15.0/Python-3.15.0rc2.tar.xz",
        "http://mirror/debian/pool/main/p/python3.15/python3.15_3.15.0~rc2.orig.tar.xz",
    ]
    assert list(Source("3.14.7", "").addresses())[1].endswith("/python3.14_3.14.7.orig.tar.xz")


def test_next_server_is_asked_where_one_lacks_the_archive_or_has_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = archive(tmp_path / "good")
    other = tmp_path / "other"
    other.write_text("another file")
    serve(monkeypatch, [tmp_path / "none", other, good], good)
    found = cpython.fetch("3.14", cpython.FOLDER)
    assert found.read_bytes() == good.read_bytes()
    assert [path.name for path in cpython.FOLDER.iterdir()] == ["Python-3.14.99.tar.xz"]
    # Once it is there, no server is asked.
    serve(monkeypatch, [], good)
    assert cpython.fetch("3.14", cpython.FOLDER) == found
    found.write_text("damaged")
    with pytest.raises(LackingError, match=r"no server has Python-3\.14\.99"):
        cpython.fetch("3.14", cpython.FOLDER)


def test_archive_with_another_hash_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, other = archive(tmp_path / "good"), tmp_path / "other"
    other.write_text("another file")
    serve(monkeypatch, [other], good)
    with pytest.raises(LackingError) as error:
        cpython.fetch("3.14", cpython.FOLDER)
    said = str(error.value)
    assert f"it has SHA-256 {cpython.sha256_of(other)}, which is another file" in said
    assert f"put the file with SHA-256 {cpython.sha256_of(good)} at " in said
    assert list(cpython.FOLDER.iterdir()) == []


def test_it_is_built_once_and_anew_when_an_ingredient_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = archive(tmp_path / "source")
    serve(monkeypatch, [source], source)
    python = cpython.build(Build("3.14t"), 1)
    assert python == cpython.FOLDER / "3.14t" / "bin" / "python3.14t"
    log = tmp_path / "source" / "log"
    options, variable = log.read_text().splitlines()
    assert {"--disable-gil", f"--prefix={python.parents[1]}"} <= set(options.split())
    assert variable.startswith("-O1 ")
    log.unlink()
    assert cpython.build(Build("3.14t"), 1) == python
    assert not log.exists()
    monkeypatch.setenv("CC", "gcc -m64")
    cpython.build(Build("3.14t"), 1)
    assert log.exists()
    assert not list(cpython.FOLDER.glob("build-*"))


def test_thread_sanitizer_is_in_a_folder_of_its_own() -> None:
    usual, sanitized = Build("3.14t"), Build("3.14t", sanitized=True)
    assert usual.prefix != sanitized.prefix
    assert set(sanitized.options()) - set(usual.options()) >= {"--with-thread-sanitizer"}
    assert "--disable-gil" not in Build("3.15").options()


def test_missing_headers_are_named_before_anything_is_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = archive(tmp_path / "source", ssl="missing")
    serve(monkeypatch, [source], source)
    with pytest.raises(LackingError, match=r"headers are missing; .*apt install libssl-dev\)"):
        cpython.build(Build("3.14t"), 1)
    assert not Build("3.14t").prefix.exists()


def test_build_that_fails_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = archive(tmp_path / "source", install="false")
    serve(monkeypatch, [source], source)
    monkeypatch.setattr(sys, "argv", ["cpython", "--python", "3.14t"])
    for _ in range(2):
        assert cpython.main() == 1
        assert "error: install CPython 3.14t: it ended with status 2" in capsys.readouterr().err


def test_machine_without_a_compiler_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(LackingError, match="no no-such-compiler here"):
        cpython.build(Build("3.14t"), 1)


def test_version_without_pinned_sources_is_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["cpython", "--python", "3.12"])
    with pytest.raises(MisusedError, match=r"--python 3\.12: expected one of 3\.13, 3\.14, 3\.15"):
        cpython.main()


def test_failure_of_a_step_is_an_error() -> None:
    with pytest.raises(CPythonBuildError, match="unpack: it ended with status 1"):
        cpython.run("unpack", ["sh", "-c", "exit 1"])
