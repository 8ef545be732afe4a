"""The fingerprint of a reducer: whether its code is still the code that made the journal.

It covers the function, and the functions, classes and constants of the same module that it reaches
by name, through any number of steps, with the statements that change them; the event types that the
reducer says it knows; and its attributes `on` (handlers by type) and `upcast`, in the same way. It does
not change with
comments, white space, docstrings, positions or the version of Python.

What it cannot see: code imported from other modules (of that only the import statement counts),
what is reached by computed names (`globals()[...]`, `getattr`), and annotations that only types need,
which do count. A function with an attribute `version` (a string or an integer) is known by its name and
that version alone: its owner says when it changed. Where there is no source (a function made by
`exec`, typed into a bare prompt), its bytecode stands in, and then the version of Python counts.
"""

from __future__ import annotations

import builtins
import inspect
import os
import sys
from contextlib import suppress
from functools import partial
from itertools import chain
from types import CodeType, FunctionType, MemberDescriptorType, MethodType
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from durproj.errors import Unstorable
from durproj.projections.constants import ADDED, is_plain, text

if TYPE_CHECKING:
    import ast
    from collections.abc import Iterator

    from durproj.projections.syntax import Module

_LIBRARY = os.path.dirname(os.__file__) + os.sep

_modules: dict[str, tuple[str, Module | None]] = {}


def fingerprint(fn: Any, types: frozenset[str] | None = None) -> str:
    """16 hex digits for the callable `fn`, which knows the event types `types` (None: all); see the
    head of this module for what changes them."""
    parts = _describe(fn, ())
    if types is not None and _version(fn) is None:
        parts = chain(parts, ["types"], sorted(types))
    return _digest(parts)


def _version(fn: Any) -> str | int | None:
    version = getattr(fn, "version", None)
    return version if type(version) is str or type(version) is int else None


def _digest(parts: Iterator[str]) -> str:
    digest = blake3()
    for part in parts:
        # Lengths keep parts apart: ("ab", "c") is not ("a", "bc").
        content = part.encode(errors="surrogatepass")
        digest.update(b"%d:" % len(content) + content)
    return digest.hexdigest(length=8)


def _describe(fn: Any, path: tuple[int, ...]) -> Iterator[str]:
    """What tells the callable `fn` from another; `path` holds the callables it was reached through."""
    if id(fn) in path:
        yield f"cycle {len(path) - path.index(id(fn))}"
        return
    path = (*path, id(fn))
    version = _version(fn)
    if version is not None:
        yield from ("version", _name(fn), repr(version))
    else:
        yield from _code(fn, path)
        yield from _attached(fn, path)


def _attached(fn: Any, path: tuple[int, ...]) -> Iterator[str]:
    """What is called along with `fn`: its handlers and its upcast, which its own source does not name."""
    on, upcast = getattr(fn, "on", None), getattr(fn, "upcast", None)
    if isinstance(on, dict):
        yield "on"
        yield from _contents(on, path)
    if upcast is not None:
        yield from ("upcast", _digest(_describe(upcast, path)))


def _code(fn: Any, path: tuple[int, ...]) -> Iterator[str]:
    if isinstance(fn, partial):
        yield from ("partial", _digest(_describe(fn.func, path)))
        yield from _contents({str(i): value for i, value in enumerate(fn.args)} | fn.keywords, path)
    elif isinstance(fn, MethodType):
        yield from ("method", _digest(_describe(fn.__func__, path)))
        yield from _contents(_held(fn.__self__), path)
    elif hasattr(fn, "__wrapped__"):
        # The decorator stands in the source of what it wraps, and is reached by name from there.
        yield from ("wrapped", _digest(_describe(fn.__wrapped__, path)))
    elif isinstance(fn, FunctionType):
        yield from _function(fn, path)
    elif isinstance(call := inspect.getattr_static(type(fn), "__call__", None), FunctionType):
        yield from ("instance", _digest(_describe(call, path)))
        yield from _contents(_held(fn), path)
    else:
        yield from ("native", f"{getattr(fn, '__module__', '')}.{_name(fn)}")


def _function(fn: FunctionType, path: tuple[int, ...]) -> Iterator[str]:
    if _is_standard(fn):
        # Its source differs between versions of Python, its meaning does not.
        yield from ("standard", f"{_module_name(fn)}.{fn.__qualname__}")
        return
    module = _module_of(fn)
    code = fn.__code__
    nodes = module.functions_at(code.co_name, code.co_firstlineno) if module else []
    if module is None or not nodes:
        yield "bytecode"
        yield from _bytecode(code)
        yield from _contents(_cells(fn), path)
        return
    yield from _source(fn, module, _narrowed(nodes, code), path)


def _is_standard(fn: FunctionType) -> bool:
    """Whether it is of Python's own library, and not of somebody's module that has the name of one there."""
    top = (fn.__module__ or "").partition(".")[0]
    return top in sys.stdlib_module_names and _in_library(fn)


def _in_library(fn: FunctionType) -> bool:
    return fn.__code__.co_filename.startswith((_LIBRARY, "<frozen "))


