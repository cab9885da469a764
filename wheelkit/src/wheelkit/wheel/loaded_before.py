"""What has a library in the process before another file that needs it is opened.

The loader takes a library that is loaded already, whatever rpaths say. A package's Python code may
load one by its path before the package's modules are imported, and a library that opens others by
name at run time has itself been loaded by then. Neither can be proven by reading: who relies on it
is warned.
"""

from __future__ import annotations

import ast
import mmap
import posixpath
import re
import warnings
from collections.abc import Iterable, Iterator

from wheelkit.wheel import platforms
from wheelkit.wheel.grafts import is_graft
from wheelkit.wheel.reading import Wheel

# A call that loads a library, by ctypes, by torch or by NVIDIA's cuda.pathfinder.
LOADS = re.compile(r"CDLL|cdll|dlopen|[Ll]oad_?[Ll]ib|load_\w*lib")


def by_code(wheel: Wheel, library: str, *others: str) -> str | None:
    """Return a Python file of the wheel that loads a companion's library, or imports its package.

    `others` are libraries that may bring it too; nobody has looked at them.
    """
    bringing = tuple(wheel.companions.bringing(library))
    packages = {package for companion, _ in bringing for package in companion.packages}
    stems = {platforms.stem(name) for name in (*others, *(name for _, name in bringing))}
    # A package such as libcudf is called like its library.
    modules = sorted(packages | stems)
    imports = [rf"\b(?:import|from)\s+{re.escape(module)}\b" for module in modules]
    names = [_named(stem) for stem in sorted(stems)]
    # cuda.pathfinder and ctypes.util.find_library are asked for cublas.
    names += [rf"[\"']{re.escape(stem.removeprefix('lib'))}[\"']" for stem in sorted(stems)]
    return _file_with(wheel, imports, names)


def of_own(wheel: Wheel, opened: str, name: str) -> str | None:
    """Return what loads a library of the wheel itself before `opened`, which lacks it.

    It is a Python file that loads the library by its name, or the library, if it opens this file.
    Nobody but those that need it loads a graft, whose name is made up.
    """
    have = [m for m in wheel.elves if posixpath.basename(m) == name and not is_graft(m)]
    if not have or wheel.elves[opened].is_program:
        return None
    code = _file_with(wheel, (), [_named(platforms.stem(name))])
    return code or next((host for host in have if _opens(wheel, host, opened)), None)


def _opens(wheel: Wheel, host: str, opened: str) -> bool:
    """Whether a library seems to open a file as a plugin: it names it, or has it in its folder.

    libmkl_core has the name of libmkl_avx2.so in it; UCX opens what is in the folder ucx beside it.
    Python imports no ``lib*.so``; other programs are linked with what is in the data scheme.
    """
    stem = platforms.stem(posixpath.basename(opened))
    if not stem.startswith("lib"):
        return False
    with (
        wheel.archive.file(host).open("rb") as stream,
        mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        if content.find(f"{stem}.so".encode()) >= 0:
            return True
    folder, own_folder = posixpath.dirname(host), posixpath.dirname(opened)
    if not own_folder.startswith(f"{folder}/") or wheel.scheme_path(opened).scheme == "data":
        return False
    # What Python opens by itself is no plugin of a library.
    return _file_with(wheel, (), [_named(stem)]) is None


def _named(stem: str) -> str:
    """Return a pattern for the name of a library in code, where a number may be put in later."""
    plain = stem.rstrip("0123456789")
    pattern = rf"\b{re.escape(stem)}\b"
    return pattern if plain == stem else rf"{pattern}|\b{re.escape(plain)}[{{%\"']"


def _file_with(wheel: Wheel, imports: Iterable[str], names: Iterable[str]) -> str | None:
    """Return the first Python file with an import, or with a name and a call that loads it."""
    importing = re.compile("|".join(imports) or "(?!)")
    naming = re.compile("|".join(names) or "(?!)")

    def fits(text: str) -> bool:
        return bool(importing.search(text) or (naming.search(text) and LOADS.search(text)))

    for member in wheel.archive.members:
        if member.endswith(".py"):
            text = _text(wheel, member)
            # Comments and docstrings load nothing; to take them out takes time.
            if fits(text) and fits(_without_comments(text)):
                return member
    return next(_with_list(wheel, naming), None)


def _with_list(wheel: Wheel, naming: re.Pattern[str]) -> Iterator[str]:
    """Yield Python files that load libraries, if a list of names lies beside them.

    faiss-gpu-cu12 has its list in a JSON file.
    """
    lists = (member for member in wheel.archive.members if member.endswith((".json", ".toml")))
    folders = {posixpath.dirname(m) for m in lists if naming.search(_text(wheel, m))}
    for member in wheel.archive.members if folders else ():
        beside = member.endswith(".py") and posixpath.dirname(member) in folders
        if beside and LOADS.search(_without_comments(_text(wheel, member))):
            yield member


def _text(wheel: Wheel, member: str) -> str:
    return wheel.archive.file(member).read_text(encoding="utf-8", errors="replace")


def _without_comments(text: str) -> str:
    """Return Python code without its comments and docstrings; as it is, if it cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
        for node in ast.walk(tree):
            if isinstance(body := getattr(node, "body", None), list):
                kept = [statement for statement in body if not _is_constant(statement)]
                node.body = kept or [ast.Pass()]  # type: ignore[attr-defined]
        return ast.unparse(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        # It may be for a newer Python than this one.
        return text


def _is_constant(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
