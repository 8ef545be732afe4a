"""Order and duplicates: a fold with --order and --dedupe is a sort and a filter, then a fold; and so it
stays through crashes, appended events and every kind of input."""

from __future__ import annotations

import functools
import gzip
import json
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import examples
from dying import Died, dying, folded, inputs, journals, trail
from hypothesis import given
from hypothesis import strategies as st

import durproj
from durproj import BadEvent, Mapping, PastChanged, UsageError
from durproj.codec import decode
from durproj.events.reader import Source
from durproj.runtime import setup

KEYED = Mapping(key="key", id="id", time="at", seq="n")
EVENTS = st.lists(
    st.tuples(st.sampled_from("ab"), st.one_of(st.none(), st.integers(0, 9)), st.integers(0, 4)),
    min_size=1,
    max_size=30,
).filter(lambda events: any(id is not None for _, id, _ in events))
ORDERS = st.sampled_from(["file", "time", "seq"])


def lines_of(events, keyed=True):
    """One line an event, whose bytes follow from its id, and its key, when it has one."""
    made = []
    for place, (key, id, at) in enumerate(events):
        n, v = (at, place) if id is None else (id * 7 % 5, id)
        body = {"id": id, "at": f"2024-01-01T00:00:0{n}Z", "n": n, "v": v}
        made.append(json.dumps(body | ({"key": key} if keyed else {})).encode())
    return made


def expected(lines, key, order, dedupe):
    """The lines of a stream as they are to be folded, by nothing of durproj's."""
    mine = [line for line in lines if key is None or json.loads(line)["key"] == key]
    if dedupe == "id":
        fresh = dict.fromkeys(line for line in mine if json.loads(line)["id"] is not None)
        mine = [
            line
            for i, line in enumerate(mine)
            if json.loads(line)["id"] is None or (line in fresh and mine.index(line) == i)
        ]
    return mine if order == "file" else sorted(mine, key=lambda line: json.loads(line)["n"])


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    # So that a short log has many chunks.
    monkeypatch.setattr(setup, "Source", functools.partial(Source, block=64))


@examples(25)
@given(
    events=EVENTS, order=ORDERS, dedupe=st.sampled_from(["id", "none"]), zipped=st.booleans(),
    keyed=st.booleans(), one=st.booleans(),
)  # fmt: skip
def test_a_fold_is_of_the_sorted_and_filtered_stream(events, order, dedupe, zipped, keyed, one):
    lines = lines_of(events, keyed)
    mapping = KEYED if keyed else Mapping(key="", id="id", time="at", seq="n")
    with tempfile.TemporaryDirectory() as place:
        log, store = Path(place, "log"), Path(place, "s.db")
        data = b"\n".join(lines)
        log.write_bytes(gzip.compress(data) if zipped else data)
        keys = [events[0][0]] if one and keyed else None
        durproj.fold(
            log,
            reducer=trail,
            mapping=mapping,
            order=order,
            dedupe=dedupe,
            store=store,
            keys=keys,
            durability="batch",
        )
        found = journals(store)
    wanted = keys or (sorted({event[0] for event in events}) if keyed else [None])
    assert sorted(found) == [f"projection/{key or 'all'}" for key in wanted]
    for key in wanted:
        stream = expected(lines, key, order, dedupe)
        journal = found[f"projection/{key or 'all'}"]
        assert inputs(journal) == stream
        assert decode(journal["state"]) == folded(stream)


@examples(20)
@given(events=EVENTS, order=ORDERS, at=st.integers(0, 60), keyed=st.booleans())
def test_a_crash_anywhere_and_a_resume_are_a_straight_run(events, order, at, keyed):
    mapping = KEYED if keyed else Mapping(key="", id="id", time="at", seq="n")
    with tempfile.TemporaryDirectory() as place:
        log, store, other = (Path(place, name) for name in ("log", "s.db", "o.db"))
        log.write_bytes(b"\n".join(lines_of(events, keyed)))
        options = {
            "reducer": trail,
            "durability": "batch",
            "mapping": mapping,
            "order": order,
            "dedupe": "id",
        }
        straight = durproj.fold(log, store=other, **options)
        with dying(at), suppress(Died):
            durproj.fold(log, store=store, **options)
        again = durproj.fold(log, store=store, **options)
        assert journals(store) == journals(other)
        assert again.found() == straight.found()


