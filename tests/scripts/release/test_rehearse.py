"""The rehearsal: its events, its table, and the stand-ins of what this machine lacks."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from release import example_project, rehearse, stage, workflow_run
from release.scenes import Played, scenes, version
from release.workflow_run import STANDINS, Event
from shared.ledger import PROJECT
from wheelkit.target.report import LackingError, MisusedError

JOBS = workflow_run.jobs_of(PROJECT / workflow_run.WORKFLOW)
PROGRAMS = STANDINS / "programs"


def test_each_action_of_the_workflows_has_a_standin(tmp_path: Path) -> None:
    made = workflow_run.make_standins(PROJECT, tmp_path)
    assert set(made) == {f"{name}@{commit}" for name, commit in workflow_run.actions_of(PROJECT)}
    assert any(name.startswith("pypa/gh-action-pypi-publish@") for name in made)
    for folder in made.values():
        assert (folder / "action.yml").is_file()
        assert (folder / ".git").is_dir()


def test_an_action_without_a_standin_is_left_out(tmp_path: Path) -> None:
    workflow = tmp_path / workflow_run.WORKFLOW
    workflow.parent.mkdir(parents=True)
    workflow.write_text(f"steps: [{{uses: some/action@{'0' * 40}}}]\n")
    assert workflow_run.actions_of(tmp_path) == {("some/action", "0" * 40)}
    assert workflow_run.make_standins(tmp_path, tmp_path / "actions") == {}


def test_each_scene_says_how_each_job_ends() -> None:
    every = scenes()
    assert len({scene.name for scene in every}) == len(every)
    for scene in every:
        expected = scene.expected(JOBS)
        assert set(scene.green) | set(scene.red) <= set(JOBS)
        tag = scene.event.content.get("ref", "").startswith("refs/tags/")
        assert tag or expected["publish"] == expected["release"] == "skipped"
        if scene.event.kind == "pull_request":
            assert expected["smoke-gpu"] == "skipped"
    last = every[-1].expected(JOBS)
    assert set(last.values()) == {"success"}


def test_the_table() -> None:
    push, *_, tag = scenes()
    played = [
        Played(push, push.expected(JOBS)),
        Played(tag, tag.expected(JOBS), ["a.whl", "b.tar.gz"], "v1"),
    ]
    lines = rehearse.table(played, ["plan", "publish"], "built: here").splitlines()
    assert [re.split(r"  +", line) for line in lines] == [
        ["event", "plan", "publish", "on the index", "on GitHub"],
        ["push to main, no GPU runner", "ok", "-", "0 files", "none"],
        ["the same tag, run again", "ok", "ok", "2 files", "v1"],
        ["built: here"],
    ]


def test_wheels_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    (tmp_path / "cyfes-1-cp37-cp37m-linux_x86_64.whl").touch()
    rehearse.check_wheels(tmp_path, ["3.7"])
    with pytest.raises(MisusedError, match=r"expected one wheel of CPython 3.12: none"):
        rehearse.check_wheels(tmp_path, ["3.7", "3.12"])


def test_what_is_not_built() -> None:
    skipped = stage.other_pythons(["3.7", "3.12"]).split()
    assert {"cp38-*", "cp313-*", "cp3??t-*"} <= set(skipped)
    assert not {"cp37-*", "cp312-*"} & set(skipped)


def test_the_repository_of_the_rehearsal(tmp_path: Path) -> None:
    repository = stage.make_repository(tmp_path)
    tag = f"v{version()}"

    def git(*words: str) -> str:
        command = ["git", "-C", str(repository), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert git("cat-file", "-t", tag) == "tag"
    assert git("status", "--porcelain") == ""
    assert git("ls-remote", "--heads", "origin").endswith("refs/heads/main")
    assert f"## [{version()}] - " in (repository / "CHANGELOG.md").read_text()


# ---- what act says


def lines_of(*entries: dict[str, object]) -> list[str]:
    return [json.dumps({"msg": "", "level": "info", **entry}) + "\n" for entry in entries]


def test_a_job_with_a_matrix_has_failed_if_one_of_its_runs_has(tmp_path: Path) -> None:
    lines = lines_of(
        {"job": "w/gpu-1", "jobID": "gpu", "jobResult": "failure"},
        {"job": "w/gpu-2", "jobID": "gpu", "jobResult": "success"},
        {"job": "w/plan", "jobID": "plan", "jobResult": "success"},
    )
    with (tmp_path / "log").open("w") as log:
        results = dict(workflow_run.follow(lines, log))
    assert results == {"gpu": "failure", "plan": "success"}


def test_a_failed_step_shows_what_it_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    step = {"job": "w/plan", "jobID": "plan", "stepID": ["0"], "step": "Plan it"}
    lines = lines_of(
        {**step, "msg": "⭐ Run Main Plan it"},
        {**step, "msg": "no such file\n", "raw_output": True},
        {**step, "stepResult": "failure"},
    )
    with (tmp_path / "log").open("w") as log:
        assert dict(workflow_run.follow(lines, log)) == {}
    assert capsys.readouterr().err.splitlines() == [
        "w/plan: Plan it",
        "w/plan: FAILED: Plan it",
        "no such file",
    ]


WORKFLOW = """\
on: push
jobs:
  first:
    runs-on: ubuntu-latest
    outputs: {word: "${{ steps.say.outputs.word }}"}
    steps:
      - {id: say, run: 'echo "word=$GIVEN" >> "$GITHUB_OUTPUT"'}
  second:
    needs: first
    runs-on: ubuntu-latest
    steps:
      - {run: 'test "$WORD" = hello', env: {WORD: "${{ needs.first.outputs.word }}"}}
  third:
    needs: second
    runs-on: ubuntu-latest
    steps: [{run: 'true'}]
