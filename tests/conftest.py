"""Fixtures that all tests share, and the check of skipped tests.

Tests run against the installed wheel, outside of the source tree: ``nox -s tests``.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import packaging.tags
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

PROJECT = Path(__file__).resolve().parent.parent
SHARED_DATA = PROJECT.parent / "shared" / "data"

# The only reasons for which a test may be skipped where the variable CI is set. Each is the
# beginning of a message, and names what a machine may lack.
NO_GPU = "no usable GPU"
NO_SHARED_DATA = f"no folder {SHARED_DATA}"
NO_PYTHON = "no CPython"
NO_NVCC = "no nvcc"
NO_MOUNT = "no file system can be mounted here"
NO_FORTRAN = "no gfortran"
NO_CHROMIUM = "no Chromium"
NO_EXTRAS = "no optional packages for this CPython"
NO_EXTRAS_FOR_GLIBC = "no optional packages for this glibc"
NO_PLAIN_PATH = "no path without spaces"

# CI must not skip for this reason: it has a network.
NO_TOOLKIT = "no CUDA toolkit"

# The optional packages of requirements/tests.in have no wheels for a prerelease of CPython yet, and
# their newest versions none for an older glibc (requirements/manylinux2014.in).
EXTRAS_BEFORE = (3, 14)
EXTRAS_TAG = "manylinux_2_28_x86_64"

TESTS = Path(__file__).resolve().parent
# The scripts in scripts/kernels/ run on every CPython of the package; all other scripts need this
# one.
SCRIPTS_SINCE = (3, 10)


def paths_for_newer_pythons() -> list[str]:
    """Return the paths of the tests that an older interpreter cannot run."""
    scripts = (path for path in (TESTS / "scripts").iterdir() if path.name != "kernels")
    return [str(TESTS / "integration"), *sorted(map(str, scripts))]


collect_ignore = paths_for_newer_pythons() if sys.version_info < SCRIPTS_SINCE else []


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("cyfes")
    group.addoption("--wheel", type=Path, help="the repaired wheel, which is installed")
    group.addoption("--unrepaired-wheel", type=Path, help="the same wheel before the repair")
    group.addoption(
        "--release-wheels",
        type=Path,
        metavar="DIR",
        help="release wheels; tests that need some build them if this is not given",
    )
    group.addoption(
        "--require-gpu",
        action="store_true",
        help="where no GPU is usable, let tests of the GPU fail instead of being skipped",
    )

    group.addoption(
        "--package-only",
        action="store_true",
        help="run only the tests of the installed package, not those of the scripts",
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    of_scripts = collection_path in (TESTS / "scripts", TESTS / "integration")
    return True if of_scripts and config.getoption("--package-only") else None


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--wheel"):
        refuse_source_tree()
    config.pluginmanager.register(SkipCheck(on_ci=bool(os.environ.get("CI"))), "skip-check")
    # Background jobs of a shell ignore Ctrl-C, what nohup starts ignores a hangup, and so do the
    # processes that they start. Some tests send these signals.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def refuse_source_tree() -> None:
    """End the run if ``import cyfes`` would import the source tree and not the installed wheel."""
    spec = importlib.util.find_spec("cyfes")
    origin = Path(spec.origin).resolve() if spec and spec.origin else None
    if origin is None or origin.parent.parent == PROJECT:
        raise pytest.UsageError(
            f"--wheel is given, but 'import cyfes' finds {origin}; "
            "install the wheel and run pytest from another folder (nox -s tests does)"
        )


class SkipCheck:
    """On CI, let a run fail if it skipped a test that this machine could have run."""

    def __init__(self, *, on_ci: bool) -> None:
        self.on_ci = on_ci
        self.refused: list[str] = []

    @staticmethod
    def is_allowed(reason: str) -> bool:
        """Tell whether a test may be skipped on this machine for this reason."""
        if reason.startswith(NO_SHARED_DATA):
            return not SHARED_DATA.is_dir()
        if reason.startswith(NO_PLAIN_PATH):
            return " " in tempfile.gettempdir()
        if reason.startswith(NO_EXTRAS_FOR_GLIBC):
            return not has_extras_for_glibc()
        if reason.startswith(NO_EXTRAS):
            return sys.version_info >= EXTRAS_BEFORE
        return reason.startswith((NO_GPU, NO_PYTHON, NO_NVCC, NO_MOUNT, NO_FORTRAN, NO_CHROMIUM))

    def check(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        """Remember a test that was skipped for a reason that is not allowed."""
        if report.skipped and not hasattr(report, "wasxfail"):
            details = report.longrepr
            reason = str(details[2] if isinstance(details, tuple) else details)
            reason = reason.replace("Skipped: ", "", 1)
            line = f"{report.nodeid}: {reason}"
            if not self.is_allowed(reason) and line not in self.refused:
                self.refused.append(line)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.check(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self.check(report)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what a process of pytest-xdist has found, which ends."""
        found = getattr(node, "workeroutput", {}).get("refused", ())
        self.refused += [line for line in found if line not in self.refused]

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["refused"] = self.refused
        if self.on_ci and self.refused and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.on_ci and self.refused:
            terminalreporter.section("skipped without an allowed reason: the run fails")
            for line in self.refused:
                terminalreporter.write_line(line)


