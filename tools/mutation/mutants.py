"""Mutants: small faults in a module's code, each of which some unit test should notice."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

SWAPPED: Final = (
    *((ast.Lt, ast.LtE), (ast.Gt, ast.GtE), (ast.Eq, ast.NotEq), (ast.Is, ast.IsNot)),
    *((ast.In, ast.NotIn), (ast.And, ast.Or), (ast.Add, ast.Sub), (ast.Mult, ast.Div)),
    # Not `|`, which also joins types.
    *((ast.FloorDiv, ast.Mult), (ast.Mod, ast.Mult), (ast.Pow, ast.Mult)),
)
OTHER: Final[dict[type, type]] = {b: a for a, b in reversed(SWAPPED)} | dict(SWAPPED)

FALSE: Final = ("None", "False", "0", "''", "[]", "{}", "()")  # to most callers the same


@dataclass(frozen=True)
class Mutant:
    """A module with one fault."""

    path: str
    text: str
    line: int
    before: str
    after: str

    @property
    def key(self) -> str:
        """Stays the same when other lines of the file change."""
        said = "\n".join((self.path, self.before.strip(), self.after.strip()))
        return hashlib.sha256(said.encode()).hexdigest()[:12]

    @property
    def diff(self) -> str:
        """The changed lines, for people."""
        sides = (("-", self.before), ("+", self.after))
        changed = (sign + line for sign, text in sides for line in text.rstrip().splitlines())
        return "\n".join((f"{self.path}:{self.line}", *changed))


def mutants_of(path: str, text: str) -> Iterator[Mutant]:
    """Each mutant of a module; `path` is its name in the checkout."""
    lines = text.encode().splitlines(keepends=True)
    faults = (fault for node in _code(ast.parse(text)) for fault in _faults(node))
    for node, fault in faults:
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        # Columns are counted in bytes.
        begin, end = lines[first][: node.col_offset], lines[last][node.end_col_offset :]
        after = begin.decode() + fault + end.decode()
        changed = (*lines[:first], after.encode(), *lines[last + 1 :])
        before = b"".join(lines[first : last + 1]).decode()
        yield Mutant(path, b"".join(changed).decode(), node.lineno, before, after)


def _code(node: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    """The statements and expressions that run; without annotations, decorators and f-strings."""
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            # Python 3.11 does not know where the parts of an f-string are.
            if isinstance(child, ast.AST) and not isinstance(child, ast.JoinedStr):
                if isinstance(child, ast.expr | ast.stmt):
                    yield child
                yield from _code(child)


def _faults(node: ast.expr | ast.stmt) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """What may stand in the place of an expression or statement, or of a part of it."""
    if isinstance(node, ast.If | ast.While) and not isinstance(
        node.test, ast.Compare | ast.UnaryOp
    ):
        yield node.test, f"(not ({ast.unparse(node.test)}))"
    fault = _statement(node) if isinstance(node, ast.stmt) else _expression(node)
    if fault:
        yield node, fault


def _expression(node: ast.expr) -> str | None:
    changed: ast.expr
    match node:
        case ast.Compare(ops=[operator]):
            changed = ast.Compare(node.left, [OTHER[type(operator)]()], node.comparators)
        case ast.BoolOp(op=operator):
            changed = ast.BoolOp(OTHER[type(operator)](), node.values)
        case ast.BinOp(op=operator) if type(operator) in OTHER:
            changed = ast.BinOp(node.left, OTHER[type(operator)](), node.right)
        case ast.IfExp():
            changed = ast.IfExp(node.test, node.orelse, node.body)
        case ast.UnaryOp(op=ast.Not()):
            changed = node.operand
        case ast.Constant(value=bool() as value):
            return repr(not value)
        # Other numbers are tuned: a little more of them is no fault.
        case ast.Constant(value=0 | 1 | 2 as value):
            return repr(value + 1)
        case _:
            return None
    return f"({ast.unparse(changed)})"


def _statement(node: ast.stmt) -> str | None:
    match node:
        case ast.Return(value=ast.expr() as value) if ast.unparse(value) not in FALSE:
            return "return None"
        case ast.Break():
            return "continue"
        case ast.Continue():
            return "break"
        # A docstring or `...` has no effect, and type checks watch names.
        case ast.Expr(value=ast.Constant()) | ast.Assign(targets=[ast.Name() | ast.Tuple(), *_]):
            return None
        case ast.Expr() | ast.Assign() | ast.AugAssign() | ast.Raise() | ast.Delete():
            return "pass"
        case _:
            return None
