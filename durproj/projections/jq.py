"""Reducers written in jq: the one door to the package `jq`.

A program is given `{"state": …, "event": {"key", "type", "id", "time", "data", "body"}}`, the same two
as `$state` and `$event`, and its one output is the next state.

jq computes with doubles. So that no number changes unseen, integers of an event beyond ±(2^53 - 1) come
as strings of their digits, and a state that holds a number beyond that, NaN or an infinity fails the
step: it may be a sum that was rounded.
What would make a program depend on more than its input is out of its reach: `now`, `input`, the
environment, the time zone, other files. So is what ends more than the step: `halt`, `halt_error`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from durproj import codec
from durproj.errors import UsageError

if TYPE_CHECKING:
    from durproj.events.event import Event

_ONLY_INPUT = "a reducer gives the same for the same events each time, so it has no "
_GOES_ON = (
    "would end the program, and a reducer is asked for each event: to leave the state as it is, give \
.state; to fail the step, error(…)"
)

# Names are looked up where they stand in the text: the program sees these instead of jq's own, and
# any that it defines itself instead of these.
# The empty line is there for a program that ends in a comment, which a backslash carries on.
_FRAME = """
def now: error("{0}clock (now): take .event.time");
def input: error("{0}further input");
def inputs: input;
def env: error("{0}environment (env)");
def localtime: error("{0}time zone (localtime): use gmtime");
def strflocaltime(f): error("{0}time zone (strflocaltime): use strftime");
def modulemeta: error("{0}modules");
def halt: error("halt {2}");
def halt_error: error("halt_error {2}");
def halt_error(exit_code): halt_error;
. as {{$state, $event}} | "no environment" as $ENV | (
{1}

)
| . as $next | tojson
# The text of NaN is null, that of an infinity is the largest double.
| if contains("null") or contains("1.7976931348623157e+308") then
    if any($next | ..; type == "number" and (isnan or isinfinite))
    then error("the next state holds NaN or an infinity, which JSON cannot carry")
    else . end
  else . end
"""


class JqError(ValueError):
    """A program failed on an event; the text is the program's own message, or says what it gave."""


class Program:
    """A reducer: the jq program `text`, compiled. Raises UsageError when that cannot be done."""

    def __init__(self, text: str) -> None:
        self.text = text
        # The guard goes by the text alone, not by how it is run.
        self.version = text
        try:
            import jq
        except ModuleNotFoundError:
            raise UsageError(
                "a reducer in jq needs the package jq, which is not installed",
                "pip install 'durproj[jq]'",
            ) from None
        if not text.strip() or "\0" in text:
            raise UsageError("the jq program is empty or holds a NUL", _HOW)
        try:
            # By itself first: its messages count lines and columns from its own beginning.
            jq.compile(text, args={"state": None, "event": None})
        except UnicodeEncodeError:
            raise UsageError("the jq program is not UTF-8", _HOW) from None
        except ValueError as error:
            raise UsageError(f"the jq program does not compile:\n{_tidy(error)}", _HOW) from None
        try:
            self._run = jq.compile(_FRAME.format(_ONLY_INPUT, text, _GOES_ON)).input_text
        except ValueError:
            raise UsageError(
                "the jq program reads a module: the guard would not see that change",
                "write its definitions into the program",
            ) from None

    @classmethod
    def given(cls, text: str, base: str) -> Program:
        """The program `text`, or that in a file, looked for from the folder `base`, when `text` is
        `@FILE`. Its own text never begins with `@`: a space stands before a format such as `@json`.
        """
        if text.startswith("@"):
            text = _read(os.path.join(base, text[1:]), text[1:])
        text = text.rstrip()
        return cls(f" {text}" if text.startswith("@") else text)

    def __call__(self, state: Any, event: Event) -> Any:
        """The state after `event`. Raises JqError; Unstorable for what JSON cannot carry."""
        before = codec.encode(state).decode()
        _refuse_rounded("the state it was given", before)
        fields = {
            "key": event.key,
            "type": event.type,
            "id": event.id,
            "time": event.time,
            "data": event.data,
            "body": event.body,
        }
        shown = codec.encode_ijson(fields).decode()
        after = self._one_output(f'{{"state":{before},"event":{shown}}}')
        _refuse_rounded("the next state", after)
        value = codec.decode(after)
        if value is None and state is not None:
            raise JqError(f"the program gave null, {_EXPECTED}")
        if type(value) is dict and value.keys() == {"state", "event"}:
            raise JqError(
                "the program gave an object of state and event, as it is given one; its output is the"
                " next state alone: begin with .state | …"
            )
        return value

    def _one_output(self, text: str) -> str:
        outputs = iter(self._run(text))
        try:
            first = next(outputs, None)
            second = None if first is None else next(outputs, None)
        except ValueError as error:
            raise JqError(str(error)) from None
        finally:
            # A traceback would keep it; what the garbage collector finds of it crashes the process.
            del outputs
        if first is None:
            raise JqError(
                f"the program gave no output for this event, {_EXPECTED}; to leave the state as it is,"
                " give .state"
            )
        if second is not None:
            raise JqError(f"the program gave several outputs, {_EXPECTED}")
        output: str = first
        return output


_EXPECTED = "where the next state was expected"
_HOW = "a program begins with the state and gives the next one: --jq '.state | .count += 1'"


def _read(path: str, shown: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except UnicodeDecodeError as error:
        raise UsageError(f"the jq program {shown} is not UTF-8: byte {error.start}") from None
    except OSError as error:
        raise UsageError(
            f"the jq program {shown}: {error.strerror}", f"looked for {path}"
        ) from None


def _tidy(error: ValueError) -> str:
    """The messages of a compilation without blank lines, nor the count of them at the end."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return "\n".join(lines[:-1] or lines)


def _refuse_rounded(what: str, text: str) -> None:
    digits = codec.beyond_double(text)
    if digits:
        raise JqError(
            f"{what} holds the number {digits}, and jq computes with doubles, which count exactly to"
            f" ±{codec.MAX_SAFE_INTEGER} only; keep it as a string, or take a reducer in Python"
        )
