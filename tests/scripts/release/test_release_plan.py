"""The workflows run the commands of the rehearsal in the same order, with minimal permissions."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from release import rehearse, release_plan
from release.release_plan import (
    BUILD_AND_VERIFY,
    PUBLISH,
    DownloadArtifact,
    Job,
    PublishFiles,
    Run,
    Step,
    UploadArtifact,
)

from wheelkit import cli

ROOT = Path(release_plan.__file__).resolve().parents[2]
FOLDER = ROOT / ".github" / "workflows"
NAMES = ("cuda-wheel", "nightly", "tests", "wheels")

# Actions that prepare a machine of GitHub, or that only use GitHub itself.
NOT_REHEARSED = {"checkout", "setup-python", "attest-build-provenance"}
# Jobs that repeat the steps of another job, that list what the rehearsal reads from its command
# line, or that only use GitHub itself.
JOBS_NOT_REHEARSED = {"pythons", "wheels", "rehearsal", "release"}
EXPRESSIONS = {"${{ matrix.python }}": "$PYTHON", "${{ matrix.gpu }}": "$PLACE"}
# Each `run:` is one command: a verb of wheelkit, a nox session, .ci/run, pip with hash-pinned
# requirements or with wheelkit only, or a command that prepares the runner.
COMMANDS = re.compile(
    r"(python -m )?wheelkit [a-z-]+( [^;|&<>`]*)?|\$BUILD --python [^;|&<>`]*"
    r"|nox --session \w+( -- [^;|&<>`]*)?|bash \.ci/run"
    r"|python -m pip install --quiet --require-hashes --only-binary=:all: --requirement \S+\.txt"
    r'|python -m pip install --quiet --no-deps "\$WHEELKIT"'
    r"|sudo (apt-get update|apt-get install|sysctl) [^;|&<>`]*"
)

Workflow = dict[str, Any]


def load(name: str) -> Workflow:
    content: Workflow = yaml.safe_load((FOLDER / f"{name}.yml").read_text())
    return content


WORKFLOWS = {name: load(name) for name in NAMES}
ALL_JOBS = [(name, job) for name in NAMES for job in WORKFLOWS[name]["jobs"]]


def jobs_in_order(workflow: Workflow) -> list[str]:
    """Return the jobs in the order of the file, but each after the jobs that it needs."""
    todo = {name: set(needs_of(job)) for name, job in workflow["jobs"].items()}
    order: list[str] = []
    while todo:
        ready = next(name for name, needs in todo.items() if needs <= set(order))
        order.append(ready)
        del todo[ready]
    return order


def needs_of(job: Workflow) -> list[str]:
    needs = job.get("needs", [])
    return [needs] if isinstance(needs, str) else needs


def steps_of(job: Workflow) -> Iterator[Step]:
    """Return the steps of a job in the form of the release plan."""
    for step in job["steps"]:
        given = step.get("with", {})
        action = step.get("uses", "").partition("@")[0].rpartition("/")[2]
        if "run" in step:
            yield Run(" ".join(step["run"].split()))
        elif action == "upload-artifact":
            yield UploadArtifact(plain(given["name"]), given["path"])
        elif action == "download-artifact":
            pattern = given.get("pattern")
            merge = pattern is None or given.get("merge-multiple", False)
            yield DownloadArtifact(plain(pattern or given["name"]), given["path"], merge)
        elif action == "gh-action-pypi-publish":
            yield PublishFiles(given["packages-dir"])
        else:
            assert action in NOT_REHEARSED, f"{step} is neither rehearsed nor known"


def plain(text: str) -> str:
    for expression, variable in EXPRESSIONS.items():
        text = text.replace(expression, variable)
    return text


def matrix_of(job: Workflow) -> str:
    names = {"python": "PYTHON", "gpu": "PLACE", None: ""}
    (name,) = job.get("strategy", {}).get("matrix", {None: ""})
    return names[name]


def planned(workflow: Workflow) -> list[Job]:
    """Return the jobs of a workflow in the form of the release plan."""
    return [
        Job(
            name,
            tuple(steps_of(workflow["jobs"][name])),
            matrix_of(workflow["jobs"][name]),
        )
        for name in jobs_in_order(workflow)
        if name not in JOBS_NOT_REHEARSED
    ]


def without_the_gates_report(job: Job) -> Job:
    """Leave out the artifact for the job that makes the release on GitHub."""
    steps = tuple(
        step for step in job.steps if step != UploadArtifact("gates", "notes.md\ngates.json\n")
    )
    return Job(job.name, steps, job.matrix)


def test_the_rehearsal_runs_the_commands_of_the_workflows_in_their_order() -> None:
    assert planned(WORKFLOWS["cuda-wheel"]) == list(BUILD_AND_VERIFY)
    (publish,) = planned(WORKFLOWS["wheels"])
    assert [without_the_gates_report(publish)] == list(PUBLISH)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("--device cpu", "--device auto"),
        ("wheelkit seal", "wheelkit sdist"),
        ("needs: [seal, verify]\n", "needs: [seal, summary]\n"),
        ("name: sealed", "name: built"),
        ("run: wheelkit sdist", "run: python build_sdist.py"),
        ("    steps:\n", "    steps:\n      - run: date\n"),
    ],
)
def test_a_workflow_that_differs_is_noticed(old: str, new: str) -> None:
    text = (FOLDER / "cuda-wheel.yml").read_text()
    assert old in text
    changed = text.replace(old, new, 1)
    if "summary]" in new:
        changed = changed.replace("needs: [seal, verify, smoke-gpu]", "needs: [seal, verify]")
    assert planned(yaml.safe_load(changed)) != list(BUILD_AND_VERIFY)


def test_the_rehearsal_index_gets_the_same_steps_as_the_real_index() -> None:
    jobs = WORKFLOWS["wheels"]["jobs"]
    rehearsal = list(steps_of(jobs["rehearsal"]))
    publish = without_the_gates_report(Job("", tuple(steps_of(jobs["publish"])))).steps
    assert rehearsal == list(publish)


def test_the_release_must_have_run_on_cuda() -> None:
    jobs = WORKFLOWS["wheels"]["jobs"]
    for name in ("rehearsal", "publish"):
        (gates,) = (step for step in jobs[name]["steps"] if step.get("id") == "gates")
        assert gates["env"]["DEVICE"] == "cuda"
        assert gates["env"]["PLACES"] == "${{ vars.GPU_RUNNERS }}"
    smoke = WORKFLOWS["cuda-wheel"]["jobs"]["smoke-gpu"]
    assert [s["env"]["DEVICE"] for s in smoke["steps"] if "DEVICE" in s.get("env", {})] == ["cuda"]


def test_the_gates_expect_what_is_built() -> None:
    jobs = WORKFLOWS["wheels"]["jobs"]
    built = jobs["wheels"]["with"]["pythons"]
    for name in ("rehearsal", "publish"):
        (gates,) = (step for step in jobs[name]["steps"] if step.get("id") == "gates")
        assert gates["env"]["PYTHONS"] == built
    assert built == "${{ needs.pythons.outputs.pythons }}"
    for name, job in (("nightly", "matrix"), ("tests", "tests")):
        matrix = WORKFLOWS[name]["jobs"][job]["strategy"]["matrix"]["python"]
        assert matrix == "${{ fromJSON(needs.pythons.outputs.pythons) }}"
        assert "pythons" in needs_of(WORKFLOWS[name]["jobs"][job])


def test_pull_requests_run_no_code_on_a_gpu_runner() -> None:
    condition = " ".join(WORKFLOWS["cuda-wheel"]["jobs"]["smoke-gpu"]["if"].split())
    events = (
        """contains(fromJSON('["push", "schedule", "workflow_dispatch"]'), github.event_name)"""
    )
    assert condition.endswith(f"&& {events}")
    elsewhere = [WORKFLOWS[name]["jobs"][job] for name, job in ALL_JOBS if job != "smoke-gpu"]
    runners = {job.get("runs-on") for job in elsewhere}
    assert runners == {"ubuntu-latest", None}


def test_only_a_tag_publishes() -> None:
    jobs = WORKFLOWS["wheels"]["jobs"]
    for name in ("rehearsal", "publish"):
        assert "startsWith(github.ref, 'refs/tags/v')" in jobs[name]["if"]
        assert jobs[name]["environment"] in ("rehearsal", "release")
    assert "vars.REHEARSAL_UPLOAD != ''" in jobs["rehearsal"]["if"]
    assert needs_of(jobs["publish"]) == ["pythons", "wheels", "rehearsal"]
    assert "needs.wheels.result == 'success'" in jobs["publish"]["if"]


PERMISSIONS = {
    ("wheels", "rehearsal"): {"id-token": "write"},
    ("wheels", "publish"): {"id-token": "write", "attestations": "write"},
    ("wheels", "release"): {"contents": "write"},
}


@pytest.mark.parametrize(("name", "job"), ALL_JOBS)
def test_each_job_has_minimal_permissions_and_a_time_limit(name: str, job: str) -> None:
    content = WORKFLOWS[name]["jobs"][job]
    assert content["permissions"] == {"contents": "read", **PERMISSIONS.get((name, job), {})}
    assert "timeout-minutes" in content or "uses" in content


@pytest.mark.parametrize("name", NAMES)
def test_each_workflow_starts_without_permissions(name: str) -> None:
    workflow = WORKFLOWS[name]
    assert workflow["permissions"] == {}
    # YAML 1.1 takes `on` for a boolean.
    events = next(value for key, value in workflow.items() if str(key) == "True")
    assert "pull_request_target" not in events
    assert "workflow_run" not in events
    assert ("concurrency" in workflow) == (name != "cuda-wheel")


@pytest.mark.parametrize("name", NAMES)
def test_each_command_is_of_an_expected_kind(name: str) -> None:
    jobs = WORKFLOWS[name]["jobs"].values()
    lines = [" ".join(s["run"].split()) for job in jobs for s in job.get("steps", []) if "run" in s]
    assert lines or name == "wheels"
    for line in lines:
        assert COMMANDS.fullmatch(line), line
        for verb in re.findall(r"wheelkit ([a-z-]+)", line):
            assert verb in [known for known, _, _ in cli.VERBS], line


@pytest.mark.parametrize(("name", "job"), ALL_JOBS)
def test_each_variable_of_a_command_is_set(name: str, job: str) -> None:
    workflow = WORKFLOWS[name]
    for step in workflow["jobs"][job].get("steps", []):
        used = set(re.findall(r"\$(\w+)", step.get("run", "")))
        assert used <= {*step.get("env", {}), *workflow.get("env", {})}, step["name"]


def test_the_rehearsal_sets_each_variable_of_a_command() -> None:
    asked = argparse.Namespace(containers=False, folder=Path())
    known = {*rehearse.variables(asked, ["3.10"]), "SEAL", "INDEX", "PYTHON", "PLACE"}
    lines = [s.line for j in (*BUILD_AND_VERIFY, *PUBLISH) for s in j.steps if isinstance(s, Run)]
    assert {name for line in lines for name in re.findall(r"\$(\w+)", line)} == known


@pytest.mark.parametrize("name", NAMES)
def test_each_action_is_pinned_and_nothing_is_cached(name: str) -> None:
    text = (FOLDER / f"{name}.yml").read_text()
    uses = re.findall(r"^\s+(?:- )?uses: (.+)$", text, re.M)
    assert uses
    for action in uses:
        pinned = re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)
        assert pinned or action == "$/.github/workflows/cuda-wheel.yml", action
    assert text.count("actions/checkout@") == text.count("persist-credentials: false")
    assert "cache" not in text
    assert "secrets." not in text


def test_one_action_has_one_version() -> None:
    texts = [(FOLDER / f"{name}.yml").read_text() for name in NAMES]
    pins = {
        tuple(pin.split("@"))
        for text in texts
        for pin in re.findall(r"uses: (\S+@\S+ # \S+)", text)
    }
    assert len(pins) == len({action for action, _ in pins})


def test_the_documented_caller_fits_the_workflow() -> None:
    page = (ROOT / "docs" / "cuda-wheel-workflow.md").read_text()
    (block,) = re.findall(r"```yaml\n(.*?)```", page, re.S)
    assert len(block.splitlines()) <= 30
    caller = yaml.safe_load(block)
    events = next(value for key, value in WORKFLOWS["cuda-wheel"].items() if str(key) == "True")
    inputs = events["workflow_call"]["inputs"]
    given = caller["jobs"]["wheels"]["with"]
    required = {name for name, content in inputs.items() if content.get("required")}
    assert required <= given.keys() <= inputs.keys()
    documented = set(re.findall(r"`([\w-]+)`", page.partition("## Inputs")[2]))
    assert inputs.keys() <= documented
    (gates,) = (s["run"] for s in caller["jobs"]["publish"]["steps"] if "wheelkit gate" in str(s))
    options = set(re.findall(r"--[a-z-]+", gates))
    (publish,) = PUBLISH
    known = {
        o for s in publish.steps if isinstance(s, Run) for o in re.findall(r"--[a-z-]+", s.line)
    }
    assert options <= known


def test_the_linters_of_node_are_pinned_by_hash_and_name_no_registry() -> None:
    folder = ROOT / "requirements" / "node"
    lock = json.loads((folder / "package-lock.json").read_text())
    asked = json.loads((folder / "package.json").read_text())["dependencies"]
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert {f"node_modules/{name}" for name in asked} <= packages.keys()
    for entry in packages.values():
        assert entry["integrity"].startswith("sha512-")
        assert "resolved" not in entry
