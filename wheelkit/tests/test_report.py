"""Exit statuses, reports, and that no fault is without a test."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from wheelkit.target import report
from wheelkit.target.report import Fault, LackingError, MisusedError, Outcome, Status

import wheelkit
from wheelkit import cli

FAULT = Fault("some-id", "a.so", found="this", expected="that", remedy="do it")


def test_texts_that_are_easily_swapped_have_names() -> None:
    with pytest.raises(TypeError, match="positional"):
        Fault("some-id", "a.so", "this", "that", "do it")  # type: ignore[call-arg]
    assert FAULT.__dict__ == {
        "id": "some-id",
        "file": "a.so",
        "found": "this",
        "expected": "that",
        "remedy": "do it",
        "severity": "fault",
    }


def raising(error: Exception) -> Callable[[], int]:
    def main() -> int:
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MisusedError("x"), Status.MISUSED),
        (LackingError("x"), Status.LACKING),
        (ModuleNotFoundError("x", name="elftools.elf"), Status.LACKING),
        (ModuleNotFoundError("x", name="wheelkit.typo"), Status.INTERNAL),
        (OSError(28, "No space left on device"), Status.LACKING),
        (OSError(2, "No such file"), Status.INTERNAL),
        (RuntimeError("x"), Status.INTERNAL),
    ],
)
def test_each_error_has_its_exit_status(
    error: Exception, status: Status, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report.run(raising(error)) == status
    traced = "Traceback" in capsys.readouterr().err
    assert traced == (status is Status.INTERNAL)


def test_a_return_value_is_passed_on() -> None:
    assert report.run(lambda: 1) == 1


def test_an_old_interpreter_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 18))
    assert report.run(lambda: 0) == Status.LACKING
    assert "3.10" in capsys.readouterr().err
    assert report.run(lambda: 0, oldest=(3, 7)) == Status.DONE


def test_the_report_has_the_agreed_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wheel, file = tmp_path / "w.whl", tmp_path / "report.json"
    wheel.write_bytes(b"")
    assert report.conclude("tool", [Outcome(wheel, (FAULT,))], file) == Status.FAULTY
    assert json.loads(file.read_text()) == {
        "tool": "tool",
        "version": wheelkit.__version__,
        "wheel": {
            "name": "w.whl",
            "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        },
        "ok": False,
        "faults": [
            {
                "id": "some-id",
                "file": "a.so",
                "found": "this",
                "expected": "that",
                "remedy": "do it",
                "severity": "fault",
            }
        ],
    }
    printed = capsys.readouterr().err
    assert all(word in printed for word in ("some-id", "this", "that", "do it"))
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_warning_is_listed_and_makes_no_verdict(tmp_path: Path) -> None:
    wheel, file = tmp_path / "w.whl", tmp_path / "report.json"
    wheel.write_bytes(b"")
    mere = Fault(
        "other-id", "a.so", found="this", expected="that", remedy="do it", severity=report.WARNING
    )
    assert report.conclude("tool", [Outcome(wheel, (mere,))], file) == Status.DONE
    result = json.loads(file.read_text())
    assert result["ok"]
    assert [fault["severity"] for fault in result["faults"]] == ["warning"]
    assert report.conclude("tool", [Outcome(wheel, (mere, FAULT))], file) == Status.FAULTY
    assert not json.loads(file.read_text())["ok"]


def test_several_wheels_make_a_list_and_what_is_lacking_a_status(tmp_path: Path) -> None:
    wheel, file = tmp_path / "w.whl", tmp_path / "report.json"
    wheel.write_bytes(b"")
    right, lacking = Outcome(wheel, ()), Outcome(wheel, (), "no interpreter")
    assert report.conclude("tool", [right, right], file) == Status.DONE
    assert [one["ok"] for one in json.loads(file.read_text())] == [True, True]
    assert report.conclude("tool", [right, lacking], file) == Status.LACKING
    assert [one["ok"] for one in json.loads(file.read_text())] == [True, False]
    assert report.conclude("tool", [lacking, Outcome(wheel, (FAULT,))], None) == Status.FAULTY


@pytest.mark.parametrize("verb", ["repair", "verify"])
def test_the_verbs_start_without_their_dependencies(verb: str, tmp_path: Path) -> None:
    package = Path(wheelkit.__file__).parent
    # wheelkit alone, beside none of its dependencies; -S: no site-packages.
    (tmp_path / "wheelkit").symlink_to(package)
    bare = [sys.executable, "-I", "-S", "-c", STARTER, str(tmp_path), verb]
    path = package / "__init__.py"
    usage = subprocess.run([*bare, "--help"], capture_output=True, text=True, check=False)
    assert usage.returncode == Status.DONE
    assert "usage:" in usage.stdout
    wheels = [str(path), str(path.parent)] if verb == "repair" else [str(path)]
    work = subprocess.run([*bare, *wheels], capture_output=True, text=True, check=False)
    assert work.returncode == Status.LACKING
    assert "--require-hashes" in work.stderr


@pytest.mark.parametrize("verb", ["github-release", "check-jobs"])
def test_some_verbs_need_the_standard_library_only(verb: str, tmp_path: Path) -> None:
    """A workflow runs them in jobs that may write to the repository, where nothing is installed."""
    (tmp_path / "wheelkit").symlink_to(Path(wheelkit.__file__).parent)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "gh").write_text("#!/bin/sh\necho release not found >&2\nexit 1\n")
    (tmp_path / "bin" / "gh").chmod(0o755)
    made = tmp_path / "made"
    (made / "attach").mkdir(parents=True)
    (made / "notes.md").write_text("All.\n")
    (made / "attach" / "SHA256SUMS").write_text("")
    names = ("notes.md", "attach/SHA256SUMS")
    lines = [f"{report.sha256(made / name)}  {name}\n" for name in names]
    (made / "SHA256SUMS").write_text("".join(lines))
    words = {"check-jobs": [], "github-release": [str(made), "--tag", "v1.0"]}[verb]
    expected = {"check-jobs": Status.DONE, "github-release": Status.LACKING}[verb]
    command = [sys.executable, "-I", "-S", "-c", STARTER, str(tmp_path), verb, *words]
    environment = {"PATH": str(tmp_path / "bin"), "NEEDS": '{"build": {"result": "success"}}'}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == expected, done.stderr
    # It got as far as gh, which refused to make a draft.
    assert verb == "check-jobs" or "gh release create failed: release not found" in done.stderr


STARTER = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from wheelkit.cli import main
sys.exit(main())
"""


