"""What a project declares: the table, its faults, whose wheels it is for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import tomli
from wheelkit.target.report import MisusedError
from wheelkit.wheel import settings
from wheelkit.wheel.settings import Acceptance, DeclaredImage, GraftLicense, Kernel, Settings

TABLE = """
[project]
name = "Tiny.Wheel"

[tool.wheelkit]
grafts = ["libcudart"]
sass = [80, 90]
ptx = []
max-size = 1000
strict = true
exclude = ["libfar.so.*"]
layouts = ["venv", "pip --target"]
test-images = [
  { image = "fedora:44", pythons = ["3.14"], python = "python3", prepare = "dnf install python3" },
  { image = "manylinux:1", pythons = ["3.7", "3.14t"] },
]
graft-licenses.libcudart = { license = "LicenseRef-EULA", files = ["$CUDA_HOME/EULA.txt"] }
graft-licenses."lib*" = { license = "mit or GPL-2.0-only", files = ["a.txt", "licenses/b.txt"] }
kernels.float64 = {tolerance = 1e-10, names = ["sum", "bias"]}
kernels.float32 = {tolerance = 1, names = ["sum f32"]}

[[tool.wheelkit.accept]]
id = "rpath-absolute"
file = "tiny/lib/*"
reason = "a plugin of the build machine"

[tool.check-wheel-contents]
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "pyproject.toml"
    path.write_text(text)
    return path


def test_every_key_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, TABLE)
    assert settings.from_file(path) == Settings(
        grafts=("libcudart",),
        sass=(80, 90),
        ptx=(),
        max_size=1000,
        strict=True,
        exclude=("libfar.so.*",),
        layouts=("venv", "pip --target"),
        test_images=(
            DeclaredImage("fedora:44", ("3.14",), "python3", "dnf install python3"),
            DeclaredImage("manylinux:1", ("3.7", "3.14t"), "/opt/python/{tag}/bin/python", ""),
        ),
        graft_licenses=(
            GraftLicense("libcudart", "LicenseRef-EULA", ("$CUDA_HOME/EULA.txt",)),
            GraftLicense("lib*", "MIT OR GPL-2.0-only", ("a.txt", "licenses/b.txt")),
        ),
        kernels=(
            Kernel("sum", "float64", 1e-10),
            Kernel("bias", "float64", 1e-10),
            Kernel("sum f32", "float32", 1.0),
        ),
        accept=(Acceptance("rpath-absolute", "a plugin of the build machine", "tiny/lib/*"),),
        check_wheel_contents=path,
        source=str(path),
    )


def test_the_first_licence_that_fits_a_graft_counts(tmp_path: Path) -> None:
    declared = settings.from_file(write(tmp_path, TABLE))
    first, second = declared.graft_licenses
    assert declared.license_of("libcudart") == first
    assert declared.license_of("libgomp") == second
    assert declared.license_of("another") is None


def test_the_table_of_a_project_is_for_its_own_wheels(tmp_path: Path) -> None:
    assert settings.of_project(tmp_path, "tiny-wheel") == Settings()
    write(tmp_path, TABLE)
    assert settings.of_project(tmp_path, "tiny-wheel").sass == (80, 90)
    assert settings.of_project(tmp_path, "another") == Settings()
    write(tmp_path, '[project]\nname = "tiny-wheel"\n')
    assert settings.of_project(tmp_path, "tiny-wheel") == Settings()


