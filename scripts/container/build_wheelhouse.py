"""Build the release wheels with cibuildwheel in a manylinux2014 container: fill dist/.

The configuration is that of pyproject.toml. CPython 3.7 and 3.8 take cibuildwheel 2.23, all newer
ones 4.3. Where the pinned image cannot be pulled, standin_image.py builds a stand-in.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from container import standin_image
from shared.ledger import BUILD, PROJECT
from shared.steps import say
from wheelkit.base.cpythons import CPYTHONS, python_tag, tag_of
from wheelkit.base.programs import last_words
from wheelkit.containers import engines, images
from wheelkit.containers.cibuildwheel import (
    BUILDERS,
    Builder,
    WheelBuildError,
    build_wheels,
    check_python,
    environment,
    pinned_image,
)
from wheelkit.containers.engines import Engine
from wheelkit.target.report import LackingError, MisusedError, Status
from wheelkit.wheel import symbol_versions

WORK = BUILD / "wheelhouse"
# No manylinux2014 wheel of NumPy is there for these.
WITHOUT_NUMPY = [v for v in CPYTHONS if not images.verifying(v).smoke_tests(v)]
FAMILIES = {"GLIBC", "GLIBCXX"}


@dataclass(frozen=True)
class Group:
    """Wheels that one cibuildwheel builds in one image."""

    builder: Builder
    versions: list[str]
    image: str


def choose_image(engine: Engine, versions: Sequence[str], every: Sequence[str]) -> str:
    """Return the pinned image if it is here or can be pulled, else the stand-in, for `every`."""
    image = pinned_image(versions[0], PROJECT)
    reason = engine.why_not_pulled(image)
    if not reason:
        say(f"CPython {', '.join(versions)}: in {image}")
        return image
    say(f"{image} cannot be pulled ({reason})")
    standin = standin_image.build(engine, every)
    say(f"CPython {', '.join(versions)}: in the stand-in {standin}")
    return standin


def check_interpreters(engine: Engine, image: str, versions: Sequence[str]) -> None:
    """Refuse an image that lacks an interpreter, before minutes are spent in it."""
    # Some of the real images' interpreters are installed on demand, and only listed until then.
    command = "ls /opt/python; manylinux-interpreters list 2>/dev/null"
    listed = engine.run("run", "--rm", image, "sh", "-c", command).stdout.split()
    has = {word.strip(":,") for word in listed}
    lacking = [v for v in versions if tag_of(v) not in has]
    if lacking:
        there = ", ".join(sorted(has)) or "none"
        raise LackingError(
            f"{image} has no CPython {', '.join(lacking)} in /opt/python (it has: {there}); name "
            "an image that has, or other versions"
        )


@dataclass
class ReleaseWheel:
    """A finished wheel and what is known of it."""

    version: str
    wheel: Path
    seconds: list[float]
    libcufes: str
    trial: str = "not run"

    def row(self) -> tuple[str, ...]:
        """Return the line of the table."""
        newest = symbol_versions.newest(self.wheel)
        symbols = [f"{name}_{'.'.join(map(str, newest[name]))}" for name in FAMILIES & set(newest)]
        size = f"{self.wheel.stat().st_size / 1e6:.2f} MB"
        return (
            self.version,
            self.wheel.name,
            size,
            " + ".join(f"{s:.0f}" for s in self.seconds) + " s",
            " ".join(sorted(symbols)),
            self.trial,
        )


def collect(
    out: Path, versions: Sequence[str], times: dict[str, list[float]]
) -> list[ReleaseWheel]:
    """Return one product a version."""
    products = []
    for version in versions:
        tag = python_tag(version)
        found = list(out.glob(f"*-{tag}-*.whl"))
        if len(found) != 1 or "manylinux2014_x86_64" not in found[0].name:
            names = ", ".join(path.name for path in found) or "none"
            raise WheelBuildError(
                f"CPython {version}: expected one manylinux2014 wheel, found {names}"
            )
        libcufes = member_sha256(found[0], "libcufes.so")
        products.append(ReleaseWheel(version, found[0], times.get(tag, []), libcufes))
    return products


def check_same_library(products: Sequence[ReleaseWheel]) -> None:
    """Refuse wheels of one container of which one has another libcufes: it is built once."""
    hashes = {product.libcufes for product in products}
    if len(hashes) > 1:
        listed = "; ".join(f"{p.version}: {p.libcufes[:12]}" for p in products)
        raise WheelBuildError(f"the wheels hold different libcufes.so: {listed}")


def member_sha256(wheel: Path, name: str) -> str:
    """Return the hash of the wheel's one member of this file name."""
    with zipfile.ZipFile(wheel) as archive:
        (member,) = [entry for entry in archive.namelist() if entry.endswith(f"/{name}")]
        return hashlib.sha256(archive.read(member)).hexdigest()


