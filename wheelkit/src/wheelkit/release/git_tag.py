"""The tag of a release in the git repository of the current folder."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

from wheelkit.target.report import Fault, LackingError, MisusedError


def git(*words: str) -> subprocess.CompletedProcess[str]:
    """Run git."""
    return subprocess.run(
        ["git", *words], check=False, capture_output=True, text=True, errors="replace"
    )


def answer(*words: str) -> str:
    """Return what git answers.

    Raises
    ------
    LackingError
        git fails.
    """
    done = git(*words)
    if done.returncode:
        raise LackingError(f"git {words[0]} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def object_of(reference: str) -> str | None:
    """Return what a reference with its full name points to, None if there is none.

    The full name matters: for git, ``origin/main`` may be a tag of this name too.
    """
    done = git("show-ref", "--verify", "--hash", reference)
    return done.stdout.strip() if done.returncode == 0 else None


def branch_of(name: str) -> str | None:
    """Return the commit of a branch: of a remote, as in ``origin/main``, or of this clone."""
    found = (object_of(f"refs/{kind}/{name}") for kind in ("remotes", "heads"))
    return next(filter(None, found), None)


def faults_of(tag: str, branch: str) -> Iterator[Fault]:
    """Find what is wrong with a tag: it must be annotated, be checked out, and be on a branch.

    Raises
    ------
    LackingError
        There is no git, no repository, or not enough of its history.
    MisusedError
        There is no such branch.
    """
    if shutil.which("git") is None:
        raise LackingError("git is not installed; it knows the tag of the release, so install it")
    head = answer("rev-parse", "--verify", "HEAD^{commit}")
    tip = branch_of(branch)
    if tip is None:
        raise MisusedError(f"--branch {branch}: no such branch; fetch it (fetch-depth: 0)")
    found = object_of(f"refs/tags/{tag}")
    if found is None:
        expected = "a tag of this repository"
        yield Fault(
            "tag-missing",
            tag,
            found="no such tag",
            expected=expected,
            remedy="push it, or fetch it with --tags",
        )
        return
    kind = answer("cat-file", "-t", found)
    if kind != "tag":
        remedy = "delete it, and tag again with git tag --annotate or --sign"
        yield Fault(
            "tag-not-annotated",
            tag,
            found=f"a lightweight tag of a {kind}",
            expected="an annotated tag",
            remedy=remedy,
        )
    # Empty for a tag of something else than a commit.
    commit = git("rev-parse", "--verify", "--quiet", f"{found}^{{commit}}").stdout.strip()
    if commit != head:
        expected = f"the commit that is checked out, {head}"
        yield Fault(
            "tag-elsewhere",
            tag,
            found=commit or "no commit",
            expected=expected,
            remedy="check the tag out",
        )
    if not commit:
        return
    ancestry = git("merge-base", "--is-ancestor", commit, tip)
    if ancestry.returncode == 1 and answer("rev-parse", "--is-shallow-repository") == "true":
        raise LackingError(f"the history of {branch} is missing; fetch it (fetch-depth: 0)")
    if ancestry.returncode == 1:
        expected = f"a commit of {branch}, {tip}"
        remedy = "merge the commit first, then tag it"
        yield Fault("tag-off-branch", tag, found=commit, expected=expected, remedy=remedy)
    elif ancestry.returncode:
        raise LackingError(f"git merge-base failed: {ancestry.stderr.strip()}")
