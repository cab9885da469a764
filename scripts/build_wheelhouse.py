"""Build the release wheels with cibuildwheel in a manylinux2014 container: fill dist/.

The configuration is that of pyproject.toml. CPython 3.7 and 3.8 take cibuildwheel 2.23, all newer
ones 4.3. Where the pinned image cannot be pulled, scripts/standin_image.py builds a stand-in.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import containers
import standin_image
import tomli
from build_wheels import source_date
from containers import Engine
from interpreters import make_venv
from ledger import BUILD, PROJECT
from wheelkit import symbol_versions
from wheelkit.report import LackingError, MisusedError, Status, run
from wheelkit.tools import last_words

# The oldest on which cibuildwheel 4.3 runs.
OLDEST = (3, 11)
VERSIONS = ("3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")
WORK = BUILD / "wheelhouse"
# pip's own settings for where packages come from; a container does not have them otherwise.
PIP_SETTINGS = ("index-url", "extra-index-url", "find-links", "cert", "trusted-host", "proxy")
# cibuildwheel shows a container this machine's files there.
HOST = "/host"
# No manylinux2014 wheel of NumPy is there for these.
WITHOUT_NUMPY = ("3.14", "3.15")
IMAGE_KEY = "manylinux-x86_64-image"
FAMILIES = {"GLIBC", "GLIBCXX"}
# What cibuildwheel says of its steps.
BEGUN = re.compile(r"^Building (cp\d+)-manylinux_x86_64 wheel")
STEP = re.compile(r"^(?:\x1b\[\d+m)*(Building|Repairing|Testing) wheel\.\.\.")
ENDED = re.compile(r" ([\d.]+)s$")


class BuildError(Exception):
    """The wheels do not come about, or are not what they should be."""


@dataclass(frozen=True)
class Builder:
    """A cibuildwheel: the file that pins it, and the CPythons that it is for."""

    pins: str
    oldest: int
    newest: int

    def selected(self, versions: Sequence[str]) -> list[str]:
        """Return those of the versions that it builds."""
        return [v for v in versions if self.oldest <= int(v.split(".")[1]) <= self.newest]


@dataclass(frozen=True)
class Group:
    """Wheels that one cibuildwheel builds in one image."""

    builder: Builder
    versions: list[str]
    image: str


BUILDERS = (Builder("cibuildwheel-2.txt", 7, 8), Builder("cibuildwheel.txt", 9, 15))


def say(message: str) -> None:
    """Report progress on standard error."""
    print(f"build_wheelhouse.py: {message}", file=sys.stderr, flush=True)


def identifier(version: str) -> str:
    """Return cibuildwheel's name for the wheel of a CPython."""
    return f"cp{version.replace('.', '')}-manylinux_x86_64"


def install_builder(builder: Builder) -> Path:
    """Install the pinned cibuildwheel in an environment of its own; return its Python."""
    if sys.version_info < OLDEST:
        raise LackingError(
            f"cibuildwheel needs Python 3.11 or newer; {sys.executable} is older: run this with a "
            "newer one"
        )
    python = make_venv(Path(sys.executable), WORK / Path(builder.pins).stem)
    pins = PROJECT / "requirements" / builder.pins
    command: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--require-hashes"]
    command += ["--only-binary=:all:", "--requirement", pins]
    if subprocess.run(command, check=False).returncode:
        raise LackingError(f"pip could not install {builder.pins}; its messages are above")
    return python


