"""The streams of a run from its log once more."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from durproj.errors import BadEvent, NotFound, StoreDenied, StoreError, UsageError
from durproj.events.event import Event
from durproj.events.formats.mapping import Layers
from durproj.events.inputs import expand
from durproj.events.log import Index
from durproj.events.reader import Source
from durproj.runtime.intake import Intake
from durproj.runtime.request import FORK, opened_path
from durproj.stores.base import Run
from durproj.verification.folding import Folding, Unverifiable


class Unreadable(Exception):
    """Why a log cannot be read again."""


class Stream:
    """A stream of which nothing is proven: all of its events are to come."""

    proven = 0

    def __init__(self, id: str, key: str) -> None:
        self.id, self.key = id, key

    def inputs(self, first: int) -> Iterator[bytes]:  # noqa: ARG002  as the intake asks
        """It has none."""
        return iter(())


class LogStreams:
    """The log of a run, read again and filed by key: of `keys` alone, unless that is None. Close
    it, or use it in `with`.

    Raises Unreadable when it cannot be read a second time or is gone, Unverifiable when it can be, but
    not what the streams are.
    """

    def __init__(
        self,
        run: Run,
        folding: Folding,
        base: Path,
        keys: frozenset[str] | None,
        check: Callable[[], None],
    ) -> None:
        request, envelope = folding.request, folding.envelope
        container = Layers.parse(envelope.mapping.format).container
        source = _source(run, base, request.max_line, container)
        # A line without a place for a key belongs to the one stream that the run has.
        whole = next(iter(keys or ("",))) if envelope.mapping.key is None else None
        mapping = replace(request.mapping, seq=None)  # nobody asks for gaps
        self._intake = Intake(replace(request, mapping=mapping), envelope, None, check)
        with ExitStack() as opened:
            spool = opened.enter_context(TemporaryDirectory(prefix="durproj-"))
            try:
                index = Index.build(
                    *(source, envelope, None if whole is not None else keys, None),
                    *(request.no_key, spool, check),
                    places=self._intake.asked,
                    whole=whole,
                    left_out=self._intake.left_out,
                )
            except (NotFound, StoreDenied, UsageError) as error:
                raise Unreadable(error.message) from None
            self._index = opened.enter_context(index)
            if index.error and self._intake.ordered:
                raise Unverifiable(f"the log: {index.error.message}")
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the log."""
        self._opened.close()

    @property
    def keys(self) -> Collection[str]:
        """The keys of the streams, in the order in which they come."""
        return self._index.keys

    def events(self, id: str, key: str) -> Iterator[tuple[bytes, Event]]:
        """The events of the stream `key`, each with its line. Raises BadEvent at what is none, after those
        before it, and Unverifiable when the log changes meanwhile."""
        try:
            for lines, events in self._intake.batches(self._index, key, Stream(id, key)):
                yield from zip(lines, events, strict=True)
        except BadEvent:
            raise
        except StoreError as error:
            raise Unverifiable(error.message) from None
        if self._index.error:
            raise self._index.error


def _source(run: Run, base: Path, max_line: int, container: str | None) -> Source:
    """The inputs of `run`, if they can be read again as they were."""
    options = run.options
    if FORK in options:
        raise Unreadable("they are those of a fork, which no log has")
    if "-" in options["inputs"] or options.get("continues"):
        raise Unreadable("its events came through a pipe")
    if (run.cursor or {}).get("origin"):
        raise Unreadable("its log has been rotated")
    try:
        source = Source(
            expand([opened_path(path, base) for path in options["inputs"]]),
            max_line,
            container=container,
        )
        if not source.restartable:
            raise Unreadable("its events came through a pipe")
    except (NotFound, StoreDenied, UsageError, StoreError) as error:
        raise Unreadable(error.message) from None
    return source
