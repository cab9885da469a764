"""Where libcufes is looked for, and what is said when it, or an extension, is not there."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import cyfes
from cyfes.native.library import library_path

SUM = "cyfes.bias([[0.0]], cyfes.Hills(['x'], [[0.0]], [[1.0]], [1.0]), device='cpu')"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a copy of the installed package in a directory of its own, without libcufes."""
    shutil.copytree(Path(cyfes.__file__).parent, tmp_path / "site" / "cyfes")
    return tmp_path / "site"


def run(site: Path, code: str = SUM) -> str:
    """Run code with a package that shadows the installed one, in an interpreter of its own scheme.

    The copy of the interpreter's prefix is empty, so that its data scheme holds no libcufes.
    """
    setup = f"""
import os, sys, sysconfig
from importlib import import_module
sys.path.insert(0, {str(site)!r})
real = sysconfig.get_path
sysconfig.get_path = lambda name, *rest: "/nonexistent" if name == "data" else real(name, *rest)
import cyfes
try:
    print({code})
except cyfes.LibraryError as error:
    print("LibraryError:", error)
"""
    return subprocess.run(
        [sys.executable, "-c", setup], capture_output=True, text=True, check=True, cwd="/"
    ).stdout


def install_library(site: Path, *parts: str) -> Path:
    target = site.joinpath(*parts)
    shutil.copytree(Path(library_path()).parent, target)
    return target / "libcufes.so"


def compile_library(target: Path, source: str, *options: str) -> None:
    target.parent.mkdir(parents=True)
    subprocess.run(
        ["cc", *options, "-shared", "-fPIC", "-x", "c", "-", "-o", str(target)],
        input=source,
        text=True,
        check=True,
    )


def test_installed_library_is_named_by_record() -> None:
    path = Path(library_path())
    assert path.is_file()
    assert path.parts[-2:] == ("cufes", "libcufes.so")


def test_library_beside_the_package_is_found(site: Path) -> None:
    install_library(site, "cufes")
    assert run(site) == "[1.]\n"


def test_library_that_only_record_names_is_found(site: Path) -> None:
    library = install_library(site.parent, "elsewhere", "cufes")
    record = site / "cyfes-0.dist-info" / "RECORD"
    record.parent.mkdir()
    # A comma in a name makes RECORD quote it; the first row names a file that is gone.
    record.write_text(
        '"cyfes/a,b.py",,\ncyfes/cufes/libcufes.so,,\n../elsewhere/cufes/libcufes.so,,\n'
    )
    assert run(site) == "[1.]\n"
    assert str(library) == run(site, "import_module('cyfes.native.library').library_path()").strip()


def test_missing_library_is_an_error_that_lists_every_place(site: Path) -> None:
    said = run(site)
    assert said.startswith("LibraryError: libcufes.so is not installed; looked for ")
    assert f"{site}/cufes/libcufes.so (beside the package" in said
    assert "/nonexistent/cufes/libcufes.so (the data scheme" in said
    assert "(the user's data scheme)" in said


def test_library_of_another_abi_is_refused(site: Path) -> None:
    compile_library(
        site / "cufes" / "libcufes.so",
        "const void *cufes_get_api(unsigned version) { return version == 999 ? &version : 0; }",
    )
    assert "has another ABI version than the 3 that this cyfes was built for" in run(site)


def test_library_that_is_another_one_is_refused(site: Path) -> None:
    compile_library(site / "cufes" / "libcufes.so", "int unrelated;")
    assert "is no libcufes: it has no cufes_get_api" in run(site)


def test_a_device_is_what_the_library_tells_of_it(site: Path) -> None:
    """This library has the header of the real one, and a device, which few test machines have."""
    headers = Path(library_path()).parent
    compile_library(
        site / "cufes" / "libcufes.so",
        """
        #include "cufes.h"
        static cufes_status count(int32_t *found) { *found = 2; return CUFES_OK; }
        static cufes_status info(int32_t number, cufes_device *found) {
          cufes_device made = {"some GPU", 8, 7, 56, (int64_t)6 << 32, "sm_86"};
          *found = made;
          found->name[5] += number;
          return CUFES_OK;
        }
        const cufes_api *cufes_get_api(uint32_t version) {
          static cufes_api api;
          api.device_count = count;
          api.device_info = info;
          return version == CUFES_ABI_VERSION ? &api : 0;
        }
        """,
        f"-I{headers}",
    )
    code = "*cyfes.devices()[1:], import_module('cyfes.native.wrapper').device_info(0), sep='\\n'"
    assert run(site, code).splitlines() == [
        *(
            f"Device(id='cuda:{number}', name='some {name}', compute_capability=(8, 7), "
            "memory=25769803776, image='sm_86', usable=True, reason='')"
            for number, name in enumerate(("GPU", "HPU"))
        ),
        "('some GPU', (8, 7), 56, 25769803776, 'sm_86')",
    ]


def test_library_that_is_no_elf_file_is_refused(site: Path) -> None:
    (site / "cufes").mkdir()
    (site / "cufes" / "libcufes.so").write_text("not an ELF file")
    assert "libcufes cannot be loaded: " in run(site)


def test_library_without_its_graft_is_refused_by_the_name_of_the_graft(site: Path) -> None:
    library = install_library(site, "cufes")
    beside = next(library.parent.glob("*.libs"), None)
    grafts = beside or next(site.parent.rglob("*.libs"))
    shutil.rmtree(grafts)
    said = run(site)
    assert "libcufes cannot be loaded: libcu" in said or "libgomp" in said
    assert "cannot open shared object file" in said


def test_source_tree_says_in_one_line_why_it_does_not_work(site: Path) -> None:
    for extension in (site / "cyfes" / "native").glob("wrapper*.so"):
        extension.unlink()
    (site / "cyfes" / "native" / "wrapper.pyx").write_text("")
    said = run(site)
    assert said.startswith(f"LibraryError: cyfes was imported from its source tree at {site}, ")
    assert "run `pip install .` there" in said
    assert said.count("\n") == 1


def test_missing_extension_is_refused_by_its_interpreter(site: Path) -> None:
    for extension in (site / "cyfes" / "native").glob("wrapper*.so"):
        extension.unlink()
    version = "{}.{}".format(*sys.version_info)
    assert f"do not load in CPython {version}" in run(site)


def test_missing_text_extension_is_refused_where_text_is_read(site: Path) -> None:
    for extension in (site / "cyfes" / "native").glob("_text*.so"):
        extension.unlink()
    (site / "HILLS").write_text("#! FIELDS time d sigma_d height\n1 2 3 4\n")
    said = run(site, f"cyfes.read_hills({str(site / 'HILLS')!r})")
    assert "do not load in CPython" in said


def test_pure_parts_work_without_the_compiled_ones(site: Path) -> None:
    for extension in (site / "cyfes" / "native").glob("wrapper*.so"):
        extension.unlink()
    assert run(site, "cyfes.Grid(0.0, 1.0, 4).size") == "5\n"
