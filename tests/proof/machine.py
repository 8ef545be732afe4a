"""Everything that can happen to a store, in any order, beside a dictionary that says what it then holds."""

from __future__ import annotations

import functools
import gzip
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch

from dying import Died, dying, tables
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant

import durproj
from durproj.events.reader import Source
from durproj.history import alternative
from durproj.runtime import fold, setup, stream
from durproj.stores import block, journal, packing, sealed
from durproj.stores.journal import Journal
from durproj.stores.sqlite import SqliteStore
from proof.ledger import BAD, BLOCK, BROKEN, Event, Stream, chained, line, log_of, moody, of_key

KEYS = ("u1", "u/2", "ü 3")
PAYLOADS = (
    *(None, True, 0, -0.0, 0.1, 1.0, 1e16, 1e300, 2**63 - 1, -(2**63), "", [], {}),
    *("é\u2028\u202e\x1b[31m", [1, [2.0, {"": None}]], {"b": 1, "a": [0.5]}, "x" * 300),
)
EVENTS = st.lists(
    st.tuples(st.sampled_from(KEYS), st.sampled_from([1, 2, 3, BAD]), st.sampled_from(PAYLOADS)),
    min_size=1, max_size=8,
)  # fmt: skip
POINTS = st.one_of(st.none(), st.none(), st.integers(0, 60))
DURABILITIES = st.sampled_from(["step", "batch", "fsync"])
ON_ERROR = st.sampled_from(["stop", "park", "skip"])
NAME = "projection"


def small_parts() -> ExitStack:
    """Let blocks, chunks and the strides of the cursor be so small that short logs have many of them."""
    stack = ExitStack()
    for module in (packing, block, sealed, stream, alternative):
        stack.enter_context(patch.object(module, "BLOCK_STEPS", BLOCK))
    stack.enter_context(patch.object(journal, "PACK_MIN", 3))
    stack.enter_context(patch.object(fold, "CURSOR_LINES", 3))
    stack.enter_context(patch.object(setup, "Source", functools.partial(Source, block=64)))
    return stack


