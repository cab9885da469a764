"""Companions: other distributions whose libraries a wheel loads once both are installed.

CUDA's libraries come that way: a wheel requires ``nvidia-cublas-cu12``, leaves libcublas.so.12 out,
and has an rpath entry that leads to ``nvidia/cublas/lib``. A companion is not unpacked; of its
wheel, only what the loader reads is kept, because some are larger than a gigabyte.
"""

from __future__ import annotations

import contextlib
import functools
import posixpath
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from email.parser import BytesParser
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from wheelkit.base.remedies import REBUILD
from wheelkit.target.report import Fault, FaultyError, sha256
from wheelkit.wheel import elf, platforms
from wheelkit.wheel.elf import Elf
from wheelkit.wheel.identity import identify
from wheelkit.wheel.layouts import Installation, SchemePath, scheme_path

# The libraries of NVIDIA's distributions, by the part of the name between nvidia- and -cu12; from
# the wheels of CUDA 12.9. A component that is not listed has libraries named like itself, as
# cudnn has libcudnn and libcudnn_graph.
NVIDIA: Mapping[str, tuple[str, ...]] = {
    "cublas": ("libcublas", "libcublasLt", "libnvblas"),
    "cuda-cupti": (
        *("libcupti", "libnvperf_host", "libnvperf_target", "libpcsamplingutil", "libcheckpoint"),
    ),
    "cuda-nvcc": ("libnvvm",),
    "cuda-nvrtc": ("libnvrtc", "libnvrtc-builtins"),
    "cuda-runtime": ("libcudart",),
    "cufft": ("libcufft", "libcufftw"),
    "cusolver": ("libcusolver", "libcusolverMg"),
    "npp": (
        *("libnppc", "libnppial", "libnppicc", "libnppidei", "libnppif", "libnppig", "libnppim"),
        *("libnppist", "libnppisu", "libnppitc", "libnpps"),
    ),
    "nvtx": ("libnvToolsExt", "libnvtx3interop"),
}

# NVIDIA's metapackage: its extras require those distributions, as cuda-toolkit[cudart,cublas].
TOOLKIT = "cuda-toolkit"
# Most extras are called like the distribution: cublas of nvidia-cublas, nvrtc of nvidia-cuda-nvrtc.
EXTRAS: Mapping[str, tuple[str, ...]] = {
    "cudart": ("cuda-runtime",),
    "all": (
        *("cublas", "cuda-cupti", "cuda-nvrtc", "cuda-runtime", "cufft", "cufile", "curand"),
        *("cusolver", "cusparse", "npp", "nvfatbin", "nvjitlink", "nvjpeg", "nvtx"),
    ),
}


@dataclass(frozen=True)
class Companion:
    """A distribution that is installed beside a wheel, as far as the loader is concerned.

    `members` are the archive names of its files, `elves` the libraries among them; `requires` are
    its own requirements.
    """

    path: Path
    sha256: str
    name: str
    version: str
    root_scheme: str
    members: tuple[str, ...]
    elves: Mapping[str, Elf]
    requires: tuple[Requirement, ...]

    def __str__(self) -> str:
        """``nvidia-cublas-cu12 12.9.1.4``."""
        return f"{self.name} {self.version}"

    def places(self, installation: Installation) -> dict[str, str]:
        """Return the path of each member, relative to the prefix that it shares with the wheel.

        There is none in a layout that keeps every distribution in a tree of its own.
        """
        if installation.layout.apart:
            return {}
        return installation.places(self.members, self.root_scheme)

    def folders(self, installation: Installation) -> frozenset[str]:
        """Return the directories of its libraries, as `places` has them."""
        if installation.layout.apart:
            return frozenset()
        paths = (installation.path(member, self.root_scheme) for member in self.elves)
        return frozenset(map(posixpath.dirname, paths))

    def folder_of(self, name: str) -> SchemePath:
        """Return where the directory of a library belongs."""
        member = posixpath.dirname(self.libraries[name])
        return scheme_path(member, root_scheme=self.root_scheme)

    @functools.cached_property
    def libraries(self) -> Mapping[str, str]:
        """The libraries by file name, which is what the loader looks for.

        Its grafts are its own: another wheel may have one of the same name, not of this file.
        """
        named = {posixpath.basename(member): member for member in sorted(self.elves, reverse=True)}
        return {name: member for name, member in named.items() if not platforms.is_renamed(name)}

    def needing(self, name: str) -> Iterator[str]:
        """Yield the names of the libraries that need one of this name."""
        libraries = self.libraries.items()
        yield from (library for library, m in libraries if name in self.elves[m].needed)

    @functools.cached_property
    def packages(self) -> frozenset[str]:
        """The names by which its Python packages are imported."""
        tops = {m.partition("/")[0] for m in self.members if m.endswith(("/__init__.py", ".so"))}
        shared = {"nvidia"}
        return frozenset(top for top in tops if top.isidentifier()) - shared


