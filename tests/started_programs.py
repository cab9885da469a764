"""Reads from sources which programs they start, without running them.

A program is what stands first in the command that is handed to ``subprocess``, ``os.exec…``,
``shutil.which`` or a nox session. Where a command is built step by step, is handed to a function
or comes from one, its beginning is searched for where it is written. Text that is a program
itself, such as code after ``-c``, is not read.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

# These take the program that they start, or look for, as one of their arguments or at its
# beginning; the number is how many arguments come before it.
STARTERS = {
    **dict.fromkeys(["subprocess.run", "subprocess.Popen", "subprocess.call"], 0),
    **dict.fromkeys(["subprocess.check_call", "subprocess.check_output"], 0),
    **dict.fromkeys(["os.execv", "os.execve", "os.execvp", "os.execvpe"], 0),
    **dict.fromkeys(["os.posix_spawn", "os.posix_spawnp", "shutil.which", "session.run"], 0),
    # noxfile.py hands what comes after the session and the title to scripts/steps.py.
    "step": 2,
}
# These take it through a shell or in another place, so they are reported as they stand.
OTHERS = re.compile(
    r"os\.(system|popen|execl\w*|spawn\w+)|pty\.spawn|asyncio\.create_subprocess_\w+"
    r"|subprocess\.get(status)?output"
)
MODULES = ("asyncio", "os", "pty", "shutil", "subprocess")
# Words of a shell that a command follows, and those that are no program themselves.
BEFORE_COMMANDS = ("if", "then", "elif", "else", "while", "until", "do", "!", "{", "(")
BUILT_IN = ("cd", "echo", "exec", "exit", "export", "set", "shift", "true", "false", "fi", "done")

Function = ast.FunctionDef | ast.AsyncFunctionDef
# How a source names a program: alone, so that PATH decides; with a folder; or by an expression
# that this module cannot follow further.
How = Literal["name", "path", "expression"]
# The expressions that led to one, so that what names itself is not followed for ever.
Seen = tuple[ast.AST, ...]


@dataclass(frozen=True, order=True)
class Start:
    """A program that a source starts: its name or an expression, and where that is written."""

    program: str
    how: How
    path: str
    line: int


class Module:
    """A parsed source."""

    def __init__(self, path: str, text: str) -> None:
        # As the others import it: scripts/ and tests/ are on Python's search path.
        parts = PurePath(path).with_suffix("").parts
        self.name = ".".join(part for part in parts if part not in ("scripts", "tests", "docs"))
        self.path = path
        self.tree = ast.parse(text, path)
        self.nodes: list[ast.AST] = [self.tree]
        self.parents: dict[ast.AST, ast.AST] = {}
        for node in self.nodes:
            children = list(ast.iter_child_nodes(node))
            self.parents.update(dict.fromkeys(children, node))
            # The loop goes on over what is added here.
            self.nodes += children
        self.calls = [node for node in self.nodes if isinstance(node, ast.Call)]
        self.functions = [node for node in self.nodes if isinstance(node, Function)]
        # Which module each imported name comes from.
        self.imports = {
            item.name: node.module
            for node in self.nodes
            if isinstance(node, ast.ImportFrom)
            for item in node.names
        }
        # What each name of a scope gets as its value, and what it returns.
        self.assigned: dict[tuple[ast.AST, str], list[ast.AST]] = {}
        self.returned: dict[ast.AST, list[ast.expr]] = {}
        for node in self.nodes:
            name, value = assignment(node)
            if name and value:
                self.assigned.setdefault((next(self.scopes(node)), name), []).append(node)
            if isinstance(node, ast.Return) and node.value:
                self.returned.setdefault(next(self.scopes(node)), []).append(node.value)

    def scopes(self, node: ast.AST) -> Iterator[Function | ast.Module]:
        """Yield the functions that a node is in, the innermost first, and then the module."""
        while node is not self.tree:
            node = self.parents[node]
            if isinstance(node, Function):
                yield node
        yield self.tree


@dataclass(frozen=True)
class Origin:
    """An expression and the module that it is written in."""

    module: Module
    node: ast.expr

    def found(self, program: str, how: How) -> Start:
        """Return what is started, with the place of the expression."""
        return Start(program, how, self.module.path, self.node.lineno)


class Sources:
    """The Python sources of a project, read together: they call each other's functions."""

    def __init__(self, texts: Iterable[tuple[str, str]]) -> None:
        """Parse sources, each given as its path and its text."""
        self.modules = [Module(path, text) for path, text in texts]
        # By the name of what is called or defined, without modules and classes.
        self.calls: dict[str, list[tuple[Module, ast.Call]]] = {}
        self.functions: dict[str, list[tuple[Module, Function]]] = {}
        for module in self.modules:
            for call in module.calls:
                self.calls.setdefault(called(call), []).append((module, call))
            for function in module.functions:
                self.functions.setdefault(function.name, []).append((module, function))

    def starts(self) -> set[Start]:
        """Return what all of them start."""
        found: set[Start] = set()
        for module in self.modules:
            for call in module.calls:
                for origin in named_by(module, call):
                    found |= self.resolve(origin, ())
            for node in module.nodes:
                if isinstance(node, ast.Attribute) and is_unreadable(module, node):
                    found.add(Origin(module, node).found(ast.unparse(node), "expression"))
                if isinstance(node, ast.Import | ast.ImportFrom) and is_renamed(node):
                    found.add(Start(ast.unparse(node), "expression", module.path, node.lineno))
        return found

    def resolve(self, origin: Origin, seen: Seen, how: How = "name") -> set[Start]:
        """Return the programs that an expression names: a command, a path or a name."""
        module, node = origin.module, origin.node
        if node in seen:
            return set()
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            name = PurePath(node.value).name
            return {origin.found(name, "path" if "/" in node.value else how)}
        nexts, how = within(node, how)
        origins = [Origin(module, part) for part in nexts]
        if isinstance(node, ast.Name):
            origins = list(self.values(module, node, seen))
        elif isinstance(node, ast.Call) and not origins:
            origins = list(self.results(module, node))
        if not origins:
            return {origin.found(ast.unparse(node), "expression")}
        return {start for o in origins for start in self.resolve(o, (*seen, node), how)}

    def values(self, module: Module, name: ast.Name, seen: Seen) -> Iterator[Origin]:
        """Yield the expressions whose value a name may have."""
        for scope in module.scopes(name):
            found = list(self.assigned(module, scope, name.id, seen))
            if not found and isinstance(scope, Function) and name.id in parameters(scope):
                yield from self.arguments(module, scope, name.id)
                return
            yield from found
            if found:
                return
        for other in self.imported(module, name.id):
            yield from self.assigned(other, other.tree, name.id, seen)

    def assigned(
        self, module: Module, scope: Function | ast.Module, name: str, seen: Seen
    ) -> Iterator[Origin]:
        """Yield the values that a name gets within a scope; what is added at an end is none."""
        for node in module.assigned.get((scope, name), []):
            _, value = assignment(node)
            if value and isinstance(node, ast.For | ast.comprehension):
                yield from self.elements(Origin(module, value), seen)
            elif value:
                yield Origin(module, value)

    def elements(self, origin: Origin, seen: Seen) -> Iterator[Origin]:
        """Yield what a loop over an expression yields; the expression itself if that is unknown."""
        module, node = origin.module, origin.node
        if node in seen:
            return
        seen = (*seen, node)
        parts: list[Origin] = []
        match node:
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                for element in elements:
                    if isinstance(element, ast.Starred):
                        yield from self.elements(Origin(module, element.value), seen)
                    else:
                        yield Origin(module, element)
                return
            case ast.ListComp(elt=element) | ast.GeneratorExp(elt=element):
                yield Origin(module, element)
                return
            case ast.IfExp(body=first, orelse=second):
                parts = [Origin(module, first), Origin(module, second)]
            case ast.Name():
                parts = list(self.values(module, node, seen))
            case ast.Call():
                parts = list(self.results(module, node))
        for part in parts:
            yield from self.elements(part, seen)
        if not parts:
            yield origin

    def imported(self, module: Module, name: str) -> Iterator[Module]:
        """Yield the module from which a name is imported, if it is one of ours."""
        yield from (other for other in self.modules if other.name == module.imports.get(name))

    def results(self, module: Module, call: ast.Call) -> Iterator[Origin]:
        """Yield what the functions of ours return that a call may mean."""
        for other, function in self.functions.get(called(call), []):
            if is_call_of(call, module, function, other, methods=False):
                yield from (Origin(other, value) for value in other.returned.get(function, []))

    def arguments(self, module: Module, function: Function, name: str) -> Iterator[Origin]:
        """Yield what a function gets as one of its parameters: from callers, or by default."""
        names = parameters(function)
        position = names.index(name)
        if isinstance(module.parents[function], ast.ClassDef):
            position -= 1
        for other, call in self.calls.get(function.name, []):
            if not is_call_of(call, other, function, module, methods=True):
                continue
            keyword = [item.value for item in call.keywords if item.arg == name]
            given = [*call.args[position : position + 1], *keyword]
            starred = [argument for argument in call.args if isinstance(argument, ast.Starred)]
            yield from (Origin(other, argument) for argument in given or starred[:1])