"""


def need_a_path_without_spaces(path: Path) -> None:
    if " " in str(path):
        pytest.skip(f"no path without spaces: {path}")


def test_where_act_would_run_nothing_it_is_not_asked(tmp_path: Path) -> None:
    event = Event("push", {"ref": "refs/heads/main"})
    with pytest.raises(LackingError, match=r"act runs no step below .*, because the path has"):
        workflow_run.act(tmp_path / "x.yml", event, {}, [], tmp_path / "a b", {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "second", "third"),
    [
        ("hello", "success", "success"),
        ("bye", "failure", "skipped"),
    ],
)
def test_act_runs_a_workflow(given: str, second: str, third: str, tmp_path: Path) -> None:
    need_a_path_without_spaces(tmp_path)
    workflow = tmp_path / "repository" / ".github" / "workflows" / "x.yml"
    workflow.parent.mkdir(parents=True)
    workflow.write_text(WORKFLOW)
    workflow_run.commit_all(tmp_path / "repository", "a workflow")
    event = Event("push", {"ref": "refs/heads/main"})
    environment = {"GIVEN": given, "PATH": os.environ["PATH"]}
    results = workflow_run.act(
        workflow, event, {}, ["ubuntu-latest"], tmp_path / "run", environment
    )
    assert results == {"first": "success", "second": second, "third": third}


WAITING = """\
on: push
jobs:
  first:
    runs-on: ubuntu-latest
    steps: [{run: 'echo $$ > "$STARTED.part"; mv "$STARTED.part" "$STARTED"; sleep 600'}]
