"""Executing the steps of a projection again: with the run's own reducer as it is today, without a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from durproj import codec
from durproj.errors import UsageError
from durproj.events.envelope import Envelope
from durproj.events.event import Event
from durproj.events.formats.mapping import Mapping
from durproj.projections.reducer import Reducer
from durproj.runtime.attempts import FAILURES
from durproj.runtime.known import applied
from durproj.runtime.recording import refuse_none
from durproj.runtime.request import Request
from durproj.stores.base import Run


class Unverifiable(Exception):
    """What cannot be verified, and why."""


class Folding:
    """How `run` folds its streams. `base`: the store's folder, from which paths count; `reducer`: a
    program's, where it is not to be loaded by its name.

    request: what the run stands for; envelope: how it reads lines, as was found when it began. Raises
    Unverifiable when its reducer cannot be had.
    """

    def __init__(self, run: Run, base: Path, reducer: Reducer | None = None) -> None:
        options = run.options
        if options.get("kind") != "fold":
            what = f"a program's workflow ({options.get('workflow')}): only that program can execute its steps"
            raise Unverifiable(what)
        if options.get("program") and reducer is None:
            what = f"its reducer {options['reducer']} is a program's: there, durproj.verify(reducer=…) can"
            raise Unverifiable(what)
        try:
            self.request = Request.from_run(run, base, reducer=reducer)
        except UsageError as error:
            raise Unverifiable(f"its reducer cannot be loaded: {error.message}") from None
        self.options = options
        self.envelope = Envelope(Mapping.from_dict(options["mapping"]))
        loaded = self.request.reducer
        self.reduce = applied(loaded, strict=self.request.strict_types)
        self.settle = codec.settle_plain if loaded.plain else codec.settle

    @property
    def changed(self) -> bool:
        """Whether the reducer's code, or its initial state, is another than when the run was made."""
        loaded, options = self.request.reducer, self.options
        recorded = options["fingerprint"], options["initial_source"]
        return recorded != (loaded.fingerprint, loaded.initial_source)

    def initial(self, key: str) -> bytes:
        """The initial state of the stream `key`. Raises Unverifiable when there is none."""
        try:
            return codec.encode(self.request.reducer.initial(key))
        except UsageError as error:
            raise Unverifiable(error.message) from None

    def event(self, line: bytes, key: str) -> Event:
        """The event on `line`, which no other step has touched."""
        return self.envelope.event(codec.decode(line), line, key)

    def execute(
        self, before: bytes, line: bytes, key: str, error: BaseException | None = None
    ) -> tuple[bytes, Any] | BaseException:
        """The state after the event on `line`, given the state `before`, encoded and as a value; what
        the step failed with, when the run's policy gives up. It does not wait between attempts. error: an
        attempt has failed already, with this."""
        failures = 0
        while True:
            if error is not None:
                failures += 1
                if self.request.retry.wait_s(failures, error) is None:
                    return error
            try:
                state = codec.decode(before)
                value = self.reduce(state, self.event(line, key))
                if value is None:
                    refuse_none(state)
                return codec.settle(value)
            except FAILURES as raised:
                error = raised
