"""Build the release wheels with cibuildwheel in a manylinux2014 container: fill dist/.

cibuildwheel reads its configuration from pyproject.toml. The wheels of CPython 3.7 and 3.8 are
built by cibuildwheel 2.23, those of newer CPythons by 4.3. Where the pinned image cannot be pulled,
standin_image.py builds a stand-in image.
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
from wheelkit.containers import configuration, engines, images
from wheelkit.containers.cibuildwheel import (
    BUILDERS,
    Builder,
    WheelBuildError,
    build_wheels,
    check_python,
    environment,
)
from wheelkit.containers.engines import Engine
from wheelkit.target.report import LackingError, MisusedError, Status
from wheelkit.wheel import symbol_versions

WORK = BUILD / "wheelhouse"
# NumPy has no manylinux2014 wheel for these CPythons.
PYTHONS_WITHOUT_NUMPY = [v for v in CPYTHONS if configuration.read(PROJECT).skips_tests(v)]
SYMBOL_FAMILIES = {"GLIBC", "GLIBCXX"}


@dataclass(frozen=True)
class Group:
    """The wheels that one version of cibuildwheel builds in one image."""

    builder: Builder
    versions: list[str]
    image: str


def choose_image(engine: Engine, versions: Sequence[str], every: Sequence[str]) -> str:
    """Return the image in which to build the wheels of `versions`.

    It is the pinned image if this machine has it or can pull it, else a stand-in image, which has
    `every` version, so that one stand-in image serves all groups.
    """
    image = images.verifying(versions[0], PROJECT).reference
    reason = engine.why_not_pulled(image)
    if not reason:
        say(f"CPython {', '.join(versions)}: building in {image}")
        return image
    say(f"{image} cannot be pulled ({reason})")
    standin = standin_image.build(engine, every)
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
    """A release wheel, and how it was built and tested."""

    version: str
    wheel: Path
    seconds: list[float]
    libcufes: str
    smoke: str = "not run"

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
            self.smoke,
        )


def collect(
    out: Path, versions: Sequence[str], times: dict[str, list[float]]
) -> list[ReleaseWheel]:
    """Return the release wheel of each version, found in `out`."""
    products = []
    for version in versions:
        tag = python_tag(version)
        found = list(out.glob(f"*-{tag}-*.whl"))
        if len(found) != 1 or "manylinux2014_x86_64" not in found[0].name:
            names = ", ".join(path.name for path in found) or "none"
            raise WheelBuildError(
                f"CPython {version}: expected one manylinux2014 wheel, found {names}"
            )
        libcufes = sha256_of_member(found[0], "libcufes.so")
        products.append(ReleaseWheel(version, found[0], times.get(tag, []), libcufes))
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


def smoke_test(engine: Engine, image: str, product: ReleaseWheel) -> None:
    """Install the wheel and run its kernels in a new container, which has no CUDA toolkit."""
    if not standin_image.is_standin(image) and product.version in PYTHONS_WITHOUT_NUMPY:
        product.smoke = "not run: no NumPy for manylinux2014"
        return
    say(f"CPython {product.version}: smoke test of {product.wheel.name} in a new container")
    mounts = {PROJECT: "/project", product.wheel.parent: "/wheels", Path("/"): engines.HOST}
    command = [f"/opt/python/{tag_of(product.version)}/bin/python"]
    command += ["/project/wheelkit/src/wheelkit/target", "trial", f"/wheels/{product.wheel.name}"]
    command += ["--kernels", "/project/scripts/smoke_test.py"]
    command += ["--requirements", "/project/requirements/numpy.txt", "--device", "cpu"]
    command += ["--place", "new container", "--report", "/report.json"]
    done = engine.run_container(image, mounts, engines.pip_environment(), command)
    if done.returncode:
        sys.stderr.write(done.stderr)
        raise WheelBuildError(f"{product.wheel.name} fails in a new container: {last_words(done)}")
    product.smoke = done.stdout.strip().splitlines()[-1].removeprefix("smoke test: ")


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


def build_group(engine: Engine, group: Group, out: Path) -> list[ReleaseWheel]:
    """Build the wheels of one group, and smoke-test each."""
    engine = engines.make_runnable(engine, group.image)
    check_interpreters(engine, group.image, group.versions)
    settings = environment(engine, group.image, group.versions, PROJECT)
    times = build_wheels(group.builder, settings, PROJECT, out, WORK)
    products = collect(out, group.versions, times)
    check_same_library(products)
    for product in products:
        smoke_test(engine, group.image, product)
    return products


def build_all(
    engine: Engine, versions: Sequence[str], image: str | None, out: Path
) -> list[ReleaseWheel]:
    """Build and smoke-test the wheels of these CPythons, then copy them to `out`."""
    WORK.mkdir(parents=True, exist_ok=True)
    groups = []
    for builder in BUILDERS:
        chosen = builder.selected(versions)
        if chosen:
            groups.append(Group(builder, chosen, image or choose_image(engine, chosen, versions)))
    with tempfile.TemporaryDirectory(prefix="wheels-", dir=WORK) as folder:
        products = [p for group in groups for p in build_group(engine, group, Path(folder))]
        replace_wheels(out, products)
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
    for version in wanted or ():
        if version not in CPYTHONS:
            raise MisusedError(f"--python {version}: expected one of {', '.join(CPYTHONS)}")
    return [version for version in CPYTHONS if version in (wanted or CPYTHONS)]


def table(products: Sequence[ReleaseWheel]) -> str:
    """Return a table with one row for each wheel."""
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
    """Run the command; print the table of wheels last."""
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
