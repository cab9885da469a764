"""Finds which programs sources start, by reading the sources without running them.

The program is the first word of a command that is passed to ``subprocess``, ``os.exec…``,
``shutil.which`` or a nox session. A command may be built in several statements, or passed to or
returned by a function; then this module searches for the expression that is its first word. Code in
a string, such as the argument after ``-c``, is not read.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

# Functions that start or look for a program. One argument is the program, or a command that begins
# with it; the number says how many arguments come before this one.
STARTERS = {
    **dict.fromkeys(["subprocess.run", "subprocess.Popen", "subprocess.call"], 0),
    **dict.fromkeys(["subprocess.check_call", "subprocess.check_output"], 0),
    **dict.fromkeys(["os.execv", "os.execve", "os.execvp", "os.execvpe"], 0),
    **dict.fromkeys(["os.posix_spawn", "os.posix_spawnp", "shutil.which", "session.run"], 0),
    # In noxfile.py, the command comes after the session and the title.
    "step": 2,
}
# Functions that start a program by a shell, or take it in another place. Their programs are not
# looked for: each use is reported as an expression that cannot be followed.
NOT_FOLLOWED = re.compile(
    r"os\.(system|popen|execl\w*|spawn\w+)|pty\.spawn|asyncio\.create_subprocess_\w+"
    r"|subprocess\.get(status)?output"
)
MODULES = ("asyncio", "os", "pty", "shutil", "subprocess")
# Words of a shell after which a command follows, and commands of a shell that are not programs.
WORDS_BEFORE_COMMANDS = ("if", "then", "elif", "else", "while", "until", "do", "!", "{", "(")
BUILT_IN = ("cd", "echo", "exec", "exit", "export", "set", "shift", "true", "false", "fi", "done")

Function = ast.FunctionDef | ast.AsyncFunctionDef
# How a source names a program: by its name, which is searched for on PATH; by a path with a folder;
# or by an expression that this module cannot follow further.
How = Literal["name", "path", "expression"]
# The expressions that were followed already, so that a circle of names is not followed for ever.
Seen = tuple[ast.AST, ...]


@dataclass(frozen=True, order=True)
class Start:
    """A program that a source starts: its name or an expression, and the place in the source."""

    program: str
    how: How
    path: str
    line: int


class Module:
    """A parsed source file."""

    def __init__(self, path: str, text: str) -> None:
        # The name by which other sources import it: scripts/, tests/ and wheelkit/src/ are on
        # sys.path.
        parts = PurePath(path.removeprefix("wheelkit/src/")).with_suffix("").parts
        self.name = ".".join(part for part in parts if part not in ("scripts", "tests", "docs"))
        self.path = path
        self.tree = ast.parse(text, path)
        self.nodes: list[ast.AST] = [self.tree]
        self.parents: dict[ast.AST, ast.AST] = {}
        for node in self.nodes:
            children = list(ast.iter_child_nodes(node))
            self.parents.update(dict.fromkeys(children, node))
            # The loop also visits the nodes that are added here.
            self.nodes += children
        self.calls = [node for node in self.nodes if isinstance(node, ast.Call)]
        self.functions = [node for node in self.nodes if isinstance(node, Function)]
        # The module from which each name is imported.
        self.imports = {
            item.name: node.module
            for node in self.nodes
            if isinstance(node, ast.ImportFrom)
            for item in node.names
        }
        # The assignments to each name of a scope, and the values that a function returns.
        self.assigned: dict[tuple[ast.AST, str], list[ast.AST]] = {}
        self.returned: dict[ast.AST, list[ast.expr]] = {}
        for node in self.nodes:
            name, value = assignment(node)
            if name and value:
                self.assigned.setdefault((next(self.scopes(node)), name), []).append(node)
            if isinstance(node, ast.Return) and node.value:
                self.returned.setdefault(next(self.scopes(node)), []).append(node.value)

    def scopes(self, node: ast.AST) -> Iterator[Function | ast.Module]:
        """Yield the functions that contain a node, the innermost first, and then the module."""
        while node is not self.tree:
            node = self.parents[node]
            if isinstance(node, Function):
                yield node
        yield self.tree


@dataclass(frozen=True)
class Located:
    """An expression, and the module that contains it."""

    module: Module
    node: ast.expr

    def found(self, program: str, how: How) -> Start:
        """Return the start of a program, with the place of this expression."""
        return Start(program, how, self.module.path, self.node.lineno)


class Sources:
    """The Python sources of a project, which call each other's functions."""

    def __init__(self, texts: Iterable[tuple[str, str]]) -> None:
        """Parse sources, each given as its path and its text."""
        self.modules = [Module(path, text) for path, text in texts]
        # The calls and the definitions of functions, by name without module and class.
        self.calls: dict[str, list[tuple[Module, ast.Call]]] = {}
        self.functions: dict[str, list[tuple[Module, Function]]] = {}
        for module in self.modules:
            for call in module.calls:
                self.calls.setdefault(called(call), []).append((module, call))
            for function in module.functions:
                self.functions.setdefault(function.name, []).append((module, function))

    def starts(self) -> set[Start]:
        """Return all programs that the sources start."""
        found: set[Start] = set()
        for module in self.modules:
            for call in module.calls:
                for origin in program_expressions(module, call):
                    found |= self.resolve(origin, ())
            for node in module.nodes:
                if isinstance(node, ast.Attribute) and cannot_be_followed(module, node):
                    found.add(Located(module, node).found(ast.unparse(node), "expression"))
                if isinstance(node, ast.Import | ast.ImportFrom) and renames_a_starter(node):
                    found.add(Start(ast.unparse(node), "expression", module.path, node.lineno))
        return found

    def resolve(self, origin: Located, seen: Seen, how: How = "name") -> set[Start]:
        """Return the programs that an expression names; it is a command, a path or a name."""
        module, node = origin.module, origin.node
        if node in seen:
            return set()
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            name = PurePath(node.value).name
            return {origin.found(name, "path" if "/" in node.value else how)}
        parts, how = program_parts(node, how)
        origins = [Located(module, part) for part in parts]
        if isinstance(node, ast.Name):
            origins = list(self.values(module, node, seen))
        elif isinstance(node, ast.Call) and not origins:
            origins = list(self.results(module, node))
        if not origins:
            return {origin.found(ast.unparse(node), "expression")}
        return {start for o in origins for start in self.resolve(o, (*seen, node), how)}

    def values(self, module: Module, name: ast.Name, seen: Seen) -> Iterator[Located]:
        """Yield the expressions whose values a name may have."""
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
    ) -> Iterator[Located]:
        """Yield the values that are assigned to a name in a scope; ``+=`` is not an assignment."""
        for node in module.assigned.get((scope, name), []):
            _, value = assignment(node)
            if value and isinstance(node, ast.For | ast.comprehension):
                yield from self.elements(Located(module, value), seen)
            elif value:
                yield Located(module, value)

    def elements(self, origin: Located, seen: Seen) -> Iterator[Located]:
        """Yield the elements over which a loop runs; the expression itself if they are unknown."""
        module, node = origin.module, origin.node
        if node in seen:
            return
        seen = (*seen, node)
        parts: list[Located] = []
        match node:
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                for element in elements:
                    if isinstance(element, ast.Starred):
                        yield from self.elements(Located(module, element.value), seen)
                    else:
                        yield Located(module, element)
                return
            case ast.ListComp(elt=element) | ast.GeneratorExp(elt=element):
                yield Located(module, element)
                return
            case ast.IfExp(body=first, orelse=second):
                parts = [Located(module, first), Located(module, second)]
            case ast.Name():
                parts = list(self.values(module, node, seen))
            case ast.Call():
                parts = list(self.results(module, node))
        for part in parts:
            yield from self.elements(part, seen)
        if not parts:
            yield origin

    def imported(self, module: Module, name: str) -> Iterator[Module]:
        """Yield the module from which a name is imported, if it is one of these sources."""
        yield from (other for other in self.modules if other.name == module.imports.get(name))

    def results(self, module: Module, call: ast.Call) -> Iterator[Located]:
        """Yield the values that a call may return, if it calls a function of these sources."""
        for other, function in self.functions.get(called(call), []):
            if is_call_of(call, module, function, other, methods=False):
                yield from (Located(other, value) for value in other.returned.get(function, []))

    def arguments(self, module: Module, function: Function, name: str) -> Iterator[Located]:
        """Yield the arguments that callers pass for a parameter of a function."""
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
            yield from (Located(other, argument) for argument in given or starred[:1])


