"""The gate of a workflow: only success is success."""

from __future__ import annotations

import json

import pytest
from wheelkit.cli import check_jobs
from wheelkit.target.report import Status, run


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        (["success", "success"], Status.DONE),
        (["success", "failure"], Status.FAULTY),
        (["success", "cancelled"], Status.FAULTY),
        (["success", "skipped"], Status.FAULTY),
        ([], Status.MISUSED),
    ],
)
def test_every_job_must_have_succeeded(
    monkeypatch: pytest.MonkeyPatch, results: list[str], expected: int
) -> None:
    needs = {f"job-{number}": {"result": result} for number, result in enumerate(results)}
    monkeypatch.setenv("NEEDS", json.dumps(needs))
    assert run(check_jobs.main) == expected


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": "success"}', '{"a": {}}'])
def test_something_else_is_wrong_usage(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("NEEDS", text)
    assert run(check_jobs.main) == Status.MISUSED


@pytest.mark.parametrize(
    ("result", "optional", "expected"),
    [
        ("skipped", "gpu", Status.DONE),
        ("failure", "gpu", Status.FAULTY),
        ("cancelled", "gpu", Status.FAULTY),
        ("skipped", "build", Status.FAULTY),
        ("skipped", "gpus", Status.MISUSED),
    ],
)
def test_only_the_named_job_may_be_skipped(
    monkeypatch: pytest.MonkeyPatch, result: str, optional: str, expected: int
) -> None:
    needs = {"build": {"result": "success"}, "gpu": {"result": result}}
    monkeypatch.setenv("NEEDS", json.dumps(needs))
    assert run(lambda: check_jobs.main(["--may-skip", optional])) == expected
