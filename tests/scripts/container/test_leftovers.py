"""What a run makes for itself is removed: also if the run is interrupted, or killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from container import leftovers
from shared import children
from shared.ledger import PROJECT
from wheelkit.containers.engines import Engine

SCRIPTS = PROJECT / "scripts"
# An engine whose containers are files: the name is the id, the content is the label.
ENGINE = """#!/bin/sh
cd "$(dirname "$0")/containers" || exit 1
case "$1" in
  ps) label=${4#--filter=label=}; grep -l "$label" * 2>/dev/null;;
  inspect) printf '[{"Config": {"Labels": {"cyfes.wheelhouse": "%s"}}}]' "$(cut -d= -f2 "$2")";;
  rm) rm "$4";;
  run) for word; do case $word in --label=*) echo "${word#--label=}" > c1;; esac; done
       : > ../started; exec sleep 100;;
esac
"""


def engine_in(folder: Path, name: str = "podman") -> Engine:
    (folder / "containers").mkdir()
    (folder / name).write_text(ENGINE)
    (folder / name).chmod(0o755)
    return Engine(str(folder / name))


def containers(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "containers").iterdir())


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path / "work"


def test_folder_and_containers_of_a_run_are_removed(tmp_path: Path, work: Path) -> None:
    engine = engine_in(tmp_path)

    def interrupted() -> None:
        with leftovers.run_folder(work, engine) as run:
            assert run.engine.label == f"cyfes.wheelhouse={run.folder}"
            assert run.alone
            (tmp_path / "containers" / "mine").write_text(f"{run.engine.label}\n")
            (tmp_path / "containers" / "another").write_text("cyfes.wheelhouse=/another/run-1\n")
            assert Path(tempfile.mkdtemp()).parent == run.folder
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert containers(tmp_path) == ["another"]
    assert [path.name for path in work.iterdir()] == ["lock"]
    assert not str(tempfile.gettempdir()).startswith(str(work))


def test_a_run_that_goes_on_keeps_what_it_has(tmp_path: Path, work: Path) -> None:
    engine = engine_in(tmp_path)
    with leftovers.run_folder(work, engine) as first:
        (tmp_path / "containers" / "first").write_text(f"{first.engine.label}\n")
        with leftovers.run_folder(work, engine) as second:
            assert not second.alone
        assert first.folder.is_dir()
        assert containers(tmp_path) == ["first"]


def test_the_next_run_removes_what_a_killed_run_has_left(
    tmp_path: Path, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = engine_in(tmp_path)
    folder = work / "run-killed"
    (folder / "sources-1").mkdir(parents=True)
    (folder / "lock").touch()
    (tmp_path / "containers" / "killed").write_text(f"cyfes.wheelhouse={folder}\n")
    # Somebody has removed this one's folder.
    (tmp_path / "containers" / "lost").write_text(f"cyfes.wheelhouse={work}/run-lost\n")
    (tmp_path / "containers" / "another").write_text("cyfes.wheelhouse=/another/run-1\n")
    with leftovers.run_folder(work, engine) as run:
        assert containers(tmp_path) == ["another"]
        assert not folder.exists()
        assert run.alone
    assert f"removing what a killed run has left: {folder}" in capsys.readouterr().err


PROGRAM = """
import sys
from pathlib import Path
sys.path[:0] = {paths}
from container import leftovers
from shared import children
from wheelkit.containers.engines import Engine
with leftovers.run_folder(Path({work!r}), Engine({engine!r})) as run:
    (Path({engine!r}).parent / "containers" / "mine").write_text(run.engine.label + "\\n")
    trap = "trap 'sleep 1; touch cleaned; exit' TERM; echo ready; while :; do sleep 0.1; done"
    with children.started(["bash", "-c", trap], cwd={cleaned!r}) as process:
        process.wait()
"""


@pytest.mark.parametrize(
    ("number", "cleaned_at_once"),
    [(signal.SIGINT, True), (signal.SIGTERM, True), (signal.SIGKILL, False)],
)
def test_a_signal_ends_children_gently_and_removes_all(
    tmp_path: Path, work: Path, number: int, cleaned_at_once: bool
) -> None:
    engine = engine_in(tmp_path)
    cleaned = tmp_path / "cleaned"
    paths = [str(SCRIPTS), str(PROJECT / "wheelkit" / "src")]
    terminating = "import signal\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n"
    program = PROGRAM.format(paths=paths, work=str(work), engine=engine.name, cleaned=str(tmp_path))
    program = program.replace("import sys\n", "import sys\n" + terminating, 1)
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(number)
    process.wait(timeout=60)
    process.stdout.close()
    assert (containers(tmp_path) == []) == cleaned_at_once
    assert (list(work.glob("run-*")) == []) == cleaned_at_once
    # A killed parent sends nothing itself: Linux does.
    wait_for(cleaned)
    with leftovers.run_folder(work, engine):
        assert containers(tmp_path) == []
    assert list(work.glob("run-*")) == []


def wait_for(path: Path, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"no {path} after {seconds} s"
        time.sleep(0.05)


def test_what_a_child_has_started_is_waited_for(tmp_path: Path) -> None:
    inner = "trap 'sleep 1; touch cleaned; exit' TERM; echo ready; while :; do sleep 0.1; done"
    # The outer shell ends at once, and the inner one has no pipe that would be waited for.
    outer = 'bash -c "$1" > said 2>&1 & wait'
    command = ["bash", "-c", outer, "bash", inner]
    process = subprocess.Popen(command, start_new_session=True, text=True, cwd=tmp_path)
    wait_for(tmp_path / "said")
    while not (tmp_path / "said").read_text():
        time.sleep(0.05)
    children.stop(process)
    assert (tmp_path / "cleaned").exists()


def test_a_child_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "PATIENCE", 0.2)
    command = ["bash", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"]
    processes = []

    def fail() -> None:
        with children.started(command, stdout=subprocess.PIPE) as process:
            processes.append(process)
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert processes[0].returncode == -signal.SIGKILL


def test_a_child_that_ends_hands_over_its_output() -> None:
    done = children.run(["sh", "-c", "echo said; echo wrong >&2; exit 3"])
    assert (done.returncode, done.stdout, done.stderr) == (3, "said\n", "wrong\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_command_ends_in_one_line(tmp_path: Path, number: int) -> None:
    """The engine never answers: the command is interrupted while it waits for it."""
    engine_in(tmp_path)
    (tmp_path / "podman").write_text(f"#!/bin/sh\n: > '{tmp_path}/started'\nexec sleep 100\n")
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    environment["CIBW_CONTAINER_ENGINE"] = "podman"
    process = subprocess.Popen(
        [sys.executable, str(SCRIPTS), "wheelhouse", "--python", "3.12"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    wait_for(tmp_path / "started")
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert output == ""
    assert errors == ("interrupted\n" if number == signal.SIGINT else "")
    assert process.returncode == 128 + number
