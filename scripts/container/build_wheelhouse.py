"""Build the release wheels with cibuildwheel in a manylinux2014 container: fill dist/.

cibuildwheel reads its configuration from pyproject.toml. The wheels of CPython 3.7 and 3.8 are
built by cibuildwheel 2.23, those of newer CPythons by 4.3. Where the pinned image cannot be pulled,
standin_image.py builds a stand-in image.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import shutil
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import tomli
from container import leftovers, standin_image
from container.leftovers import Run
from container.run_cibuildwheel import (
    TESTED,
    Steps,
    WheelBuildError,
    build_wheels,
    check_python,
    environment,
    run_logged,
)
from shared import children, requirement_uses
from shared.ledger import BUILD, PROJECT, sha256
from shared.steps import say
from wheelkit.base.cpythons import tag_of
from wheelkit.base.programs import last_words
from wheelkit.containers import configuration, engines, images
from wheelkit.containers.cibuildwheel import BUILDERS, Builder, identifier
from wheelkit.containers.engines import Engine
from wheelkit.target.report import LackingError, MisusedError, Status
from wheelkit.wheel import symbol_versions

WORK = BUILD / "wheelhouse"
REPORT = WORK / "report.json"
SYMBOL_FAMILIES = {"GLIBC", "GLIBCXX"}
# Environment variables that begin so change what cibuildwheel tests.
TEST_SETTINGS = ("CIBW_TEST", "CIBW_BEFORE_TEST", "CIBW_CONFIG_FILE")
LEFT_OUT = "LEFT OUT"


@dataclass(frozen=True)
class Group:
    """The wheels that one version of cibuildwheel builds in one image."""

    builder: Builder
    versions: list[str]
    image: str


def choose_image(run: Run, versions: Sequence[str], every: Sequence[str]) -> str:
    """Return the image in which to build the wheels of `versions`.

    It is the pinned image if this machine has it or can pull it, else a stand-in image, which has
    `every` version, so that one stand-in image serves all groups.
    """
    image = images.verifying(versions[0], PROJECT).reference
    reason = run.engine.why_not_pulled(image)
    if not reason:
        say(f"CPython {', '.join(versions)}: building in {image}")
        return image
    say(f"{image} cannot be pulled ({reason})")
    standin = standin_image.build(run.engine, every)
    if run.alone:
        # Another run may be about to use an older one.
        for old in standin_image.prune(run.engine, standin):
            say(f"removed the stand-in image {old}, which has other ingredients")
    say(f"CPython {', '.join(versions)}: building in the stand-in image {standin}")
    return standin


def check_interpreters(engine: Engine, image: str, versions: Sequence[str]) -> None:
    """Refuse an image that lacks an interpreter, before the build spends minutes in it."""
    # The manylinux images install some interpreters only on demand; manylinux-interpreters lists
    # them before that.
    command = "ls /opt/python; manylinux-interpreters list 2>/dev/null"
    listed = engine.run("run", "--rm", image, "sh", "-c", command).stdout.split()
    present = {word.strip(":,") for word in listed}
    lacking = [v for v in versions if tag_of(v) not in present]
    if lacking:
        names = ", ".join(sorted(present)) or "none"
        raise LackingError(
            f"{image} has no CPython {', '.join(lacking)} in /opt/python (it has: {names}); name "
            "an image that has them, or other versions"
        )


@dataclass
class ReleaseWheel:
    """A release wheel, and how it was built and tested.

    `tests` says what the tests of the package showed, and where.
    """

    version: str
    wheel: Path
    seconds: list[float]
    libcufes: str
    tests: str = LEFT_OUT
    smoke: str = LEFT_OUT

    def row(self) -> tuple[str, ...]:
        """Return the wheel's row of the table."""
        newest = symbol_versions.newest(self.wheel)
        symbols = [
            f"{name}_{'.'.join(map(str, newest[name]))}" for name in SYMBOL_FAMILIES & set(newest)
        ]
        size = f"{self.wheel.stat().st_size / 1e6:.2f} MB"
        return (
            self.version,
            self.wheel.name,
            size,
            " + ".join(f"{s:.0f}" for s in self.seconds) + " s",
            " ".join(sorted(symbols)),
            self.tests,
            self.smoke,
        )


