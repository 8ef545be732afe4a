"""Conditions over a step, written in CEL (the Common Expression Language): the one door to the package
`cel` (common-expression-language, bindings of cel-rust).

Of the languages for this CEL alone reads as its users guess (`state.balance < 0`, `&&`, `in`, `size()`,
`exists()`), compares integers with fractions, tells a field that is missing from one that is null, and
ends on every input: it has no loops, and its regular expressions are matched in linear time. JMESPath
wants numbers in backticks, and in jq null is less than 0, so that a misspelt field would be found.
Google's own bindings of CEL take 50 MB, these 6.
"""

from __future__ import annotations

import re
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from typing import Any

from durproj.errors import UsageError

VARIABLES = ("state", "event", "step")
"""What a condition may speak of."""

LONGEST = 2000
"""Longer conditions, in characters, are refused: the library's parser would use up the stack."""

WIDEST = 90
"""Longer lines are not shown along with what is wrong in them."""

_COMPILED = "cel.cel"
_HOW = (
    'conditions are written in CEL: state.balance < 0 && event.type == "OrderPlaced"\n'
    '(equal is ==, and is &&, or is ||, not is !; a name with other characters: state["a b"])'
)
_ERROR = re.compile(r"ERROR: <input>:(\d+):(\d+): (?:Syntax error: )?(.*)")
_MET = re.compile(r"(?:mismatched|extraneous) input '(.*)' expecting (.*)")
_STRAY = re.compile(r"token recognition error at: '(.*?) *'$")
_INNER = re.compile(r'msg: "(.*?)"')
_UNKNOWN = re.compile(r"Undefined variable or function: '(.*?)'")
_KINDS = {"bool": "true or false", "dict": "an object", "list": "a list", "str": "text"}
_NUMBERS = ("int", "float")


class Unevaluable(Exception):
    """A condition cannot be evaluated at a step; the text says why. `missing`: a field or element that it
    speaks of is not there."""

    def __init__(self, why: str, *, missing: bool) -> None:
        super().__init__(why)
        self.missing = missing


class Condition:
    """The condition `text`, compiled. Raises UsageError when it cannot be read.

    uses: for each variable that it speaks of, the fields that it asks that variable for; None where it may
    be any.
    """

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise UsageError(
                f"the condition is {len(text):,} characters long, more than {LONGEST:,}",
                "a shorter one, please: what it speaks of can be kept in the state",
            )
        self.text = text
        try:
            self._program = _library().compile(text)
        except ValueError as error:
            raise _unreadable(text, str(error)) from None
        self._named = set(self._program.variables())
        self.uses = {name: _fields(text, name) for name in VARIABLES if name in self._named}

    def holds(self, given: dict[str, Any]) -> bool:
        """Whether it is true of the values `given` for the variables it uses, each at least with the fields
        it asks for. Raises Unevaluable, and UsageError when it is none: it speaks of other
        variables, or gives something other than true and false."""
        try:
            result = self._program.execute(given)
        except (KeyError, IndexError) as error:
            raise Unevaluable(_what_is_missing(error), missing=True) from None
        except Exception as error:
            unknown = _UNKNOWN.match(str(error))
            if unknown and unknown[1] in self._named - set(VARIABLES):
                raise UsageError(
                    f"the condition speaks of {unknown[1]!r}, which is not one of its variables",
                    f"these are state, event and step: state.{unknown[1]}, perhaps",
                ) from None
            raise Unevaluable(_why(str(error)), missing=False) from None
        if type(result) is not bool:
            raise UsageError(
                f"the condition gives {_kind(result)}, where true or false was expected",
                "compare it with something: state.balance < 0, has(state.name), size(state.list) > 0",
            )
        return result


def _library() -> Any:
    """The package's compiled module. What `import cel` would bring in besides is a command line of its own,
    which takes longer to import than all of durproj."""
    if _COMPILED in sys.modules:
        return sys.modules[_COMPILED]
    package = PathFinder.find_spec("cel")
    places = package.submodule_search_locations if package else None
    spec = PathFinder.find_spec(_COMPILED, places) if places else None
    if spec is None or spec.loader is None:
        import cel

        return cel
    # A program that imports `cel` later on gets the same one: such a module can be made only once.
    module = sys.modules[_COMPILED] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _fields(text: str, variable: str) -> frozenset[str] | None:
    """The fields of `variable` that `text` can ask for; None for any. To hand values over is most of the
    work of an evaluation."""
    uses = re.findall(rf"\b{variable}\b", text)
    fields = re.findall(rf"\b{variable}\s*\.\s*([A-Za-z_]\w*+)(?!\s*\()", text)
    return frozenset(fields) if len(fields) == len(uses) else None


def _unreadable(text: str, message: str) -> UsageError:
    found = _ERROR.search(message)
    if found is None:
        return UsageError(f"the condition cannot be read: {message[-200:]}", _HOW)
    line, column, why = int(found[1]), int(found[2]), _expected(found[3])
    shown = text.split("\n")[line - 1]
    where = f"character {column}" if "\n" not in text else f"line {line}, character {column}"
    # The place can be pointed at where characters are of one width and a line of the terminal holds them.
    plain = shown.isascii() and shown.isprintable() and 0 < len(shown) <= WIDEST
    pointed = f"\n{shown}\n{' ' * (column - 1)}^" if plain else ""
    return UsageError(f"the condition cannot be read at {where}: {why}{pointed}", _HOW)


def _expected(message: str) -> str:
    """A message of the parser, its sets of tokens in words."""
    stray = _STRAY.match(message)
    if stray:
        return f"{stray[1]!r} means nothing there"
    met = _MET.match(message)
    if met is None:
        inner = _INNER.search(message)
        return (inner[1] if inner else message)[:200]
    end = "" if met[1] == "<EOF>" else f"met {met[1]!r}, where "
    wanted = met[2]
    if "IDENTIFIER" in wanted:
        wanted = "a value"
    elif "'=='" in wanted:
        wanted = "an operator or the end"
    else:
        wanted = wanted.replace("<EOF>", "the end")
    return f"{end}{wanted} was expected" if end else f"it ends where {wanted} was expected"


def _what_is_missing(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"there is no field {error.args[0]!r}"
    return str(error)


def _why(message: str) -> str:
    """The first sentence of the library's reason, in words of its users."""
    if message.startswith("No such overload"):
        return "an operator or function was given what it does not take: null, text, another kind of number"
    unknown = _UNKNOWN.match(message)
    if unknown:
        return f"there is no function {unknown[1]!r} for what it was given"
    first = re.split(r"\. |\n", message, maxsplit=1)[0].rstrip(".")
    return first[:200]


def _kind(result: Any) -> str:
    name = type(result).__name__
    if name in _NUMBERS:
        return f"the number {str(result)[:40]}"
    return "null" if result is None else _KINDS.get(name, f"a {name}")