def test_every_fault_is_provoked_by_a_test() -> None:
    sources = Path(wheelkit.__file__).parent.rglob("*.py")
    ids = {i for path in sources for i in re.findall(r'Fault\(\s*"([^"]+)"', path.read_text())}
    tests = Path(__file__).parent.glob("test_*.py")
    asserted = "\n".join(path.read_text() for path in tests if path.name != "test_report.py")
    assert len(ids) > 30
    assert {i for i in ids if f'"{i}"' not in asserted} == set()


VERBS = ("verify", "repair", "smoke", "gate")


def command(verb: str, wheel: Path, place: Path) -> list[str]:
    """Return the arguments of a verb that reports on a wheel."""
    more = {
        "repair": [str(wheel.parent / "out")],
        "smoke": ["--wheel", str(wheel), "--kernels", str(wheel)],
        "gate": [
            *(
                str(wheel.parent),
                "--seal",
                "0" * 64,
                "--reports",
                f"{wheel.parent}=",
                "--project",
                "a",
            ),
            *("--tag", "v1", "--pythons", '["3.11"]', "--plat", "manylinux2014_x86_64"),
            *("--device", "cpu", "--places", "[]"),
        ],
    }
    first = [str(wheel)] if verb in ("verify", "repair") else []
    return [verb, *first, *more.get(verb, []), "--report", str(place)]


@pytest.mark.parametrize("verb", ["verify", "repair", "gate"])
def test_the_folder_of_a_report_is_made(tmp_path: Path, verb: str) -> None:
    wheel = tmp_path / "a-1-py3-none-any.whl"
    wheel.write_text("no archive")
    place = tmp_path / "new" / "folder" / "report.json"
    assert report.run(lambda: cli.dispatch(command(verb, wheel, place))) == Status.FAULTY
    assert json.loads(place.read_text())["faults"]


@pytest.mark.parametrize(
    ("verb", "place"),
    [
        *((verb, place) for verb in VERBS for place in (".", "a-1-py3-none-any.whl/r", "link")),
        *((verb, "a-1-py3-none-any.whl") for verb in VERBS if verb != "gate"),
    ],
)
def test_a_report_that_cannot_be_written_is_wrong_usage(
    tmp_path: Path, verb: str, place: str, capfd: pytest.CaptureFixture[str]
) -> None:
    wheel = tmp_path / "a-1-py3-none-any.whl"
    wheel.write_text("no archive")
    # As /dev/stdout is.
    (tmp_path / "link").symlink_to("/dev/null")
    arguments = command(verb, wheel, tmp_path / place)
    status = report.run(lambda: cli.dispatch(arguments))
    assert (status, wheel.read_text()) == (Status.MISUSED, "no archive")
    assert "--report" in capfd.readouterr().err
    assert (tmp_path / "link").is_symlink()


def test_an_older_report_is_gone_if_there_is_no_new_one(tmp_path: Path) -> None:
    older = tmp_path / "report.json"
    older.write_text('{"ok": true}')
    report.prepare_report(older, tmp_path / "absent.whl")
    assert not older.exists()


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_the_verdict_stays_when_nobody_reads_on(stream: str) -> None:
    """As behind `| head -1`: the reader of a pipe has gone."""
    code = (
        "from wheelkit.target.report import Status, run, say\n"
        f"def main():\n    for n in range(3):\n        say(n, error={stream == 'stderr'})\n"
        "    return Status.FAULTY\n"
        "import sys\nsys.exit(run(main))\n"
    )
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as pipe:
        out, err = (pipe, subprocess.PIPE) if stream == "stdout" else (subprocess.PIPE, pipe)
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, check=False, stdout=out, stderr=err)
    assert done.returncode == Status.FAULTY
    assert {done.stdout, done.stderr} <= {None, b""}