def collect(out: Path, versions: Sequence[str], steps: Mapping[str, Steps]) -> list[ReleaseWheel]:
    """Return the release wheel of each version, found in `out`."""
    products = []
    for version in versions:
        found = list(out.glob(f"*-{tag_of(version)}-*.whl"))
        if len(found) != 1 or "manylinux2014_x86_64" not in found[0].name:
            names = ", ".join(path.name for path in found) or "none"
            raise WheelBuildError(
                f"CPython {version}: expected one manylinux2014 wheel, found {names}"
            )
        made = ReleaseWheel(version, found[0], [], sha256_of_member(found[0], "libcufes.so"))
        if said := steps.get(identifier(version)):
            made.seconds = said.seconds
            if said.tests:
                made.tests = f"{said.tests} (manylinux2014)"
        products.append(made)
    return products


def check_same_library(products: Sequence[ReleaseWheel]) -> None:
    """Refuse wheels with different libcufes.so: a container builds it once for all its wheels."""
    hashes = {product.libcufes for product in products}
    if len(hashes) > 1:
        listed = "; ".join(f"{p.version}: {p.libcufes[:12]}" for p in products)
        raise WheelBuildError(f"the wheels hold different libcufes.so: {listed}")


def sha256_of_member(wheel: Path, name: str) -> str:
    """Return the SHA-256 of the only member of a wheel with this file name."""
    with zipfile.ZipFile(wheel) as archive:
        (member,) = [entry for entry in archive.namelist() if entry.endswith(f"/{name}")]
        return hashlib.sha256(archive.read(member)).hexdigest()


def cibuildwheel_table() -> dict[str, Any]:
    """Return the table [tool.cibuildwheel] of pyproject.toml."""
    text = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    table: dict[str, Any] = tomli.loads(text)["tool"]["cibuildwheel"]
    return table


def tested_on_newer_glibc(version: str) -> bool:
    """Tell whether pyproject.toml leaves the tests for a CPython out of the build's container."""
    skipped = str(cibuildwheel_table()["test-skip"]).split()
    return any(fnmatchcase(identifier(version), pattern) for pattern in skipped)


@dataclass(frozen=True)
class Place:
    """A new container of an image, and its interpreter."""

    name: str
    image: str
    python: str


def place_for(engine: Engine, built_in: str, version: str) -> Place:
    """Return where a finished wheel is tried: the oldest system on which it computes.

    That is the image in which it was built, except for CPythons that need a newer glibc; a stand-in
    image stands for both.
    """
    newer = images.smoking(version, PROJECT)[0]
    image = images.of_image(built_in)
    if tested_on_newer_glibc(version) and not standin_image.is_standin(built_in):
        image = newer
        reason = engine.why_not_pulled(newer.reference)
        if reason:
            raise LackingError(f"{newer.reference} cannot be pulled ({reason})")
    python = image.python.format(tag=tag_of(version), version=version)
    return Place(newer.name, image.reference.format(version=version), python)


def run_options(engine: Engine, product: ReleaseWheel) -> list[str]:
    """Return the options of a container that sees the project, the wheel, and pip's files."""
    pip = engines.pip_settings()
    mounts = {PROJECT: "/project", product.wheel.parent: "/wheels", **pip.mounts}
    # The project cannot be written to.
    variables = {**pip.variables, "PYTHONDONTWRITEBYTECODE": "1"}
    return engine.container_options(mounts, variables)