@examples(20)
@given(first=EVENTS, more=EVENTS, dedupe=st.sampled_from(["id", "none"]))
def test_appending_is_the_same_as_having_had_it_all(first, more, dedupe):
    lines = lines_of([*first, *more])
    with tempfile.TemporaryDirectory() as place:
        log, store, other = (Path(place, name) for name in ("log", "s.db", "o.db"))
        options = {"reducer": trail, "durability": "batch", "mapping": KEYED, "dedupe": dedupe}
        log.write_bytes(b"\n".join(lines[: len(first)]) + b"\n")
        durproj.fold(log, store=store, **options)
        with log.open("ab") as file:
            file.write(b"\n".join(lines[len(first) :]) + b"\n")
        grown = durproj.fold(log, store=store, **options)
        whole = durproj.fold(log, store=other, **options)
        assert {id: inputs(journal) for id, journal in journals(store).items()} == {
            id: inputs(journal) for id, journal in journals(other).items()
        }
        assert grown.duplicates == whole.duplicates


@examples(20)
@given(first=EVENTS, more=EVENTS)
def test_what_comes_late_is_refused_and_what_comes_at_the_end_is_not(first, more):
    lines = lines_of([*first, *more])
    with tempfile.TemporaryDirectory() as place:
        log, store = Path(place, "log"), Path(place, "s.db")
        options = {"reducer": trail, "durability": "batch", "mapping": KEYED, "order": "time"}
        log.write_bytes(b"\n".join(lines[: len(first)]) + b"\n")
        durproj.fold(log, store=store, **options)
        log.write_bytes(b"\n".join(lines) + b"\n")
        late = [
            key
            for key in "ab"
            for before, now in [
                [expected(part, key, "seq", "none") for part in (lines[: len(first)], lines)]
            ]
            if now[: len(before)] != before
        ]
        if not late:
            assert durproj.fold(log, store=store, **options).events == len(lines)
            return
        with pytest.raises(PastChanged) as changed:
            durproj.fold(log, store=store, **options)
        assert changed.value.id in {f"projection/{key}" for key in late}
        assert "it came late" in changed.value.present


def test_a_run_with_nothing_new_finds_what_the_one_before_it_found(tmp_path):
    log, store = tmp_path / "log", tmp_path / "s.db"
    bodies = [("a", 3), ("a", 1), ("b", 2), ("a", 3), ("a", 7)]
    log.write_text("".join(f'{{"key":"{key}","id":{n},"n":{n}}}\n' for key, n in bodies))
    options = {
        "reducer": "counts",
        "store": store,
        "mapping": KEYED,
        "order": "seq",
        "dedupe": "id",
    }
    first = durproj.fold(log, **options)
    assert first.found() == {
        "duplicates": 1,
        "reordered": 1,
        "gaps": {
            "missing": 4,
            "repeated": 0,
            "back": 0,
            "first": {"id": "projection/a", "after": 1},
        },
    }
    again = durproj.fold(log, reducer="counts", store=store)
    assert (again.executed, again.found()) == (0, first.found())


def test_a_log_that_is_read_again_from_its_beginning_is_counted_once(tmp_path):
    log, store = tmp_path / "log", tmp_path / "s.db"
    line = '{{"key":"a","id":{0},"n":{0}}}\n'
    log.write_text("".join(line.format(n) for n in (4, 1, 4)))
    options = {
        "reducer": "counts",
        "store": store,
        "mapping": KEYED,
        "order": "seq",
        "dedupe": "id",
    }
    first = durproj.fold(log, **options).found()
    with log.open("a") as file:
        file.write(line.format(5))
    grown = durproj.fold(log, reducer="counts", store=store)
    assert (grown.cached, grown.executed, grown.found()) == (2, 1, first)