def export_sources(folder: Path) -> None:
    """Copy what git tracks or would add: cibuildwheel copies all that it finds."""
    command = ["git", "-C", str(PROJECT), "ls-files", "-z", "-co", "--exclude-standard"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise LackingError(f"git cannot list the sources ({done.stderr.strip()}); build in a clone")
    for name in filter(None, done.stdout.split("\0")):
        if (PROJECT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, folder / name)


def seen_from_container(value: str) -> str:
    """Rewrite this machine's paths, as a container of cibuildwheel sees them."""
    return re.sub(r"(^|\s|file://)/", rf"\1{HOST}/", value)


def pip_environment() -> dict[str, str]:
    """Return pip's settings here as environment variables for the container."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True
    )
    found: dict[str, str] = {}
    for line in done.stdout.splitlines():
        # As in :env:.cert='/etc/ssl/cert.pem'; the later line is that which pip follows.
        name, _, value = line.partition("=")
        option = name.rpartition(".")[2]
        if option in PIP_SETTINGS:
            variable = "PIP_" + option.upper().replace("-", "_")
            found[variable] = seen_from_container(value.strip("'").replace("\\n", " ").strip())
    return found


def environment(engine: Engine, image: str, versions: Sequence[str]) -> dict[str, str]:
    """Return cibuildwheel's environment: which wheels, in what; all else is pyproject.toml's."""
    pip = pip_environment()
    own = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    return {
        **own,
        **engine.environment,
        **pip,
        "CIBW_BUILD": " ".join(map(identifier, versions)),
        "CIBW_CONTAINER_ENGINE": engine.name,
        "CIBW_MANYLINUX_X86_64_IMAGE": image,
        "CIBW_ENVIRONMENT_PASS_LINUX": " ".join(pip),
        "SOURCE_DATE_EPOCH": source_date(),
    }


def pinned_image(version: str) -> str:
    """Return the image that pyproject.toml pins for a CPython."""
    text = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    table = tomli.loads(text)["tool"]["cibuildwheel"]
    for override in table["overrides"]:
        if fnmatchcase(identifier(version), override["select"]) and IMAGE_KEY in override:
            return str(override[IMAGE_KEY])
    return str(table[IMAGE_KEY])


def choose_image(engine: Engine, versions: Sequence[str], every: Sequence[str]) -> str:
    """Return the pinned image if it is here or can be pulled, else the stand-in, for `every`."""
    image = pinned_image(versions[0])
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
    lacking = [v for v in versions if standin_image.folder_name(v) not in has]
    if lacking:
        there = ", ".join(sorted(has)) or "none"
        raise LackingError(
            f"{image} has no CPython {', '.join(lacking)} in /opt/python (it has: {there}); name "
            "an image that has, or other versions"
        )


def run_logged(command: Sequence[str | Path], log: Path, **options: Any) -> Iterator[str]:
    """Run a command; show, log and yield each line that it says."""
    with (
        log.open("w", encoding="utf-8") as copy,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            **options,
        ) as process,
    ):
        for line in process.stdout or ():
            sys.stderr.write(line)
            copy.write(line)
            yield line
    if process.returncode:
        raise BuildError(f"cibuildwheel ended with status {process.returncode}; its log is {log}")


def read_times(lines: Iterable[str]) -> dict[str, list[float]]:
    """Return, by Python tag, the seconds of the steps: building, repairing, testing."""
    times: dict[str, list[float]] = {}
    tag, step = "", False
    for line in lines:
        if match := BEGUN.match(line):
            tag = match[1]
            times[tag] = []
        elif STEP.match(line):
            step = True
        elif step and tag and (match := ENDED.search(line.rstrip())):
            times[tag].append(float(match[1]))
            step = False
    return times


def build_wheels(builder: Builder, settings: dict[str, str], out: Path) -> dict[str, list[float]]:
    """Run cibuildwheel; return the seconds that each wheel's steps took, by its Python tag."""
    python = install_builder(builder)
    log = WORK / f"{Path(builder.pins).stem}.log"
    with tempfile.TemporaryDirectory(prefix="sources-", dir=WORK) as sources:
        export_sources(Path(sources))
        command = [
            str(python),
            "-m",
            "cibuildwheel",
            "--platform",
            "linux",
            "--output-dir",
            str(out),
        ]
        return read_times(run_logged(command, log, cwd=sources, env=settings))


@dataclass
class Product:
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


def collect(out: Path, versions: Sequence[str], times: dict[str, list[float]]) -> list[Product]:
    """Return one product a version; all must have the same libcufes."""
    products = []
    for version in versions:
        tag = "cp" + version.replace(".", "")
        found = list(out.glob(f"*-{tag}-*.whl"))
        if len(found) != 1 or "manylinux2014_x86_64" not in found[0].name:
            names = ", ".join(path.name for path in found) or "none"
            raise BuildError(f"CPython {version}: expected one manylinux2014 wheel, found {names}")
        libcufes = member_sha256(found[0], "libcufes.so")
        products.append(Product(version, found[0], times.get(tag, []), libcufes))
    return products


def check_same_library(products: Sequence[Product]) -> None:
    """Refuse wheels of which one has another libcufes: it does not depend on Python."""
    hashes = {product.libcufes for product in products}
    if len(hashes) > 1:
        listed = "; ".join(f"{p.version}: {p.libcufes[:12]}" for p in products)
        raise BuildError(f"the wheels hold different libcufes.so: {listed}")


def member_sha256(wheel: Path, name: str) -> str:
    """Return the hash of the wheel's one member of this file name."""
    with zipfile.ZipFile(wheel) as archive:
        (member,) = [entry for entry in archive.namelist() if entry.endswith(f"/{name}")]
        return hashlib.sha256(archive.read(member)).hexdigest()


def try_out(engine: Engine, image: str, product: Product) -> None:
    """Install the wheel and run its kernels in a new container, which has no CUDA toolkit."""
    if not standin_image.is_standin(image) and product.version in WITHOUT_NUMPY:
        product.trial = "not run: no NumPy for manylinux2014"
        return
    python = f"/opt/python/{standin_image.folder_name(product.version)}/bin/python"
    mounts = [f"--volume=/:{HOST}:ro", f"--volume={PROJECT}:/project:ro"]
    mounts.append(f"--volume={product.wheel.parent}:/wheels:ro")
    settings = [f"--env={name}={value}" for name, value in pip_environment().items()]
    wheel = f"/wheels/{product.wheel.name}"
    # The steps that a user takes, and no more.
    command = f"""set -e
        {python} -m venv /tmp/venv
        pip="/tmp/venv/bin/python -m pip install --quiet --disable-pip-version-check"
        $pip --only-binary=:all: --require-hashes -r /project/requirements/numpy.txt >&2
        $pip --no-index --no-deps {wheel} >&2
        cd /tmp && /tmp/venv/bin/python /project/scripts/smoke_test.py --wheel {wheel} --device cpu
    """
    say(f"CPython {product.version}: trying {product.wheel.name} in a new container")
    done = engine.run("run", "--rm", *mounts, *settings, image, "sh", "-c", command)
    if done.returncode:
        sys.stderr.write(done.stderr)
        raise BuildError(f"{product.wheel.name} fails in a new container: {last_words(done)}")
    product.trial = done.stdout.strip().splitlines()[-1].removeprefix("smoke test: ")


def fill(out: Path, products: Sequence[Product]) -> None:
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


def build_group(engine: Engine, group: Group, out: Path) -> list[Product]:
    """Build the wheels of one cibuildwheel, and try each out."""
    engine = containers.make_runnable(engine, group.image)
    check_interpreters(engine, group.image, group.versions)
    settings = environment(engine, group.image, group.versions)
    products = collect(out, group.versions, build_wheels(group.builder, settings, out))
    for product in products:
        try_out(engine, group.image, product)
    return products


def build_all(versions: Sequence[str], image: str | None, out: Path) -> list[Product]:
    """Build, try out and deliver the wheels of these CPythons."""
    engine = containers.find_engine()
    WORK.mkdir(parents=True, exist_ok=True)
    groups = []
    for builder in BUILDERS:
        chosen = builder.selected(versions)
        if chosen:
            groups.append(Group(builder, chosen, image or choose_image(engine, chosen, versions)))
    with tempfile.TemporaryDirectory(prefix="wheels-", dir=WORK) as folder:
        products = [p for group in groups for p in build_group(engine, group, Path(folder))]
        check_same_library(products)
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
        help=f"build for this CPython (may be repeated; default: {VERSIONS[0]} to {VERSIONS[-1]})",
    )
    add(
        "--out",
        metavar="DIR",
        type=Path,
        default=PROJECT / "dist",
        help="where the wheels go, in place of older ones of this project (default: %(default)s)",
    )
    add("--image", metavar="NAME", help="build in this image, not in those of pyproject.toml")
    return parser.parse_args()


def chosen_versions(wanted: Sequence[str] | None) -> list[str]:
    """Return the versions in order, each once."""
    for version in wanted or ():
        if version not in VERSIONS:
            raise MisusedError(f"--python {version}: expected one of {', '.join(VERSIONS)}")
    return [version for version in VERSIONS if version in (wanted or VERSIONS)]


def table(products: Sequence[Product]) -> str:
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
        products = build_all(versions, arguments.image, arguments.out.resolve())
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return Status.FAULTY
    print(table(products))
    print(f"libcufes.so in all of them: sha256 {products[0].libcufes}")
    return Status.DONE


if __name__ == "__main__":
    sys.exit(run(main))