@functools.lru_cache(maxsize=None)
def has_extras_for_glibc() -> bool:
    """Tell whether pip would install the optional packages on the glibc of this machine."""
    return EXTRAS_TAG in packaging.tags.platform_tags()


@functools.lru_cache(maxsize=None)
def why_no_gpu() -> str:
    """Return why no GPU can be used; an empty text if one can."""
    import cyfes

    gpus = [device for device in cyfes.devices() if device.id != "cpu"]
    if any(device.usable for device in gpus):
        return ""
    return "; ".join(f"{gpu.id}: {gpu.reason}" for gpu in gpus) or "none found"


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") is None or not why_no_gpu():
        return
    if item.config.getoption("--require-gpu"):
        pytest.fail(f"{NO_GPU}: {why_no_gpu()}", pytrace=False)
    pytest.skip(f"{NO_GPU}: {why_no_gpu()}")


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The root of the source tree."""
    return PROJECT


@pytest.fixture
def extra() -> Callable[[str], Any]:
    """A function that imports an optional package, or skips the test."""

    def import_or_skip(name: str) -> Any:
        try:
            return importlib.import_module(name)
        except ImportError as error:
            reason = NO_EXTRAS if has_extras_for_glibc() else NO_EXTRAS_FOR_GLIBC
            pytest.skip(f"{reason}: {error}")

    return import_or_skip


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with data of real PLUMED runs, beside the project."""
    if not SHARED_DATA.is_dir():
        pytest.skip(NO_SHARED_DATA)
    return SHARED_DATA


@pytest.fixture(scope="session")
def cuda_toolkit() -> Path:
    """The toolkit of CUDA_HOME, or the pinned one in build/cuda, which may be downloaded now."""
    from kernels.install_cuda import UntrustedError
    from wheelkit.target.report import LackingError
    from wheels.build_wheels import cuda_home

    try:
        return cuda_home()
    except UntrustedError:
        raise
    except LackingError as error:
        pytest.skip(f"{NO_TOOLKIT}: {error}")


@pytest.fixture(scope="session")
def wheel(request: pytest.FixtureRequest) -> Path:
    """The repaired wheel, which is installed in this environment."""
    return path_of_option(request, "--wheel")


@pytest.fixture(scope="session")
def unrepaired_wheel(request: pytest.FixtureRequest) -> Path:
    """The same wheel before the repair."""
    return path_of_option(request, "--unrepaired-wheel")


def path_of_option(request: pytest.FixtureRequest, option: str) -> Path:
    """Return the path that an option names; skip the test if the option is not given."""
    path = request.config.getoption(option)
    if path is None:
        pytest.skip(f"no {option} given: nox -s tests passes one")
    return Path(path).resolve(strict=True)
