"""GitHub's own parser and expression engine notice broken workflows and decide on conditions."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from release import workflow_run
from release.workflow_run import Event
from shared.ledger import PROJECT
from wheelkit.target.report import LackingError

pytestmark = pytest.mark.network

WHEELS = PROJECT / ".github" / "workflows" / "wheels.yml"
PROGRAMS = Path(sys.executable).parent


@pytest.fixture(scope="module", autouse=True)
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("node")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(PROJECT / "requirements" / "node" / name, folder)
    npm = [str(PROGRAMS / "npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(npm, check=True, cwd=folder)
    patch = pytest.MonkeyPatch()
    patch.setenv("NODE_MODULES", str(folder))
    return folder


def lint(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    file = folder / "workflow.yml"
    file.write_text(text)
    command = [PROGRAMS / "node", PROJECT / "scripts" / "workflows" / "lint.mjs", file]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=os.environ)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("needs.seal.outputs.seal", "needs.seal.outputs.sael", "sael"),
        ("needs: plan\n", "needs: plann\n", "plann"),
        ("github.ref_name", "github.refname", "refname"),
        ("contains(from", "containz(from", "containz"),
        ("steps.gates.outputs", "steps.gate.outputs", "gate"),
        ("runs-on: ubuntu-latest\n", "runs_on: ubuntu-latest\n", "runs_on"),
    ],
)
def test_a_broken_workflow_is_noticed(old: str, new: str, said: str, tmp_path: Path) -> None:
    text = WHEELS.read_text()
    assert lint(text, tmp_path).returncode == 0
    assert old in text
    done = lint(text.replace(old, new, 1), tmp_path)
    assert done.returncode == 1
    assert said in done.stdout


def decide(event: Event, **results: str) -> dict[str, bool]:
    jobs = dict.fromkeys(workflow_run.jobs_of(WHEELS), "success")
    jobs |= {name.replace("_", "-"): result for name, result in results.items()}
    gpus = json.dumps([{"slot": "1"}]) if event.variables.get("GPU_RUNNERS") else "[]"
    return workflow_run.github_starts(WHEELS, event, jobs, {"plan": {"gpus": gpus}})


TAG = {"ref": "refs/tags/v1"}
MAIN = {"ref": "refs/heads/main"}
GPU = {"GPU_RUNNERS": '["gpu"]'}


@pytest.mark.parametrize(
    ("event", "results", "expected"),
    [
        (Event("push", TAG, {**GPU, "REHEARSAL_UPLOAD": "x"}), {}, set()),
        (Event("push", TAG, GPU), {"rehearsal": "skipped"}, {"rehearsal"}),
        (Event("push", TAG, GPU), {"rehearsal": "failure"}, {"rehearsal", "publish"}),
        (Event("push", TAG, GPU), {"gates": "failure"}, {"rehearsal", "publish"}),
        (Event("push", TAG, GPU), {"publish": "failure"}, {"rehearsal", "release"}),
        (
            Event("push", TAG, GPU),
            {"seal": "failure"},
            {"rehearsal", "verify", "smoke-gpu", "gates"},
        ),
        (Event("push", MAIN, GPU), {}, {"rehearsal", "publish"}),
        (Event("push", MAIN), {}, {"smoke-gpu", "rehearsal", "publish"}),
        (Event("pull_request", {}, GPU), {}, {"smoke-gpu", "rehearsal", "publish"}),
        (Event("workflow_dispatch", TAG, GPU), {}, {"rehearsal", "publish"}),
    ],
)
def test_github_decides(event: Event, results: dict[str, str], expected: set[str]) -> None:
    starts = decide(event, **results)
    assert {job for job, value in starts.items() if not value} == expected


def test_act_that_differs_from_github_is_noticed() -> None:
    results = dict.fromkeys(workflow_run.jobs_of(WHEELS), "success")
    event = Event("push", MAIN, GPU)
    outputs = {"plan": {"gpus": "[{}]"}}
    with pytest.raises(workflow_run.UnlikeGitHubError, match="publish is skipped"):
        workflow_run.compare_with_github(WHEELS, event, results, outputs)


def test_a_condition_that_is_a_text_is_refused(tmp_path: Path) -> None:
    condition = "if: |\n      ${{ false }}"
    text = f"on: push\njobs:\n  a:\n    runs-on: x\n    {condition}\n    steps: [{{run: x}}]\n"
    (tmp_path / "w.yml").write_text(text)
    with pytest.raises(LackingError, match=r"format\("):
        workflow_run.github_starts(tmp_path / "w.yml", Event("push", MAIN), {"a": "success"}, {})