def _source(
    fn: FunctionType, module: Module, nodes: list[Any], path: tuple[int, ...]
) -> Iterator[str]:
    from durproj.projections.syntax import canonical, free_names

    yield "source"
    names = {name for node in nodes for name in free_names(node)}
    for node in nodes:
        yield canonical(node)
    cells = _cells(fn)
    outer, nested = fn.__qualname__.split(".")[0], "<locals>" in fn.__qualname__
    # Up to Python 3.11 a comprehension stands there, too.
    if outer != fn.__name__ and outer.isidentifier() and not nested:
        names.add(outer)  # a method reaches its class's other methods without their names
    reached = _reach(module, names - cells.keys())
    for name in sorted(reached):
        statements = reached[name]
        yield name
        if statements:
            yield from map(canonical, statements)
        else:
            yield from _contents(
                {name: fn.__globals__[name]} if name in fn.__globals__ else {}, path
            )
    if nested:
        # Their expressions may name variables of the enclosing call: the values tell calls apart.
        cells |= {f"default {i}": value for i, value in enumerate(fn.__defaults__ or ())}
        cells |= {f"default {name}": value for name, value in (fn.__kwdefaults__ or {}).items()}
    yield from _contents(cells, path)


def _reach(module: Module, names: set[str]) -> dict[str, list[ast.stmt]]:
    """The statements behind `names` and behind every name that those statements use."""
    from durproj.projections.syntax import free_names

    reached: dict[str, list[ast.stmt]] = {}
    waiting = sorted(names)
    while waiting:
        name = waiting.pop()
        statements = module.bindings(name)
        if name in reached or (not statements and hasattr(builtins, name)):
            continue
        reached[name] = statements
        waiting += [other for statement in statements for other in free_names(statement)]
    return reached


def _contents(values: dict[str, Any], path: tuple[int, ...]) -> Iterator[str]:
    """Values by name: as text when they are plain data, as code when they are called, else by type."""
    for name in sorted(values):
        value = values[name]
        yield name
        try:
            yield text(value)
        except Unstorable:
            if callable(value) and not isinstance(value, type):
                yield _digest(_describe(value, path))
            else:
                yield f"{_module_name(type(value))}.{_name(value)}"


def _held(thing: Any) -> dict[str, Any]:
    """What an object holds, with what the classes hold that a call made: their statements do not tell it."""
    kinds = inspect.getmro(thing if isinstance(thing, type) else type(thing))
    found: dict[str, Any] = {}
    for kind in reversed(kinds):
        if "<locals>" in kind.__qualname__:
            found |= _attributes(kind)
    return found | _attributes(thing)


def _attributes(thing: Any) -> dict[str, Any]:
    """What an object holds, in its `__dict__` and in its slots."""
    found = dict(getattr(thing, "__dict__", {}))
    if isinstance(thing, type):
        plain = {name: _unwrapped(value) for name, value in found.items()}
        # What Python itself adds to a class is not the same in all versions.
        found = {name: value for name, value in plain.items() if _is_written(name, value)}
    for kind in type(thing).__mro__:
        slots = vars(kind) if "__slots__" in vars(kind) else {}
        for name, slot in slots.items():
            if isinstance(slot, MemberDescriptorType) and name not in found:
                with suppress(AttributeError):  # it was never set
                    found[name] = slot.__get__(thing)
    return found


def _unwrapped(value: Any) -> Any:
    return value.__func__ if isinstance(value, classmethod | staticmethod) else value


def _is_written(name: str, value: Any) -> bool:
    """Whether an attribute of a class stands in its source, as far as can be told."""
    if name in ADDED or not (name.startswith("__") and name.endswith("__")):
        return name not in ADDED
    if isinstance(value, FunctionType):
        return not _in_library(value) and _module_of(value) is not None
    return is_plain(value)


def _cells(fn: FunctionType) -> dict[str, Any]:
    cells = {}
    for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
        try:
            cells[name] = cell.cell_contents
        except ValueError:
            cells[name] = None  # not yet bound
    return cells


def _module_of(fn: FunctionType) -> Module | None:
    """The parsed module that `fn` was compiled from; None when its source is not at hand."""
    from durproj.projections.syntax import Module

    file = fn.__code__.co_filename
    source = _source_text(file, fn)
    known = _modules.get(file)
    if known is None or known[0] != source:
        try:
            module = Module(source) if source else None
        except SyntaxError:
            module = None
        _modules[file] = known = (source, module)
    return known[1]


def _source_text(file: str, fn: FunctionType) -> str:
    import tokenize

    try:
        # Not from linecache: it goes by size and time, and two edits can agree in both.
        with tokenize.open(file) as opened:
            return opened.read()
    except (OSError, SyntaxError, UnicodeDecodeError):
        import linecache

        return "".join(linecache.getlines(file, fn.__globals__))


def _narrowed(nodes: list[Any], code: CodeType) -> list[Any]:
    """Of several functions on one line, those that hold the place of every instruction."""
    if len(nodes) == 1:
        return nodes
    # An instruction without width stands for the call itself, not for a place in the body.
    places = {
        (line, begin)
        for line, last_line, begin, end in code.co_positions()
        if line is not None and begin is not None and (line, begin) != (last_line, end)
    }
    holding = [
        node
        for node in nodes
        if all(
            (node.lineno, node.col_offset) <= place <= (node.end_lineno, node.end_col_offset)
            for place in places
        )
    ]
    return holding or nodes


def _bytecode(code: CodeType) -> Iterator[str]:
    yield from (sys.version, code.co_name, repr(code.co_names), code.co_code.hex())
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _bytecode(constant)
        elif isinstance(constant, frozenset):
            yield repr(sorted(map(repr, constant)))
        else:
            yield repr(constant)


def _module_name(thing: Any) -> str:
    """Where it is from. In which private part of a module of its own a Python has it, versions differ in."""
    name = str(thing.__module__)
    standard = name.partition(".")[0] in sys.stdlib_module_names
    return name.partition("._")[0].removeprefix("_") if standard else name


def _name(fn: Any) -> str:
    return getattr(fn, "__qualname__", None) or type(fn).__qualname__
