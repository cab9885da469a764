"""Run a workflow file with act, and ask GitHub's own engine which jobs it would start."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from shared import children
from shared.ledger import PROJECT
from shared.steps import say
from wheelkit.target.report import LackingError

DECIDE = PROJECT / "scripts" / "workflows" / "decide.mjs"
# The workflow that is rehearsed, below the folder of a repository.
WORKFLOW = Path(".github/workflows/wheels.yml")
STANDINS = PROJECT / "scripts" / "release" / "standins"
# act checks the sources out by itself, as a copy of the repository.
BUILT_IN = "actions/checkout"
USES = re.compile(r"uses: ([\w-]+/[\w-]+)@([0-9a-f]{40})")
# How many lines of a failed step are shown.
TAIL = 30

Results = dict[str, str]


@dataclass(frozen=True)
class Event:
    """What happens on GitHub: the kind of event, its content, and the variables of the project."""

    kind: str
    content: Mapping[str, Any]
    variables: Mapping[str, str] = field(default_factory=dict)


class UnlikeGitHubError(Exception):
    """act started other jobs than GitHub would."""


def jobs_of(workflow: Path) -> list[str]:
    """Return the names of the jobs, in the order of the file."""
    return list(yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"])


def actions_of(repository: Path) -> set[tuple[str, str]]:
    """Return the actions of others, with their commits, that the rehearsed workflow uses."""
    files = [repository / WORKFLOW, *repository.glob(".github/actions/*/*.yml")]
    found = {match.groups() for file in files for match in USES.finditer(file.read_text("utf-8"))}
    return {(name, commit) for name, commit in found if name != BUILT_IN}


def make_standins(repository: Path, folder: Path) -> dict[str, Path]:
    """Make a git repository for the stand-in of each action; return them by NAME@COMMIT.

    An action for which there is no stand-in is left out: a workflow that runs it then fails.
    """
    made = {}
    for name, commit in sorted(actions_of(repository)):
        source = STANDINS / name.partition("/")[2] / "action.yml"
        if source.is_file():
            target = folder / f"{name.replace('/', '-')}@{commit}"
            target.mkdir(parents=True)
            (target / "action.yml").write_bytes(source.read_bytes())
            commit_all(target, "stand-in")
            made[f"{name}@{commit}"] = target
    return made


def commit_all(folder: Path, message: str) -> None:
    """Commit all files of a folder, which becomes a git repository if it is none."""
    git(folder, "init", "--quiet", "--initial-branch", "main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)


def publish_locally(repository: Path, tag: str) -> Path:
    """Commit all files, make an annotated tag, and an origin beside the repository; return it."""
    commit_all(repository, "The sources of the rehearsal")
    git(repository, "tag", "--annotate", tag, "--message", "rehearsal")
    origin = repository.with_name(f"{repository.name}.git")
    git(repository, "clone", "--quiet", "--bare", ".", str(origin))
    git(repository, "remote", "add", "origin", str(origin))
    return origin


def git(folder: Path, *words: str) -> None:
    """Run git in a folder, with an identity of the rehearsal."""
    identity = ("-c", "user.name=rehearsal", "-c", "user.email=rehearsal@localhost")
    signing = ("-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false")
    subprocess.run(["git", "-C", folder, *identity, *signing, *words], check=True)


def act(
    workflow: Path,
    event: Event,
    standins: Mapping[str, Path],
    runners: Iterable[str],
    folder: Path,
    environment: Mapping[str, str],
) -> Results:
    """Run the workflow of a repository; return the result of each job.

    Parameters
    ----------
    workflow
        The file, in ``.github/workflows`` of a git repository.
    event
        What starts it.
    standins
        The repositories of `make_standins`.
    runners
        The labels of runners, all of which this machine is.
    folder
        A folder for act's files and its log.
    environment
        The environment of the steps.

    Raises
    ------
    LackingError
        The path of the folder has a space: act runs no step there, and says that all succeeded.
    """
    if " " in str(folder):
        raise LackingError(
            f"act runs no step below {folder}, because the path has a space; "
            "rehearse in a clone at another place"
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "event.json").write_text(json.dumps(event.content), encoding="utf-8")
    lines = [f"{name}={value}" for name, value in environment.items() if "\n" not in value]
    (folder / "environment").write_text("\n".join(lines), encoding="utf-8")
    program = Path(sys.executable).parent / "act"
    command: list[str | Path] = [program, event.kind, "--json", "--no-cache-server"]
    command += ["--workflows", workflow.relative_to(workflow.parents[2])]
    command += ["--eventpath", folder / "event.json", "--env-file", folder / "environment"]
    command += [f"--platform={label}=-self-hosted" for label in runners]
    command += [f"--var={name}={value}" for name, value in event.variables.items()]
    command += [f"--local-repository={name}={path}" for name, path in standins.items()]
    own = {"HOME": str(folder / "home"), "XDG_CACHE_HOME": str(folder / "cache")}
    (folder / "home").mkdir(exist_ok=True)
    with (
        (folder / "log.json").open("w", encoding="utf-8") as log,
        children.started(
            command,
            cwd=workflow.parents[2],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **own},
        ) as process,
    ):
        results = dict(follow(process.stdout or (), log))
    return {job: results.get(job, "skipped") for job in jobs_of(workflow)}


def follow(lines: Iterable[str], log: Any) -> Iterator[tuple[str, str]]:
    """Show the steps of a run of act as they begin; yield each job that ends, and its result."""
    said: dict[str, list[str]] = {}
    failed: set[str] = set()
    for line in lines:
        log.write(line)
        entry = json.loads(line)
        job, message = entry.get("job", "").rstrip(), entry["msg"].rstrip()
        if entry.get("raw_output"):
            said.setdefault(job, []).append(message)
        elif message.startswith("⭐ Run Main ") and len(entry.get("stepID", ())) == 1:
            said[job] = []
            say(f"{job}: {entry['step'].splitlines()[0]}")
        elif entry.get("stepResult") == "failure" and len(entry.get("stepID", ())) == 1:
            say(f"{job}: FAILED: {entry['step'].splitlines()[0]}")
            print("\n".join(said.get(job, [])[-TAIL:]), file=sys.stderr, flush=True)
        elif not job and entry["level"] == "error":
            say(f"act: {message}")
        if "jobResult" in entry:
            identifier = entry["jobID"]
            # A job with a matrix has failed if one of its runs has.
            if entry["jobResult"] != "success":
                failed.add(identifier)
            yield identifier, "failure" if identifier in failed else "success"


def github_starts(
    workflow: Path, event: Event, results: Results, outputs: Mapping[str, Mapping[str, str]]
) -> dict[str, bool]:
    """Return which jobs GitHub would start, given how the jobs before each of them ended.

    Parameters
    ----------
    workflow, event
        As for `act`.
    results
        What `act` returned.
    outputs
        The outputs of jobs that conditions read.

    Raises
    ------
    LackingError
        There is no Node.js here, or GitHub's packages are not installed.
    """
    reference = event.content.get("ref", "refs/pull/1/merge")
    contexts = {
        "github": {"event_name": event.kind, "ref": reference, "event": event.content},
        "vars": event.variables,
    }
    jobs = {
        job: {"result": result, "outputs": outputs.get(job, {})} for job, result in results.items()
    }
    question = {"file": str(workflow), "contexts": contexts, "results": jobs}
    node = Path(sys.executable).parent / "node"
    done = subprocess.run(
        [node, DECIDE], check=False, capture_output=True, text=True, input=json.dumps(question)
    )
    if done.returncode:
        raise LackingError(f"GitHub's engine did not answer: {done.stderr.strip()}")
    answer: dict[str, bool] = json.loads(done.stdout)
    return answer


def compare_with_github(
    workflow: Path, event: Event, results: Results, outputs: Mapping[str, Mapping[str, str]]
) -> None:
    """Raise UnlikeGitHubError if act ran a job that GitHub would skip, or skipped one.

    Parameters are as for `github_starts`.
    """
    starts = github_starts(workflow, event, results, outputs)
    wrong = [job for job, result in results.items() if starts[job] != (result != "skipped")]
    if wrong:
        expected = ", ".join(f"{job} is {'run' if starts[job] else 'skipped'}" for job in wrong)
        raise UnlikeGitHubError(f"on GitHub, {expected}; act did otherwise")
