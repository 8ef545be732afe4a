"""How a crash test is done again: the line to be pasted into a shell."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from durproj.crashing.shrinking import Smallest
from durproj.events.reader import MAX_LINE

SECONDS = 60.0
"""How long a crash test may take unless it is said."""

SHORT, MOST_BYTES = 5, 1 << 16
"""Of so many lines and bytes at most, the log is a part of the record."""

LONG = 1000
"""An initial state of more characters is put into a file, as is one that cannot be shown as it is."""

_FLAGS = {
    "reducer": "--reducer",
    "initial": "--initial",
    "no_key": "--no-key",
    "order": "--order",
    "dedupe": "--dedupe",
    "on_error": "--on-error",
    "on_bad_line": "--on-bad-line",
    "max_line": "--max-line",
}
_BY_DEFAULT = {"on_error": "stop", "on_bad_line": "stop", "max_line": MAX_LINE}


@dataclass(frozen=True)
class Again:
    """How a crash test is done again. folder: where logs and stores are; mutation: whether changes in place
    are looked for; seconds: how long it may take."""

    folder: Path
    mutation: bool
    seconds: float

    def record(self, smallest: Smallest) -> dict[str, Any]:
        """A record of the line to be pasted into a shell, and the log that it takes, if that is short."""
        kept = str(self.folder)
        record: dict[str, Any] = {
            "type": "reproduction", "reproduce": self._line(smallest), "kept": kept
        }  # fmt: skip
        events = smallest.options["events"]
        if all(self.folder in Path(path).parents for path in events):
            lines = _short(events)
            record |= {} if lines is None else {"log": lines}
        return record

    def _line(self, smallest: Smallest) -> str:
        options, plan = smallest.options, smallest.plan
        words = ["durproj", "crashtest", *map(_word, options["events"])]
        for name, flag in _FLAGS.items():
            if options[name] not in (None, _BY_DEFAULT.get(name)):
                text = str(options[name])
                aside = name == "initial" and (len(text) > LONG or not _shows(text))
                words += [flag, self._in_a_file(text) if aside else _word(text)]
        for name, value in options["mapping"].items():
            if value is not None:
                words += [f"--{name}", _word(value)]
        for key in options["keys"] or ():
            words += ["--user", _word(key)]
        words += ["--strict-types"] if options["strict_types"] else []
        words += [] if self.mutation else ["--allow-mutation"]
        words += ["--seconds", f"{self.seconds:g}"] if self.seconds != SECONDS else []
        words += ["--seed", str(plan)] if plan else []
        words += ["--durability", smallest.durability] if smallest.durability else []
        return " ".join(words)

    def _in_a_file(self, initial: str) -> str:
        file = self.folder / "initial.json"
        file.write_text(initial, encoding="utf-8")
        return f'"$(cat {_word(str(file))})"'


def _short(paths: Sequence[str]) -> list[str] | None:
    """The lines of a log, if they are few and text."""
    lines: list[bytes] = []
    left = MOST_BYTES
    for path in paths:
        with open(path, "rb") as file:
            data = file.read(left + 1)
        left -= len(data)
        lines += data.removesuffix(b"\n").split(b"\n") if data else []
    if left < 0 or len(lines) > SHORT:
        return None
    try:
        return [line.decode() for line in lines]
    except UnicodeDecodeError:
        return None


def _shows(text: str) -> bool:
    """Whether a terminal and a CI log show `text` as it is."""
    return text.isprintable() and "##[" not in text


def _word(text: str) -> str:
    """`text` as a shell reads it back, of characters that are shown as they are."""
    if _shows(text):
        return quote(text)
    characters = text.replace("\\", "\\\\").replace("'", "\\'").replace("##[", "#\\043[")
    return f"$'{''.join(map(_octal, characters))}'"


def _octal(character: str) -> str:
    if character.isprintable():
        return character
    return "".join(f"\\{byte:03o}" for byte in os.fsencode(character))
