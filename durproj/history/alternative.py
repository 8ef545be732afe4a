"""Another course of a projection: its events, some of them replaced or dropped, folded anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from durproj import codec
from durproj.errors import PastChanged, StepFailed, Unstorable, UsageError
from durproj.events.envelope import Envelope, keyed
from durproj.events.formats.mapping import Mapping as Paths
from durproj.projections.reducer import Reducer, load
from durproj.runtime.attempts import step_failed
from durproj.runtime.guard import contrast
from durproj.runtime.retry import from_options
from durproj.runtime.steps import StepExecutor, Steps
from durproj.stores.journal import Journal
from durproj.stores.packing import BLOCK_STEPS, Records
from durproj.stores.stored import META, stored_record

FromJournal = tuple[bytes, bool]
"""The line of an event, and whether its step may be a skip: it is one in the journal."""


@dataclass(frozen=True)
class Course:
    """Which events of a projection's first `stop` steps are others: `lines` by their step (see
    `given_line`), and the steps in `dropped`, whose events never were. `begin`: the first step that
    comes out otherwise, `stop` if none does."""

    lines: Mapping[int, bytes]
    dropped: frozenset[int]
    begin: int
    stop: int

    def events(self, journal: Journal) -> Iterator[FromJournal]:
        """The events from step `begin` on."""
        for start, records in journal.blocks(self.begin):
            for step in range(max(start, self.begin), min(start + len(records), self.stop)):
                if step in self.lines:
                    yield self.lines[step], False
                elif step not in self.dropped:
                    record = records[step - start]
                    yield record.input, "skipped" in stored_record(record.meta, META)
            if start + len(records) >= self.stop:
                return


def given_line(step: int, event: Any, options: Mapping[str, Any], key: str) -> bytes:
    """The event for `step` of the stream `key`, a value or its JSON text, as one line of JSON.

    options: of the run. Raises UsageError unless the log could have that line, in this stream.
    """
    what = f"the event for step {step}"
    how = "it is to be a whole event, as the log has them: durproj inspect ID --step N shows one"
    try:
        text = event.encode() if isinstance(event, str) else codec.encode(event)
        # As deep as lines are, which is deeper than states.
        line = codec.to_json(codec.decode_exact(text)).encode()
        envelope = _envelope(options)
        found = envelope.examine(line, exact=True)
        if found is None:
            raise ValueError("it is none by the format of the log")
        name = keyed(found.key, options["no_key"]) if envelope.mapping.key else key
    except (Unstorable, codec.DecodeError, UnicodeEncodeError) as error:
        raise UsageError(f"{what} is not JSON: {error}", how) from None
    except ValueError as error:
        raise UsageError(f"{what} is no event: {error}", how) from None
    if key not in (name if type(name) is tuple else (name,)):
        theirs = codec.to_json(name)
        raise UsageError(f"{what} is of the key {theirs}, not {codec.to_json(key)}", how)
    return line


def recorded_reducer(id: str, options: Mapping[str, Any], base: Path, *, accept: bool) -> Reducer:
    """The reducer with which the workflow `id` was folded, paths being looked for in `base`. Raises
    UsageError when a program had it, PastChanged when it is another now, unless that is accepted."""
    if options.get("program"):
        raise UsageError(
            f"{id} was folded by a program, with its own {options['reducer']}",
            "say which reducer: --reducer",
        )
    reducer = load(options["reducer"], options["initial"], base)
    was = options["fingerprint"], options["initial_source"]
    now = reducer.fingerprint, reducer.initial_source
    if was != now and not accept:
        sides = contrast(options["reducer"], reducer.ref)
        recorded, present = (
            f"reducer {ref} ({code}), initial state {initial}"
            for ref, (code, initial) in zip(sides, (was, now), strict=True)
        )
        raise PastChanged(
            *(id, None, recorded, present),
            "fold with it as it is now: --accept-reducer\nor with another: --reducer",
        )
    return reducer


class AlternativeFold:
    """Takes a state over the events of a course, for the new workflow `id`. key: of the events; options:
    of the run, by whose retry policy a step is tried again, without waiting.

    An event of which the step fails is skipped where the journal has a skip or the run was to skip such
    events. skipped: how many were.
    """

    def __init__(self, id: str, key: str, reducer: Reducer, options: Mapping[str, Any]) -> None:
        self.skipped = 0
        self._id, self._key = id, key
        strict = options.get("strict_types", False)
        policy = from_options(options["retry"])
        self._executor = StepExecutor(reducer, _envelope(options), policy, strict_types=strict)
        self._skips = options.get("on_error") == "skip"

    def run(self, into: Journal, before: bytes, events: Iterator[FromJournal]) -> None:
        """Record a step for each of `events` in `into`; `before` is the state that the first is given.
        Raises StepFailed."""
        steps, done = Steps(self._executor, self._key, before), Records()
        for line, skippable in events:
            meta, error = self._executor.meta, steps.take(line)
            if error is not None:
                if not (skippable or self._skips):
                    raise self._failed(into.steps + len(done), error, line) from error
                self.skipped += 1
                meta = self._executor.skip_meta(error)
            done.extend(Records([meta], [line], [steps.state]))
            if len(done) == BLOCK_STEPS:
                into.append(into.steps, done)
                done = Records()
        if done:
            into.append(into.steps, done)

    def _failed(self, step: int, error: BaseException, line: bytes) -> StepFailed:
        failed = step_failed(self._id, step, error, self._executor.event(line, self._key))
        failed.hint += "\nnothing was forked"
        return failed


def _envelope(options: Mapping[str, Any]) -> Envelope:
    return Envelope(Paths.from_dict(options["mapping"]))
