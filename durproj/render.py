"""Records in, text out: the one door to Rich, and the only place that writes to the terminal.

Whatever comes from events, keys, states or errors passes `safe` (or JSON's escapes) on its way, so it
cannot move a cursor, set a title, reorder a line or speak to a CI runner.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Literal

from durproj import codec
from durproj.errors import DurprojError, Interrupted, OutputFailed

if TYPE_CHECKING:
    from rich.console import Console

Span = tuple[str, str]
"""Text and its style (a Rich style, or empty)."""

# C0, DEL, C1, line and paragraph separators, bidi and other invisible controls, tags (with which whole
# texts can be hidden), lone surrogates. Not the joiners U+200C and U+200D: emoji and whole scripts are
# written with them, and ids pasted back.
_ACTIVE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)


def safe(text: str) -> str:
    """`text` as one line that does nothing but show: control characters are written out."""
    return _ACTIVE.sub(_written_out, text).replace("##[", "#\\x23[")


def safe_json(text: str) -> str:
    """JSON text, on one line, that does nothing but show and is the same JSON."""
    # What is written out can stand in strings only, where its escape means the same.
    return _ACTIVE.sub(_escaped, text).replace("##[", "#\\u0023[")


def indented(value: object) -> list[str]:
    """The lines of a value as indented JSON, each safe to show."""
    return [safe_json(line) for line in codec.to_json(value, indent=True).split("\n")]


def described(error: dict[str, str]) -> str:
    """`Kind: message`, or the kind alone."""
    return f"{error['kind']}: {error['message']}" if error["message"] else error["kind"]


def _written_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    return (
        f"\\x{code:02x}"
        if code < 0x100
        else f"\\u{code:04x}"
        if code < 0x10000
        else f"\\U{code:08x}"
    )


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"


def _harmless(texts: list[str]) -> list[str]:
    """The parts of a line, made safe. GitHub's runner takes a line that begins with ::, after blanks,
    as a command, and older ones ##[ anywhere."""
    parts = [safe(text) for text in texts]
    if "".join(parts).lstrip().startswith("::"):
        first = next(index for index, text in enumerate(parts) if text.strip())
        parts[first] = parts[first].replace(":", "\\x3a", 1)
    return parts