def test_a_fold_that_asks_for_nothing_of_it_finds_nothing_of_it(tmp_path):
    (tmp_path / "log").write_text('{"key":"a"}\n')
    done = durproj.fold(tmp_path / "log", reducer="counts", store=tmp_path / "s.db")
    assert done.found() == {}


def test_no_stream_is_folded_in_order_before_the_log_is_read_to_its_end(tmp_path):
    log, store = tmp_path / "log", tmp_path / "s.db"
    log.write_text('{"key":"a","at":2}\n{"key":"a","at":\n')
    options = {"reducer": "counts", "store": store, "mapping": KEYED, "order": "time"}
    with pytest.raises(BadEvent, match="log:2: byte 19: "):
        durproj.fold(log, **options)
    assert journals(store) == {}
    log.write_text('{"key":"a","at":2}\n{"key":"a","at":1}\n')
    durproj.fold(log, **options)
    assert [json.loads(line)["at"] for line in inputs(journals(store)["projection/a"])] == [1, 2]


def test_an_id_with_other_bytes_is_refused_after_what_is_before_it(tmp_path):
    log, more, store = tmp_path / "log", tmp_path / "more", tmp_path / "s.db"
    log.write_text('\n{"key":"a","id":"x","v":1}\n')
    more.write_text(
        '{"key":"b","id":"x","v":2}\n\n{"key":"a","id":"y"}\n{"key":"a","id":"x","v":3}\n'
    )
    for keys, name in ((None, "many"), (["a"], "one")):
        with pytest.raises(BadEvent) as error:
            durproj.fold(
                [log, more], keys=keys, reducer="counts", store=store, dedupe="id", name=name
            )
        assert (error.value.path, error.value.line, error.value.offset) == (str(more), 4, 49)
        assert f'the id "x" was there before with other bytes: {log}:2' in error.value.why
        left = journals(store)[f"{name}/a"]
        assert (left["steps"], left["status"]) == (2, "pending")


def test_an_id_of_the_proven_past_is_known_by_its_step(tmp_path):
    log, store = tmp_path / "log", tmp_path / "s.db"
    log.write_text('{"key":"a","id":"x","v":1}\n')
    for keys, name in ((None, "many"), (["a"], "one")):
        durproj.fold(log, keys=keys, reducer="counts", store=store, dedupe="id", name=name)
    with log.open("a") as file:
        file.write('{"key":"a","id":"x","v":1}\n{"key":"a","id":"x","v":2}\n')
    for keys, name in ((None, "many"), (["a"], "one")):
        with pytest.raises(BadEvent, match=f"log:3: byte 54: .* with other bytes: {name}/a#0"):
            durproj.fold(log, keys=keys, reducer="counts", store=store, name=name)


@pytest.mark.parametrize("change", [{"order": "seq"}, {"order": "file"}, {"dedupe": "id"}])
def test_another_selection_later_is_another_past(tmp_path, change):
    log, store = tmp_path / "log", tmp_path / "s.db"
    log.write_text('{"key":"a","id":"x","at":1,"n":1}\n')
    durproj.fold(log, reducer="counts", store=store, mapping=KEYED, order="time")
    with pytest.raises(PastChanged):
        durproj.fold(log, reducer="counts", store=store, **change)
    assert durproj.fold(log, reducer="counts", store=store).cached == 1


