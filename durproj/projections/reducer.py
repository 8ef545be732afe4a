"""Reducers by reference: `account`, `shop.py:orders`, `package.module:function`."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from durproj.codec import DecodeError, decode, decode_exact, settle
from durproj.errors import Unstorable, UsageError
from durproj.projections.forms import from_handlers, known_types, prepared, upcast_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType, TracebackType

    from durproj.events.event import Event

BUILT_IN = ("account", "counts", "merge")

MISSING: Any = object()
"""Stands for an initial state that was not given, where None would be one."""

JQ = "jq:"
"""What a reference to a jq program begins with; the rest is the program."""

_HOW = "write FILE.py:FUNCTION, MODULE:FUNCTION, jq:PROGRAM, or one of " + ", ".join(BUILT_IN)


@dataclass(frozen=True)
class Reducer:
    """A reducer ready to run.

    ref: how it was named. fn: `(state, event) -> state`, of events in their present form, which
    `upcast` brings them to (None: they are in it). fingerprint: 16 hex digits that change with the code
    of both. initial: the state of a key before its first event, a fresh value each time.
    initial_source: what tells one initial state from another: its JSON text, or the fingerprint of
    the function that makes it. summary: a state in one line, when the reducer brings such a function.
    program: `ref` does not lead back to it, as with a lambda; only the program that has it can run it.
    plain: its states are known to be what decoding them would give: JSON's own types, no NaN, and made
    anew rather than changed in place. That is known of built-in reducers, and tested. types: the event
    types that it knows; None: all.
    """

    ref: str
    fn: Callable[[Any, Event], Any]
    fingerprint: str
    initial: Callable[[str], Any]
    initial_source: str
    summary: Callable[[Any], str] | None
    program: bool = False
    plain: bool = False
    types: frozenset[str] | None = None
    upcast: Callable[[Event], Event] | None = None


def load(ref: str, initial: str | None, base: Path) -> Reducer:
    """The reducer that `ref` names; files and modules are looked for in the folder `base`.

    ref: a built-in's name, `file.py:name` or `module:name` of a function or a dictionary of handlers,
    `jq:PROGRAM`, or `jq:@FILE` for a program in a file: the Reducer's ref then has the program's text.

    initial: the initial state as JSON text; without it, the function's attribute `initial` (a value,
    or a function of the key), else `{}`. Raises UsageError, saying what to write instead.
    """
    base_path = os.path.abspath(base)
    if ref.startswith(JQ):
        from durproj.projections.jq import Program

        fn = Program.given(ref[len(JQ) :], base_path)
        ref = JQ + fn.text
    else:
        fn = _find(ref, base_path)
    return _prepare(ref, fn, MISSING if initial is None else parse_initial(initial))


def file_of(ref: str, base: Path) -> str | None:
    """The file that `load` reads for `ref`, be it there or not; None: none, or no module of `base`."""
    if ref.startswith(JQ):
        program = ref.removeprefix(JQ)
        return os.path.join(base, program[1:]) if program.startswith("@") else None
    place = ref.rpartition(":")[0]
    if not place or _is_file(place):
        return os.path.join(base, place) if place else None
    module = os.path.join(base, *place.split("."))
    files = f"{module}.py", os.path.join(module, "__init__.py")
    return next(filter(os.path.isfile, files), None)


def from_function(
    fn: Callable[[Any, Event], Any] | dict[str, Callable[[Any, Event], Any]] | Reducer,
    initial: Any = MISSING,
) -> Reducer:
    """The reducer of a function, or of handlers by type, at hand; a Reducer is one already.
    `initial`: a value, or a function of the key.

    Raises UsageError when `fn` is no reducer or its initial state cannot be stored.
    """
    if isinstance(fn, Reducer):
        if initial is MISSING:
            return fn
        made, source = _start(fn.ref, initial)
        return replace(fn, initial=made, initial_source=source)
    if isinstance(fn, dict):
        return replace(_prepare("handlers", from_handlers(fn, None), initial), program=True)
    name = getattr(fn, "__qualname__", type(fn).__qualname__)
    module = getattr(fn, "__module__", None) or type(fn).__module__
    program = module == "__main__" or not _leads_to(fn, module, name)
    if module == "__main__":
        file = getattr(sys.modules[module], "__file__", None)
        module = file or module
    return replace(_prepare(f"{module}:{name}", fn, initial), program=program)


def _leads_to(fn: Any, module: str, name: str) -> bool:
    """Whether `fn` is what its module has under its name: no lambda, closure or object is."""
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is fn


def _prepare(ref: str, fn: Any, given: Any) -> Reducer:
    from durproj.projections.fingerprint import fingerprint

    ready = prepared(ref, fn)
    initial, source = _start(ref, getattr(fn, "initial", {}) if given is MISSING else given)
    summary = getattr(fn, "summary", None)
    name = getattr(fn, "__name__", None)
    # By what it is: a function that wraps a built-in one may call itself by all of its names.
    plain = name in BUILT_IN and _find(name, "") is fn
    types = known_types(ref, fn)
    digits = fingerprint(fn, types)
    return Reducer(
        *(ref, ready, digits, initial, source, summary if callable(summary) else None),
        plain=plain,
        types=types,
        upcast=upcast_of(ref, fn),
    )


def _start(ref: str, start: Any) -> tuple[Callable[[str], Any], str]:
    """`initial` and `initial_source` of a Reducer, of a value or a function of the key."""
    if callable(start):
        from durproj.projections.fingerprint import fingerprint

        return _made(ref, start), fingerprint(start)
    blob = _stored(ref, start)
    # Decoded anew for each key: a reducer that changes its state in place changes its own only.
    return lambda _key: decode(blob), blob.decode()


def _made(ref: str, make: Callable[[str], Any]) -> Callable[[str], Any]:
    def initial(key: str) -> Any:
        try:
            value = make(key)
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            raise UsageError(f"{ref} has no initial state for the key {key!r}: {why}") from error
        return decode(_stored(ref, value))

    return initial


def _stored(ref: str, value: Any) -> bytes:
    try:
        return settle(value)[0]
    except Unstorable as error:
        raise UsageError(f"the initial state of {ref} cannot be stored: {error}") from None


def parse_initial(text: str) -> Any:
    """The value of an initial state given as JSON text. Raises UsageError when it is not JSON."""
    try:
        return decode_exact(text.encode(errors="surrogateescape"))
    except DecodeError as error:
        raise UsageError(
            f"--initial is not JSON: {error.msg}",
            "quote it for the shell: --initial '{\"open\": 0}'",
        ) from None


def _find(ref: str, base: str) -> Any:
    place, colon, name = ref.rpartition(":")
    if not colon:
        if ref in BUILT_IN:
            from importlib import import_module

            return getattr(import_module(f"durproj.projections.{ref}"), ref)
        raise UsageError(
            f"no built-in reducer is called {ref!r}", _did_you_mean(ref, BUILT_IN) or _HOW
        )
    if not place or not name:
        raise UsageError(f"the reducer reference {ref!r} is incomplete", _HOW)
    module = _load_file(place, base) if _is_file(place) else _load_module(place, base)
    holder: Any = None
    found: Any = module
    for part in name.split("."):
        holder, found = found, getattr(found, part, MISSING)
        if found is MISSING:
            raise UsageError(
                f"{place} has no function {name!r}", _alternatives(place, name, module)
            )
    return from_handlers(found, holder) if isinstance(found, dict) else found


def _is_file(place: str) -> bool:
    return place.endswith(".py") or "/" in place


def _load_file(place: str, base: str) -> ModuleType:
    from importlib.machinery import SourceFileLoader
    from importlib.util import module_from_spec, spec_from_file_location

    class FreshLoader(SourceFileLoader):
        """Compiles the file as it is now, past any cached bytecode."""

        def get_code(self, fullname: str) -> Any:  # noqa: ARG002
            return self.source_to_code(self.get_data(self.path), self.path)

    path = os.path.join(base, place)
    if not os.path.isfile(path):
        raise UsageError(f"no such file: {place}", f"looked in {base}")
    stem = os.path.splitext(os.path.basename(path))[0]
    # A name of its own, so that a file called json.py or like a sibling takes nobody's place.
    name = f"durproj_reducer_{stem}"
    spec = spec_from_file_location(name, path, loader=FreshLoader(name, path))
    assert spec is not None and spec.loader is not None  # noqa: PT018
    module = module_from_spec(spec)
    _search_first(os.path.dirname(path))
    sys.modules[name] = module
    _importing(place, path, lambda: spec.loader.exec_module(module))  # type: ignore[union-attr]
    return module


def _load_module(place: str, base: str) -> ModuleType:
    from importlib import import_module

    _search_first(base)
    module: ModuleType = _importing(place, None, lambda: import_module(place))
    return module


def _search_first(folder: str) -> None:
    if folder not in sys.path:
        sys.path.insert(0, folder)


def _importing(place: str, path: str | None, act: Callable[[], Any]) -> Any:
    """What `act` gives; whatever the imported code raises becomes a UsageError that names its line."""
    written = sys.dont_write_bytecode
    # Cached bytecode goes by whole seconds: an edit within one would run the old code.
    sys.dont_write_bytecode = True
    try:
        return act()
    except KeyboardInterrupt:
        raise
    except ModuleNotFoundError as error:
        if (
            path is None
            and error.name
            and (place == error.name or place.startswith(f"{error.name}."))
        ):
            raise UsageError(f"no module named {error.name!r}", _HOW) from None
        raise _import_failed(place, path, error) from None
    except BaseException as error:
        raise _import_failed(place, path, error) from None
    finally:
        sys.dont_write_bytecode = written


def _import_failed(place: str, path: str | None, error: BaseException) -> UsageError:
    if isinstance(error, SyntaxError) and error.filename:
        file, line = error.filename, error.lineno
    else:
        file, line = _raised_at(error.__traceback__, path)
    what = f"{type(error).__name__}: {error}"
    if isinstance(error, SyntaxError):
        what = f"{type(error).__name__}: {error.msg}"
    elif isinstance(error, SystemExit):
        what = f"it called exit ({error.code!r})"
    where = f"{os.path.basename(file)}, line {line}" if file else place
    return UsageError(f"importing {place} failed: {where}: {what}")


def _raised_at(trace: TracebackType | None, path: str | None) -> tuple[str, int | None]:
    """The deepest line of the imported file itself, or the deepest line of any code."""
    deepest: tuple[str, int | None] = ("", None)
    own = None
    while trace:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith("<frozen") and file != __file__:
            deepest = (file, trace.tb_lineno)
            own = deepest if file == path else own
        trace = trace.tb_next
    return own or deepest


def _alternatives(place: str, name: str, module: ModuleType) -> str:
    functions = sorted(
        key
        for key, value in vars(module).items()
        if (callable(value) or isinstance(value, dict))
        and not isinstance(value, type)
        and not key.startswith("_")
    )
    close = _did_you_mean(name, functions)
    if close or not functions:
        return close
    return f"{place} has: " + ", ".join(functions[:10])


def _did_you_mean(name: str, known: Any) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else ""
