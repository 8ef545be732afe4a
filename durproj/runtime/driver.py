"""The driver: a pure machine that advances a generator. Journal and outcomes go in, commands come out.

It answers finished steps itself, from the journal, and returns `Execute` at the first step that the
journal does not hold. It never calls a step, reads a clock or touches a store.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any

from durproj import codec
from durproj.errors import PastChanged, StepFailed, UsageError
from durproj.projections.fingerprint import fingerprint
from durproj.runtime.arguments import step_input
from durproj.runtime.guard import difference
from durproj.runtime.recording import step_meta
from durproj.runtime.workflow import ApplyEvent, Step
from durproj.stores.packing import Record
from durproj.stores.stored import CAUSE, META, stored_record, stored_value


@dataclass(frozen=True)
class Execute:
    """Run this step, which is number `index`, and send what came of it."""

    index: int
    step: Step[Any]
    meta: bytes
    input: bytes


@dataclass(frozen=True)
class Finish:
    """The workflow returned `result`, or raised `error`."""

    result: Any = None
    error: Exception | None = None


@dataclass(frozen=True)
class Ok:
    """A step returned this value, as it comes back from storage."""

    value: Any


@dataclass(frozen=True)
class Failed:
    """A step failed for good."""

    kind: str
    message: str


Outcome = Ok | Failed
Command = Execute | Finish

NEW_CODE = (
    "its code changed since, or it reads a clock, a random number or the outside world outside ctx.run()\n"
    "undo the change, keep the steps before it with durproj rewind, or use another id"
)


class Driver:
    """Advances `generator`, the workflow `id`, over `journal`. `accept_functions`: serve a cached step
    although its function's code has changed."""

    def __init__(
        self,
        id: str,
        generator: Generator[Step[Any], Any, Any],
        journal: Iterable[Record],
        *,
        accept_functions: bool = False,
    ) -> None:
        self._id = id
        self._generator = generator
        self._journal = iter(journal)
        self._accept = accept_functions
        self._fingerprints: dict[int, tuple[Any, str]] = {}
        self._index = -1
        self.cached = 0

    def start(self) -> Command:
        """Enter the generator from the top."""
        return self._advance(None)

    def send(self, outcome: Outcome) -> Command:
        """Go on after an executed step."""
        return self._advance(outcome)

    def _advance(self, outcome: Outcome | None) -> Command:
        while True:
            try:
                step = self._resume(outcome)
            except StopIteration as stop:
                return self._finish(Finish(result=stop.value))
            except Exception as error:
                return self._finish(Finish(error=error))
            self._index += 1
            if not isinstance(step, Step):
                raise UsageError(
                    f"{self._id}#{self._index}: the workflow yielded {type(step).__name__}, not a step",
                    "write: yield ctx.run(function, …)",
                )
            meta, input = self._meta(step), step_input(step)
            record = next(self._journal, None)
            if record is None:
                return Execute(self._index, step, meta, input)
            outcome = self._cached(record, step, meta, input)
            self.cached += 1

    def _resume(self, outcome: Outcome | None) -> Any:
        if isinstance(outcome, Failed):
            return self._generator.throw(
                StepFailed(self._id, self._index, outcome.kind, outcome.message)
            )
        return self._generator.send(outcome.value if outcome else None)

    def _finish(self, finish: Finish) -> Finish:
        left = next(self._journal, None)
        if left is not None:
            name = stored_record(left.meta, META)["fn"]
            raise PastChanged(
                self._id,
                self._index + 1,
                f"a step {name!r}",
                "the workflow ended before it",
                NEW_CODE,
            ) from finish.error
        return finish

    def _cached(self, record: Record, step: Step[Any], meta: bytes, input: bytes) -> Outcome:
        """The recorded outcome, provided that it was recorded for this very step."""
        # What it would be recorded as now says that it is the same function, and that it did not fail.
        failed = record.meta != meta and self._is_failed(record.meta, step, meta)
        if record.input != input:
            raise PastChanged(self._id, self._index, *difference(record.input, input), NEW_CODE)
        if failed:
            cause = stored_record(record.output, CAUSE)
            return Failed(cause["kind"], cause["message"])
        return Ok(stored_value(record.output))

    def _is_failed(self, recorded: bytes, step: Step[Any], meta: bytes) -> bool:
        """Whether the recorded step failed. Raises PastChanged when it was one of another function."""
        was, now = stored_record(recorded, META), codec.decode(meta)
        if was["fn"] != step.name:
            raise PastChanged(
                self._id, self._index, f"a step {was['fn']!r}", f"a step {step.name!r}", NEW_CODE
            )
        if was["by"] != now["by"] and not self._accept:
            raise PastChanged(
                self._id,
                self._index,
                f"{step.name} as {was['by']}",
                f"{step.name} as {now['by']}",
                NEW_CODE,
            )
        return bool(was.get("failed"))

    def _meta(self, step: Step[Any]) -> bytes:
        fn = step.fn
        if isinstance(fn, ApplyEvent):
            return step_meta(step.name, fn.fingerprint)
        # By identity, with the function kept alive: not every callable can be hashed.
        known = self._fingerprints.get(id(fn))
        if known is None:
            known = self._fingerprints[id(fn)] = (fn, fingerprint(fn))
        return step_meta(step.name, known[1])
