"""The changes of meaning that the mutation session makes, one at a time, in a Python source.

A mutant replaces one part of the text, so that all other lines keep their numbers. These operators
are all that there are:

- comparison: the opposite of a comparison, or of another condition
- boundary: ``<`` for ``<=``, ``>`` for ``>=``, and the other way round
- constant: another number, truth value or text. A text with a space is prose for people, and stays
- dropped statement: a call, a deletion, ``continue`` or ``break``, or an assignment to a name that
  has another value already, to an attribute or to an item
- dropped list element: of a list, tuple, set or dictionary
- swapped argument: two neighbours of a call, unless one is such prose
- early return: a function does nothing, or a value that a type hint names is replaced by the
  simplest of that type
- removed raise
- removed clean-up: ``finally`` is empty, or ``with`` does not leave its context
- any/all and and/or: one for the other
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

SIGNS = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
}
NEGATED = {
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Lt: ">=",
    ast.LtE: ">",
    ast.Gt: "<=",
    ast.GtE: "<",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.In: "not in",
    ast.NotIn: "in",
}
SHIFTED = {ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">"}
# The simplest values of a type: a function that returns one without a look at its arguments is
# noticed only by a test that expects another one.
SIMPLEST = {
    "None": ("",),
    "bool": ("True", "False"),
    "int": ("0",),
    "float": ("0.0",),
    "str": ("''",),
    "bytes": ("b''",),
    "list": ("[]",),
    "tuple": ("()",),
    "set": ("set()",),
    "frozenset": ("frozenset()",),
    "dict": ("{}",),
    "Sequence": ("()",),
    "Iterable": ("()",),
    "Mapping": ("{}",),
    "Iterator": ("iter(())",),
}
# The exit status of success is this number.
SAME_AS_SIMPLEST = {"Status.DONE": "0"}
# Arguments that only people see, who read a help text or the name of a temporary folder.
PROSE_KEYWORDS = ("help", "metavar", "description", "epilog", "prefix")
# That nobody assigns to a field, mypy checks, and no test.
CHECKED_KEYWORDS = ("frozen",)

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Mutant:
    """One change: where it is, what stands there and what replaces it.

    `lines` are the first and the last line of the statement; a test that runs none of these, runs
    no change. `names` are the names that a statement outside of functions gives a value to.
    """

    operator: str
    line: int
    column: int
    start: int
    end: int
    old: str
    new: str
    lines: tuple[int, int]
    names: tuple[str, ...] = ()

    def apply(self, source: bytes) -> bytes:
        """Return the source with this change."""
        return source[: self.start] + self.new.encode() + source[self.end :]

    def described(self) -> str:
        """Return what changes, without the line."""
        old, new = (" ".join(text.split()) for text in (self.old, self.new))
        return f"{self.operator}: {shortened(old)} → {shortened(new) or '(nothing)'}"

    def __str__(self) -> str:
        return f"{self.line}: {self.described()}"


def shortened(text: str, length: int = 90) -> str:
    """Return the two ends of a long text."""
    half = length // 2
    return text if len(text) <= length else f"{text[:half]} … {text[-half:]}"


class Source:
    """A parsed source, whose nodes know the statement and the function that they are in."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.tree = ast.parse(data)
        self.starts = [0]
        for line in data.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.parents: dict[ast.AST, ast.AST] = {}
        for node in ast.walk(self.tree):
            self.parents.update(dict.fromkeys(ast.iter_child_nodes(node), node))

    def offset(self, line: int, column: int) -> int:
        """Return where in the source a place is that ast names."""
        return self.starts[line - 1] + column

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        """Return the first byte of a node, and the first behind it."""
        last, column = node.end_lineno or node.lineno, node.end_col_offset or node.col_offset
        return self.offset(node.lineno, node.col_offset), self.offset(last, column)

    def text(self, node: ast.expr | ast.stmt) -> str:
        """Return the source of a node."""
        start, end = self.span(node)
        return self.data[start:end].decode()

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield what a node is in, the innermost first."""
        while node in self.parents:
            node = self.parents[node]
            yield node

    def statement(self, node: ast.AST) -> ast.stmt:
        """Return the innermost statement that a node is in."""
        return next(n for n in (node, *self.ancestors(node)) if isinstance(n, ast.stmt))

    def lines(self, statement: ast.stmt) -> tuple[int, int]:
        """Return the lines of a statement without those of the statements within it."""
        body = getattr(statement, "body", None)
        if isinstance(statement, Function | ast.ClassDef):
            last = body[-1].end_lineno if body else None
        elif body:
            last = max(statement.lineno, body[0].lineno - 1)
        else:
            last = statement.end_lineno
        return statement.lineno, last or statement.lineno

    def function(self, node: ast.AST) -> Function | None:
        """Return the innermost function whose body a node is in."""
        child = node
        for parent in self.ancestors(node):
            if isinstance(parent, Function) and child in parent.body:
                return parent
            child = parent
        return None

    def is_annotation(self, node: ast.AST) -> bool:
        """Tell whether a node is part of a type hint."""
        child = node
        for parent in self.ancestors(node):
            fields = (getattr(parent, name, None) for name in ("annotation", "returns"))
            if any(child is field for field in fields):
                return True
            if isinstance(parent, ast.Subscript) and child is parent.slice:
                name = ast.unparse(parent.value).rpartition(".")[2]
                if name in SIMPLEST or name in ("Callable", "Literal", "Union", "Optional"):
                    return True
            child = parent
        return False

    def mutant(
        self,
        operator: str,
        node: ast.expr | ast.stmt,
        new: str,
        span: tuple[int, int] | None = None,
    ) -> Mutant:
        """Return the mutant that replaces a node, or what is at `span`, by a text."""
        start, end = span or self.span(node)
        statement = self.statement(node)
        outside = self.function(statement) is None
        names = tuple(assigned_names(statement)) if outside else ()
        old = self.data[start:end].decode()
        place = (node.lineno, node.col_offset)
        return Mutant(operator, *place, start, end, old, new, self.lines(statement), names)


def assigned_names(statement: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement gives a value to, without attributes and items."""
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign | ast.AugAssign):
        targets = [statement.target]
    for target in targets:
        for node in ast.walk(target):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id