def assignment(node: ast.AST) -> tuple[str | None, ast.expr | None]:
    """Return the name and the value of an assignment; for a loop, what it runs over."""
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
    """Return the names of the parameters of a function, in order."""
    args = function.args
    names = [item.arg for item in (*args.posonlyargs, *args.args)]
    return [*names, *([args.vararg.arg] if args.vararg else []), *(a.arg for a in args.kwonlyargs)]


def program_expressions(module: Module, call: ast.Call) -> Iterator[Located]:
    """Yield the expressions that name the program in a call of one of STARTERS."""
    name = ast.unparse(call.func) if called(call) else ""
    if name not in STARTERS:
        return
    keywords = {item.arg: item.value for item in call.keywords}
    # If a folder is given in which to search, the whole call stands for the program.
    if name == "shutil.which" and "path" in keywords:
        yield Located(module, call)
        return
    position = STARTERS[name]
    named = [keywords[key] for key in ("args", "executable") if key in keywords]
    for argument in [*call.args[position : position + 1], *named]:
        yield Located(module, argument)


def cannot_be_followed(module: Module, node: ast.Attribute) -> bool:
    """Tell whether a function may start a program in a way that this module does not follow."""
    if not isinstance(node.value, ast.Name):
        return False
    text, parent = ast.unparse(node), module.parents[node]
    if text in STARTERS:
        # The function is used without a call, so it may get another name. A subscript is a type.
        called = isinstance(parent, ast.Call) and parent.func is node
        return not called and not isinstance(parent, ast.Subscript)
    return bool(NOT_FOLLOWED.fullmatch(text))