"""


def has_ended(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_an_interrupted_rehearsal_ends_the_steps_that_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_a_path_without_spaces(tmp_path)
    workflow = tmp_path / "repository" / ".github" / "workflows" / "x.yml"
    workflow.parent.mkdir(parents=True)
    workflow.write_text(WAITING)
    workflow_run.commit_all(tmp_path / "repository", "a workflow")
    started = tmp_path / "started"

    def interrupted(*_: object) -> None:
        wait_until(started.exists)
        raise KeyboardInterrupt

    monkeypatch.setattr(workflow_run, "follow", interrupted)
    environment = {"STARTED": str(started), "PATH": os.environ["PATH"]}
    event = Event("push", {"ref": "refs/heads/main"})
    with pytest.raises(KeyboardInterrupt):
        workflow_run.act(workflow, event, {}, ["ubuntu-latest"], tmp_path / "run", environment)
    process = int(started.read_text())
    wait_until(lambda: has_ended(process))


# ---- the stand-ins


ENGINE = """\
#!/bin/sh
echo "$@" >> calls
case "$*" in *--report*) echo '{"ok": true, "device": {"id": "cpu"}}' > reports/r.json;; esac
"""
TRIAL = [
    *("run", "--rm", "--device=nvidia.com/gpu=all", "--volume=REPORTS:/reports:rw", "image"),
    *("sh", "-c", "x", "python", "trial", "--device", "cuda", "--report", "/reports/r.json"),
]


def run_engine(folder: Path, gpu: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    engine = folder / "engine"
    engine.write_text(ENGINE)
    engine.chmod(0o755)
    (folder / "reports").mkdir(exist_ok=True)
    words = [word.replace("REPORTS", str(folder / "reports")) for word in arguments]
    environment = {**os.environ, "REHEARSAL_ENGINE": str(engine), "REHEARSAL_GPU": gpu}
    command = [sys.executable, str(PROGRAMS / "gpu_engine.py"), *words]
    return subprocess.run(
        command, check=False, cwd=folder, env=environment, capture_output=True, text=True
    )


def test_the_standin_of_a_gpu_computes_on_the_cpu_and_says_so(tmp_path: Path) -> None:
    assert run_engine(tmp_path, "works", *TRIAL).returncode == 0
    called = (tmp_path / "calls").read_text()
    assert "nvidia.com" not in called
    assert "--device cpu" in called
    report = json.loads((tmp_path / "reports" / "r.json").read_text())
    assert report["device"]["id"] == "cuda:0"
    assert "stand-in" in report["device"]["name"]
    assert report["driver"] == "stand-in"


def test_a_broken_gpu_fails_without_a_report(tmp_path: Path) -> None:
    done = run_engine(tmp_path, "broken", *TRIAL)
    assert done.returncode == 3
    assert "driver is broken" in done.stderr
    assert not (tmp_path / "calls").exists()


def test_a_container_without_a_gpu_is_the_real_engine_s(tmp_path: Path) -> None:
    assert run_engine(tmp_path, "broken", "run", "--rm", "image", "true").returncode == 0
    assert (tmp_path / "calls").read_text() == "run --rm image true\n"


def run_gh(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "REHEARSAL_RELEASES": str(folder / "releases")}
    command = [sys.executable, str(PROGRAMS / "gh.py"), "release", *words]
    return subprocess.run(
        command, check=False, env=environment, capture_output=True, text=True, cwd=folder
    )


def test_the_standin_of_gh_keeps_a_published_release_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("notes")
    (tmp_path / "a.whl").write_text("wheel")
    assert run_gh(tmp_path, "view", "v1").returncode == 1
    assert run_gh(tmp_path, "create", "v1", "--draft", "--notes-file", "notes.md").returncode == 0
    (tmp_path / "b.json").write_text("{}")
    assert run_gh(tmp_path, "upload", "v1", "--clobber", "a.whl", "b.json").returncode == 0
    assert run_gh(tmp_path, "edit", "v1", "--draft=false", "--tag", "v1").returncode == 0
    shown = json.loads(run_gh(tmp_path, "view", "v1", "--json", "isDraft,assets").stdout)
    assets = [{"name": "a.whl", "size": 5}, {"name": "b.json", "size": 2}]
    assert shown == {"isDraft": False, "assets": assets}
    assert "immutable" in run_gh(tmp_path, "upload", "v1", "notes.md").stderr


def test_the_standin_of_cibuildwheel_takes_the_selected_wheels(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name in ("a-1-cp37-cp37m-linux_x86_64.whl", "a-1-cp312-cp312-linux_x86_64.whl"):
        (wheels / name).touch()
    environment = {
        **os.environ,
        "PYTHONPATH": str(PROGRAMS),
        "REHEARSAL_WHEELS": str(wheels),
        "CIBW_BUILD": "cp37-manylinux_x86_64 cp38-manylinux_x86_64",
    }
    command = [sys.executable, "-m", "cibuildwheel", "--platform", "linux", "--output-dir", "out"]
    assert subprocess.run(command, check=False, env=environment, cwd=tmp_path).returncode == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == [
        "a-1-cp37-cp37m-linux_x86_64.whl"
    ]
    environment["CIBW_BUILD"] = "cp39-manylinux_x86_64"
    command[-1] = "empty"
    assert subprocess.run(command, check=False, env=environment, cwd=tmp_path).returncode == 1


# ---- the second repository


def test_the_project_of_the_documentation(tmp_path: Path) -> None:
    wheelkit = tmp_path / "wheelkit"
    wheelkit.mkdir()
    (wheelkit / "file").touch()
    workflow_run.commit_all(wheelkit, "wheelkit")
    project = example_project.make(tmp_path / "project", wheelkit)
    made = (project / workflow_run.WORKFLOW).read_text()
    table = (project / "pyproject.toml").read_text()
    assert set(workflow_run.jobs_of(project / workflow_run.WORKFLOW)) == set(
        example_project.SCENE.green
    )
    # Each word that the page asks its reader to replace is replaced.
    for text in (made, table):
        assert not re.search(r"@[A-Z]+\b|COMMIT|\bNAME\b", text)
    used = workflow_run.actions_of(project)
    assert {name for name, _ in used} == set(example_project.ACTIONS.values()) - {
        "actions/checkout"
    }
    assert used <= workflow_run.actions_of(PROJECT)
    assert f"cyfes@{subprocess_output(wheelkit, 'rev-parse', 'HEAD')}#subdirectory" in table


def subprocess_output(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_wheelkit_of_the_second_repository_comes_from_here(tmp_path: Path) -> None:
    given = {"CIBW_CONTAINER_ENGINE": "podman; create_args: --volume=/a:/a:ro"}
    made = example_project.environment(given, tmp_path)
    volume = f"--volume={tmp_path}:{tmp_path}:ro"
    assert made["CIBW_CONTAINER_ENGINE"] == f"podman; create_args: --volume=/a:/a:ro {volume}"
    assert "GIT_CONFIG_VALUE_0" in made["CIBW_ENVIRONMENT_PASS_LINUX"].split()
    assert "CIBW_BUILD_FRONTEND" not in made
    standin = {**given, "CIBW_MANYLINUX_X86_64_IMAGE": "localhost/standin"}
    assert example_project.environment(standin, tmp_path)["CIBW_BUILD_FRONTEND"] == "pip"
    made = example_project.environment({}, tmp_path)
    assert (
        made["CIBW_CONTAINER_ENGINE"] == f"docker; disable_host_mount: true; create_args: {volume}"
    )
