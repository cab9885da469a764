"""The rehearsal's own decisions: what each event is, what it is given, and when it is green."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from container import standin_image
from container.leftovers import Run
from release import example_project, rehearse, stage, workflow_run
from release.scenes import GPU_RUNNER, Played, Scene, scenes, version
from release.stage import Stage
from release.workflow_run import Event, UnlikeGitHubError
from shared.ledger import PROJECT
from wheelkit.base import source_files
from wheelkit.base.cpythons import CPYTHONS
from wheelkit.containers import engines
from wheelkit.target.report import LackingError, Status

WORKFLOW = PROJECT / workflow_run.WORKFLOW
JOBS = workflow_run.jobs_of(WORKFLOW)
MAIN, TAG = "refs/heads/main", f"refs/tags/v{version()}"

# Of each event: its kind, the branch or tag, whether there is a GPU runner, and which jobs must
# fail and which must not run.
BEYOND = ("rehearsal", "publish", "release")
EVENTS: dict[str, tuple[str, str | None, bool, tuple[str, ...], tuple[str, ...]]] = {
    "push": ("push", MAIN, False, (), ("smoke-gpu", *BEYOND)),
    "push-gpu": ("push", MAIN, True, (), BEYOND),
    "pull": ("pull_request", None, True, (), ("smoke-gpu", *BEYOND)),
    "fork": ("pull_request", None, False, (), ("smoke-gpu", *BEYOND)),
    "dispatch": ("workflow_dispatch", MAIN, True, (), BEYOND),
    "tag-no-gpu": ("push", TAG, False, ("gates",), ("smoke-gpu", *BEYOND)),
    "tag-red": ("push", TAG, True, ("smoke-gpu", "gates"), BEYOND),
    "tag-cut-off": ("push", TAG, True, ("publish",), ("release",)),
    "tag": ("push", TAG, True, (), ()),
}


@pytest.mark.parametrize("scene", scenes(), ids=lambda scene: scene.name)
def test_each_event_is_what_its_name_says(scene: Scene) -> None:
    kind, reference, runner, red, skipped = EVENTS[scene.name]
    assert scene.event.kind == kind
    assert scene.event.content.get("ref") == reference
    assert scene.event.variables == ({"GPU_RUNNERS": f'["{GPU_RUNNER}"]'} if runner else {})
    expected = scene.expected(JOBS)
    assert [job for job in JOBS if expected[job] == "failure"] == [j for j in JOBS if j in red]
    assert [job for job in JOBS if expected[job] == "skipped"] == [j for j in JOBS if j in skipped]
    assert scene.gpu_works == (scene.name != "tag-red")
    assert scene.stall_after == (1 if scene.name == "tag-cut-off" else None)
    assert scene.continues == ("tag-cut-off" if scene.name == "tag" else "")


def test_no_event_is_left_out() -> None:
    assert [scene.name for scene in scenes()] == list(EVENTS)


def test_a_pull_request_says_whether_it_is_of_a_fork() -> None:
    of_name = {scene.name: scene.event.content for scene in scenes()}
    heads = {name: of_name[name]["pull_request"]["head"]["repo"] for name in ("pull", "fork")}
    assert [heads[name]["fork"] for name in ("pull", "fork")] == [False, True]
    assert heads["pull"]["full_name"] == "cyfes/cyfes"
    assert heads["fork"]["full_name"] != "cyfes/cyfes"


# ---- the verdict


def played(name: str, **changes: str) -> Played:
    scene = next(scene for scene in scenes() if scene.name == name)
    return Played(scene, {**scene.expected(JOBS), **changes})


def test_one_job_that_ended_otherwise_makes_the_rehearsal_red(
    capsys: pytest.CaptureFixture[str],
) -> None:
    right = [played("push"), played("tag-red")]
    assert rehearse.report(right, WORKFLOW, "built: here")
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.endswith("built: here\n\n")
    for wrong in (played("tag", release="skipped"), played("push", publish="success")):
        assert not rehearse.report([wrong, *right], WORKFLOW, "")
        assert not rehearse.report([*right, wrong], WORKFLOW, "")
        assert f"error: {wrong.scene.title}: expected" in capsys.readouterr().err
    red = played("tag-no-gpu", gates="success")
    assert not rehearse.report([red], WORKFLOW, "")


class FakeStage(Stage):
    """Plays a scene without a workflow: what it builds lies where the workflow leaves it."""

    builds: list[tuple[str, bool]]

    def play(self, scene: Scene, build: bool) -> Played:
        self.builds.append((scene.name, build))
        if build:
            for name in ("built-3.7/a.whl", "built-3.12/b.whl", "other/c.whl", "built-x/notes.txt"):
                path = self.folder / scene.name / "artifacts" / name
                path.parent.mkdir(parents=True)
                path.write_text(name)
        wrong = {"publish": "failure"} if scene.name == WRONG else {}
        jobs = JOBS if scene.planner == "plan" else [*scene.green, *scene.red]
        return Played(scene, {**scene.expected(jobs), **wrong})


WRONG = ""


@pytest.fixture
def fake_stage(tmp_path: Path) -> FakeStage:
    made = FakeStage(tmp_path, tmp_path / "repository", {}, {})
    object.__setattr__(made, "builds", [])
    return made


def test_the_first_event_builds_the_wheels_that_all_others_take(
    fake_stage: FakeStage, tmp_path: Path
) -> None:
    chosen = list(scenes()[:3])
    names = [scene.name for scene in chosen]
    found = rehearse.play_scenes(fake_stage, chosen, tmp_path / "wheels")
    assert [one.scene for one in found] == chosen
    assert fake_stage.builds == list(zip(names, [True, False, False], strict=True))
    assert sorted(path.name for path in (tmp_path / "wheels").iterdir()) == ["a.whl", "b.whl"]
    fake_stage.builds.clear()
    rehearse.play_scenes(fake_stage, chosen[1:], tmp_path / "wheels")
    assert fake_stage.builds == [(name, False) for name in names[1:]]


class NoContainers(engines.Engine):
    """An engine that has no container."""

    def containers(self, label: str) -> list[str]:  # noqa: ARG002
        return []


@pytest.mark.parametrize(
    ("words", "wrong", "events", "installed", "status"),
    [
        ([], "", [*EVENTS, "example"], 2, Status.DONE),
        (["--event", "push"], "", ["push"], 0, Status.DONE),
        (["--event", "tag", "--event", "push"], "", ["push", "tag"], 2, Status.DONE),
        (["--event", "tag", "--python", "3.7"], "", ["tag"], 1, Status.DONE),
        (["--event", "tag", "--event", "push"], "push", ["push", "tag"], 0, Status.FAULTY),
        (["--event", "example"], "", ["example"], 0, Status.DONE),
        (["--event", "example"], "example", ["example"], 0, Status.FAULTY),
        (["--event", "push", "--event", "example"], "push", ["push", "example"], 0, Status.FAULTY),
    ],
)
def test_the_rehearsal_plays_what_is_asked_for_and_says_no(
    fake_stage: FakeStage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    wrong: str,
    events: list[str],
    installed: int,
    status: int,
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "WRONG", wrong)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    monkeypatch.setattr("sys.argv", ["rehearse", *words, "--folder", str(tmp_path / "work")])
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "old").touch()
    asked: list[tuple[Path, list[str]]] = []

    def make_stage(folder: Path, pythons: list[str], wheels: Path, run: Run) -> Stage:
        asked.append((folder, pythons))
        # The containers of the run are found by the folder of its temporary files.
        assert run.engine.label.endswith(f"={run.folder}")
        assert wheels == folder / "wheels"
        # The folder is new, and nothing of an earlier rehearsal is in it.
        assert list(folder.iterdir()) == []
        made = replace(fake_stage, folder=folder)
        object.__setattr__(made, "builds", fake_stage.builds)
        return made

    def make_example(folder: Path, _: Path) -> Path:
        workflow = folder / workflow_run.WORKFLOW
        workflow.parent.mkdir(parents=True)
        jobs = "".join(f"  {job}: {{}}\n" for job in example_project.SCENE.green)
        workflow.write_text(f"jobs:\n{jobs}")
        return folder

    def play_example(made: Stage) -> Played:
        make_example(made.folder / "example-project", made.repository)
        return made.play(example_project.SCENE, build=True)

    computed: list[str] = []

    def install_and_compute(folder: Path, python: str, _: Path) -> str:
        assert folder == tmp_path / "work" / "tag-cut-off"
        computed.append(python)
        return "cpu ok"

    monkeypatch.setattr(rehearse, "WORK", tmp_path / "runs")
    monkeypatch.setattr(engines, "find_engine", lambda: NoContainers("none"))
    monkeypatch.setattr(rehearse, "make_stage", make_stage)
    monkeypatch.setattr(rehearse, "play_example", play_example)
    monkeypatch.setattr(rehearse, "install_and_compute", install_and_compute)
    assert rehearse.main() == status
    assert list((tmp_path / "runs").glob("run-*")) == []
    assert [name for name, _ in fake_stage.builds] == events
    pythons = ["3.7"] if "--python" in words else ["3.7", "3.12"]
    assert asked == [(tmp_path / "work", pythons)]
    assert computed == pythons[:installed]
    out = capsys.readouterr().out
    for python in computed:
        assert f"installed from the index, CPython {python}: cpu ok" in out


# ---- what the steps are given


def play(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, *, build: bool = False
) -> tuple[Event, Mapping[str, str], Played, list[Any]]:
    """Play a scene with another act, which notes what it is given."""
    seen: list[Any] = []

    def act(workflow: Path, event: Event, _: Any, runners: Any, *rest: Any) -> Any:
        seen.append((event, *rest))
        assert workflow == tmp_path / "repository" / workflow_run.WORKFLOW
        assert set(runners) == {"ubuntu-latest", GPU_RUNNER}
        return {"plan": "success"}

    compared: list[Any] = []
    monkeypatch.setattr(workflow_run, "act", act)
    monkeypatch.setattr(workflow_run, "compare_with_github", lambda *given: compared.append(given))
    scene = next(scene for scene in (*scenes(), example_project.SCENE) if scene.name == name)
    given = {"PYTHONPATH": "programs", "OWN": "1"}
    made = Stage(tmp_path, tmp_path / "repository", {}, given)
    result = made.play(scene, build)
    ((event, folder, environment),) = seen
    assert folder == tmp_path / name
    return event, environment, result, compared[0]


@pytest.mark.parametrize("name", ["push", "tag-red", "tag", "example"])
def test_what_an_event_is_played_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    event, environment, result, compared = play(tmp_path, monkeypatch, name)
    state = tmp_path / ("tag-cut-off" if name == "tag" else name)
    assert environment["OWN"] == "1"
    assert environment["REHEARSAL_RUN"] == str(tmp_path / name)
    assert environment["REHEARSAL_RELEASES"] == str(state / "releases")
    assert environment["REHEARSAL_GPU"] == ("broken" if name == "tag-red" else "works")
    # Only what a tag starts uploads something.
    upload = event.variables.get("REHEARSAL_UPLOAD")
    assert upload == (None if name == "push" else environment["REHEARSAL_UPLOAD"])
    assert environment["WHEELKIT_INDEX"] == f"{environment['REHEARSAL_INDEX']}/simple/"
    assert environment["REHEARSAL_INDEX"] != environment["REHEARSAL_UPLOAD"]
    assert (result.results, result.published, result.released) == ({"plan": "success"}, [], "none")
    _, same, results, outputs = compared
    assert (same, results) == (event, result.results)
    planner = "build" if name == "example" else "plan"
    gpus = "[]" if name == "push" else '[{"slot": "1"}]'
    assert outputs == {planner: {"gpus": gpus}}


def test_the_stand_in_of_cibuildwheel_is_not_used_where_wheels_are_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, environment, _, _ = play(tmp_path, monkeypatch, "push", build=True)
    assert "PYTHONPATH" not in environment
    _, environment, _, _ = play(tmp_path, monkeypatch, "push-gpu")
    assert environment["PYTHONPATH"] == "programs"


@pytest.mark.parametrize(("draft", "expected"), [(True, "draft"), (False, "v1.0"), (None, "none")])
def test_the_release_on_github_in_words(tmp_path: Path, draft: bool | None, expected: str) -> None:
    if draft is not None:
        (tmp_path / "v1.0").mkdir()
        (tmp_path / "v1.0" / "state.json").write_text(json.dumps({"isDraft": draft}))
    assert stage.released(tmp_path) == expected
    (tmp_path / "z").touch()
    (tmp_path / "b").touch()
    assert stage.names_in(tmp_path)[-2:] == (["b", "z"] if draft is None else ["v1.0", "z"])
    assert stage.names_in(tmp_path / "none") == []


class Engine(engines.Engine):
    """An engine that can pull everything, or nothing."""

    def why_not_pulled(self, _: str) -> str:
        return "" if self.label == "can pull" else "no network"

    def reference(self, image: str) -> str:
        return f"{image}@sha256:1"


def test_images_that_can_be_pulled_are_taken_as_they_are() -> None:
    assert stage.container_settings(Engine("podman", label="can pull"), ["3.7", "3.12"]) == {}


def test_where_none_can_be_pulled_the_stand_in_takes_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    built: list[list[str]] = []

    def build(_: engines.Engine, pythons: list[str]) -> str:
        built.append(pythons)
        return "standin:1"

    files = (Path("/etc/cert.pem"),)
    pip = engines.PipSettings({"PIP_CERT": f"{engines.HOST}/etc/cert.pem"}, files)
    runnable = engines.Engine("podman", {"CONTAINERS_CONF": "restricted"})
    monkeypatch.setattr(standin_image, "build", build)
    monkeypatch.setattr(engines, "make_runnable", lambda *_: runnable)
    monkeypatch.setattr(engines, "pip_settings", lambda: pip)
    found = stage.container_settings(Engine("podman"), ["3.7"])
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert built == [sorted({"3.7", here})]
    assert found == {
        "CONTAINERS_CONF": "restricted",
        "PIP_CERT": "/etc/cert.pem",
        "CIBW_CONTAINER_ENGINE": (
            "podman; disable_host_mount: true; create_args: --volume=/etc/cert.pem:/etc/cert.pem:ro"
        ),
        "CIBW_MANYLINUX_X86_64_IMAGE": "standin:1",
        "CIBW_ENVIRONMENT_PASS_LINUX": "PIP_CERT WHEELKIT_IMAGE",
        "WHEELKIT_IMAGE": "standin:1@sha256:1",
        "WHEELKIT_TEST_IMAGE": "standin:1",
    }
    monkeypatch.setattr(engines, "pip_settings", lambda: engines.PipSettings({}, ()))
    found = stage.container_settings(Engine("podman"), ["3.7"])
    assert found["CIBW_CONTAINER_ENGINE"] == "podman; disable_host_mount: true"
    assert found["CIBW_ENVIRONMENT_PASS_LINUX"].split() == ["WHEELKIT_IMAGE"]


def test_the_environment_of_the_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine("podman", label="can pull")
    real = tmp_path / "real" / "podman"
    real.parent.mkdir()
    real.write_text("#!/bin/sh\n")
    real.chmod(0o755)
    monkeypatch.setenv("PATH", str(real.parent), prepend=os.pathsep)
    found = stage.environment_of(tmp_path, engine, ["3.7"], tmp_path / "wheels")
    first = Path(found["PATH"].split(os.pathsep)[0])
    assert sorted(path.name for path in first.iterdir()) == ["gh", "podman"]
    for name, program in (("gh", "gh.py"), ("podman", "gpu_engine.py")):
        assert os.access(first / name, os.X_OK)
        assert str(workflow_run.STANDINS / "programs" / program) in (first / name).read_text()
    # The stand-in calls the real one.
    assert found["REHEARSAL_ENGINE"] == str(real)
    assert found["REHEARSAL_PYTHON"] == sys.executable
    assert found["REHEARSAL_WHEELS"] == str(tmp_path / "wheels")
    assert found["PYTHONPATH"] == str(workflow_run.STANDINS / "programs")
    assert found["PIP_NO_COMPILE"] == "1"
    skipped = {f"cp{version.replace('.', '')}-*" for version in CPYTHONS if version != "3.7"}
    assert skipped <= set(found["CIBW_SKIP"].split())


# ---- act and GitHub


def answer(monkeypatch: pytest.MonkeyPatch, starts: Mapping[str, bool]) -> None:
    monkeypatch.setattr(workflow_run, "github_starts", lambda *_: starts)


@pytest.mark.parametrize(
    ("results", "starts", "message"),
    [
        ({"a": "success", "b": "skipped"}, {"a": True, "b": False}, ""),
        ({"a": "failure", "b": "skipped"}, {"a": True, "b": False}, ""),
        ({"a": "success", "b": "success"}, {"a": True, "b": False}, "b is skipped"),
        ({"a": "skipped", "b": "skipped"}, {"a": True, "b": False}, "a is run"),
    ],
)
def test_act_must_start_the_jobs_that_github_starts(
    monkeypatch: pytest.MonkeyPatch,
    results: dict[str, str],
    starts: dict[str, bool],
    message: str,
) -> None:
    answer(monkeypatch, starts)
    event = Event("push", {})
    if not message:
        workflow_run.compare_with_github(WORKFLOW, event, results, {})
        return
    with pytest.raises(UnlikeGitHubError, match=f"on GitHub, {message}; act did otherwise"):
        workflow_run.compare_with_github(WORKFLOW, event, results, {})


NODE = """#!/bin/sh
cat > '{notes}'
echo '{{"plan": true}}'
exit {status}
"""


@pytest.mark.parametrize("status", [0, 1])
def test_what_github_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    node = tmp_path / "node"
    node.write_text(NODE.format(notes=tmp_path / "notes", status=status))
    node.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    event = Event("push", {"ref": MAIN}, {"GPU_RUNNERS": "[]"})
    given = (WORKFLOW, event, {"plan": "success", "seal": "skipped"}, {"plan": {"gpus": "[]"}})
    if status:
        with pytest.raises(LackingError, match="GitHub's engine did not answer"):
            workflow_run.github_starts(*given)
    else:
        assert workflow_run.github_starts(*given) == {"plan": True}
    assert json.loads((tmp_path / "notes").read_text()) == {
        "file": str(WORKFLOW),
        "contexts": {
            "github": {"event_name": "push", "ref": MAIN, "event": {"ref": MAIN}},
            "vars": {"GPU_RUNNERS": "[]"},
        },
        "results": {
            "plan": {"result": "success", "outputs": {"gpus": "[]"}},
            "seal": {"result": "skipped", "outputs": {}},
        },
    }


def test_what_act_says_of_itself_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    step = {"job": "w/plan ", "level": "info", "stepID": ["0"], "step": "Plan\nmore"}
    inner = {**step, "stepID": ["0", "1"]}
    entries: list[dict[str, object]] = [
        {"level": "error", "msg": "no such workflow\n"},
        {"level": "info", "msg": "fine"},
        # A step within an action is none of the workflow's.
        {**inner, "msg": "⭐ Run Main inner"},
        {**step, "msg": "⭐ Run Main Plan"},
        *({**step, "msg": f"line {number}", "raw_output": True} for number in range(40)),
        {**inner, "msg": "", "stepResult": "failure"},
        {**step, "msg": "", "stepResult": "success"},
        {**step, "msg": "", "stepResult": "failure"},
    ]
    lines = [json.dumps(entry) + "\n" for entry in entries]
    with (tmp_path / "log").open("w", encoding="utf-8") as log:
        assert dict(workflow_run.follow(lines, log)) == {}
    assert (tmp_path / "log").read_text(encoding="utf-8") == "".join(lines)
    said = capsys.readouterr().err.splitlines()
    assert said[:3] == ["act: no such workflow", "w/plan: Plan", "w/plan: FAILED: Plan"]
    assert said[3:] == [f"line {number}" for number in range(10, 40)]


# ---- the installed release


def test_the_release_is_installed_from_the_index_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[list[str], dict[str, Any]]] = []

    def run(command: list[str | Path], **options: Any) -> subprocess.CompletedProcess[str]:
        calls.append(([str(word) for word in command], options))
        return subprocess.CompletedProcess(command, 0, "first\nsmoke test: cpu ok\n")

    wheel = tmp_path / "wheels" / f"cyfes-{version()}-cp37-cp37m-linux_x86_64.whl"
    wheel.parent.mkdir()
    wheel.touch()
    wheel.with_name(f"cyfes-{version()}-cp312-cp312-linux_x86_64.whl").touch()
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "elsewhere")
    monkeypatch.setattr(rehearse, "find_python", lambda python: Path("python", python))
    monkeypatch.setattr(rehearse, "make_venv", lambda python, _: Path("venv", python.name))
    monkeypatch.setattr(subprocess, "run", run)
    verdict = rehearse.install_and_compute(tmp_path, "3.7", wheel.parent)
    assert verdict == "smoke test: cpu ok"
    (numpy, _), (install, options), (smoke, _) = calls
    assert all(command[0] == "venv/3.7" for command in (numpy, install, smoke))
    assert "--require-hashes" in numpy
    assert numpy[-1] == str(PROJECT / "requirements" / "numpy.txt")
    assert "--only-binary=:all:" in install
    assert "--no-deps" in install
    assert install[-1] == f"cyfes=={version()}"
    assert install[install.index("--index-url") + 1].startswith("http://127.0.0.1:")
    environment = options["env"]
    assert "PIP_EXTRA_INDEX_URL" not in environment
    assert environment["PIP_CONFIG_FILE"] == os.devnull
    script = str(PROJECT / "scripts" / "smoke_test.py")
    assert smoke[1:] == [script, "--wheel", str(wheel), "--device", "cpu"]
    assert all(given["check"] for _, given in calls)


def test_the_sources_of_the_rehearsal_are_a_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A changelog that has the section of the version already is left as it is."""

    def export(_: Path, folder: Path) -> None:
        folder.mkdir()
        shutil.copy(PROJECT / "CHANGELOG.md", folder)
        heading = f"## [Unreleased]\n\n## [{version()}] - 2020-02-02\n"
        (folder / "CHANGELOG.md").write_text(heading, encoding="utf-8")

    monkeypatch.setattr(source_files, "export", export)
    repository = stage.make_repository(tmp_path)
    text = (repository / "CHANGELOG.md").read_text(encoding="utf-8")
    assert text.splitlines()[2] == f"## [{version()}] - 2020-02-02"
    assert text.count("## ") == 2
