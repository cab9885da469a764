"""Run one test file and tell coverage.py, which runs already, which test each line is run by."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import coverage
import pytest


class Recorder:
    """Changes coverage's context with each test, and adds up the seconds of those that pass."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.unusable: set[str] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        # It runs since the start of the process, as COVERAGE_PROCESS_START says.
        running = coverage.Coverage.current()
        running.switch_context(item.nodeid)
        try:
            return (yield)
        finally:
            running.switch_context("")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration
        if not report.passed:
            self.unusable.add(report.nodeid)

    def passed(self) -> dict[str, float]:
        return {test: s for test, s in self.seconds.items() if test not in self.unusable}


def main() -> None:
    result, *arguments = sys.argv[1:]
    recorder = Recorder()
    pytest.main(arguments, plugins=[recorder])
    Path(result).write_text(json.dumps(recorder.passed()), encoding="utf-8")


if __name__ == "__main__":
    main()
