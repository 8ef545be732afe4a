"""How a crash test is done again: the line to be pasted into a shell."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from durproj.crashing.shrinking import Smallest
from durproj.events.reader import MAX_LINE

SECONDS = 60.0
"""How long a crash test may take unless it is said."""

SHORT = 5
"""Of so many lines at most, the log is a part of the record."""

LONG = 1000
"""An initial state of more characters is put into a file."""

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
            data = b"".join(Path(path).read_bytes() for path in events)
            lines = data.decode(errors="backslashreplace").split("\n")[:-1]
            record |= {"log": lines} if len(lines) <= SHORT else {}
        return record

    def _line(self, smallest: Smallest) -> str:
        options, plan = smallest.options, smallest.plan
        words = ["durproj", "crashtest", *map(quote, options["events"])]
        for name, flag in _FLAGS.items():
            if options[name] not in (None, _BY_DEFAULT.get(name)):
                text = str(options[name])
                long = name == "initial" and len(text) > LONG
                words += [flag, self._in_a_file(text) if long else quote(text)]
        for name, value in options["mapping"].items():
            if value is not None:
                words += [f"--{name}", quote(value)]
        for key in options["keys"] or ():
            words += ["--user", quote(key)]
        words += ["--strict-types"] if options["strict_types"] else []
        words += [] if self.mutation else ["--allow-mutation"]
        words += ["--seconds", f"{self.seconds:g}"] if self.seconds != SECONDS else []
        words += ["--seed", str(plan)] if plan else []
        return " ".join(words)

    def _in_a_file(self, initial: str) -> str:
        file = self.folder / "initial.json"
        file.write_text(initial)
        return f'"$(cat {quote(str(file))})"'
