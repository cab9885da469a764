"""Fixtures that all tests share, and the judgement over skipped tests.

Tests run against the installed wheel, outside of the source tree: ``nox -s tests``.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

PROJECT = Path(__file__).resolve().parent.parent
SHARED_DATA = PROJECT.parent / "shared" / "data"

# The only reasons for which a test may be skipped where CI is set: what a machine can lack.
NO_GPU = "no usable GPU"
NO_SHARED_DATA = f"no folder {SHARED_DATA}"
NO_PYTHON = "no CPython"
NO_NVCC = "no nvcc"
NO_MOUNT = "no file system can be mounted here"
NO_EXTRAS = "no optional packages for this CPython"

# Optional packages, as requirements/tests.in has them: a prerelease of CPython has none yet.
EXTRAS_BEFORE = (3, 14)

TESTS = Path(__file__).resolve().parent
# What scripts/kernels/ has runs on every CPython of the package; all other scripts need this one.
SCRIPTS_SINCE = (3, 10)


def for_newer_pythons() -> list[str]:
    """Return the tests of scripts that an older interpreter cannot run."""
    scripts = (path for path in (TESTS / "scripts").iterdir() if path.name != "kernels")
    return [str(TESTS / "integration"), *sorted(map(str, scripts))]


collect_ignore = for_newer_pythons() if sys.version_info < SCRIPTS_SINCE else []


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("cyfes")
    group.addoption("--wheel", type=Path, help="the repaired wheel that is installed here")
    group.addoption("--unrepaired-wheel", type=Path, help="the same wheel before the repair")
    group.addoption(
        "--require-gpu", action="store_true", help="fail, do not skip, where no GPU is usable"
    )

    group.addoption(
        "--package-only",
        action="store_true",
        help="leave the tests of the scripts out: what is tested is the installed package",
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    of_scripts = collection_path in (TESTS / "scripts", TESTS / "integration")
    return True if of_scripts and config.getoption("--package-only") else None


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--wheel"):
        refuse_source_tree()
    config.pluginmanager.register(SkipJudge(on_ci=bool(os.environ.get("CI"))), "skip-judge")
    # A shell starts its background jobs with Ctrl-C ignored, and they hand that on.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def refuse_source_tree() -> None:
    """End the run where ``import cyfes`` would not import the wheel that is to be tested."""
    spec = importlib.util.find_spec("cyfes")
    origin = Path(spec.origin).resolve() if spec and spec.origin else None
    if origin is None or origin.parent.parent == PROJECT:
        raise pytest.UsageError(
            f"--wheel is given, but 'import cyfes' finds {origin}; "
            "install the wheel and run pytest from another folder (nox -s tests does)"
        )


class SkipJudge:
    """On CI, fail a run in which a test was skipped that this machine could have run."""

    def __init__(self, *, on_ci: bool) -> None:
        self.on_ci = on_ci
        self.unexcused: list[str] = []

    @staticmethod
    def excused(reason: str) -> bool:
        """Tell whether this machine may skip a test for this reason."""
        if reason.startswith(NO_SHARED_DATA):
            return not SHARED_DATA.is_dir()
        if reason.startswith(NO_EXTRAS):
            return sys.version_info >= EXTRAS_BEFORE
        return reason.startswith((NO_GPU, NO_PYTHON, NO_NVCC, NO_MOUNT))

    def take(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        """Note a skip without excuse."""
        if report.skipped and not hasattr(report, "wasxfail"):
            details = report.longrepr
            reason = str(details[2] if isinstance(details, tuple) else details)
            reason = reason.replace("Skipped: ", "", 1)
            if not self.excused(reason):
                self.unexcused.append(f"{report.nodeid}: {reason}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.take(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self.take(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.on_ci and self.unexcused and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.on_ci and self.unexcused:
            terminalreporter.section("skipped without an excuse: the run fails")
            for line in self.unexcused:
                terminalreporter.write_line(line)


@functools.lru_cache(maxsize=None)
def why_no_gpu() -> str:
    """Return why no GPU can be used here; empty if one can."""
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

    def load(name: str) -> Any:
        try:
            return importlib.import_module(name)
        except ImportError as error:
            pytest.skip(f"{NO_EXTRAS}: {error}")

    return load


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real runs of PLUMED, beside the project."""
    if not SHARED_DATA.is_dir():
        pytest.skip(NO_SHARED_DATA)
    return SHARED_DATA


@pytest.fixture(scope="session")
def wheel(request: pytest.FixtureRequest) -> Path:
    """The repaired wheel, which is installed in this environment."""
    return given(request, "--wheel")


@pytest.fixture(scope="session")
def unrepaired_wheel(request: pytest.FixtureRequest) -> Path:
    """The wheel as it was before the repair."""
    return given(request, "--unrepaired-wheel")


def given(request: pytest.FixtureRequest, option: str) -> Path:
    """Return the wheel of an option; a quick run without any skips."""
    path = request.config.getoption(option)
    if path is None:
        pytest.skip(f"no {option} given: nox -s tests passes one")
    return Path(path).resolve(strict=True)
