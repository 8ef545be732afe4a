"""Whatever order commands, crashes, edits and repairs come in, the store holds what a dictionary says."""

from __future__ import annotations

import json
import traceback
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Self
from unittest.mock import patch

import hypothesis
import pytest
from dying import Died, dying, tables
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

import durproj
from durproj import Silent, StoreBusy
from durproj.runtime import recorded
from durproj.stores.sqlite import SqliteStore
from proof.commands import Commands, has
from proof.ledger import line, moody, of_key
from proof.machine import DURABILITIES, NAME, POINTS
from proof.trial import Proof, Trial

NEXT = "next"
"""The name under which a log is folded anew, to take the place of NAME."""

LAST = 6
"""So many places of a traceback say where something was found; the notes say which rules led to it."""

STEPS = 50
"""Rules of an example; where there are few of them, half as many."""


class Model(Commands):
    """And those about stores, names and others who use them."""

    # -- upkeep

    @has()
    @rule(at=POINTS, keep=st.integers(0, 9))
    def gc(self, at: Any, keep: int) -> None:
        """The newest steps of resolved workflows stay, and their states; what was replaced goes."""
        done = self.collect(at, keep_last=keep)
        found = self.found()
        for id, each in list(self.streams.items()):
            if id not in found:
                assert id.partition("/")[0] in self.replaced
                del self.streams[id]
                continue
            assert not done or id.partition("/")[0] not in self.replaced - self.used_again
            dropped = found[id]["dropped"]
            most = len(each) - keep if each.status == "resolved" else 0
            assert each.dropped <= dropped <= max(each.dropped, most)
            self.streams[id] = replace(each, dropped=dropped)

    @has()
    @rule(at=POINTS, data=st.data())
    def drop(self, at: Any, data: Any) -> None:
        id = data.draw(st.sampled_from(sorted(self.streams)))
        if self.collect(at, ids=[id], drop=True) or id not in self.found():
            del self.streams[id]

    def collect(self, at: int | None, **options: Any) -> bool:
        """Whether gc came to its end."""
        self.streams, self.interrupted = dict(self.streams), None
        with dying(at), suppress(Died):
            durproj.gc(store=self.store, **options)
            return True
        return False

    @has()
    @rule(go_on=st.booleans())
    def backup(self, go_on: bool) -> None:
        copy = self.log.with_name(self.new("copy"))
        durproj.backup(copy, store=self.store)
        assert tables(copy) == tables(self.store)
        if go_on:
            self.store = copy

    # -- others at the same time

    @has()
    @rule(data=st.data())
    def second_runner(self, data: Any) -> None:
        """Refused, whatever it wants, while another holds the store."""
        id = min(self.streams)
        commands = {
            "run": self.fold,
            "resume": lambda: durproj.resume(store=self.store),
            "rewind": lambda: durproj.rewind(id, -1, store=self.store),
            "gc": lambda: durproj.gc(keep_last=0, store=self.store),
            "retry": lambda: durproj.retry_parked(store=self.store),
            "fork": lambda: durproj.fork(id, "fork", store=self.store),
            "promote": lambda: durproj.promote(NAME, "other", store=self.store),
        }
        command = data.draw(st.sampled_from(sorted(commands)))
        with self.unchanged(), closing(SqliteStore.open_writer(self.store)):
            with pytest.raises(StoreBusy) as caught:
                commands[command]()
            assert caught.value.exit_code == 75

    @has()
    @rule(durability=DURABILITIES)
    def run_while_one_reads(self, durability: str) -> None:
        """The reader sees one instant, and holds up no one."""
        self.set_broken(False)
        with Reading(self.store) as reading:
            self.fold_and_check(None, None, durability=durability, observer=reading)
            assert reading.look() == reading.seen

    @has()
    @rule()
    def reopen(self) -> None:
        with self.unchanged(), closing(SqliteStore.open_writer(self.store)):
            pass

    # -- other histories

    @has()
    @rule(at=POINTS, data=st.data(), value=st.one_of(st.none(), st.integers(20, 29)))
    def fork(self, at: Any, data: Any, value: int | None) -> None:
        """The steps of a workflow under another id, maybe with another event among them."""
        self.set_broken(False)
        source = data.draw(st.sampled_from(sorted(self.streams)))
        each = self.streams[source]
        if len(each) == each.dropped:
            return
        last = data.draw(st.integers(each.dropped, len(each) - 1))
        id = f"{self.new('fork')}/{each.key}"
        made = replace(each.upto(last + 1, "resolved"), origin=id)
        others = {}
        # The state before an event that is another has to be kept.
        first = each.dropped + bool(each.dropped)
        if value is not None and first <= last:
            step = data.draw(st.integers(first, last))
            event = (each.key, value, None)
            others = {step: line(event).decode()}
            events = (*made.events[:step], event, *made.events[step + 1 :])
            made = replace(made.upto(step, "resolved"), events=events)
        target = self.streams | {id: made}
        self.do(
            at, lambda: durproj.fork(source, id, at=last, replace=others, store=self.store), target,
            whole=True,
        )  # fmt: skip

    @has()
    @rule(at=POINTS)
    def promote(self, at: Any) -> None:
        """The log is folded anew under another name, which takes the place of the one in use."""
        self.set_broken(False)
        self.do(None, lambda: self.fold(name=NEXT), self.fed(NEXT, None, "stop"))
        with closing(SqliteStore.open_reader(self.store)) as opened:
            names = {run.name for run in opened.runs()}
        used = [int(name.partition("@old")[2] or 1) for name in names if "@old" in name]
        old = f"{NAME}@old{max(used) + 1 if used else ''}"
        renamed = {NAME: old, NEXT: NAME}
        target = {
            f"{renamed.get(name, name)}/{key}": each
            for id, each in self.streams.items()
            for name, _, key in [id.partition("/")]
        }
        done = self.do(
            at, lambda: durproj.promote(NEXT, NAME, store=self.store), target, whole=True
        )
        if self.streams.keys() == target.keys():
            self.replaced.add(old)
            self.used_again.discard(old)
        if done:
            assert done["old"] in (old, None)

    @has()
    @rule()
    def compare_with_a_straight_run(self) -> None:
        """What is printed of a stream is what would be, had it been folded in one go."""
        self.set_broken(False)
        straight = self.log.with_name(self.new("straight"))
        durproj.fold(self.log, reducer=moody, store=straight)
        for id, each in self.streams.items():
            plain = id.startswith(f"{NAME}/") and not each.skipped and not each.dropped
            if plain and each.status == "resolved" and each.events == of_key(self.events, each.key):
                assert printed(id, self.store) == printed(id, straight)


