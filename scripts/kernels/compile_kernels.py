"""Compile CUDA kernels to one image per architecture and embed them in a C++ source.

CMake runs this with the Python of the build, so it uses only what CPython 3.7 and its standard
library have. The compiler is NVRTC, which every CUDA toolkit has and which needs no host compiler,
or nvcc on request (to profile and debug with its options). An architecture that the compiler does
not know is an error: a library that silently supports fewer GPUs is worse than none.
"""

import argparse
import ctypes
import hashlib
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence

# NVRTC has no C headers; cufes.h needs only these types of stdint.h.
STDINT = """
typedef signed int int32_t;
typedef unsigned int uint32_t;
typedef signed long long int64_t;
"""


class CompileError(Exception):
    """A kernel or the environment is at fault; the message says what to do, without a traceback."""


class Target(NamedTuple):
    """One image to make: machine code for an architecture, or PTX of a virtual one."""

    arch: int
    ptx: bool

    @property
    def name(self) -> str:
        """The name that CUDA's compilers give this target."""
        return "{}_{}".format("compute" if self.ptx else "sm", self.arch)

    @property
    def suffix(self) -> str:
        """The customary suffix of such an image's file."""
        return ".ptx" if self.ptx else ".cubin"


class Nvrtc:
    """The run-time compiler, loaded from a toolkit."""

    def __init__(self, library: Path) -> None:
        try:
            self._lib = ctypes.CDLL(str(library))
        except OSError as error:
            raise CompileError(f"cannot load NVRTC: {error}") from error
        self._lib.nvrtcGetErrorString.restype = ctypes.c_char_p

    def refuse_unknown(self, targets: Sequence[Target]) -> None:
        """Raise CompileError if this toolkit does not know an architecture."""
        count = ctypes.c_int()
        self._check(self._lib.nvrtcGetNumSupportedArchs(ctypes.byref(count)))
        known = (ctypes.c_int * count.value)()
        self._check(self._lib.nvrtcGetSupportedArchs(known))
        unknown = [target.name for target in targets if target.arch not in known]
        if unknown:
            message = (
                "the toolkit's NVRTC does not know {}, only {} to {}; unset CUDA_HOME "
                "to build with CUDA 12.9, or choose others (CUFES_SASS, CUFES_PTX)"
            )
            names = ", ".join(unknown)
            raise CompileError(message.format(names, min(known), max(known)))

    def compile(self, source: Path, target: Target, options: Sequence[str]) -> bytes:
        """Compile one source for one target and return the image."""
        program = ctypes.c_void_p()
        self._check(
            self._lib.nvrtcCreateProgram(
                ctypes.byref(program),
                source.read_bytes(),
                source.name.encode(),
                1,
                (ctypes.c_char_p * 1)(STDINT.encode()),
                (ctypes.c_char_p * 1)(b"stdint.h"),
            )
        )
        try:
            arguments = ["--gpu-architecture=" + target.name, *options]
            encoded = [argument.encode() for argument in arguments]
            status = self._lib.nvrtcCompileProgram(
                program, len(encoded), (ctypes.c_char_p * len(encoded))(*encoded)
            )
            if status != 0:
                log = self._fetch(program, "ProgramLog").rstrip(b"\0").decode(errors="replace")
                message = "NVRTC cannot compile {} for {}:\n{}"
                raise CompileError(message.format(source, target.name, log or self._text(status)))
            return self._fetch(program, "PTX" if target.ptx else "CUBIN")
        finally:
            self._lib.nvrtcDestroyProgram(ctypes.byref(program))

    def _fetch(self, program: ctypes.c_void_p, what: str) -> bytes:
        size = ctypes.c_size_t()
        self._check(getattr(self._lib, "nvrtcGet" + what + "Size")(program, ctypes.byref(size)))
        buffer = ctypes.create_string_buffer(size.value)
        self._check(getattr(self._lib, "nvrtcGet" + what)(program, buffer))
        return buffer.raw

    def _check(self, status: int) -> None:
        if status != 0:
            raise CompileError("NVRTC failed: " + self._text(status))

    def _text(self, status: int) -> str:
        return str(self._lib.nvrtcGetErrorString(status).decode())


class Nvcc:
    """The command-line compiler of a full toolkit."""

    def __init__(self, executable: Path) -> None:
        self._executable = executable

    def compile(self, source: Path, target: Target, options: Sequence[str]) -> bytes:
        """Compile one source for one target and return the image."""
        command = [str(self._executable), "-ptx" if target.ptx else "-cubin", *options]
        with tempfile.TemporaryDirectory() as scratch:
            image = Path(scratch, "image")
            command += ["-arch=" + target.name, "-o", str(image), str(source)]
            try:
                subprocess.run(command, check=True)
            except (OSError, subprocess.CalledProcessError) as error:
                raise CompileError(f"nvcc failed for {target.name}: {error}") from error
            # The CUDA driver expects PTX that ends with a null byte; NVRTC adds one by itself.
            return image.read_bytes() + (b"\0" if target.ptx else b"")