def assignment(node: ast.AST) -> tuple[str | None, ast.expr | None]:
    """Return a name and the value that it gets; for a loop, what is looped over."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            return name, value
        case ast.AnnAssign(target=ast.Name(id=name), value=value):
            return name, value
        case ast.NamedExpr(target=ast.Name(id=name), value=value):
            return name, value
        case ast.For(target=ast.Name(id=name), iter=value):
            return name, value
        case ast.comprehension(target=ast.Name(id=name), iter=value):
            return name, value
    return None, None


def parameters(function: Function) -> list[str]:
    """Return the names of a function's parameters, in order."""
    args = function.args
    names = [item.arg for item in (*args.posonlyargs, *args.args)]
    return [*names, *([args.vararg.arg] if args.vararg else []), *(a.arg for a in args.kwonlyargs)]


def named_by(module: Module, call: ast.Call) -> Iterator[Origin]:
    """Yield the expressions by which a call, if it is one of a starter, names its program."""
    name = ast.unparse(call.func) if called(call) else ""
    if name not in STARTERS:
        return
    keywords = {item.arg: item.value for item in call.keywords}
    # Where it is searched for in a folder, the call as a whole names the program.
    if name == "shutil.which" and "path" in keywords:
        yield Origin(module, call)
        return
    position = STARTERS[name]
    named = [keywords[key] for key in ("args", "executable") if key in keywords]
    for argument in [*call.args[position : position + 1], *named]:
        yield Origin(module, argument)


