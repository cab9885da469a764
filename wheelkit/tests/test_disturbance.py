"""Repairs that are killed, run out of space, or run beside each other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_wheels import LINUX, MANYLINUX, library, toolkit, wheel
from wheelkit.target import report

COMMAND = [sys.executable, "-m", "wheelkit", "repair"]
DATA = "tiny-1.0.data/data/tiny"
GRAFT = "libg-01234567.so.1"
GRAFTED = {
    f"{DATA}/libtiny.so": library("libtiny.so", GRAFT, rpath="$ORIGIN/../../../tiny.libs"),
    f"tiny.libs/{GRAFT}": library(GRAFT),
}
NAME = f"tiny-1.0-{MANYLINUX}.whl"

# Kills its own process at the worst moment: all is written, and the file gets its name next.
SUICIDE = """
import os, signal, sys
from wheelkit.cli import main
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
sys.argv[1:1] = ["repair"]
sys.exit(main())
"""


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    for name in ("AUDITWHEEL_PLAT", "LD_LIBRARY_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1500000000")


def ungrafted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a wheel that auditwheel has to repair first."""
    tools = toolkit(tmp_path / "toolkit", {"libg.so.1": library("libg.so.1")})
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tools))
    files = {f"{DATA}/libtiny.so": library("libtiny.so", "libg.so.1")}
    return wheel(tmp_path / "in", files, tag=LINUX)


def start(path: Path, destination: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, str(path), str(destination), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, said = process.communicate()
    return process.returncode, said


@pytest.mark.parametrize("delay", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGTERM], ids=lambda kind: kind.name)
def test_a_killed_repair_leaves_the_destination_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, delay: float, kind: signal.Signals
) -> None:
    path = ungrafted(tmp_path, monkeypatch)
    out = tmp_path / "out"
    out.mkdir()
    (out / "other.whl").write_bytes(b"other")
    process = start(path, out)
    time.sleep(delay)
    # The whole group: auditwheel and patchelf die as well.
    os.killpg(process.pid, kind)
    status, _ = finish(process)
    names = {file.name for file in out.iterdir()}
    left = [file.name for file in (tmp_path / "tmp").iterdir()]
    assert all(name.startswith("repair_wheel-") for name in left)
    assert kind is signal.SIGKILL or left == [] or status == -kind
    # It refuses to replace what differs from its own result: a part of a wheel, for one.
    assert finish(start(path, out)) == (0, "")
    after = {file.name for file in out.iterdir()}
    assert len(after) == 2
    assert names in ({"other.whl"}, after)


def test_a_repair_that_is_killed_while_it_publishes_leaves_no_file(tmp_path: Path) -> None:
    path, out = wheel(tmp_path / "in", GRAFTED), tmp_path / "out"
    command = [sys.executable, "-c", SUICIDE, str(path), str(out)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert list(out.iterdir()) == []
    assert finish(start(path, out)) == (0, "")
    assert [file.name for file in out.iterdir()] == [NAME]


FULL = """
mount -t tmpfs -o size=$2 none "$1" || exit 99
shift 2
"$@"
status=$?
ls -A "$full"
exit $status
"""


def on_small_disk(folder: Path, size: str, *command: str) -> tuple[int, list[str], str]:
    """Run a command with a small file system at `folder`; return what it leaves there."""
    folder.mkdir(exist_ok=True)
    confined = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", FULL, "full"]
    done = subprocess.run(
        [*confined, str(folder), size, *command],
        env={**os.environ, "full": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 99 or "unshare: " in done.stderr:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    return done.returncode, done.stdout.splitlines(), done.stderr


def test_a_full_destination_is_reported_and_left_empty(tmp_path: Path) -> None:
    path = wheel(tmp_path / "in", GRAFTED | {"tiny/noise": os.urandom(100_000)})
    disk = tmp_path / "disk"
    command = [*COMMAND, str(path), str(disk / "made" / "out")]
    status, left, said = on_small_disk(disk, "64k", *command)
    assert (status, left) == (report.Status.LACKING, []), said
    assert "No space left on device" in said
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("size", ["64k", "800k", "1400k"])
def test_a_full_temporary_folder_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    noise = {"tiny/noise": os.urandom(400_000)}
    tools = toolkit(tmp_path / "toolkit", {"libg.so.1": library("libg.so.1")})
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tools))
    files = {f"{DATA}/libtiny.so": library("libtiny.so", "libg.so.1"), **noise}
    path = wheel(tmp_path / "in", files, tag=LINUX)
    command = [*COMMAND, str(path), str(tmp_path / "out")]
    status, left, said = on_small_disk(tmp_path / "tmp", size, *command)
    assert (status, left) == (report.Status.LACKING, []), said
    assert "No space left on device" in said
    assert not (tmp_path / "out").exists()


def test_two_repairs_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    path, out = wheel(tmp_path / "in", GRAFTED), tmp_path / "out"
    both = [start(path, out) for _ in range(2)]
    assert [finish(process) for process in both] == [(0, ""), (0, "")]
    assert [file.name for file in out.iterdir()] == [NAME]
    assert finish(start(path, tmp_path / "alone")) == (0, "")
    assert (out / NAME).read_bytes() == (tmp_path / "alone" / NAME).read_bytes()


def test_of_two_different_repairs_at_once_the_first_stays(tmp_path: Path) -> None:
    path, out = wheel(tmp_path / "in", GRAFTED), tmp_path / "out"
    strategies = ("colocate", "rpath")
    for strategy in strategies:
        assert finish(start(path, tmp_path / strategy, "--strategy", strategy)) == (0, "")
    both = [start(path, out, "--strategy", strategy) for strategy in strategies]
    results = [finish(process) for process in both]
    assert sorted(status for status, _ in results) == [0, 1]
    assert "destination-exists" in "".join(said for _, said in results)
    winner = strategies[[status for status, _ in results].index(0)]
    assert (out / NAME).read_bytes() == (tmp_path / winner / NAME).read_bytes()


@pytest.mark.parametrize("strategy", ["colocate", "rpath"])
def test_the_bytes_depend_on_the_input_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    path = ungrafted(tmp_path, monkeypatch)
    settings = [("0", "UTC", tmp_path, 0o022), ("1", "Asia/Kolkata", tmp_path / "in", 0o077)]
    results = []
    for seed, zone, folder, umask in settings:
        out = tmp_path / seed
        subprocess.run(
            [*COMMAND, str(path), str(out), "--strategy", strategy],
            check=True,
            cwd=folder,
            umask=umask,
            env={**os.environ, "TZ": zone, "PYTHONHASHSEED": seed},
            capture_output=True,
        )
        (made,) = out.iterdir()
        results.append((made.read_bytes(), made.stat().st_mode))
    assert results[0] == results[1]