def mutants(data: bytes) -> list[Mutant]:
    """Return all mutants of a source, in the order of its lines; equal ones once."""
    source = Source(data)
    found: dict[tuple[int, int, str], Mutant] = {}
    for node in ast.walk(source.tree):
        for mutant in mutants_of(source, node):
            if mutant.new != mutant.old:
                found.setdefault((mutant.start, mutant.end, mutant.new), mutant)
    return sorted(found.values(), key=lambda mutant: (mutant.line, mutant.column, mutant.new))


def mutants_of(source: Source, node: ast.AST) -> Iterator[Mutant]:
    """Yield the mutants of one node."""
    if isinstance(node, ast.expr) and source.is_annotation(node):
        return
    if is_for_types_only(source, node):
        return
    for kinds, operator in OPERATORS:
        if isinstance(node, kinds):
            yield from operator(source, node)
            break
    for condition in conditions(node):
        if isinstance(condition, ast.UnaryOp) and isinstance(condition.op, ast.Not):
            yield source.mutant("comparison", condition, f"({source.text(condition.operand)})")
        elif not isinstance(condition, ast.Compare | ast.Constant | ast.BoolOp):
            yield source.mutant("comparison", condition, f"(not {source.text(condition)})")


def is_for_types_only(source: Source, node: ast.AST) -> bool:
    """Tell whether a node is in a block or an alias that only a type checker reads."""
    for parent in (node, *source.ancestors(node)):
        if isinstance(parent, ast.If) and ast.unparse(parent.test).endswith("TYPE_CHECKING"):
            return True
        if isinstance(parent, ast.Import | ast.ImportFrom):
            return True
    return False


def conditions(node: ast.AST) -> Iterator[ast.expr]:
    """Yield the expressions of which a node asks only whether they are true."""
    if isinstance(node, ast.If | ast.While | ast.IfExp | ast.Assert):
        yield node.test
    elif isinstance(node, ast.comprehension):
        yield from node.ifs
    elif isinstance(node, ast.BoolOp):
        yield from node.values


def of_comparison(source: Source, node: ast.Compare) -> Iterator[Mutant]:
    """Yield the mutants of a comparison: each of its operators changed."""
    operands = [node.left, *node.comparators]
    for number, operator in enumerate(node.ops):
        left, right = operands[number : number + 2]
        span = (source.span(left)[1], source.span(right)[0])
        between = source.data[span[0] : span[1]].decode()
        for table, name in ((NEGATED, "comparison"), (SHIFTED, "boundary")):
            if type(operator) in table:
                changed = between.replace(SIGNS[type(operator)], table[type(operator)], 1)
                mutant = source.mutant(name, node, changed, span)
                yield whole(source, mutant, node)


