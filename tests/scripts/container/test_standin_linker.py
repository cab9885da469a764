"""The compiler driver of the stand-in image: which commands it links itself, and how."""

from __future__ import annotations

from pathlib import Path

import pytest
from container import standin_linker


@pytest.mark.parametrize(
    ("arguments", "linked"),
    [
        ("-shared -o libcufes.so a.o b.o", True),
        ("-o program a.o", False),
        ("-c -o a.o a.cpp", False),
        ("-shared -o lib.so a.c", False),
        ("-shared -x c /dev/null", False),
        ("--version", False),
    ],
)
def test_only_links_of_objects_to_libraries_are_done_for_glibc_2_17(
    arguments: str, linked: bool
) -> None:
    assert standin_linker.links_library_from_objects(arguments.split()) is linked


def link(monkeypatch: pytest.MonkeyPatch, arguments: str, driver: str = "g++") -> list[str]:
    monkeypatch.setattr(standin_linker, "PARTS", Path("/opt/standin"))
    monkeypatch.setattr(standin_linker, "ask_gcc", lambda _, question: question.partition("=")[2])
    return standin_linker.link_command(driver, arguments.split())


def test_link_is_for_the_old_glibc_with_a_static_cpp_library(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = link(monkeypatch, "-shared -Wl,-soname,libx.so -o libx.so a.o")
    assert command[:4] == ["/opt/standin/ziglang/zig", "cc", "-target", "x86_64-linux-gnu.2.17"]
    assert "-Wl,-soname,libx.so" in command
    assert "libstdc++.a" in command
    assert "/opt/standin/libgomp.so.1" not in command


def test_openmp_is_that_of_manylinux2014_and_newer_archives_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    newer = "/usr/lib/x86_64-linux-gnu/libpthread.a"
    openmp = "/usr/lib/gcc/x86_64-linux-gnu/12/libgomp.so"
    command = link(monkeypatch, f"-shared -fopenmp a.o {openmp} {newer} -o libx.so")
    assert "/opt/standin/libgomp.so.1" in command
    assert not {"-fopenmp", openmp, newer} & set(command)


def test_the_driver_for_aarch64_links_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    openmp = "/usr/lib/gcc-cross/aarch64-linux-gnu/12/libgomp.so"
    newer = "/usr/aarch64-linux-gnu/lib/libpthread.a"
    arguments = f"-shared a.o {openmp} {newer} -o libx.so"
    command = link(monkeypatch, arguments, "aarch64-linux-gnu-g++")
    assert command[:4] == ["/opt/standin/ziglang/zig", "cc", "-target", "aarch64-linux-gnu.2.17"]
    assert not {openmp, newer} & set(command)
    assert "/opt/standin/libgomp.so.1" in command
