"""Executing the steps of a projection again: with the run's own reducer as it is today, without a store."""

from __future__ import annotations

from pathlib import Path

from durproj import codec
from durproj.errors import UsageError
from durproj.events.envelope import Envelope
from durproj.events.formats.mapping import Mapping
from durproj.projections.reducer import Reducer
from durproj.runtime.request import Request
from durproj.runtime.steps import StepExecutor
from durproj.stores.base import Run
from durproj.stores.stored import META, stored_record


class Unverifiable(Exception):
    """What cannot be verified, and why."""


class Folding:
    """How `run` folds its streams. `base`: the store's folder, from which paths count; `reducer`: a
    program's, where it is not to be loaded by its name.

    request: what the run stands for; envelope: how it reads lines, as was found when it began; executor:
    of its steps. Raises Unverifiable when its reducer cannot be had.
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
        request = self.request
        self.executor = StepExecutor(
            *(request.reducer, self.envelope, request.retry), strict_types=request.strict_types
        )

    def initial(self, key: str) -> bytes:
        """The initial state of the stream `key`. Raises Unverifiable when there is none."""
        try:
            return codec.encode(self.request.reducer.initial(key))
        except UsageError as error:
            raise Unverifiable(error.message) from None

    def why_other(self, meta: bytes) -> str:
        """Why a step of this `meta` may give another state now than it gave then."""
        if stored_record(meta, META)["by"] != self.executor.by:
            return "made with another version of the reducer"
        if self.options["initial_source"] != self.request.reducer.initial_source:
            return "the initial state has changed since"
        return "the reducer has not changed: what it calls has, or it is not deterministic"
