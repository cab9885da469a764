"""The check of skipped tests in conftest.py, tested in separate runs of pytest."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import packaging.tags
import pytest

SKIPPING = """
import pytest

def test_passes():
    assert True

def test_skips():
    pytest.skip({reason!r})
"""


def run_pytest(project: Path, *arguments: str, ci: str) -> subprocess.CompletedProcess[str]:
    """Run pytest on the tests of a small project."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", "pytest.ini"]
    return subprocess.run(
        [*command, *arguments, "tests"],
        check=False,
        cwd=project,
        env={"CI": ci, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture
def project(tmp_path: Path, project_root: Path) -> Path:
    """A small project with a copy of conftest.py and one test that passes."""
    root = tmp_path / "project"
    # conftest.py lists the tests of scripts, which older CPythons leave out.
    (root / "tests" / "scripts").mkdir(parents=True)
    (root / "pytest.ini").write_text("[pytest]\nmarkers = gpu\n")
    shutil.copy(project_root / "tests" / "conftest.py", root / "tests")
    (root / "tests" / "test_it.py").write_text("def test_passes():\n    assert True\n")
    return root


@pytest.mark.parametrize(
    ("reason", "ci", "status"),
    [
        ("the compiler is missing", "true", 1),
        ("the compiler is missing", "", 0),
        ("no usable GPU: none found", "true", 0),
        ("no CPython 3.7 runs here", "true", 0),
    ],
)
def test_skip_needs_an_allowed_reason_on_ci(
    project: Path, reason: str, ci: str, status: int
) -> None:
    (project / "tests" / "test_it.py").write_text(SKIPPING.format(reason=reason))
    done = run_pytest(project, ci=ci)
    assert done.returncode == status, done.stdout
    assert "1 passed, 1 skipped" in done.stdout
    assert ("skipped without an allowed reason" in done.stdout) == bool(status)


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["one process", "two processes"])
def test_module_that_skips_itself_needs_an_allowed_reason_too(
    project: Path, arguments: tuple[str, ...]
) -> None:
    if arguments:
        # manylinux2014 tests the wheel without it.
        pytest.importorskip("xdist", reason="no optional packages for this glibc")
    (project / "tests" / "test_more.py").write_text("import pytest\npytest.importorskip('absent_')")
    done = run_pytest(project, *arguments, ci="true")
    assert done.returncode == 1
    assert done.stdout.count("tests/test_more.py: could not import 'absent_'") == 1, done.stdout


@pytest.mark.parametrize(("present", "status"), [(False, 0), (True, 1)])
def test_tests_of_shared_data_are_skipped_only_if_it_is_absent(
    project: Path, present: bool, status: int
) -> None:
    folder = project.parent / "shared" / "data"
    if present:
        folder.mkdir(parents=True)
    (project / "tests" / "test_it.py").write_text(SKIPPING.format(reason=f"no folder {folder}"))
    done = run_pytest(project, ci="true")
    assert done.returncode == status, done.stdout


TOOLKIT_THAT_RAISES = """
import sys
from types import ModuleType

class LackingError(Exception): pass
class UntrustedError(LackingError): pass

def cuda_home():
    raise {error}("pip could not download it")

for name in ("kernels", "kernels.install_cuda", "wheelkit", "wheelkit.target", "wheels",
             "wheelkit.target.report", "wheels.build_wheels"):
    sys.modules[name] = module = ModuleType(name)
    vars(module).update(globals())

def test_it(cuda_toolkit): pass
"""


@pytest.mark.parametrize(
    ("error", "ci", "status", "counted"),
    [
        ("LackingError", "", 0, "1 skipped"),
        # CI has a network, and nobody may serve other files than the pinned ones.
        ("LackingError", "true", 1, "1 skipped"),
        ("UntrustedError", "", 1, "1 error"),
    ],
)
def test_a_toolkit_that_cannot_be_downloaded_is_a_skip_that_says_so(
    project: Path, error: str, ci: str, status: int, counted: str
) -> None:
    (project / "tests" / "test_it.py").write_text(TOOLKIT_THAT_RAISES.format(error=error))
    done = run_pytest(project, "-rs", ci=ci)
    assert done.returncode == status, done.stdout
    assert counted in done.stdout
    skipped = "no CUDA toolkit: pip could not download it" in done.stdout
    assert skipped == (counted == "1 skipped")


def test_shared_data_fixture_skips_only_without_the_folder(project: Path) -> None:
    (project / "tests" / "test_it.py").write_text("def test_it(shared_data):\n    pass\n")
    assert "1 skipped" in run_pytest(project, ci="true").stdout
    (project.parent / "shared" / "data").mkdir(parents=True)
    assert "1 passed" in run_pytest(project, ci="true").stdout


def test_optional_packages_may_be_absent_only_for_prereleases_of_cpython(project: Path) -> None:
    (project / "tests" / "test_it.py").write_text("def test_it(extra):\n    extra('absent_')\n")
    done = run_pytest(project, ci="true")
    assert "1 skipped" in done.stdout
    assert done.returncode == (0 if sys.version_info >= (3, 14) or is_old("2.28") else 1)
    (project / "tests" / "test_it.py").write_text("def test_it(extra):\n    extra('json')\n")
    assert "1 passed" in run_pytest(project, ci="true").stdout


def is_old(glibc: str) -> bool:
    """Tell whether this machine's glibc is older, or is said to be."""
    tag = f"manylinux_{glibc.replace('.', '_')}_x86_64"
    return tag not in packaging.tags.platform_tags()


@pytest.mark.parametrize("newest", ["2.17", "2.28"])
def test_optional_packages_may_be_absent_on_an_old_glibc(project: Path, newest: str) -> None:
    """What pip sees of the glibc is told by a module _manylinux (PEP 600)."""
    glibc = tuple(map(int, newest.split(".")))
    told = f"def manylinux_compatible(major, minor, _):\n    return (major, minor) <= {glibc}\n"
    (project / "_manylinux.py").write_text(told)
    (project / "tests" / "test_it.py").write_text("def test_it(extra):\n    extra('absent_')\n")
    done = run_pytest(project, "-rs", ci="true")
    # The module cannot make a glibc newer than it is.
    old = newest == "2.17" or is_old(newest)
    assert ("no optional packages for this glibc" in done.stdout) == old
    assert done.returncode == (0 if old or sys.version_info >= (3, 14) else 1), done.stdout


def test_run_with_a_failure_and_an_allowed_skip_fails(project: Path) -> None:
    source = SKIPPING.format(reason="no usable GPU").replace("assert True", "assert False")
    (project / "tests" / "test_it.py").write_text(source)
    assert run_pytest(project, ci="true").returncode == 1


def test_source_tree_in_place_of_the_wheel_is_refused(project: Path) -> None:
    (project / "cyfes").mkdir()
    (project / "cyfes" / "__init__.py").write_text("")
    done = run_pytest(project, "--wheel", "some.whl", ci="")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "'import cyfes' finds" in done.stdout


GPU_TEST = "import pytest\n\n@pytest.mark.gpu\ndef test_it():\n    pass\n"
NO_DEVICE = "def devices():\n    return []\n"


@pytest.mark.parametrize(
    ("arguments", "status", "found"),
    [((), 0, "1 skipped"), (("--require-gpu",), 1, "no usable GPU: none found")],
)
def test_gpu_test_is_skipped_unless_a_gpu_is_required(
    project: Path, arguments: tuple[str, ...], status: int, found: str
) -> None:
    (project / "cyfes.py").write_text(NO_DEVICE)
    (project / "tests" / "test_it.py").write_text(GPU_TEST)
    done = run_pytest(project, *arguments, ci="true")
    assert done.returncode == status, done.stdout
    assert found in done.stdout