@dataclass(frozen=True)
class Companions:
    """The companions of a wheel.

    Attributes
    ----------
    found
        Those whose wheels were looked at.
    named
        Normalised names of the distributions that the caller says are companions.
    required
        What the wheel itself requires, by normalised name.
    unseen
        Requirements whose wheels were not looked at, and why.
    unfit
        Requirements that no wheel in the caller's folder meets, and what is there.
    """

    found: tuple[Companion, ...] = ()
    named: tuple[str, ...] = ()
    required: Mapping[str, Requirement] = field(default_factory=dict)
    unseen: Mapping[str, str] = field(default_factory=dict)
    unfit: Mapping[str, str] = field(default_factory=dict)

    @functools.cached_property
    def not_looked_at(self) -> Mapping[str, str]:
        """The requirements whose wheels were not looked at, unfit ones too, and why."""
        seen = {companion.name for companion in self.found}
        unfit = {name: f"the wheel there is {path}" for name, path in self.unfit.items()}
        return {name: why for name, why in {**unfit, **self.unseen}.items() if name not in seen}

    def having(self, name: str) -> Companion | None:
        """Return the companion that has a library of this file name."""
        return next((c for c in self.found if name in c.libraries), None)

    def bringing(self, name: str) -> Iterator[tuple[Companion, str]]:
        """Yield each library that brings one of this name: itself, and what needs it in turn."""
        libraries = [(companion, name) for companion in self.found if name in companion.libraries]
        # It grows while it is worked off.
        for _, library in libraries:
            more = [(c, other) for c in self.found for other in c.needing(library)]
            libraries += [one for one in more if one not in libraries]
        yield from libraries

    def unproven(self, library: str) -> list[str]:
        """Return the requirements that were not looked at and may have a library.

        Where the name of one says that it has the library, the others are not meant.
        """
        if platforms.is_renamed(library):
            return []
        every = [self.required.get(name, Requirement(name)) for name in self.not_looked_at]
        by_name = [requirement.name for requirement in every if has(requirement, library)]
        return by_name or [r.name for r in every if may_have(r, library)]

    def claiming(self, path: str) -> str | None:
        """Return the requirement not looked at that a path below site-packages belongs to."""
        return next((name for name in self.unseen if claims(name, path)), None)


def claims(distribution: str, path: str) -> bool:
    """Whether a directory below site-packages belongs to a distribution, judged by its name.

    ``nvidia/cublas/lib`` and ``nvidia/cu13/lib`` are of nvidia-cublas-cu12 and nvidia-cublas.
    """
    top, _, rest = path.partition("/")
    if top != "nvidia":
        return _begins(distribution, top)
    if distribution == TOOLKIT:
        return True
    component = rest.partition("/")[0]
    of_family = distribution.startswith("nvidia-") and re.fullmatch(r"cu\d+", component)
    return bool(of_family) or _begins(distribution, f"nvidia-{component}")


def _begins(distribution: str, package: str) -> bool:
    plain = canonicalize_name(package)
    return bool(plain) and (distribution == plain or distribution.startswith(f"{plain}-"))


def may_have(requirement: Requirement, library: str) -> bool:
    """Whether a requirement may bring a library; of NVIDIA's, the names say what they bring."""
    named = requirement.name == TOOLKIT or requirement.name.startswith("nvidia-")
    return not named or has(requirement, library)


def has(requirement: Requirement, library: str) -> bool:
    """Whether a requirement brings a library, judged by names: NVIDIA's, or the metapackage's."""
    if requirement.name != TOOLKIT:
        return family_has(requirement.name, library)
    components = {
        component
        for extra in requirement.extras
        for component in EXTRAS.get(extra, (extra, f"cuda-{extra}"))
    }
    return any(family_has(f"nvidia-{component}", library) for component in components)


def family_has(distribution: str, library: str) -> bool:
    """Whether an ``nvidia-*`` distribution brings a library, judged by the two names."""
    match = re.fullmatch(r"nvidia-(.+?)(-cu\d+)?", distribution)
    if match is None:
        return False
    stem, component = platforms.stem(library), match[1]
    if component in NVIDIA:
        return stem in NVIDIA[component]
    plain = f"lib{component.removeprefix('lib').replace('-', '_')}"
    return stem.lower() == plain or stem.lower().startswith(f"{plain}_")


def requirements(lines: Iterable[str]) -> Iterator[Requirement]:
    """Yield the requirements that can be read, with normalised names."""
    for line in lines:
        # METADATA itself is judged by a check of its own.
        with contextlib.suppress(InvalidRequirement):
            requirement = Requirement(line)
            requirement.name = canonicalize_name(requirement.name)
            yield requirement


def read(path: Path) -> Companion:
    """Read the wheel of a companion.

    Raises
    ------
    FaultyError
        It cannot be read, or its file name is not one of a wheel.
    """
    identity = identify(path.name)
    try:
        with zipfile.ZipFile(path) as archive:
            members = tuple(name for name in archive.namelist() if not name.endswith("/"))
            info = next(m.rpartition("/")[0] for m in members if m.endswith(".dist-info/METADATA"))
            wheel = BytesParser().parsebytes(archive.read(f"{info}/WHEEL"))
            metadata = BytesParser().parsebytes(archive.read(f"{info}/METADATA"))
            elves = dict(_elves(archive, members))
    except (zipfile.BadZipFile, zlib.error, EOFError, StopIteration, KeyError) as error:
        expected = "the wheel of a companion"
        found = f"{type(error).__name__}: {error}"
        raise FaultyError(
            [Fault("not-a-zip", path.name, found=found, expected=expected, remedy=REBUILD)]
        ) from error
    pure = str(wheel.get("Root-Is-Purelib", "false")).lower() == "true"
    return Companion(
        path=path,
        sha256=sha256(path),
        name=identity.name,
        version=str(identity.version),
        root_scheme="purelib" if pure else "platlib",
        members=members,
        elves=elves,
        requires=tuple(requirements(metadata.get_all("Requires-Dist", []))),
    )


def _elves(archive: zipfile.ZipFile, members: Iterable[str]) -> Iterator[tuple[str, Elf]]:
    with tempfile.TemporaryDirectory(prefix="companion-") as folder:
        file = Path(folder) / "library"
        for member in members:
            # A library that others load has this in its name; the wheels have a thousand headers.
            if ".so" not in posixpath.basename(member):
                continue
            with archive.open(member) as source, file.open("wb") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
            try:
                found = elf.read(file)
            except elf.UnreadableElfError:
                continue
            if found is not None:
                yield member, found