def try_out(engine: Engine, image: str, product: ReleaseWheel) -> None:
    """Install the wheel and run its kernels in a new container, which has no CUDA toolkit."""
    if not standin_image.is_standin(image) and product.version in WITHOUT_NUMPY:
        product.trial = "not run: no NumPy for manylinux2014"
        return
    say(f"CPython {product.version}: trying {product.wheel.name} in a new container")
    mounts = {PROJECT: "/project", product.wheel.parent: "/wheels", Path("/"): engines.HOST}
    words = [f"/opt/python/{tag_of(product.version)}/bin/python"]
    words += ["/project/wheelkit/src/wheelkit/target", "trial", f"/wheels/{product.wheel.name}"]
    words += ["--kernels", "/project/scripts/smoke_test.py"]
    words += ["--requirements", "/project/requirements/numpy.txt", "--device", "cpu"]
    words += ["--place", "new container", "--report", "/report.json"]
    done = engine.run_container(image, mounts, engines.pip_environment(), words)
    if done.returncode:
        sys.stderr.write(done.stderr)
        raise WheelBuildError(f"{product.wheel.name} fails in a new container: {last_words(done)}")
    product.trial = done.stdout.strip().splitlines()[-1].removeprefix("smoke test: ")


def fill(out: Path, products: Sequence[ReleaseWheel]) -> None:
    """Leave exactly these wheels of the project in `out`."""
    out.mkdir(parents=True, exist_ok=True)
    names = {product.wheel.name for product in products}
    for product in products:
        partial = out / f".{product.wheel.name}.part"
        shutil.copyfile(product.wheel, partial)
        product.wheel = partial.replace(out / product.wheel.name)
    for old in out.glob("cyfes-*.whl"):
        if old.name not in names:
            old.unlink()


def build_group(engine: Engine, group: Group, out: Path) -> list[ReleaseWheel]:
    """Build the wheels of one cibuildwheel, and try each out."""
    engine = engines.make_runnable(engine, group.image)
    check_interpreters(engine, group.image, group.versions)
    settings = environment(engine, group.image, group.versions, PROJECT)
    times = build_wheels(group.builder, settings, PROJECT, out, WORK)
    products = collect(out, group.versions, times)
    check_same_library(products)
    for product in products:
        try_out(engine, group.image, product)
    return products


def build_all(
    engine: Engine, versions: Sequence[str], image: str | None, out: Path
) -> list[ReleaseWheel]:
    """Build, try out and deliver the wheels of these CPythons."""
    WORK.mkdir(parents=True, exist_ok=True)
    groups = []
    for builder in BUILDERS:
        chosen = builder.selected(versions)
        if chosen:
            groups.append(Group(builder, chosen, image or choose_image(engine, chosen, versions)))
    with tempfile.TemporaryDirectory(prefix="wheels-", dir=WORK) as folder:
        products = [p for group in groups for p in build_group(engine, group, Path(folder))]
        fill(out, products)
    return products


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add(
        "--python",
        metavar="X.Y",
        action="append",
        help=f"build for this CPython (may be repeated; default: {CPYTHONS[0]} to {CPYTHONS[-1]})",
    )
    add(
        "--out",
        metavar="DIR",
        type=Path,
        default=PROJECT / "dist",
        help="where the wheels go, in place of older ones of this project (default: %(default)s)",
    )
    add("--image", metavar="NAME", help="build in this image, not in those of pyproject.toml")
    add(
        "--optional",
        action="store_true",
        help="where the machine lacks what it takes, as a container engine, say so and leave the "
        "wheels out (status 0)",
    )
    return parser.parse_args()


def chosen_versions(wanted: Sequence[str] | None) -> list[str]:
    """Return the versions in order, each once."""
    for version in wanted or ():
        if version not in CPYTHONS:
            raise MisusedError(f"--python {version}: expected one of {', '.join(CPYTHONS)}")
    return [version for version in CPYTHONS if version in (wanted or CPYTHONS)]


def table(products: Sequence[ReleaseWheel]) -> str:
    """Return one line a wheel."""
    rows: list[tuple[str, ...]] = [
        (
            "CPython",
            "wheel",
            "size",
            "build + repair + test",
            "newest symbols",
            "in a new container",
        )
    ]
    rows += [product.row() for product in products]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def main() -> int:
    """Run the command; the table comes last."""
    arguments = parse_arguments()
    versions = chosen_versions(arguments.python)
    try:
        engine = engines.find_engine()
        check_python()
        products = build_all(engine, versions, arguments.image, arguments.out.resolve())
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
    return Status.DONE
