"""Folding, going on and going back: what the model may do to the events and the steps of a store."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from dying import Died, Dying, dying
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

import durproj
from durproj import Constant, NotFound, PastChanged, StepFailed
from durproj.runtime import planned
from durproj.runtime.setup import RESTARTING
from durproj.stores.sqlite import SqliteStore
from proof.ledger import Event, Stream, line, of_key
from proof.machine import DURABILITIES, EVENTS, NAME, ON_ERROR, POINTS, Machine


def has(*statuses: str) -> Any:
    """Only when there is a stream that stands so (any, where none is named)."""
    return precondition(
        lambda self: any(not statuses or each.status in statuses for each in self.streams.values())
    )


def tampered(events: list[Event], place: int, how: str) -> list[Event]:
    """`events`, and the one at `place` edited, …; those of its key after it swapped with it, or cut off."""
    key, value, payload = events[place]
    later = [n for n in range(place + 1, len(events)) if events[n][0] == key]
    changed = list(events)
    if how == "edit":
        changed[place] = (key, value + 100, payload)
    elif how == "insert":
        changed.insert(place, (key, 77, payload))
    elif how == "remove":
        del changed[place]
    elif how == "cut":
        changed = [event for n, event in enumerate(events) if n < place or event[0] != key]
    elif later:
        changed[place], changed[later[0]] = changed[later[0]], changed[place]
    return changed


class Commands(Machine):
    """The rules about events, steps and what becomes of them."""

    @initialize(events=EVENTS)
    def begin(self, events: list[Event]) -> None:
        self.events = events
        self.write()

    @rule(events=EVENTS, end=st.sampled_from([b"\n", b""]))
    def append(self, events: list[Event], end: bytes) -> None:
        self.events = [*self.events, *events]
        self.write(end)
        self.interrupted = None

    @rule(blanks=st.integers(0, 3), zipped=st.booleans())
    def write_the_same_events_in_other_bytes(self, blanks: int, zipped: bool) -> None:
        self.blanks, self.zipped = blanks, zipped
        self.write()

    # -- folding

    @rule(
        at=POINTS, durability=DURABILITIES, on_error=ON_ERROR, broken=st.booleans(), some=st.booleans(),
        data=st.data(),
    )  # fmt: skip
    def run(
        self, at: Any, durability: str, on_error: str, broken: bool, some: bool, data: Any
    ) -> None:
        self.set_broken(broken)
        keys = self.some_keys(data) if some else None
        self.fold_and_check(at, keys, durability=durability, on_error=on_error)

    def some_keys(self, data: Any) -> list[str]:
        there = st.sampled_from(self.keys())
        return data.draw(st.lists(there, min_size=1, max_size=2, unique=True), label="keys")

    def fold_and_check(self, at: int | None, keys: list[str] | None, **options: Any) -> Any:
        """One fold under NAME. Where a step fails and stops it, the streams before it are done, and those
        after it are as they were."""
        on_error = options.get("on_error", "stop")
        before, target = self.streams, self.fed(NAME, keys, on_error)
        try:
            counts = self.do(at, lambda: self.fold(keys=keys, **options), target)
        except StepFailed as failed:
            self.stopped(failed, target, on_error)
            return None
        if counts is None:
            self.interrupted = (keys, on_error)
            return None
        chosen = [f"{NAME}/{key}" for key in keys or self.keys()]
        assert "rejected" not in {target[id].status for id in chosen}
        was = sum(len(before.get(id, ())) for id in chosen)
        now = sum(len(target[id]) for id in chosen)
        parked = [target[id] for id in chosen if target[id].status == "parked"]
        told = (counts.cached, counts.executed, counts.parked)
        assert told == (was, now - was, len(parked))
        behind = (len(of_key(self.events, each.key)) - len(each) - 1 for each in parked)
        assert counts.waiting == sum(behind)
        return counts

    def stopped(self, failed: StepFailed, target: dict[str, Stream], on_error: str) -> None:
        """A step failed for good, and that was to stop the fold."""
        before, there = self.streams, target[failed.id]
        assert on_error == "stop"
        assert (there.status, len(there)) == ("rejected", failed.step)
        self.adopt(target)
        assert self.streams[failed.id] == there
        for id, each in self.streams.items():
            assert each in (before.get(id), target[id]), id

    @rule(step=st.integers(0, 6), durability=DURABILITIES)
    def crash_as_planned(self, step: int, durability: str) -> None:
        """`--crash N`: the steps before are there, and no more of that stream."""
        self.set_broken(False)

        def die(_how: str) -> None:
            Dying.at = Dying.points
            raise Died

        with patch.object(planned, "_die", die):
            counts = self.fold_and_check(None, None, crash=step, durability=durability)
        if counts is None:
            fed = [each for id, each in self.streams.items() if id.startswith(f"{NAME}/")]
            assert step in {len(each) for each in fed}

    @rule(step=st.integers(0, 8), times=st.integers(1, 2), at=POINTS)
    def fail_for_a_while(self, step: int, times: int, at: Any) -> None:
        """`--fail NxK`: tried again until it succeeds, crash or no crash."""
        self.set_broken(False)
        before = self.streams
        retry = Constant(retries=2, delay_s=0)
        if self.fold_and_check(at, None, fail=(step, times), retry=retry) is None:
            return
        with closing(SqliteStore.open_reader(self.store)) as opened:
            for id, each in self.streams.items():
                if len(before.get(id, ())) <= step < len(each) and id.startswith(NAME):
                    assert len(opened.attempts(opened.head(id).no, step)) >= times

    @rule(at=POINTS, data=st.data(), some=st.booleans())
    def restart(self, at: Any, data: Any, some: bool) -> None:
        self.set_broken(False)
        keys = self.some_keys(data) if some else None
        target = self.fed(NAME, keys, "stop")
        for key in keys or self.keys():
            anew = Stream(f"{NAME}/{key}", anew=True)
            target[anew.origin] = anew.fed(of_key(self.events, key), "stop")
        self.do(at, lambda: self.fold(keys=keys, restart=True), target)

    # -- going on

    @has()
    @rule(at=POINTS, broken=st.booleans())
    def resume(self, at: Any, broken: bool) -> None:
        """Whatever is unfinished goes on; a run that died, and nothing since, ends as if it had not."""
        interrupted = self.interrupted if self.is_all_there_is() else None
        self.set_broken(broken)
        exact = self.fed(NAME, *interrupted) if interrupted else {}
        if self.go_on(at, None, broken=broken) and interrupted:
            for id in (f"{NAME}/{key}" for key in interrupted[0] or self.keys()):
                assert self.streams[id] == exact[id], id

    def is_all_there_is(self) -> bool:
        """Whether the run that died is the one that is unfinished."""
        asked = [(each["keys"], each["on_error"]) for each in self.unfinished()]
        return asked == [self.interrupted]

    def unfinished(self) -> list[dict[str, Any]]:
        """The options of runs that are not complete."""
        with closing(SqliteStore.open_reader(self.store)) as opened:
            return [run.options for run in opened.runs() if not run.complete]

    @has()
    @rule(at=POINTS, broken=st.booleans(), data=st.data())
    def resume_one(self, at: Any, broken: bool, data: Any) -> None:
        id, before = data.draw(st.sampled_from(sorted(self.streams))), self.streams
        self.used_again.add(id.partition("/")[0])
        self.go_on(at, [id], broken=broken)
        assert all(self.streams[other] == each for other, each in before.items() if other != id)

    def go_on(self, at: int | None, ids: list[str] | None, *, broken: bool) -> bool:
        """Resume; whether it came to its end."""
        self.set_broken(False)
        # A restart that died drops what is left to drop; what comes then begins under the id it has now.
        anew = any(RESTARTING in options for options in self.unfinished())
        names = [NAME, *(name for name in self.used_again if not name.startswith("fork"))]
        target = {id: each for name in names for id, each in self.fed(name, None, "stop").items()}
        target |= {
            id: replace(each, status="pending", anew=anew, origin=id if anew else each.origin).fed(
                of_key(self.events, each.key), "stop"
            )
            for id, each in self.streams.items()
            if not id.startswith("fork")
        }
        self.set_broken(broken)
        self.interrupted = None
        with dying(at):
            try:
                durproj.resume(ids, store=self.store)
                done = True
            except (Died, StepFailed):
                done = False
        self.adopt(target, loose=True)
        return done

    @has("parked")
    @rule(at=POINTS, broken=st.booleans(), drop=st.booleans(), data=st.data())
    def release(self, at: Any, broken: bool, drop: bool, data: Any) -> None:
        """Parked streams are tried again, or go on without the event they wait at."""
        self.set_broken(broken)
        parked = sorted(id for id, each in self.streams.items() if each.status == "parked")
        ids = data.draw(st.lists(st.sampled_from(parked), min_size=1, unique=True))
        self.used_again.update(id.partition("/")[0] for id in ids)
        target = dict(self.streams)
        for id in ids:
            each = self.streams[id]
            events, steps = of_key(self.events, each.key), len(each)
            skipped = each.skipped | ({steps} if drop else frozenset())
            each = replace(each, events=events[: steps + drop], skipped=skipped, status="pending")
            target[id] = each.fed(events, "park")
        act = durproj.drop_parked if drop else durproj.retry_parked
        counts = self.do(at, lambda: act(ids, store=self.store), target)
        if counts is not None:
            assert counts.projections == len(ids)
            assert counts.parked == sum(target[id].status == "parked" for id in ids)

    # -- going back

    @has()
    @rule(at=POINTS, data=st.data())
    def rewind(self, at: Any, data: Any) -> None:
        id = data.draw(st.sampled_from(sorted(self.streams)))
        each = self.streams[id]
        if not each.events:
            return
        steps = data.draw(st.integers(min(each.dropped + bool(each.dropped), len(each)), len(each)))
        target = dict(self.streams)
        if steps < len(each) or each.status in ("parked", "rejected"):
            target[id] = each.upto(steps, "resolved" if id.startswith("fork") else "pending")
        rewound = lambda: durproj.rewind(id, steps - 1, store=self.store)  # noqa: E731
        if self.do(at, rewound, target, whole=True) and target[id].status == "pending":
            with closing(SqliteStore.open_reader(self.store)) as opened:
                run = opened.run(opened.head(id).run)
            assert not run.complete, "resume would pass it over"

    @has()
    @rule(
        data=st.data(), how=st.sampled_from(["edit", "insert", "remove", "swap", "cut"]),
    )  # fmt: skip
    def tamper(self, data: Any, how: str) -> None:
        """The past is changed: refused, naming the first step that differs; no row moves. It is put back."""
        fed = [id for id, each in self.streams.items() if id.startswith(f"{NAME}/") and each.events]
        if not fed:
            return
        id = data.draw(st.sampled_from(sorted(fed)))
        each, good = self.streams[id], self.events
        places = [place for place, event in enumerate(good) if event[0] == each.key]
        place = places[data.draw(st.integers(0, len(each) - 1))]
        self.events = tampered(good, place, how)
        present = of_key(self.events, each.key)
        guarded = of_key(good, each.key)[: len(each) + (each.status == "parked")]
        pairs = enumerate((*guarded[n : n + 1], *present[n : n + 1]) for n in range(len(guarded)))
        differs = next(
            (n for n, pair in pairs if len({*map(line, pair)}) + (len(pair) < 2) > 1), None
        )
        if differs is not None:
            self.write()
            with self.unchanged(), pytest.raises((PastChanged, NotFound)) as caught:
                self.fold(keys=[each.key])
            if isinstance(caught.value, PastChanged):
                assert (caught.value.id, caught.value.exit_code) == (id, 4)
                assert caught.value.step == (differs if differs >= each.dropped else None)
            else:
                assert not present
        self.events = good
        self.write()