class Cache:
    """Images of earlier runs, in files that are named by a hash of all that they are made from."""

    def __init__(self, folder: Path, nvrtc: Path, include: Sequence[Path]) -> None:
        self._folder = folder
        headers = (path for place in include for path in sorted(place.glob("*.*h")))
        parts = [
            STDINT.encode(),
            *(path.read_bytes() for path in (nvrtc, Path(__file__), *headers)),
        ]
        self._state = b"".join(hashlib.sha256(part).digest() for part in parts)

    def path(self, source: Path, target: Target) -> Path:
        """Return where the image of a source is, or is to be."""
        own = (source.name + "\n" + target.name + "\n").encode() + source.read_bytes()
        return self._folder / (hashlib.sha256(self._state + own).hexdigest() + target.suffix)

    def keep(self, image: Path, content: bytes) -> None:
        """Write a new image; another run never finds a part of it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as file:
            file.write(content)
        Path(file.name).replace(image)

    def remove_others(self, used: Sequence[Path]) -> None:
        """Remove what this run had no use for, so that the folder does not grow."""
        for path in self._folder.glob("*"):
            if path not in used:
                path.unlink()


class Job(NamedTuple):
    """One image to compile in a separate process."""

    arguments: argparse.Namespace
    source: Path
    target: Target
    #: Where the cache has the image, or is to have it.
    kept: Optional[Path]

    def run(self) -> Path:
        """Compile the image, or take it from the cache, and write it; return its path."""
        image = Path(
            self.arguments.out, self.source.stem + "." + self.target.name + self.target.suffix
        )
        if self.kept and self.kept.is_file():
            image.write_bytes(self.kept.read_bytes())
        else:
            image.write_bytes(self.compile())
        return image

    def compile(self) -> bytes:
        """Compile the image and return it."""
        arguments = self.arguments
        options = ["--std=c++17"] + [f"-I{path}" for path in arguments.include]
        compiler = Nvrtc(arguments.nvrtc) if arguments.nvrtc else Nvcc(arguments.nvcc)
        return compiler.compile(self.source, self.target, options)


def compile_all(arguments: argparse.Namespace, targets: Sequence[Target]) -> Dict[str, List[Path]]:
    """Compile every source for every target; NVRTC holds a lock, so threads would not help."""
    cache = None
    if arguments.cache:
        cache = Cache(arguments.cache, arguments.nvrtc, arguments.include)
    jobs = [
        Job(arguments, source, target, cache.path(source, target) if cache else None)
        for source in arguments.sources
        for target in targets
    ]
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        paths = list(pool.map(Job.run, jobs))
    if cache:
        for job, path in zip(jobs, paths):
            if job.kept and not job.kept.is_file():
                cache.keep(job.kept, path.read_bytes())
        cache.remove_others([job.kept for job in jobs if job.kept])
    images: Dict[str, List[Path]] = {}
    for job, path in zip(jobs, paths):
        images.setdefault(job.source.stem, []).append(path)
    return images


def embed(images: Dict[str, List[Path]], targets: Sequence[Target]) -> str:
    """Return C++ that holds every image as data, in the order of the targets."""
    lines = ['#include "images.hpp"', ""]
    rows: Dict[str, List[str]] = {}
    for stem, paths in sorted(images.items()):
        for target, path in zip(targets, paths):
            symbol = f"cufes_{stem}_{target.name}"
            # .incbin takes a fraction of the time of an array literal and no space in the source.
            lines += [
                'asm(".pushsection .rodata, \\"a\\"\\n.balign 64\\n"',
                f'    "{symbol}: .incbin \\"{path}\\"\\n{symbol}_end:\\n.popsection");',
                f'extern "C" const unsigned char {symbol}[], {symbol}_end[];',
            ]
            ptx = str(target.ptx).lower()
            row = f'{{{target.arch}, {ptx}, "{target.name}", {symbol}, {symbol}_end}},'
            rows.setdefault(stem, []).append("    " + row)
    lines += ["", "namespace cufes {", ""]
    for stem, row_lines in rows.items():
        lines += [f"const Image images_{stem}[] = {{", *row_lines, "};", ""]
    lines += [f"const int image_count = {len(targets)};", "", "}  // namespace cufes", ""]
    return "\n".join(lines)


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    compiler = parser.add_mutually_exclusive_group(required=True)
    compiler.add_argument("--nvrtc", type=Path, help="libnvrtc.so of a CUDA toolkit")
    compiler.add_argument("--nvcc", type=Path, help="nvcc of a CUDA toolkit")
    parser.add_argument("--include", type=Path, action="append", default=[], metavar="DIR")
    parser.add_argument("--sass", type=int, nargs="+", required=True, metavar="ARCH")
    parser.add_argument("--ptx", type=int, nargs="*", default=[], metavar="ARCH")
    parser.add_argument("--out", type=Path, required=True, help="directory of the images")
    parser.add_argument("--embed", type=Path, required=True, help="the C++ source to write")
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="take images from here if nothing that they are made from has changed, and put new "
        "ones here (with --nvrtc)",
    )
    parser.add_argument("sources", type=Path, nargs="+")
    arguments = parser.parse_args(argv)
    if arguments.cache and not arguments.nvrtc:
        parser.error("--cache: expected --nvrtc with it, because nvcc consists of many programs")
    return arguments


def main(argv: Sequence[str]) -> int:
    """Compile every source for every target, then write the C++ source."""
    arguments = parse_arguments(argv)
    arguments.out.mkdir(parents=True, exist_ok=True)
    targets = [Target(arch, ptx=False) for arch in arguments.sass]
    targets += [Target(arch, ptx=True) for arch in arguments.ptx]
    try:
        if arguments.nvrtc:
            Nvrtc(arguments.nvrtc).refuse_unknown(targets)
        images = compile_all(arguments, targets)
    except CompileError as error:
        print(f"compile_kernels: error: {error}", file=sys.stderr)
        return 1
    arguments.embed.write_text(embed(images, targets))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
