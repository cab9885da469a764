"""The workflow files: permissions, bound artifacts, pinned actions, and commands that exist.

`nox -s lint` checks what GitHub's parser, zizmor and the schema know; these tests check what only
this project can know.
"""

from __future__ import annotations

import importlib
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from shared.ledger import PROJECT
from wheelkit.cli import plan
from wheelkit.wheel.platforms import ARCHITECTURES

from wheelkit import cli

FOLDER = PROJECT / ".github" / "workflows"
NAMES = ("nightly", "tests", "wheels")
PAGE = PROJECT / "docs" / "your_wheels.md"
READ = {"contents": "read"}
PERMISSIONS = {
    ("wheels", "rehearsal"): {"id-token": "write"},
    ("wheels", "publish"): {"id-token": "write", "attestations": "write"},
    ("wheels", "release"): {"contents": "write"},
    ("nightly", "images"): {"contents": "write", "pull-requests": "write"},
}
# What the jobs that may publish use, and nothing else.
PUBLISHING_ACTIONS = {"download-artifact", "attest-build-provenance", "gh-action-pypi-publish"}

Job = dict[str, Any]


def load(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yml").read_text())
    return content


def example() -> dict[str, Any]:
    """Return the workflow that the page for other projects shows."""
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.S)
    content: dict[str, Any] = yaml.safe_load(block)
    return content


WORKFLOWS = {name: load(name) for name in NAMES}
BUILDING = {"wheels": WORKFLOWS["wheels"], "example": example()}
ALL_JOBS = [(name, job) for name in NAMES for job in WORKFLOWS[name]["jobs"]]


def events_of(workflow: dict[str, Any]) -> dict[str, Any]:
    """Return the events; YAML 1.1 takes `on` for a boolean."""
    events: dict[str, Any] = next(value for key, value in workflow.items() if str(key) == "True")
    return events


def needs_of(job: Job) -> list[str]:
    needs = job.get("needs", [])
    return [needs] if isinstance(needs, str) else needs


def before(jobs: dict[str, Job], name: str) -> set[str]:
    """Return the jobs that have ended before this one begins."""
    direct = set(needs_of(jobs[name]))
    return direct.union(*(before(jobs, other) for other in direct))


def action_of(step: Job) -> str:
    return str(step.get("uses", "")).partition("@")[0].rpartition("/")[2]


@pytest.mark.parametrize(("name", "job"), ALL_JOBS)
def test_each_job_has_minimal_permissions_and_a_time_limit(name: str, job: str) -> None:
    content = WORKFLOWS[name]["jobs"][job]
    assert content["permissions"] == PERMISSIONS.get((name, job), READ)
    assert "timeout-minutes" in content


@pytest.mark.parametrize("name", NAMES)
def test_each_workflow_starts_without_permissions(name: str) -> None:
    assert WORKFLOWS[name]["permissions"] == {}
    assert not {"pull_request_target", "workflow_run"} & set(events_of(WORKFLOWS[name]))
    assert "concurrency" in WORKFLOWS[name]


def test_each_pull_request_builds_the_wheels() -> None:
    assert events_of(WORKFLOWS["wheels"])["pull_request"] is None


def test_pull_requests_run_no_code_on_a_gpu_runner() -> None:
    condition = " ".join(WORKFLOWS["wheels"]["jobs"]["smoke-gpu"]["if"].split())
    events = """contains(fromJSON('["push", "workflow_dispatch"]'), github.event_name)"""
    assert condition.endswith(f"&& {events}")
    elsewhere = [WORKFLOWS[name]["jobs"][job] for name, job in ALL_JOBS if job != "smoke-gpu"]
    labels = {"ubuntu-latest", "${{ matrix.architecture.runner }}"}
    assert {job["runs-on"] for job in elsewhere} == labels
    # They are GitHub's own.
    assert set(plan.RUNNERS.values()) == {"ubuntu-latest", "ubuntu-24.04-arm"}


def test_each_output_of_a_matrix_is_that_of_one_of_its_jobs() -> None:
    """All jobs of a matrix write the same outputs: those of others must stay as they are."""
    for job in WORKFLOWS["wheels"]["jobs"].values():
        if "strategy" not in job:
            continue
        for name, value in job.get("outputs", {}).items():
            own = name.partition("-")[2]
            kind = "slot" if own.isdecimal() else "architecture.name"
            assert value.startswith(f"${{{{ matrix.{kind} == '{own}' && steps."), name
            assert value.endswith(" || '' }}"), name


def test_only_a_tag_publishes_and_only_after_the_gates() -> None:
    jobs = WORKFLOWS["wheels"]["jobs"]
    environments = {name: job.get("environment") for name, job in jobs.items()}
    published = {name for name, environment in environments.items() if environment}
    assert published == {"rehearsal", "publish"}
    for name in published:
        assert "startsWith(github.ref, 'refs/tags/v')" in jobs[name]["if"]
        assert "gates" in needs_of(jobs[name])
    assert "environment" not in jobs["gates"]


@pytest.mark.parametrize("name", BUILDING)
def test_what_may_publish_runs_no_code_of_the_project(name: str) -> None:
    jobs = BUILDING[name]["jobs"]
    trusted = {job: c for job, c in jobs.items() if "id-token" in c["permissions"]}
    assert "publish" in trusted
    for job in trusted.values():
        assert {action_of(step) for step in job["steps"]} <= {"", *PUBLISHING_ACTIONS}
        lines = [line.strip() for s in job["steps"] for line in s.get("run", "").splitlines()]
        assert all(re.match(r'(echo "\$SEAL|sha256sum )', line) for line in lines if line)


