"""Python source as a fingerprint sees it: what the code says, not how it is written down.

Two pieces of source have one canonical text when they differ only in comments, white space,
docstrings or position; the text is the same on every Python from 3.11 on.
"""

from __future__ import annotations

import ast
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
# They say where or in which role a node stands, which its place in the tree says already.
_SKIPPED = frozenset({"ctx", "type_comment", "kind", "type_ignores"})


class Module:
    """The parsed source of one module: its functions by place, and what binds its names."""

    def __init__(self, source: str) -> None:
        """Parse `source`. Raises SyntaxError when it is not Python."""
        with warnings.catch_warnings():
            # The import has warned already, of escapes such as "\d".
            warnings.simplefilter("ignore")
            self._tree = ast.parse(source)
        self._bindings: dict[str, list[ast.stmt]] | None = None

    def functions_at(self, name: str, line: int) -> list[Function]:
        """The functions called `name` whose first line, decorators included, is `line`."""
        return [
            node
            for node in ast.walk(self._tree)
            if isinstance(node, _FUNCTIONS)
            and getattr(node, "name", "<lambda>") == name
            and _first_line(node) == line
        ]

    def bindings(self, name: str) -> list[ast.stmt]:
        """The module's own statements that bind or change the global `name`, in order."""
        if self._bindings is None:
            self._bindings = {}
            for statement in self._tree.body:
                for bound in set(_bound_by(statement)):
                    self._bindings.setdefault(bound, []).append(statement)
            self._add_registered(self._bindings)
        return self._bindings.get(name, [])

    def _add_registered(self, bindings: dict[str, list[ast.stmt]]) -> None:
        """Count a decorated function under the objects that its decorators put it into.

        With `@handlers.register`, or `@on(...)` where `on` writes to `handlers`, the function is
        reached through `handlers`, though nobody names it.
        """
        for statement in self._tree.body:
            if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            for name in sorted(_registries(statement, bindings)):
                found = bindings[name]
                if statement not in found:
                    found.append(statement)


def canonical(node: ast.AST) -> str:
    """The canonical text of `node` and everything in it."""
    return "".join(_canonical(node))


def free_names(node: ast.AST) -> set[str]:
    """The names that `node` looks up outside itself: globals, builtins, closure variables.

    Errs towards more: a name bound in a class body or an enclosing block counts as free.
    """
    if isinstance(node, _FUNCTIONS):
        return _function_names(node)
    if isinstance(node, _COMPREHENSIONS):
        first = node.generators[0].iter
        bound = {part.id for gen in node.generators for part in _names(gen.target)}
        return free_names(first) | (_children_names(node) - bound)
    if isinstance(node, ast.Name):
        return {node.id} if isinstance(node.ctx, ast.Load) else set()
    return _children_names(node)


def _first_line(node: Function) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min(part.lineno for part in (node, *decorators))


def _canonical(node: ast.AST) -> Iterator[str]:
    yield f"({type(node).__name__}"
    for name in sorted(node._fields):
        value = getattr(node, name, None)
        if name in _SKIPPED or value is None or value == []:
            continue
        if name == "body" and isinstance(node, _DOCUMENTED) and _is_docstring(value[0]):
            value = value[1:]
        if name == "values" and isinstance(node, ast.JoinedStr):
            value = _joined(value)
        if name == "format_spec" and isinstance(value, ast.JoinedStr) and not _joined(value.values):
            continue
        yield f" {name}="
        yield from _value(value)
    yield ")"


def _value(value: object) -> Iterator[str]:
    if isinstance(value, ast.AST):
        yield from _canonical(value)
    elif isinstance(value, list):
        yield "["
        for item in value:
            yield from _value(item)
        yield "]"
    elif type(value) is int:
        yield hex(value)  # repr() refuses very long integers
    else:
        yield repr(value)


def _joined(values: list[ast.expr]) -> list[ast.expr]:
    """The parts of an f-string with its texts joined: where they are split depends on the Python."""
    joined: list[ast.expr] = []
    for part in values:
        last = joined[-1] if joined else None
        if isinstance(part, ast.Constant) and isinstance(last, ast.Constant):
            joined[-1] = ast.Constant(str(last.value) + str(part.value))
        elif not (isinstance(part, ast.Constant) and part.value == ""):
            joined.append(part)
    return joined


def _is_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _children_names(node: ast.AST) -> set[str]:
    return {name for child in ast.iter_child_nodes(node) for name in free_names(child)}


def _function_names(node: Function) -> set[str]:
    body: list[ast.AST] = [node.body] if isinstance(node, ast.Lambda) else list(node.body)
    spec = node.args
    arguments = [*spec.posonlyargs, *spec.args, *spec.kwonlyargs]
    arguments += [extra for extra in (spec.vararg, spec.kwarg) if extra]
    bound = {argument.arg for argument in arguments}
    outer: set[str] = set()
    for part in body:
        bound |= set(_bound_in(part, outer))
    inside = {name for part in body for name in free_names(part)} - (bound - outer)
    # Defaults, decorators and annotations are looked up where the function is defined.
    return inside | {
        name
        for child in ast.iter_child_nodes(node)
        if not any(child is part for part in body)
        for name in free_names(child)
    }


def _bound_in(node: ast.AST, outer: set[str]) -> Iterator[str]:
    """Names that `node` binds in the scope it stands in; `outer` collects those declared global."""
    if isinstance(node, ast.Global | ast.Nonlocal):
        outer.update(node.names)
    elif isinstance(node, ast.Name):
        if not isinstance(node.ctx, ast.Load):
            yield node.id
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from _imported(node)
    elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
        yield node.name
    elif isinstance(node, ast.MatchMapping) and node.rest:
        yield node.rest
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
        return
    if not isinstance(node, (ast.Lambda, *_COMPREHENSIONS)):
        for child in ast.iter_child_nodes(node):
            yield from _bound_in(child, outer)


def _bound_by(statement: ast.stmt) -> Iterator[str]:
    """Global names that a statement of a module binds, or changes through an attribute, an item
    or a method."""
    yield from _bound_in(statement, set())
    for node in [statement, *_own_nodes(statement)]:
        if isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
            yield from _root(node)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield from _root(node.value.func, through=ast.Attribute)


def _own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Everything inside `node` that runs when it runs: not the bodies of functions."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, _FUNCTIONS) and not isinstance(node, _FUNCTIONS):
            yield child
            yield from _own_nodes(child)


def _root(node: ast.AST, through: type[ast.AST] | None = None) -> Iterator[str]:
    """The name that a chain of attributes, items and calls begins with."""
    if through and not isinstance(node, through):
        return
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    if isinstance(node, ast.Name):
        yield node.id


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    for alias in node.names:
        yield alias.asname or alias.name.split(".")[0]


def _names(node: ast.AST) -> Iterator[ast.Name]:
    return (part for part in ast.walk(node) if isinstance(part, ast.Name))


def _registries(
    statement: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef,
    bindings: dict[str, list[ast.stmt]],
) -> set[str]:
    found: set[str] = set()
    for decorator in statement.decorator_list:
        call = decorator.func if isinstance(decorator, ast.Call) else decorator
        for root in _root(call):
            if isinstance(call, ast.Attribute):
                found.add(root)
            for definition in bindings.get(root, ()):
                if isinstance(definition, ast.FunctionDef):
                    found |= free_names(definition)
    return {
        name
        for name in found
        if bindings.get(name) and name != statement.name and not _only_imports(bindings[name])
    }


def _only_imports(statements: Iterable[ast.stmt]) -> bool:
    return all(isinstance(statement, ast.Import | ast.ImportFrom) for statement in statements)