def test_another_sequence_is_another_past_only_to_what_is_in_its_order(tmp_path):
    log, store = tmp_path / "log", tmp_path / "s.db"
    log.write_text('{"key":"a","n":1,"m":1}\n{"key":"a","n":2,"m":5}\n')
    for name, order in (("file", "file"), ("seq", "seq")):
        options = {"reducer": "counts", "store": store, "name": name}
        durproj.fold(log, mapping=Mapping(seq="n"), order=order, **options)
        if order == "seq":
            with pytest.raises(PastChanged):
                durproj.fold(log, mapping=Mapping(seq="m"), **options)
        else:
            # What is asked for only now is looked for in all of the log.
            again = durproj.fold(log, mapping=Mapping(seq="m"), **options)
            assert (again.cached, again.gaps.missing) == (2, 3)


def test_gaps_asked_for_later_are_those_of_all_of_the_log(tmp_path):
    log, store = tmp_path / "log", tmp_path / "s.db"
    log.write_text('{"key":"a","n":1}\n{"key":"a","n":4}\n')
    durproj.fold(log, reducer="counts", store=store)
    for _ in range(2):
        found = durproj.fold(log, reducer="counts", store=store, mapping=Mapping(seq="n"))
        assert (found.cached, found.gaps.missing) == (2, 2)
    with log.open("a") as file:
        file.write('{"key":"a","n":7}\n')
    assert durproj.fold(log, reducer="counts", store=store).gaps.missing == 4


def test_what_is_not_known_cannot_be_ordered_or_told_apart_by(tmp_path):
    log, store = tmp_path / "log", tmp_path / "s.db"
    log.write_text('{"key":"a"}\n')
    for options, way in (
        ({"order": "time"}, "--time PATH"), ({"order": "seq"}, "--seq PATH"), ({"dedupe": "id"}, "--id PATH"),
    ):  # fmt: skip
        with pytest.raises(UsageError) as error:
            durproj.fold(log, reducer="counts", store=store, **options)
        assert way in error.value.hint


def test_an_order_that_there_is_not_is_named_before_a_store_is_made(tmp_path):
    (tmp_path / "log").write_text('{"key":"a"}\n')
    for options, known in (({"order": "id"}, "file, time, seq"), ({"dedupe": True}, "none, id")):
        with pytest.raises(UsageError, match=f"it is one of {known}"):
            durproj.fold(tmp_path / "log", store=tmp_path / "s.db", **options)
    assert not (tmp_path / "s.db").exists()


def test_an_event_of_several_streams_is_a_duplicate_in_each(tmp_path):
    log, store = tmp_path / "log", tmp_path / "s.db"
    both = '{"id":"x","items":[{"id":"a"},{"id":"b"}],"at":2}\n'
    log.write_text(both + '{"id":"y","items":[{"id":"b"}],"at":1}\n' + both)
    mapping = Mapping(key="items[].id", id="id", time="at")
    done = durproj.fold(
        log, reducer="counts", store=store, mapping=mapping, order="time", dedupe="id"
    )
    assert done.found() == {"duplicates": 2, "reordered": 1}
    ids = {
        id: [json.loads(line)["id"] for line in inputs(journal)]
        for id, journal in journals(store).items()
    }
    assert ids == {"projection/a": ["x"], "projection/b": ["y", "x"]}


def test_cloudevents_are_told_apart_by_source_and_id_and_their_sequence_is_text(tmp_path):
    log, store = tmp_path / "log", tmp_path / "s.db"
    event = (
        '{"specversion":"1.0","type":"t","source":"%s","subject":"s","id":"1","sequence":"%s"}\n'
    )
    log.write_text(event % ("/a", "9") + event % ("/b", "10") + event % ("/a", "9"))
    done = durproj.fold(log, reducer="counts", store=store, order="seq", dedupe="id")
    assert done.found()["duplicates"] == 1
    lines = inputs(journals(store)["projection/s"])
    assert [json.loads(line)["sequence"] for line in lines] == ["10", "9"]
    with log.open("a") as file:
        file.write(event % ("/b", "11"))
    with pytest.raises(BadEvent, match=r'the id \["/b","1"\] was there before with other bytes'):
        durproj.fold(log, reducer="counts", store=store)