def shortened(text: str, limit: int) -> str:
    """`text`, cut after `limit` characters."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


@dataclass(frozen=True)
class Style:
    """How a command prints: `--json`, `--stable`, `-q`, `-v`, `--color`."""

    json: bool = False
    stable: bool = False
    quiet: bool = False
    verbose: bool = False
    color: Literal["auto", "always", "never"] = "auto"


class Screen:
    """Standard output for results and standard error for everything else."""

    def __init__(self, style: Style) -> None:
        self.style = style
        # A reducer that prints must not mix into the results: sys.stdout may be standing for stderr.
        self._out, self._err = sys.__stdout__ or sys.stdout, sys.stderr
        for stream in (self._out, self._err):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        self._consoles: dict[int, Console] = {}

    def record(self, record: dict[str, Any]) -> None:
        """One line of `--json`; `timing` is left out with `--stable`."""
        if self.style.stable:
            record = {name: value for name, value in record.items() if name != "timing"}
        self._write(self._out, safe_json(codec.to_json(record)) + "\n")

    def line(self, *spans: Span) -> None:
        """One line of results for people."""
        self._print(self._out, spans)

    def document(self, value: object) -> None:
        """A value as indented JSON."""
        for line in indented(value):
            self.line((line, ""))

    def note(self, text: str, style: str = "") -> None:
        """Something said on the side, on standard error; `-q` silences it."""
        if not self.style.quiet:
            self._say(text, style)

    def warning(self, text: str) -> None:
        """A note that `-q` does not silence."""
        self._say(text, "")

    def plain_note(self, text: str) -> None:
        """A line on standard error without a name before it."""
        if not self.style.quiet:
            self._print(self._err, ((text, "yellow"),))

    def error(self, error: DurprojError) -> None:
        """What went wrong, and what to do."""
        self._say(error.message, "red")
        for line in error.hint.splitlines():
            self._print(self._err, ((f"  {line}", ""),))

    def flush(self) -> None:
        """Hand everything over. Raises Interrupted when nobody reads it, OutputFailed when it cannot
        be written."""
        try:
            self._out.flush()
        except OSError as error:
            self._broken(self._out, error)

    def settle(self) -> None:
        """Hand over what can be, and say nothing of the rest: an error has been reported already."""
        with suppress(DurprojError):
            self.flush()

    def columns(self) -> int | None:
        """How wide the terminal of the results is; None when they go elsewhere."""
        if not self._out.isatty():
            return None
        from shutil import get_terminal_size

        return get_terminal_size().columns

    def progress_stream(self) -> IO[str] | None:
        """Where a progress bar may be drawn: standard error, when it is a terminal and nobody minds."""
        return self._err if self._err.isatty() and not self.style.quiet and _animates() else None

    def console(self, stream: IO[str]) -> Console:
        """Rich's console on `stream`."""
        from rich.console import Console

        key = id(stream)
        if key not in self._consoles:
            color = self._colored(stream)
            self._consoles[key] = Console(
                file=stream,
                force_terminal=color or stream.isatty(),
                # Not left to Rich, which goes by TERM: whether to color has been decided here.
                color_system="standard" if color else None,
                no_color=not color,
                highlight=False,
                markup=False,
                emoji=False,
            )
        return self._consoles[key]

    def progress_bar(
        self, stream: IO[str], total: int | None, doing: str, what: str
    ) -> tuple[Any, Any]:
        """A progress bar on `stream`, begun, and its task: `update(task, completed, total)`, `stop()`.
        It reads: `doing` n/`total` `what`."""
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
        )

        columns = (
            TextColumn(doing),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(what),
            TimeElapsedColumn(),
        )
        progress = Progress(
            *columns, console=self.console(stream), auto_refresh=False, transient=True
        )
        task = progress.add_task("", total=total)
        progress.start()
        return progress, task

    def status_line(self, stream: IO[str]) -> Any:
        """A line at the bottom of `stream`, begun: `update(text, refresh=True)`, `stop()`."""
        from rich.live import Live

        line = Live(console=self.console(stream), auto_refresh=False, transient=True)
        line.start()
        return line

    def _say(self, text: str, style: str) -> None:
        first, *rest = text.split("\n")
        self._print(self._err, (("durproj: ", "bold"), (first, style)))
        for line in rest:
            self._print(self._err, ((f"  {line}", style),))

    def _print(self, stream: IO[str], spans: tuple[Span, ...]) -> None:
        texts = _harmless([text for text, _ in spans])
        if not self._colored(stream):
            self._write(stream, "".join(texts) + "\n")
            return
        from rich.text import Text

        console = self.console(stream)
        with console.capture() as capture:
            styles = (style for _, style in spans)
            console.print(Text.assemble(*zip(texts, styles, strict=True)), soft_wrap=True)
        self._write(stream, capture.get())

    def _colored(self, stream: IO[str]) -> bool:
        if self.style.color != "auto":
            return self.style.color == "always"
        if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
            return False
        if os.environ.get("FORCE_COLOR", "0") not in ("", "0"):
            return True
        return stream.isatty()

    def _write(self, stream: IO[str], text: str) -> None:
        try:
            stream.write(text)
        except OSError as error:
            self._broken(stream, error)

    def _broken(self, stream: IO[str], error: OSError) -> None:
        if stream is self._err:
            return  # nobody is listening; the work goes on
        # What is left in the buffer must not be tried again when Python exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if error.errno == errno.EPIPE:
            raise Interrupted(13) from None
        raise OutputFailed(f"standard output cannot be written: {error.strerror}") from None


def _animates() -> bool:
    return os.environ.get("TERM") != "dumb" and not os.environ.get("CI")


def step_line(
    step: int,
    type: str,
    *,
    cached: bool,
    skipped: bool,
    attempts: int,
    state: Any,
    summary: Callable[[Any], str] | None,
) -> tuple[Span, ...]:
    """A step that is done, as the original prints it."""
    mark = "  (cached)" if cached else f" (retry {attempts})" if attempts > 1 else ""
    if skipped:
        mark = "  (skipped, cached)" if cached else "  (skipped)"
    return (
        (f"  [event {step:02d}]  ", "dim" if cached else "bold"),
        (type, "dim" if cached else "cyan"),
        (mark, "dim" if cached else "yellow"),
        ("  →  ", "dim"),
        (in_short(state, summary), "dim" if cached else ""),
    )


def failed_line(step: int, type: str, why: str) -> tuple[Span, ...]:
    """A step's attempt that failed."""
    return ((f"  [event {step:02d}]  ", "bold"), (type, "cyan"), (f"  ✗  ({why})", "red"))


def in_short(state: Any, summary: Callable[[Any], str] | None) -> str:
    """A state in one line: as its reducer puts it, or as JSON."""
    if summary is not None:
        try:
            return shortened(str(summary(state)), 200)
        except Exception:  # noqa: S110  a summary is a nicety; a state of another shape has none
            pass
    return shortened(safe_json(codec.to_json(state)), 100)
