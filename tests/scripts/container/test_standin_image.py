"""standin_image.py, without building an image."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from container import cpython, standin_image
from container.standin_image import Interpreter
from shared.ledger import PROJECT
from wheelkit.containers.engines import Engine
from wheelkit.install import pythons
from wheelkit.target.report import LackingError

RUNNING = str(pythons.version_of(Path(sys.executable)))


def interpreter(prefix: str, version: str = "3.10") -> Interpreter:
    return Interpreter(version, Path(prefix))


def test_interpreter_of_this_machine_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = Path(sys.base_prefix)
    monkeypatch.setattr(standin_image, "SYSTEM", Path("/nowhere"))
    assert standin_image.find_interpreter(RUNNING) == Interpreter(RUNNING, prefix)


def test_system_python_cannot_be_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standin_image, "SYSTEM", Path(sys.base_prefix))
    # The interpreter of the test must not be one that Debian's unstable suite has.
    monkeypatch.setattr(standin_image, "UNSTABLE_PYTHONS", ())
    monkeypatch.setattr(pythons, "candidates", lambda _: [Path(sys.executable)])
    with pytest.raises(
        LackingError, match=rf"no CPython {RUNNING} for the stand-in image: .*pyenv"
    ):
        standin_image.find_interpreter(RUNNING)


def test_interpreter_that_only_debian_has_is_taken_from_debian(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pythons, "candidates", lambda _: [])
    assert standin_image.find_interpreter("3.15") == Interpreter("3.15", None)
    with pytest.raises(LackingError, match=r"no CPython 3\.7 for the stand-in image"):
        standin_image.find_interpreter("3.7")


def test_free_threaded_interpreter_is_built_if_neither_this_machine_nor_debian_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pythons, "candidates", lambda _: [])
    found = standin_image.find_interpreter("3.14t")
    assert found == Interpreter("3.14t", cpython.Build("3.14t").prefix)
    with pytest.raises(LackingError, match=r"no CPython 3\.12t for the stand-in image"):
        standin_image.find_interpreter("3.12t")


def test_name_changes_with_the_ingredients(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    name = standin_image.image_name([interpreter("/a")])
    assert standin_image.is_standin(name)
    assert name == standin_image.image_name([interpreter("/a")])
    assert name != standin_image.image_name([interpreter("/b")])
    assert name != standin_image.image_name([interpreter("/a"), interpreter("/a", "3.11")])
    pins = tmp_path / "standin.txt"
    pins.write_text("another linker")
    monkeypatch.setattr(standin_image, "PINS", pins)
    assert name != standin_image.image_name([interpreter("/a")])


def test_copy_has_the_interpreter_and_no_installed_packages(tmp_path: Path) -> None:
    prefix = tmp_path / "prefix"
    for name in (
        *("bin/python3.10", "bin/python3.11", "lib/libpython3.10.so.1.0"),
        *("lib/python3.10/os.py", "lib/python3.10/test/test_os.py"),
        *("lib/python3.10/site-packages/numpy.py", "include/python3.10/Python.h"),
    ):
        (prefix / name).parent.mkdir(parents=True, exist_ok=True)
        (prefix / name).touch()
    standin_image.copy_interpreter("3.10", prefix, tmp_path / "stage")
    copy = tmp_path / "stage" / prefix.relative_to("/")
    files = {path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file()}
    assert files == {
        *("bin/python3.10", "lib/libpython3.10.so.1.0"),
        *("lib/python3.10/os.py", "include/python3.10/Python.h"),
        *("lib/python3.10/sitecustomize.py", "lib/python3.10/standin_glibc.txt"),
    }
    assert (copy / "lib/python3.10/site-packages").is_dir()


def test_error_names_an_absent_tool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LackingError, match=r"no mmdebstrap here, .*: apt install mmdebstrap"):
        standin_image.run_command(["mmdebstrap", "sid"], "unpacking")


def test_failing_tool_is_reported_with_its_last_message() -> None:
    with pytest.raises(LackingError, match="unpacking failed: no such mirror"):
        standin_image.run_command(["sh", "-c", "echo no such mirror >&2; exit 1"], "unpacking")


# An engine whose images have labels, which are in files; it does not remove an image that is used.
ENGINE = """#!/bin/sh
echo "$@" >> "$0.log"
case "$1 $2" in
  "image ls") case "$3" in *$(cat "$0.filter")) cat "$0.images";; esac;;
  "inspect "*) cat "$0.$2.json";;
  "rmi used") exit 2;;