def renames_a_starter(node: ast.Import | ast.ImportFrom) -> bool:
    """Tell whether an import gives one of STARTERS a shorter or another name."""
    if isinstance(node, ast.ImportFrom):
        names = [f"{node.module}.{item.name}" for item in node.names]
        return any(name in STARTERS or NOT_FOLLOWED.fullmatch(name) for name in names)
    return any(item.asname and item.name in MODULES for item in node.names)


def called(call: ast.Call) -> str:
    """Return the name of the called function, without its module or object; else an empty text."""
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def is_call_of(
    call: ast.Call, caller: Module, function: Function, owner: Module, *, methods: bool
) -> bool:
    """Tell whether a call may call a function of this name, or with `methods` a method."""
    method = isinstance(owner.parents[function], ast.ClassDef)
    if isinstance(call.func, ast.Attribute):
        of_module = ast.unparse(call.func.value).rpartition(".")[2]
        return methods if method else of_module == owner.name.rpartition(".")[2]
    return not method and (caller is owner or caller.imports.get(function.name) == owner.name)


def program_parts(node: ast.expr, how: How) -> tuple[list[ast.expr], How]:
    """Return the parts of an expression that may be the program, and how they name it."""
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
    """Return the programs that a simple shell script starts: the first word of each command."""
    found: set[Start] = set()
    for number, line in enumerate(text.replace("\\\n", "  ").splitlines(), start=1):
        reader = shlex.shlex(line, posix=True, punctuation_chars=True)
        reader.whitespace_split = True
        first = True
        for word in reader:
            # Commands within a word: $(command …).
            names = re.findall(r"\$\(\s*([^\s)]+)", word)
            if first and word in ("for", "case"):
                first = False
            elif first and word not in WORDS_BEFORE_COMMANDS and not re.match(r"\w+=", word):
                names += [word] if set(word) - set(";&|()<>") else []
                first = False
            if not set(word) - set(";&|("):
                first = True
            for name in set(names).difference(BUILT_IN):
                how: How = "path" if "/" in name else "name"
                # The program is the value of a variable.
                how = "expression" if PurePath(name).name.startswith("$") else how
                found.add(Start(PurePath(name).name, how, path, number))
    return found
