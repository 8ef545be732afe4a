"""Shell completion of ids, steps, keys and names, from the store that the command line would use.

Completion must never fail or wait: any trouble is an empty list. And it must never run anything: shells
put what is offered on the command line as it is, unquoted, and bash looks for files named like it first.
So only what means itself there is offered.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from durproj.stores.base import Store

ASKED = "_DURPROJ_COMPLETE"
"""The environment variable by which the shell's part asks, as Typer names it."""

MOST = 200
MOST_STEPS = 50

_MEANS_ITSELF = re.compile(r"[A-Za-z0-9_/.\x80-\U0010ffff][A-Za-z0-9_/.\x80-\U0010ffff@:=+%#-]*")
_BREAKS = re.compile("[@:=]+")


def complete_id(ctx: Any, incomplete: str) -> list[str]:
    """Ids that begin with `incomplete`."""
    return _found(ctx, incomplete, _ids)


def complete_step(ctx: Any, incomplete: str) -> list[str]:
    """Ids that begin with `incomplete`; after `ID#`, the newest MOST_STEPS steps of it."""
    id, mark, digits = incomplete.partition("#")
    if not mark:
        return complete_id(ctx, incomplete)

    def steps(store: Store) -> Iterator[str]:
        from durproj.stores.journal import Journal

        journal = Journal.open(store, id)
        if journal is not None:
            numbers = _newest(journal.head.dropped, journal.steps, digits)
            yield from (f"{id}#{number}" for number in islice(numbers, MOST_STEPS))

    return _found(ctx, incomplete, steps)


def complete_key(ctx: Any, incomplete: str) -> list[str]:
    """Keys that begin with `incomplete`."""
    return _found(ctx, incomplete, lambda store: (head.key for head in store.heads()))


def complete_name(ctx: Any, incomplete: str) -> list[str]:
    """Names of workflows that begin with `incomplete`."""
    return _found(ctx, incomplete, _names)


def complete_name_or_id(ctx: Any, incomplete: str) -> list[str]:
    """Names and ids of workflows that begin with `incomplete`."""
    return _found(ctx, incomplete, lambda store: chain(_names(store), _ids(store)))


@contextmanager
def answering() -> Iterator[None]:
    """While Typer answers a shell: bash, which breaks words at @, : and =, is understood and answered so.

    Bash gives the pieces of what was typed, and puts an answer in the place of the last one only.
    """
    piece = _Piece.of_bash() if os.environ.get(ASKED) == "complete_bash" else None
    if piece is None:
        yield
        return
    answer = StringIO()
    try:
        with redirect_stdout(answer):
            yield
    finally:
        lines = (f"{piece.option}{line}" for line in answer.getvalue().split("\n") if line)
        begin = len(piece.before)
        fitting = [line[begin:] for line in lines if line.startswith(piece.before)]
        sys.stdout.write("".join(f"{line}\n" for line in fitting))


class _Piece:
    """The piece of a word that bash completes. before: what the word has before it; option: `--name=` of
    a word of that form, which Typer's answers have not."""

    def __init__(self, word: str, piece: str) -> None:
        self.before = word.removesuffix(piece)
        name, equals, _ = word.partition("=")
        self.option = name + equals if equals and name.startswith("--") else ""

    @classmethod
    def of_bash(cls) -> _Piece | None:
        """The one on the command line that bash tells of, whose words are put together for Typer."""
        pieces = os.environ.get("COMP_WORDS", "").split("\n")
        try:
            pieces = pieces[: int(os.environ.get("COMP_CWORD", "")) + 1]
        except ValueError:
            return None
        words: list[str] = []
        for number, piece in enumerate(pieces):
            around = piece, pieces[number - 1]
            if words and piece and any(map(_BREAKS.fullmatch, around)):
                words[-1] += piece
            else:
                words.append(piece)
        os.environ.update(COMP_WORDS="\n".join(words), COMP_CWORD=str(len(words) - 1))
        *_, before, last = ["", *pieces]
        if _BREAKS.fullmatch(last):
            before, last = last, ""
        # An @ is of one piece with what follows it, as the beginning of a host's name.
        at = "@" if before.endswith("@") and words[-1].endswith(f"@{last}") else ""
        return cls(words[-1], at + last)


def _found(ctx: Any, begin: str, search: Callable[[Store], Iterable[str]]) -> list[str]:
    """What `search` finds that begins so and is safe to offer: MOST of it, each once."""
    try:
        from durproj.cli.options import store_path
        from durproj.stores.sqlite import SqliteStore

        named = (ctx.params or {}).get("store") or os.environ.get("DURPROJ_STORE")
        store = SqliteStore.open_reader(store_path(named or "durproj.db"))
        try:
            found: dict[str, None] = {}
            for text in search(store):
                if text.startswith(begin) and _MEANS_ITSELF.fullmatch(text) and text.isprintable():
                    found[text] = None
                    if len(found) == MOST:
                        break
            return list(found)
        finally:
            store.close()
    except Exception:
        return []


def _ids(store: Store) -> Iterator[str]:
    return (head.id for head in store.heads())


def _names(store: Store) -> Iterator[str]:
    return (run.name for run in store.runs())


def _newest(first: int, stop: int, digits: str) -> Iterator[int]:
    """The steps from `first` up to `stop` whose numbers begin with these digits, the newest first."""
    if not digits:
        yield from reversed(range(first, stop))
    elif digits.isascii() and digits.isdigit():
        for more in reversed(range(len(str(stop)) - len(digits) + 1)):
            low = int(digits) * 10**more
            if more == 0 or low:
                yield from reversed(range(max(low, first), min(low + 10**more, stop)))
