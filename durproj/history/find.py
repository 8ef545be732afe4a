"""Finding the steps at which a condition holds: the first one, the newest one, or all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from durproj.errors import UsageError
from durproj.events.event import Event
from durproj.history.changes import changes
from durproj.history.expressions import Condition, Unevaluable
from durproj.history.folds import Folds
from durproj.history.paths import ABSENT
from durproj.history.reading import reading
from durproj.history.timeline import Checkpoint, Timeline
from durproj.stores.base import Store

Which = Literal["first", "last", "all"]

_EVENT = ("key", "type", "id", "time", "data", "body")


class Search(Iterator[dict[str, Any]]):
    """The steps that were asked for, one record each, and, as they are taken, the tallies:

    workflows: how many were looked into; found: in how many of them the condition holds somewhere;
    matches: the records so far; read: how many checkpoints were looked at; failed: at how many of them
    the condition could not be evaluated for another reason than a missing field, `reason` being the
    last one, with its step; aside: what is to be known of the last answer of a bisection, if anything.
    """

    def __init__(
        self,
        where: tuple[str | Path | Store, str | None, str | None],
        condition: Condition,
        which: Which,
        *,
        bisect: bool,
        limit: int | None,
    ) -> None:
        self.workflows = self.found = self.matches = self.read = self.failed = 0
        self.reason = self.aside = ""
        self._evaluated = 0
        self._where = where
        self._condition = condition
        self._which, self._bisects, self._limit = which, bisect, limit
        self._records = self._search()
        self._known: tuple[bytes, bool] | None = None

    def __next__(self) -> dict[str, Any]:
        return next(self._records)

    def _search(self) -> Iterator[dict[str, Any]]:
        store, id, name = self._where
        with reading(store, *([] if id is None else [id])) as opened:
            chosen = _chosen(Folds(opened), id, name)
            while (found := self._next(opened, chosen)) is not None:
                self.workflows += 1
                before = self.matches
                for record in found:
                    self.matches += 1
                    yield record
                    if self.matches == self._limit:
                        break
                self.found += self.matches > before
                if self.matches == self._limit:
                    break
        if self.read and not self._evaluated:
            raise UsageError(
                f"the condition could be evaluated at none of {self.read:,} steps: {self.reason}",
                "durproj inspect shows what is in a state; a field that comes later: has(state.name)",
            )

    def _next(self, store: Store, chosen: Iterator[Timeline]) -> Iterable[dict[str, Any]] | None:
        """The records of the next history; None when there is none."""
        if not self._bisects:
            timeline = next(chosen, None)
            return None if timeline is None else self._in_one(timeline)
        # At one instant: what is read here and there has to be of one history.
        with store.snapshot():
            timeline = next(chosen, None)
            return None if timeline is None else list(self._bisect(timeline))

    def _in_one(self, timeline: Timeline) -> Iterator[dict[str, Any]]:
        self._known = None
        if self._which == "last":
            for point in timeline.backward():
                if self._holds(timeline, point):
                    before = point.step - 1
                    held = before >= timeline.first and self._holds(timeline, timeline.at(before))
                    yield _record(timeline, point, held=held)
                    return
        else:
            held = False
            for point in timeline.forward():
                holds = self._holds(timeline, point)
                if holds:
                    yield _record(timeline, point, held=held)
                    if self._which == "first":
                        return
                held = holds

    def _bisect(self, timeline: Timeline) -> Iterator[dict[str, Any]]:
        """The first step at which the condition holds, if it holds at each step after that."""
        self.aside, self._known = "", None
        low, high = timeline.first, timeline.steps - 1
        if high < low:
            return
        before = self.read
        point = timeline.at(low)
        if self._holds(timeline, point):
            kept = " that is kept" if low else ""
            self.aside = f"it holds at the first step{kept} already, {low:,}"
            high = low
        elif not self._holds(timeline, timeline.at(high)):
            self.aside = (
                f"it does not hold at the last step, {high:,}; whether it did before that a bisection does"
                " not see: without --bisect every step is looked at"
            )
            return
        while high - low > 1:
            middle = (low + high) // 2
            if self._holds(timeline, timeline.at(middle)):
                high = middle
            else:
                low = middle
        record = _record(timeline, timeline.at(high), held=False)
        yield record | {"read": self.read - before}

    def _holds(self, timeline: Timeline, point: Checkpoint) -> bool:
        self.read += 1
        uses = self._condition.uses
        output = point.record.output if len(uses) == 1 and "state" in uses else None
        if self._known is not None and output == self._known[0]:
            return self._known[1]
        try:
            answer = self._condition.holds(_given(point, uses))
            self._evaluated += 1
        except Unevaluable as error:
            answer = False
            if not error.missing:
                self.failed += 1
            if not error.missing or not self.failed:
                self.reason = f"{timeline.id}#{point.step}: {error}"
        # What depends on the state alone is the same for the same state.
        self._known = None if output is None else (output, answer)
        return answer


def find(
    id: str | None,
    condition: str,
    *,
    which: Which = "first",
    bisect: bool = False,
    name: str | None = None,
    limit: int | None = None,
    store: str | Path | Store = "durproj.db",
) -> Search:
    """The steps at which `condition` holds: records as `durproj find --json` prints them, as they are
    found.

    condition: in CEL, over `state` (after the step), `event` (key, type, id, time, data, body: the whole
    line) and `step` (its number). Where it cannot be evaluated, a field being missing, say, it does not hold.
    which: the first such step, the newest (`last`), or `all`, of the workflow `id`; None: of each projection
    of the store, or of those of `name`. bisect: find the first one among few, halving; right only
    when what became true stays true. limit: at most so many records. A record's `became` tells whether it
    did not hold at the step before; None: that is not kept. `changes` are None where the state before is
    not known.

    Raises UsageError for a condition that cannot be read, gives no true or false or could be evaluated
    nowhere; NotFound, StoreError, StoreDamaged.
    """
    if bisect and which != "first":
        raise UsageError(
            f"--bisect finds the first step, and --{which} asks for others", "give one of them"
        )
    return Search((store, id, name), Condition(condition), which, bisect=bisect, limit=limit)


def _given(point: Checkpoint, uses: dict[str, frozenset[str] | None]) -> dict[str, Any]:
    """The values of the variables, but for what the condition does not ask for."""
    given: dict[str, Any] = {}
    if "step" in uses:
        given["step"] = point.step
    if "state" in uses:
        state, fields = point.state, uses["state"]
        if fields is not None and type(state) is dict:
            state = {name: state[name] for name in fields if name in state}
        given["state"] = state
    if "event" in uses:
        assert point.event is not None
        given["event"] = _fields(point.event, uses["event"])
    return given


def _fields(event: Event, names: frozenset[str] | None) -> dict[str, Any]:
    return {name: getattr(event, name) for name in _EVENT if names is None or name in names}


def _chosen(folds: Folds, id: str | None, name: str | None) -> Iterator[Timeline]:
    if id is not None:
        yield folds.one(id)
        return
    for member in folds.members(*([] if name is None else [name])):
        if timeline := folds.open(member):
            yield timeline


def _record(timeline: Timeline, point: Checkpoint, *, held: bool) -> dict[str, Any]:
    """held: whether the condition held at the step before, if that is kept."""
    before = timeline.state_before(point.step)
    is_oldest = 0 < point.step == timeline.first
    return {
        "type": "match",
        "id": timeline.id,
        "step": point.step,
        "became": None if is_oldest else not held,
        "event": point.record_of_event(),
        **({"skipped": point.meta["skipped"]} if "skipped" in point.meta else {}),
        "changes": None
        if before is ABSENT
        else [each.record() for each in changes(before, point.state)],
        "state": point.state,
        **timeline.kept_from,
    }
