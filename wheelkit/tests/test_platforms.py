"""Platform tags, policies, and names of libraries."""

from __future__ import annotations

import pytest
from wheelkit.target.report import MisusedError
from wheelkit.wheel import platforms
from wheelkit.wheel.platforms import Platform


@pytest.mark.parametrize(
    ("tag", "platform"),
    [
        ("manylinux2014_x86_64", Platform("manylinux", (2, 17), "x86_64")),
        ("manylinux1_i686", Platform("manylinux", (2, 5), "i686")),
        ("manylinux_2_28_aarch64", Platform("manylinux", (2, 28), "aarch64")),
        ("musllinux_1_2_x86_64", Platform("musllinux", (1, 2), "x86_64")),
        ("linux_x86_64", Platform("linux", None, "x86_64")),
        ("win_amd64", None),
        ("any", None),
        ("manylinux_2_x86_64", None),
    ],
)
def test_tags_are_taken_apart(tag: str, platform: Platform | None) -> None:
    assert platforms.parse(tag) == platform


def tag(text: str) -> Platform:
    platform = platforms.parse(text)
    assert platform is not None
    return platform


@pytest.mark.parametrize(
    ("mine", "other", "covers"),
    [
        ("manylinux2014_x86_64", "manylinux_2_17_x86_64", True),
        ("manylinux_2_5_x86_64", "manylinux_2_17_x86_64", True),
        ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", False),
        ("manylinux_2_5_x86_64", "manylinux_2_17_aarch64", False),
        ("musllinux_1_1_x86_64", "manylinux_2_17_x86_64", False),
        ("linux_x86_64", "linux_x86_64", False),
        ("manylinux_2_17_x86_64", "linux_x86_64", False),
        ("linux_x86_64", "manylinux_2_17_x86_64", False),
        ("musllinux_1_1_x86_64", "musllinux_1_2_x86_64", True),
    ],
)
def test_an_older_tag_covers_a_newer_one(mine: str, other: str, *, covers: bool) -> None:
    assert tag(mine).covers(tag(other)) is covers


def test_the_system_has_what_the_oldest_tag_promises() -> None:
    old, new = tag("manylinux_2_5_x86_64"), tag("manylinux_2_28_x86_64")
    assert platforms.is_system("libexpat.so.1", [new])
    assert not platforms.is_system("libexpat.so.1", [old, new])
    assert platforms.is_system("libc.so.6", [old])
    # Between two policies the older one holds.
    between = Platform("manylinux", (2, 18), "x86_64")
    assert platforms.allowed([between]) == platforms.allowed([tag("manylinux2014_x86_64")])
    assert platforms.allowed([Platform("manylinux", (2, 3), "x86_64")]) == frozenset()


@pytest.mark.parametrize(
    ("platform", "version", "promised"),
    [
        # The version of the tag is that of glibc (PEP 600).
        ("manylinux_2_17_x86_64", "GLIBC_2.17", True),
        ("manylinux_2_17_x86_64", "GLIBC_2.18", False),
        ("manylinux_2_17_x86_64", "GLIBC_2.3.4", True),
        ("manylinux_2_18_x86_64", "GLIBC_2.18", True),
        ("manylinux_2_17_x86_64", "GLIBC_PRIVATE", False),
        # CentOS 7 has the libstdc++ of GCC 4.8, as auditwheel's policy says.
        ("manylinux2014_x86_64", "GLIBCXX_3.4.19", True),
        ("manylinux2014_x86_64", "GLIBCXX_3.4.20", False),
        ("manylinux2014_x86_64", "CXXABI_1.3.7", True),
        ("manylinux2014_x86_64", "CXXABI_1.3.8", False),
        ("manylinux2014_x86_64", "LIBOWN_99", True),
        # Of a plain tag nothing is known: the newest policy counts.
        ("linux_x86_64", "GLIBCXX_3.4.20", True),
    ],
)
def test_what_a_platform_promises(platform: str, version: str, *, promised: bool) -> None:
    assert platforms.promises(tag(platform), version) is promised


def test_every_tag_that_a_wheel_may_have() -> None:
    found = platforms.every_tag("x86_64")
    expected = ["manylinux_2_5", "manylinux1", "manylinux_2_12", "manylinux2010", "manylinux_2_17"]
    expected += ["manylinux2014", "manylinux_2_28", "linux"]
    assert {f"{name}_x86_64" for name in expected} <= set(found)
    assert len(set(found)) == len(found)
    assert not any("musl" in name for name in found)
    assert "musllinux_1_2_aarch64" in platforms.every_tag("aarch64", "musllinux")


# From the list of files of the Linux driver 580, by NVIDIA's README of it.
DRIVER = (
    *("libnvcuvid.so.1", "libnvidia-encode.so.1", "libnvidia-opticalflow.so.1", "libnvoptix.so.1"),
    *("libnvidia-ptxjitcompiler.so.1", "libnvidia-nvvm.so.4", "libGLX_nvidia.so.0"),
    *(
        "libEGL_nvidia.so.0",
        "libGLESv2_nvidia.so.2",
        "libvdpau_nvidia.so.1",
        "libcudadebugger.so.1",
        "libGLESv1_CM_nvidia.so.1",
    ),
    # Of the driver of WSL.
    "libdxcore.so",
)


@pytest.mark.parametrize("name", ["libcuda.so", "libcuda-01234567.so.1", *DRIVER])
def test_a_part_of_the_driver_is_known_by_its_name(name: str) -> None:
    assert platforms.is_driver(name)


@pytest.mark.parametrize("name", ["libcudart.so.12", "libGL.so.1", "libcuda_wrapper.so", ""])
def test_what_is_not_of_the_driver_is_not_taken_for_it(name: str) -> None:
    assert not platforms.is_driver(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("libcuda.so.1", True),
        ("libnvidia-ml.so.1", True),
        *((name, True) for name in DRIVER),
        *((f"lib{name}", True) for name in ("GL.so.1", "GLX.so.0", "GLdispatch.so.0", "EGL.so.1")),
        *((f"lib{name}", True) for name in ("OpenGL.so.0", "GLESv1_CM.so.1", "GLESv2.so.2")),
        ("libvulkan.so.1", True),
        ("ld64.so.2", True),
        ("ld-musl-aarch64.so.1", True),
        # The toolkit's, not the driver's.
        ("libnvvm.so.4", False),
        ("libnvrtc.so.12", False),
        ("ld-linux-x86-64.so.2", True),
        ("libc.musl-x86_64.so.1", True),
        ("libcudart.so.12", False),
        ("libgomp.so.1", False),
    ],
)
def test_the_driver_and_the_loader_are_always_of_the_system(name: str, *, expected: bool) -> None:
    assert platforms.is_system(name, [tag("manylinux2014_x86_64")]) is expected
    assert platforms.is_system(name, [tag("manylinux2014_x86_64")], [name])


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("libcudart-80664282.so.10.2.89", "libcudart"),
        ("libcudart.so.12", "libcudart"),
        ("libstdc++.so.6", "libstdc++"),
        ("libgomp-a34b3233.so", "libgomp"),
        ("libfoo-bar.so.1", "libfoo-bar"),
        ("README", "README"),
    ],
)
def test_the_stem_has_neither_hash_nor_version(name: str, stem: str) -> None:
    assert platforms.stem(name) == stem


@pytest.mark.parametrize("plat", ["linux_x86_64", "manylinux", "win32", ""])
def test_a_wish_for_no_platform_is_refused(plat: str) -> None:
    with pytest.raises(MisusedError, match="--plat"):
        platforms.wanted(plat)
    assert platforms.wanted(None) is None