class Machine(RuleBasedStateMachine):
    """A log, a store, everything that can happen to them, and in `streams` what has come of it."""

    folder = Path(tempfile.gettempdir())
    done: ClassVar[list[int]] = [0]

    def __init__(self) -> None:
        super().__init__()
        self.stack = small_parts()
        place = self.stack.enter_context(tempfile.TemporaryDirectory(dir=self.folder))
        self.log, self.store = Path(place, "log.jsonl"), Path(place, "s.db")
        self.events: list[Event] = []
        self.blanks, self.zipped = 0, False
        self.streams: dict[str, Stream] = {}
        # Names that others have taken the place of, and those of them that go on all the same.
        self.replaced: set[str] = set()
        self.used_again: set[str] = set()
        self.made = 0
        # What a fold was asked for that died, while nothing else has happened.
        self.interrupted: tuple[list[str] | None, str] | None = None

    def teardown(self) -> None:
        BROKEN.clear()
        self.stack.close()

    # -- what rules share

    def write(self, end: bytes = b"\n") -> None:
        text = b"\n" * self.blanks + log_of(self.events, end)
        self.log.write_bytes(gzip.compress(text, mtime=0) if self.zipped else text)

    def new(self, what: str) -> str:
        """A name that was not there before."""
        self.made += 1
        return f"{what}{self.made}"

    def set_broken(self, broken: bool) -> None:
        BROKEN.clear()
        BROKEN.update({BAD} if broken else ())

    def keys(self) -> list[str]:
        return sorted({event[0] for event in self.events})

    def fed(self, name: str, keys: list[str] | None, on_error: str) -> dict[str, Stream]:
        """What a fold that is left alone makes of all streams."""
        target = dict(self.streams)
        for key in keys or self.keys():
            id = f"{name}/{key}"
            stood = self.streams.get(id, Stream(id))
            target[id] = stood.fed(of_key(self.events, key), on_error)
        return target

    def fold(self, **options: Any) -> Any:
        options = {"reducer": moody, "store": self.store, **options}
        return durproj.fold(self.log, **options)

    def do(
        self,
        at: int | None,
        act: Callable[[], Any],
        target: dict[str, Stream],
        *,
        whole: bool = False,
    ) -> Any:
        """Do `act`, which leads to `target` if it does not die at point `at`; None if it dies. whole: it is
        one transaction."""
        self.interrupted = None
        with dying(at):
            try:
                done = act()
            except Died:
                self.adopt(target, whole=whole)
                return None
        self.streams = {id: replace(each, anew=False) for id, each in target.items()}
        return done

    def adopt(self, target: dict[str, Stream], *, whole: bool = False, loose: bool = False) -> None:
        """A command did not come to its end: take what is there, provided that it is something between what
        was there and `target`. whole: one of the two; loose: how it went on after what was there, and with
        which failures, is not known, but for the events."""
        found = self.found()
        if whole:
            steps = {id: there["steps"] for id, there in found.items()}
            ends = [each for each in (self.streams, target) if steps == _steps(each)]
            assert ends, "half of it is done"
            target = self.streams = ends[0]
        adopted = {}
        for id in self.streams.keys() | target.keys():
            both = [each[id] for each in (self.streams, target) if id in each]
            if id in found:
                adopted[id] = _between(id, both, found[id], loose=loose)
            else:
                assert id not in self.streams or (both[1:2] and both[1].anew), f"{id} is gone"
        self.streams = adopted

    def found(self) -> dict[str, dict[str, Any]]:
        """What the store says of its workflows. Every hash is verified."""
        if not self.store.exists():
            return {}
        with closing(SqliteStore.open_reader(self.store)) as opened:
            return {
                head.id: {
                    "status": head.status, "steps": there.steps, "dropped": head.dropped,
                    "head": head, "hash": head.hash if head.steps == there.steps else None,
                    "records": [record for _, part in there.blocks() for record in part],
                    "output": there.last_output(),
                }
                for head in opened.heads()
                for there in [Journal(opened, head)]
            }  # fmt: skip

    @invariant()
    def the_store_is_as_the_dictionary_says(self) -> None:
        """Heads, records, states, hashes and what is printed of them."""
        self.done[0] += 1
        found = self.found()
        assert found.keys() == self.streams.keys()
        for id, each in self.streams.items():
            there = found[id]
            stands = (there["status"], there["steps"], there["dropped"])
            assert stands == (each.status, len(each), each.dropped), id
            _compare(id, each, there)
        if found:
            self.records_and_verify()

    def records_and_verify(self) -> None:
        """The records of the commands, and `verify`."""
        shown = {record["id"]: record for record in durproj.workflows(store=self.store)}
        for id, each in self.streams.items():
            kept = {"kept_from": each.dropped} if each.dropped else {}
            assert shown.pop(id) == {
                "type": "workflow", "id": id, "status": each.status, "steps": len(each), **kept
            }  # fmt: skip
            state = each.states()[-1] if each.events else None
            assert _text(durproj.inspect(id, store=self.store)["state"]) == _text(state)
        assert not shown
        *records, summary = durproj.verify(store=self.store)
        assert {record["status"] for record in records} <= {"ok"}, records
        assert summary["exit"] == 0

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Whatever is done in here is refused and leaves every row as it was."""
        before = tables(self.store)
        yield
        assert tables(self.store) == before


def _between(id: str, both: list[Stream], there: dict[str, Any], *, loose: bool) -> Stream:
    """The stream that a store has, being on its way from the first to the last of `both`."""
    steps, dropped, status = there["steps"], there["dropped"], there["status"]
    least = 0 if both[-1].anew else len(both[0]) if len(both) > 1 else 0
    longer = max(both, key=len)
    assert min(least, len(both[-1])) <= steps <= len(longer), (id, least, steps, len(longer))
    assert there["head"].origin in {each.origin for each in both}
    assert dropped in {0, *(each.dropped for each in both)}
    skipped = {
        number
        for number, record in enumerate(there["records"], dropped)
        if b'"skipped"' in record.meta
    } | {number for number in longer.skipped if number < dropped}
    if not loose:
        assert status in {"pending", *(each.status for each in both)}, (id, status)
        assert skipped <= frozenset[int]().union(*(each.skipped for each in both)), id
    assert {longer.events[number][1] for number in skipped} <= {BAD}
    return replace(
        longer.upto(steps, status),
        origin=there["head"].origin, skipped=frozenset(skipped), dropped=dropped, anew=False,
    )  # fmt: skip


def _steps(streams: dict[str, Stream]) -> dict[str, int]:
    return {id: len(stream) for id, stream in streams.items()}


def _text(state: Any) -> str:
    """Tells True, 1 and 1.0 apart, and one order of keys from another."""
    return json.dumps(state)


def _compare(id: str, stream: Stream, there: dict[str, Any]) -> None:
    """Every record of a journal, its newest state and its hash."""
    first, records, states = stream.dropped, there["records"], stream.states()
    assert [record.input for record in records] == [line(event) for event in stream.events[first:]]
    for number, (record, state) in enumerate(zip(records, states[first:], strict=True), first):
        assert _text(json.loads(record.output)) == _text(state), f"{id}#{number}"
        meta = json.loads(record.meta)
        assert meta["fn"] == "apply_event"
        assert ("skipped" in meta) == (number in stream.skipped), f"{id}#{number}"
    if states:
        assert _text(json.loads(there["output"])) == _text(states[-1])
    if stream.status == "resolved":
        assert there["head"].steps == len(stream)
        assert there["head"].state == there["output"]
    if there["hash"] and not first and records:
        assert there["hash"] == chained(stream.origin, records), id
    if stream.status == "parked":
        error = json.loads(there["head"].error)
        assert error["step"] == len(stream)
        assert json.loads(error["line"])["v"] == BAD