def whole(source: Source, mutant: Mutant, node: ast.expr | ast.stmt) -> Mutant:
    """Return the same change as the replacement of a whole node, which is easier to read."""
    start, end = source.span(node)
    new = source.data[start : mutant.start] + mutant.new.encode() + source.data[mutant.end : end]
    return source.mutant(mutant.operator, node, new.decode())


def of_constant(source: Source, node: ast.Constant) -> Iterator[Mutant]:
    """Yield the mutants of a number, a truth value or a text."""
    parent = source.parents[node]
    if isinstance(parent, ast.Expr | ast.JoinedStr | ast.FormattedValue | ast.MatchValue):
        return
    if isinstance(parent, ast.keyword) and parent.arg in (*PROSE_KEYWORDS, *CHECKED_KEYWORDS):
        return
    value = node.value
    if isinstance(value, bool):
        yield source.mutant("constant", node, str(not value))
    elif isinstance(value, int):
        yield source.mutant("constant", node, f"({value + 1})")
    elif isinstance(value, float):
        yield source.mutant("constant", node, f"({value!r} * 1.5 + 0.5)")
    elif isinstance(value, str | bytes) and is_word(value):
        yield source.mutant(
            "constant", node, repr(value + "X" if isinstance(value, str) else value + b"X")
        )