def smoke_test(engine: Engine, place: Place, product: ReleaseWheel) -> None:
    """Install the wheel and run its kernels in a new container, which has no CUDA toolkit."""
    say(f"CPython {product.version}: smoke test of {product.wheel.name} in a new container")
    command = [place.python, "/project/wheelkit/src/wheelkit/target", "trial"]
    command += [f"/wheels/{product.wheel.name}", "--kernels", "/project/scripts/smoke_test.py"]
    command += ["--requirements", "/project/requirements/numpy.txt", "--device", "cpu"]
    command += ["--place", place.name, "--report", "/report.json"]
    options = run_options(engine, product)
    done = engine.run("run", "--rm", *options, place.image, *command)
    if done.returncode:
        sys.stderr.write(done.stderr)
        raise WheelBuildError(f"{product.wheel.name} fails in a new container: {last_words(done)}")
    product.smoke = done.stdout.strip().splitlines()[-1].removeprefix("smoke test: ")


def test_commands(product: ReleaseWheel, python: str) -> str:
    """Return shell commands that test a wheel as the build's container tests others.

    What they install is that of the whole test suite, because the glibc is newer. On a
    free-threaded CPython the lock stays off whatever else is imported, so that the tests run
    without it to their end.
    """
    commands: list[str] = cibuildwheel_table()["test-command"]
    wheel = shlex.quote(f"/wheels/{product.wheel.name}")
    requirements = requirement_uses.of_tests(product.version).relative_to(PROJECT)
    pip = "python -m pip install --quiet"
    lines = [
        "set -e",
        *(["export PYTHON_GIL=0"] if product.version.endswith("t") else []),
        f"{python} -m venv /tmp/venv",
        'export PATH="/tmp/venv/bin:$PATH"',
        f"{pip} --require-hashes --only-binary=:all: -r /project/{requirements}",
        f"{pip} --no-index --no-deps {wheel}",
        "mkdir /tmp/empty",
        "cd /tmp/empty",
        *(line.format(project="/project", wheel=wheel) for line in commands),
    ]
    return "\n".join(lines)


def test_on_newer_glibc(engine: Engine, place: Place, product: ReleaseWheel) -> None:
    """Run the package's tests in a new container, where pyproject.toml leaves them to this."""
    say(f"CPython {product.version}: tests of {product.wheel.name}, {place.name}")
    script = test_commands(product, place.python)
    options = run_options(engine, product)
    command = [engine.name, "run", "--rm", *options, place.image, "sh", "-c", script]
    log = WORK / f"tests-{product.version}.log"
    for line in run_logged(command, log, env={**os.environ, **engine.environment}):
        if match := TESTED.match(line):
            product.tests = f"{match[1]} ({place.name})"


def replace_wheels(out: Path, products: Sequence[ReleaseWheel]) -> None:
    """Copy these wheels to `out`, and remove the project's other wheels there."""
    out.mkdir(parents=True, exist_ok=True)
    names = {product.wheel.name for product in products}
    for product in products:
        partial = out / f".{product.wheel.name}.part"
        shutil.copyfile(product.wheel, partial)
        product.wheel = partial.replace(out / product.wheel.name)
    for old in out.glob("cyfes-*.whl"):
        if old.name not in names:
            old.unlink()


def build_group(run: Run, group: Group, out: Path) -> list[ReleaseWheel]:
    """Build the wheels of one group, and try each."""
    check_interpreters(run.engine, group.image, group.versions)
    settings = environment(run.engine, group.image, group.versions, PROJECT)
    steps = build_wheels(group.builder, settings, out, WORK, run.folder)
    products = collect(out, group.versions, steps)
    check_same_library(products)
    for product in products:
        place = place_for(run.engine, group.image, product.version)
        if tested_on_newer_glibc(product.version) and not changed_settings():
            test_on_newer_glibc(run.engine, place, product)
        smoke_test(run.engine, place, product)
    return products


def build_all(
    run: Run, versions: Sequence[str], image: str | None, out: Path
) -> list[ReleaseWheel]:
    """Build and try the wheels of these CPythons, then copy them to `out`."""
    groups = []
    for builder in BUILDERS:
        chosen = builder.selected(versions)
        if chosen:
            groups.append(Group(builder, chosen, image or choose_image(run, chosen, versions)))
    wheels = run.folder / "wheels"
    wheels.mkdir()
    products = [product for group in groups for product in build_group(run, group, wheels)]
    replace_wheels(out, products)
    return products