@pytest.mark.parametrize("name", BUILDING)
def test_each_artifact_is_taken_by_the_name_that_an_earlier_job_gave(name: str) -> None:
    jobs = BUILDING[name]["jobs"]
    made = {
        step["with"]["name"]
        .replace("${{ matrix.slot }}", slot)
        .replace("${{ matrix.architecture.name }}", architecture): job
        for job, content in jobs.items()
        for step in content["steps"]
        for slot in "1234"
        for architecture in ARCHITECTURES
        if action_of(step) == "upload-artifact"
    }
    for job, content in jobs.items():
        for step in content["steps"]:
            if action_of(step) == "download-artifact":
                assert set(step["with"]) == {"name", "path"}, step
                assert made[step["with"]["name"]] in before(jobs, job), step


@pytest.mark.parametrize("name", BUILDING)
def test_each_seal_is_the_output_of_a_job(name: str) -> None:
    """A folder that comes from an artifact is named together with the seal of the job."""
    for job, content in BUILDING[name]["jobs"].items():
        for step in content["steps"]:
            environment = {**content.get("env", {}), **step.get("env", {})}
            sealed = re.findall(
                r'(?:--seal "|--part "[^"]*=|--reports "[^"]*=)\$(\w+)', run_of(step)
            )
            for variable in sealed:
                # A job that was skipped has no outputs.
                ran = r"(?:needs\.[\w-]+\.result != 'skipped' && )?"
                output = rf"\$\{{\{{ {ran}needs\.([\w-]+)\.outputs\.[\w-]+(?: \|\| '')? \}}\}}"
                found = re.fullmatch(output, environment[variable])
                assert found, (job, variable)
                assert found[1] in needs_of(content)


def run_of(step: Job) -> str:
    return " ".join(str(step.get("run", "")).split())


def commands(workflow: dict[str, Any]) -> Iterator[list[str]]:
    """Yield the words of each command of wheelkit in a workflow."""
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            # ${NAME:+words} stands for its words.
            text = re.sub(r"\$\{\w+:\+([^}]*)\}", r"\1", run_of(step))
            for line in text.split("&&"):
                words = shlex.split(line)
                for start in (["wheelkit"], ["python3", "-m", "wheelkit"]):
                    if words[: len(start)] == start:
                        yield words[len(start) :]


SAMPLES = {
    "--python": "3.10",
    "--pythons": '["3.10"]',
    "--places": '["gpu"]',
    "--gpu-runners": '["gpu"]',
    "--seal": "0" * 64,
    "--place": "gpu",
    "--architecture": "x86_64",
}


@pytest.mark.parametrize("name", ["nightly", "wheels", "example"])
def test_each_command_of_wheelkit_is_understood(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = {verb: module for verb, module, _ in cli.VERBS}
    for file in ("scripts/smoke_test.py", "requirements/numpy.txt", "tests/kernels.py"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    (tmp_path / "requirements.txt").touch()
    monkeypatch.chdir(tmp_path)
    found = list(commands(WORKFLOWS[name] if name in NAMES else example()))
    assert found
    for verb, *arguments in found:
        for place, word in enumerate(arguments[:-1]):
            if word in SAMPLES:
                arguments[place + 1] = SAMPLES[word]
        module = importlib.import_module(f"wheelkit.cli.{modules[verb]}")
        parse = getattr(module, "parse", module.main)
        if verb != "setup":
            parse(arguments)


@pytest.mark.parametrize("name", NAMES)
def test_each_variable_of_a_command_is_set(name: str) -> None:
    workflow = WORKFLOWS[name]
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            used = set(re.findall(r"\$\{?(\w+)", re.sub(r"\$\{\{.*?\}\}", "", run_of(step))))
            known = {*workflow.get("env", {}), *job.get("env", {}), *step.get("env", {})}
            assert used <= {*known, "GITHUB_ENV"}, step["name"]


def texts() -> dict[str, str]:
    files = [*FOLDER.glob("*.yml"), *(FOLDER.parent / "actions").glob("*/action.yml")]
    return {str(file): file.read_text() for file in files}


def test_each_action_is_pinned_and_nothing_is_cached() -> None:
    pins = set()
    for name, text in texts().items():
        uses = re.findall(r"^\s+(?:- )?uses: (.+)$", text, re.M)
        assert uses, name
        for action in uses:
            pinned = re.fullmatch(r"([\w-]+/[\w-]+)@([0-9a-f]{40}) # v\d+\.\d+\.\d+", action)
            assert pinned or action == "./.github/actions/setup", action
            pins |= {pinned.groups()} if pinned else set()
        assert text.count("actions/checkout@") == text.count("persist-credentials: false")
        assert "cache" not in text
        assert "secrets." not in text
    assert len(pins) == len({action for action, _ in pins}), "two versions of one action"


def test_no_condition_of_several_lines_is_one_expression() -> None:
    """GitHub's parser keeps the line breaks around such an expression: a text, which is true."""
    for text in texts().values():
        assert not re.search(r"if: [>|]-?\n\s+\$\{\{", text)


def test_the_packages_of_node_are_pinned_by_hash_and_name_no_registry() -> None:
    folder = PROJECT / "requirements" / "node"
    lock = json.loads((folder / "package-lock.json").read_text())
    asked = json.loads((folder / "package.json").read_text())["dependencies"]
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert {f"node_modules/{name}" for name in asked} <= packages.keys()
    for entry in packages.values():
        assert entry["integrity"].startswith("sha512-")
        assert "resolved" not in entry