def is_prose(node: ast.expr) -> bool:
    """Tell whether an argument is a text that people read, as in a message."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and not is_word(node.value)
    return isinstance(node, ast.JoinedStr)


def is_word(value: str | bytes) -> bool:
    """Tell whether a text is a name, a pattern or the like, and no prose for people."""
    text = value if isinstance(value, str) else value.decode("latin-1")
    return " " not in text.strip()


def of_display(source: Source, node: ast.List | ast.Tuple | ast.Set | ast.Dict) -> Iterator[Mutant]:
    """Yield a display without each of its elements."""
    parent = source.parents[node]
    is_index = isinstance(parent, ast.Subscript) and node is parent.slice
    if is_index or not isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
        return
    if isinstance(node, ast.Dict):
        texts = [
            f"{source.text(key)}: {source.text(value)}" if key else f"**{source.text(value)}"
            for key, value in zip(node.keys, node.values, strict=True)
        ]
        elements: list[ast.expr] = [
            key or value for key, value in zip(node.keys, node.values, strict=True)
        ]
    else:
        elements = node.elts
        texts = [source.text(element) for element in elements]
    for number, element in enumerate(elements):
        rest = [text for other, text in enumerate(texts) if other != number]
        new = displayed(node, rest)
        mutant = source.mutant("dropped list element", element, new, source.span(node))
        yield replace(mutant, old=f"… {texts[number]} …")


def displayed(node: ast.expr, texts: list[str]) -> str:
    """Return the source of a display with these elements."""
    inner = ", ".join(texts)
    if isinstance(node, ast.Tuple):
        return f"({inner}{',' * (len(texts) == 1)})"
    if isinstance(node, ast.List):
        return f"[{inner}]"
    return f"{{{inner}}}" if texts or isinstance(node, ast.Dict) else "set()"


def of_call(source: Source, node: ast.Call) -> Iterator[Mutant]:
    """Yield a call with two neighbours swapped, and `any` for `all`."""
    for left, right in zip(node.args, node.args[1:], strict=False):
        if not any(isinstance(one, ast.Starred) or is_prose(one) for one in (left, right)):
            (start, middle), (other, end) = source.span(left), source.span(right)
            between = source.data[middle:other].decode()
            new = f"{source.text(right)}{between}{source.text(left)}"
            mutant = source.mutant("swapped argument", left, new, (start, end))
            yield whole(source, mutant, node)
    if isinstance(node.func, ast.Name) and node.func.id in ("any", "all"):
        other_name = {"any": "all", "all": "any"}[node.func.id]
        mutant = source.mutant("any/all", node.func, other_name)
        yield whole(source, mutant, node)


def of_and_or(source: Source, node: ast.BoolOp) -> Iterator[Mutant]:
    """Yield `and` for `or`; the operands in parentheses, because the two bind differently."""
    word = " or " if isinstance(node.op, ast.And) else " and "
    inner = word.join(f"({source.text(value)})" for value in node.values)
    yield source.mutant("and/or", node, f"({inner})")


def simplest(returns: ast.expr | None) -> tuple[str, ...]:
    """Return the simplest values of an annotated type; nothing if it is another one."""
    if returns is None:
        return ()
    if isinstance(returns, ast.BinOp):
        return ("None",) if "None" in ast.unparse(returns) else simplest(returns.left)
    name = ast.unparse(returns.value if isinstance(returns, ast.Subscript) else returns)
    return SIMPLEST.get(name.rpartition(".")[2], ())


def of_function(source: Source, node: Function) -> Iterator[Mutant]:
    """Yield a function that returns before its first statement."""
    first = node.body[0]
    has_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    body = node.body[1:] if has_docstring else node.body
    if not body or isinstance(body[0], ast.Return | ast.Raise):
        return
    start = source.span(body[0])[0]
    lines = (body[0].lineno, node.end_lineno or body[0].lineno)
    generator = any(isinstance(n, ast.Yield | ast.YieldFrom) for n in own_nodes(node))
    for value in ("",) if generator else simplest(node.returns):
        new = f"return {value}".strip()
        # A compound statement cannot stand behind another one on a line. Lines are added only where
        # there is no docstring either.
        if not hasattr(body[0], "body") and not isinstance(body[0], ast.Match):
            place, text = start, f"{new}; "
        elif has_docstring:
            place, text = source.span(first)[1], f"; {new}"
        else:
            place, text = start, f"{new}\n{' ' * body[0].col_offset}"
        mutant = source.mutant("early return", body[0], text, (place, place))
        yield replace(mutant, old=f"def {node.name}", lines=lines)


def own_nodes(function: Function) -> Iterator[ast.AST]:
    """Yield the nodes of a function without those of the functions within it."""
    todo: list[ast.AST] = list(function.body)
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, Function | ast.Lambda | ast.ClassDef):
            todo += ast.iter_child_nodes(node)


def of_return(source: Source, node: ast.Return) -> Iterator[Mutant]:
    """Yield a `return` with the simplest value of the annotated type."""
    function = source.function(node)
    if function is None or node.value is None:
        return
    old = source.text(node.value)
    for value in simplest(function.returns):
        if value and value not in (old, SAME_AS_SIMPLEST.get(old)):
            yield source.mutant("early return", node, f"return {value}")


def of_statement(source: Source, node: ast.stmt) -> Iterator[Mutant]:
    """Yield the mutants of a statement: dropped, or without its clean-up."""
    if isinstance(node, ast.Raise):
        yield source.mutant("removed raise", node, "pass")
    elif isinstance(node, ast.Try) and node.finalbody:
        start, end = source.span(node.finalbody[0])[0], source.span(node.finalbody[-1])[1]
        mutant = source.mutant("removed clean-up", node.finalbody[0], "pass", (start, end))
        yield mutant
    elif isinstance(node, ast.With):
        for item in node.items:
            text = source.text(item.context_expr)
            new = f"__import__('contextlib').nullcontext(({text}).__enter__())"
            yield source.mutant("removed clean-up", item.context_expr, new)
    elif is_droppable(source, node):
        yield source.mutant("dropped statement", node, "pass")


def is_droppable(source: Source, node: ast.stmt) -> bool:
    """Tell whether a program without this statement may still run to its end."""
    if isinstance(node, ast.Expr):
        return not isinstance(node.value, ast.Constant)
    if isinstance(node, ast.Assign):
        names = [target for target in node.targets if isinstance(target, ast.Name)]
        return len(names) < len(node.targets) or has_value_before(source, node, names)
    return isinstance(node, ast.AugAssign | ast.Delete | ast.Continue | ast.Break)


def has_value_before(source: Source, node: ast.Assign, names: list[ast.Name]) -> bool:
    """Tell whether a name has a value already: it is a parameter, or is assigned to above."""
    function = source.function(node)
    if function is None:
        return False
    arguments = function.args
    everywhere = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    known = {argument.arg for argument in everywhere}
    for other in own_nodes(function):
        if isinstance(other, ast.Name) and other.lineno < node.lineno:
            known |= {other.id} if isinstance(other.ctx, ast.Store) else set()
    return any(name.id in known for name in names)


# The last row is for all other statements.
OPERATORS: tuple[tuple[Any, Callable[[Source, Any], Iterator[Mutant]]], ...] = (
    (ast.Compare, of_comparison),
    (ast.Constant, of_constant),
    ((ast.List, ast.Tuple, ast.Set, ast.Dict), of_display),
    (ast.Call, of_call),
    (ast.BoolOp, of_and_or),
    (Function, of_function),
    (ast.Return, of_return),
    (ast.stmt, of_statement),
)