def is_unreadable(module: Module, node: ast.Attribute) -> bool:
    """Tell whether a program may be started in a way that is not followed."""
    if not isinstance(node.value, ast.Name):
        return False
    text, parent = ast.unparse(node), module.parents[node]
    if text in STARTERS:
        # Kept under another name; the type of a process is none.
        called = isinstance(parent, ast.Call) and parent.func is node
        return not called and not isinstance(parent, ast.Subscript)
    return bool(OTHERS.fullmatch(text))


def is_renamed(node: ast.Import | ast.ImportFrom) -> bool:
    """Tell whether an import gives a starter a name other than its full one."""
    if isinstance(node, ast.ImportFrom):
        names = [f"{node.module}.{item.name}" for item in node.names]
        return any(name in STARTERS or OTHERS.fullmatch(name) for name in names)
    return any(item.asname and item.name in MODULES for item in node.names)


def called(call: ast.Call) -> str:
    """Return the name of what is called, without its module or object; empty if it has none."""
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def is_call_of(
    call: ast.Call, caller: Module, function: Function, owner: Module, *, methods: bool
) -> bool:
    """Tell whether a call of this name may be one of a function or, with `methods`, a method."""
    method = isinstance(owner.parents[function], ast.ClassDef)
    if isinstance(call.func, ast.Attribute):
        of_module = ast.unparse(call.func.value).rpartition(".")[2]
        return methods if method else of_module == owner.name.rpartition(".")[2]
    return not method and (caller is owner or caller.imports.get(function.name) == owner.name)


def within(node: ast.expr, how: How) -> tuple[list[ast.expr], How]:
    """Return the parts of an expression of which each may be the program, and how it is named."""
    parts: list[ast.expr] = []
    match node:
        case ast.List(elts=[first, *_]) | ast.Tuple(elts=[first, *_]) | ast.Starred(value=first):
            parts = [first]
        case ast.ListComp(elt=first) | ast.BinOp(left=first, op=ast.Add()):
            parts = [first]
        case ast.IfExp(body=first, orelse=second):
            parts = [first, second]
        case ast.BoolOp(values=values):
            parts = values
        case ast.Call(func=ast.Name(id="str" | "list" | "Path"), args=[first]):
            parts = [first]
        case ast.Call(func=ast.Name(id="map"), args=[_, first]):
            parts = [first]
        case ast.Call(func=ast.Attribute(attr="which"), args=[first]):
            parts = [first]
            how = "path" if any(item.arg == "path" for item in node.keywords) else how
        # A path: the program is its last part.
        case ast.BinOp(op=ast.Div(), right=last):
            parts, how = [last], "path"
        case ast.JoinedStr(values=[*_, ast.Constant(value=str(text)) as last]) if "/" in text:
            parts, how = [last], "path"
        case ast.Call(func=ast.Attribute(attr="with_name" | "joinpath"), args=[*_, last]):
            parts, how = [last], "path"
        case ast.Call(func=ast.Name(id="Path"), args=[_, *_, last]):
            parts, how = [last], "path"
    return parts, how


def shell_starts(path: str, text: str) -> set[Start]:
    """Return what a simple shell script starts: the first word of each command."""
    found: set[Start] = set()
    for number, line in enumerate(text.replace("\\\n", "  ").splitlines(), start=1):
        reader = shlex.shlex(line, posix=True, punctuation_chars=True)
        reader.whitespace_split = True
        first = True
        for word in reader:
            # Commands within words: $(command …).
            names = re.findall(r"\$\(\s*([^\s)]+)", word)
            if first and word in ("for", "case"):
                first = False
            elif first and word not in BEFORE_COMMANDS and not re.match(r"\w+=", word):
                names += [word] if set(word) - set(";&|()<>") else []
                first = False
            if not set(word) - set(";&|("):
                first = True
            for name in set(names).difference(BUILT_IN):
                how: How = "path" if "/" in name else "name"
                # The value of a variable.
                how = "expression" if PurePath(name).name.startswith("$") else how
                found.add(Start(PurePath(name).name, how, path, number))
    return found