def changed_settings() -> list[str]:
    """Return the environment variables that change what cibuildwheel tests."""
    return sorted(name for name in os.environ if name.startswith(TEST_SETTINGS))


def why_no_release_run(products: Sequence[ReleaseWheel]) -> Iterator[str]:
    """Yield why these wheels are not those of a release run, in which every wheel is tested."""
    if changed_settings():
        yield f"{', '.join(changed_settings())} changes what is tested"
    untested = [p.version for p in products if LEFT_OUT in (p.tests, p.smoke)]
    if untested:
        yield f"tests were left out for CPython {', '.join(untested)}"
    lacking = [version for version in released() if version not in {p.version for p in products}]
    if lacking:
        yield f"there is no wheel for CPython {', '.join(lacking)}"


def write_report(products: Sequence[ReleaseWheel], reasons: Sequence[str]) -> None:
    """Record the run, and whether it is a release run."""
    wheels = [
        {
            "name": product.wheel.name,
            "sha256": sha256(product.wheel),
            "tests": product.tests,
            "smoke": product.smoke,
        }
        for product in products
    ]
    report = {"release_run": not reasons, "why_not": list(reasons), "wheels": wheels}
    REPORT.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add(
        "--python",
        metavar="X.Y",
        action="append",
        help="build for this CPython, such as 3.12 or 3.14t (may be repeated; default: all those "
        "of a release)",
    )
    add(
        "--out",
        metavar="DIR",
        type=Path,
        default=PROJECT / "dist",
        help="the folder for the wheels; older wheels of this project there are removed "
        "(default: %(default)s)",
    )
    add("--image", metavar="NAME", help="build in this image, not in those of pyproject.toml")
    add(
        "--optional",
        action="store_true",
        help="where the machine lacks something that the build needs, such as a container engine, "
        "report it, build no wheels and end with status 0",
    )
    return parser.parse_args()


def chosen_versions(wanted: Sequence[str] | None) -> list[str]:
    """Return the chosen versions, or all, in ascending order and without repetitions."""
    every = released()
    for version in wanted or ():
        if version not in every:
            raise MisusedError(f"--python {version}: expected one of {', '.join(every)}")
    return [version for version in every if version in (wanted or every)]


def released() -> list[str]:
    """Return the CPythons of a release, whatever the environment chooses for one run."""
    return configuration.read(PROJECT, {}).pythons()


def table(products: Sequence[ReleaseWheel]) -> str:
    """Return a table with one row for each wheel."""
    rows: list[tuple[str, ...]] = [
        (
            "CPython",
            "wheel",
            "size",
            "build + repair + test",
            "newest symbols",
            "tests",
            "in a new container",
        )
    ]
    rows += [product.row() for product in products]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def main() -> int:
    """Run the command; print the table of wheels last."""
    arguments = parse_arguments()
    versions = chosen_versions(arguments.python)
    if "NOX_CURRENT_SESSION" in os.environ:
        # nox itself does not hand SIGTERM on, and when it is killed it cannot.
        children.end_with_parent()
    # A report of an older run would describe other wheels.
    REPORT.unlink(missing_ok=True)
    try:
        check_python()
        # Before an image is built, which takes minutes.
        engine = engines.runnable_engine()
        with leftovers.run_folder(WORK, engine) as run:
            products = build_all(run, versions, arguments.image, arguments.out.resolve())
    except LackingError as error:
        if not arguments.optional:
            raise
        say(f"left out: the wheels of {len(versions)} CPythons ({', '.join(versions)}); {error}")
        return Status.DONE
    except WheelBuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return Status.FAULTY
    print(table(products))
    for library in sorted({product.libcufes for product in products}):
        versions = [product.version for product in products if product.libcufes == library]
        print(f"libcufes.so of {', '.join(versions)}: sha256 {library}")
    reasons = list(why_no_release_run(products))
    write_report(products, reasons)
    print(f"no release run: {'; '.join(reasons)}" if reasons else "a release run: all tests ran")
    return Status.DONE