esac
"""


def engine_with(folder: Path, images: dict[str, dict[str, str]], filter_: str) -> Engine:
    """Return an engine that has images with labels, and lists them for one filter."""
    program = folder / "engine"
    program.write_text(ENGINE)
    program.chmod(0o755)
    (folder / "engine.filter").write_text(filter_)
    (folder / "engine.images").write_text("".join(f"{name}\n" for name in images))
    for name, labels in images.items():
        (folder / f"engine.{name}.json").write_text(json.dumps([{"Config": {"Labels": labels}}]))
    return Engine(str(program))


def test_image_that_has_the_cpythons_and_others_is_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pythons_here = [interpreter("/a", version) for version in ("3.9", "3.10", "3.11", "3.12")]
    labels = standin_image.labels(pythons_here[:3] + pythons_here[3:])
    engine = engine_with(tmp_path, {"present": labels}, standin_image.ingredients())
    monkeypatch.setattr(
        standin_image,
        "find_interpreter",
        lambda version: next(p for p in pythons_here if p.version == version),
    )
    assert standin_image.build(engine, ["3.10"]) == "present"
    assert standin_image.find_image(engine, [interpreter("/a", "3.7")]) is None
    assert standin_image.find_image(engine, [interpreter("/b", "3.10")]) is None
    (tmp_path / "engine.filter").write_text("of other ingredients")
    assert standin_image.find_image(engine, pythons_here) is None


def test_images_of_other_ingredients_are_removed_unless_they_are_used(tmp_path: Path) -> None:
    images: dict[str, dict[str, str]] = {"kept": {}, "used": {}, "old": {}}
    engine = engine_with(tmp_path, images, str(PROJECT))
    assert standin_image.prune(engine, "kept") == ["old"]
    removed = [line for line in (tmp_path / "engine.log").read_text().splitlines() if "rmi" in line]
    assert removed == ["rmi used", "rmi old"]
    (tmp_path / "engine.filter").write_text("/another/checkout")
    assert standin_image.prune(engine, "kept") == []


# What pip, uv and auditwheel ask, each in its own words.
QUESTIONS = """
import os, sys
import auditwheel.libc
from packaging.tags import platform_tags
print(os.confstr("CS_GNU_LIBC_VERSION"), bool(os.confstr("CS_PATH")))
print(next(tag for tag in platform_tags() if tag.startswith("manylinux")))
version = auditwheel.libc.Libc.GLIBC.get_current_version()
print(version.major, version.minor)
"""


@pytest.mark.parametrize(
    ("version", "glibc"), [("3.7", "2.17"), ("3.14", "2.28"), ("3.14t", "2.28")]
)
def test_programs_of_the_image_see_the_glibc_that_it_stands_for(
    version: str, glibc: str, tmp_path: Path
) -> None:
    # Debian's unstable CPythons have a link to a file that must not be written to.
    foreign = tmp_path / "foreign"
    foreign.touch()
    library = tmp_path / "library"
    library.mkdir()
    (library / "sitecustomize.py").symlink_to(foreign)
    standin_image.tell_glibc(version, library)
    assert foreign.read_text() == ""
    environment = {"PYTHONPATH": str(library)}
    command = [sys.executable, "-c", QUESTIONS]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    first, second, third = done.stdout.splitlines()
    assert first == f"glibc {glibc} True"
    assert second == f"manylinux_{glibc.replace('.', '_')}_x86_64"
    assert third == glibc.replace(".", " ")


def test_setup_gives_each_interpreter_pip_and_its_path_in_the_real_image() -> None:
    unstable = Interpreter("3.15", None)
    script = standin_image.setup_script(
        [interpreter("/a", "3.7"), unstable, interpreter("/b", "3.15t")]
    )
    assert "ln -s /b /opt/python/cp315-cp315t\n" in script
    assert "ln -s /a /opt/python/cp37-cp37m\n" in script
    assert "/a/bin/python3.7 -m ensurepip --default-pip\n" in script
    assert "/opt/unstable/usr/bin/python3.15 -m venv /opt/python/cp315-cp315\n" in script
    assert subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0