def test_an_option_takes_the_place_of_a_key(tmp_path: Path) -> None:
    declared = settings.from_file(write(tmp_path, TABLE))
    changed = settings.overridden(declared, {"sass": (), "ptx": None, "max_size": 5})
    assert (changed.sass, changed.ptx, changed.max_size) == ((), (), 5)
    assert changed.grafts == ("libcudart",)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("gratfs = []", "gratfs is no known key; did you mean grafts?"),
        (
            "colour = 1",
            "colour is no known key; expected one of accept, architectures, build-paths",
        ),
        ('sass = "90"', "sass is '90'; expected a list of whole numbers"),
        ('sass = ["sm_90"]', "expected a list of whole numbers"),
        ("sass = [true]", "expected a list of whole numbers"),
        ("grafts = [1]", "expected a list of strings"),
        ('max-size = "4 MB"', "expected a positive whole number"),
        ("max-size = true", "expected a positive whole number"),
        ("max-size = 0", "expected a positive whole number"),
        ("strict = 1", "strict is 1; expected true or false"),
        ('layouts = ["vnev"]', "no layout 'vnev'; expected some of venv"),
        ('accept = "some-id"', "expected a list of tables"),
        ('accept = [{ id = "some-id" }]', "expected a list of tables"),
        ('accept = [{ id = "some-id", reason = "" }]', "expected a list of tables"),
        ('accept = [{ id = "some-id", reason = "x", files = "*" }]', "expected a list of tables"),
        ("sass = [", "cannot be read"),
        ("graft-licenses = 1", "graft-licenses is 1; expected a table of grafts"),
        ('graft-licenses.a = "MIT"', "graft-licenses.a is 'MIT'; expected a table"),
        ('graft-licenses.a = { license = "MIT" }', "graft-licenses.a has no files; add it"),
        ('graft-licenses.a = { license = "MIT", files = [] }', "a list that is not empty"),
        ('graft-licenses.a = { license = "MIT", files = [1] }', "expected a list of paths"),
        ('graft-licenses.a = { license = "MIT", files = ["a/t", "b/t"] }', "the same name"),
        ('graft-licenses.a = { license = "EULA", files = ["t"] }', "expected an SPDX expression"),
        ('graft-licenses.a = { licence = "MIT" }', "did you mean license?"),
        ("test-images = 1", "test-images is 1; expected a list of tables"),
        ("test-images = [1]", "entry 1 is 1; expected a table"),
        ('test-images = [{ image = "a:1" }]', "entry 1 has no pythons; add it"),
        ('test-images = [{ pythons = ["3.9"] }]', "entry 1 has no image; add it"),
        (
            'test-images = [{ image = "", pythons = ["3.9"] }]',
            "expected a string that is not empty",
        ),
        ('test-images = [{ image = "a:1", pythons = [] }]', "expected a list that is not empty"),
        ('test-images = [{ image = "a:1", pythons = "3.9" }]', "expected a list that is not empty"),
        ('test-images = [{ image = "a:1", pythons = [3.9] }]', "expected versions"),
        ('test-images = [{ image = "a:1", pythons = ["39"] }]', "'39' is no CPython version"),
        (
            'test-images = [{ image = "a:1", pythons = ["3.9"], pyhton = "python" }]',
            "entry 1: pyhton is no known key; did you mean python?",
        ),
        (
            "test-images = [" + '{ image = "a:1", pythons = ["3.9"] },' * 2 + "]",
            "lists a:1 twice; join its pythons",
        ),
        (
            'test-images = [{ image = "a:1", pythons = ["3.9"], architectures = ["arm64"] }]',
            "architectures: no architecture 'arm64'; expected some of x86_64, aarch64",
        ),
        ("architectures = ['arm64']", "no architecture 'arm64'; expected some of x86_64, aarch64"),
        ("architectures = []", "architectures is empty; name at least one"),
        ("without-gpu = ['sparc']", "no architecture 'sparc'"),
        ("kernels = ['sum']", "expected a table for each precision"),
        ("kernels.float64 = ['sum']", "kernels.float64 is ['sum']; expected names and tolerance"),
        ("kernels.float64 = {names = ['sum']}", "expected names and tolerance"),
        ("kernels.float64 = {names = [1], tolerance = 1}", "expected a list of strings"),
        ("kernels.float64 = {names = 'sum', tolerance = 1}", "expected a list of strings"),
        ("kernels.float64 = {names = [], tolerance = true}", "expected a positive number"),
        ("kernels.float64 = {names = [], tolerance = nan}", "expected a positive number"),
        ("kernels.float64 = {names = [], tolerance = inf}", "expected a positive number"),
        ("kernels.float64 = {names = [], tolerance = 0}", "expected a positive number"),
        ("kernels.float64 = {names = ['a', 'a'], tolerance = 1}", "'a' is there twice"),
    ],
)
def test_a_faulty_table_is_refused_by_name(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(MisusedError, match=re.escape(message)):
        settings.from_file(write(tmp_path, f"[tool.wheelkit]\n{line}\n"))


@pytest.mark.parametrize("text", ["", "[tool]\nwheelkit = 1\n", "[tool.other]\n"])
def test_a_file_that_was_asked_for_must_have_the_table(tmp_path: Path, text: str) -> None:
    with pytest.raises(MisusedError, match="has no table"):
        settings.from_file(write(tmp_path, text))
    with pytest.raises(MisusedError, match="cannot be read"):
        settings.from_file(tmp_path / "none.toml")


def test_an_unknown_layout_of_an_option_is_refused() -> None:
    with pytest.raises(MisusedError, match="--for-layouts: no layout 'vnev'"):
        settings.overridden(Settings(), {"layouts": ("vnev",)})


README = Path(__file__).parents[1] / "README.md"


def test_the_table_of_the_readme_can_be_pasted_and_has_every_key() -> None:
    """As it stands, it asks for nothing; each line of it is right once it is no comment."""
    (pasted,) = re.findall(r"^```toml\n(## .*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    assert settings.of_document(tomli.loads(pasted), "README.md") == Settings()
    asked = re.sub(r"^# ", "", pasted, flags=re.MULTILINE)
    table = tomli.loads(asked)["tool"]["wheelkit"]
    assert set(table) == set(settings.KEYS)
    found = settings.of_document(tomli.loads(asked), "README.md")
    assert (found.grafts, found.strict, found.max_size) == (("libcudart",), True, 100_000_000)
    assert len(found.accept) == len(found.graft_licenses) == len(found.kernels) == 2