class Reading(Silent):
    """Reads the store from when a fold begins until it is left."""

    def __init__(self, store: Path) -> None:
        self.store, self.stack, self.seen = store, ExitStack(), []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.stack.close()

    def started(self, *_told: Any, **_more: Any) -> None:
        self.opened = self.stack.enter_context(closing(SqliteStore.open_reader(self.store)))
        self.stack.enter_context(self.opened.snapshot())
        self.seen = self.look()

    def look(self) -> list[Any]:
        return [(head, self.opened.rows(head.no)) for head in self.opened.heads()]


def printed(id: str, store: Path) -> str:
    """What `inspect` and `log` print with --json --stable, but for the durability that was asked for and
    the number of attempts."""
    shown = durproj.inspect(id, store=store)
    del shown["durability"]
    steps = list(durproj.log(id, store=store))
    return json.dumps([shown, *({**step, "attempts": 1} for step in steps)])


UNGUARDED = 200
"""So many rules are enough for an edit of the past to come among them, as good as always."""


def prove(trial: Trial) -> None:
    """So many examples that about `trial.count` rules are done."""
    steps = STEPS if trial.count > STEPS * STEPS else STEPS // 2
    kind = type(Model.__name__, (Model,), {"folder": trial.folder, "done": [0]})
    hypothesis.seed(trial.rng.getrandbits(64))(kind)
    asked = settings(
        max_examples=max(1, trial.count // steps),
        stateful_step_count=steps,
        deadline=None,
        database=None,
        derandomize=False,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
        # The smallest example takes minutes to find; where time matters, any will do.
        phases=[Phase.generate, *([Phase.shrink] if steps == STEPS else ())],
    )
    try:
        run_state_machine_as_test(kind, settings=asked)
    except (Exception, pytest.fail.Exception) as error:
        places = traceback.format_tb(error.__traceback__)[-LAST:]
        notes = getattr(error, "__notes__", ())
        found = "\n".join((*places, f"{type(error).__name__}: {error}", *notes))
        with trial.case("commands in this order"):
            raise AssertionError(found) from None
    trial.passed(kind.done[0])


def prove_unguarded(trial: Trial) -> None:
    """The same without the guard of the past. A case is a model that is driven until something is lost."""
    for number in range(trial.count):
        driven = Trial(f"{trial.seed} {number}", UNGUARDED, trial.folder)
        with patch.object(recorded, "compare_inputs", lambda *_: None):
            prove(driven)
        with trial.case(f"model {number}"):
            assert not driven.lost, driven.losses


PROOFS = [
    Proof(
        "commands, crashes and edits in any order", ("P1", "P2", "P3", "P4", "P5", "P6"), prove,
        200, 50_000, case_ms=19),
    Proof(
        "the same, the past not guarded", ("P5",), prove_unguarded, 2, 20, case_ms=1700,
        control="DID NOT RAISE"),
]  # fmt: skip
