from __future__ import annotations

import gzip
import io
import json
import os
import sys
from itertools import groupby
from pathlib import Path

import pytest
from conftest import examples
from hypothesis import given
from hypothesis import strategies as st

from durproj.errors import BadEvent, Interrupted, StoreError
from durproj.events import log
from durproj.events.cursor import PrefixChanged
from durproj.events.envelope import Envelope
from durproj.events.formats.detection import Mapping
from durproj.events.log import Index
from durproj.events.reader import Source
from durproj.events.survey import TimeRange, stats

ENVELOPE = Envelope(Mapping(key="k", type="t", id="i", time="w"))


def line(key, number, pad=0):
    return json.dumps({"k": key, "n": number, "pad": "x" * pad}).encode()


def write(folder, *contents):
    paths = []
    for number, content in enumerate(contents):
        path = folder / f"{number}.jsonl"
        path.write_bytes(content)
        paths.append(str(path))
    return paths


def streams(index):
    return {key: [row for batch in index.lines(key) for row in batch] for key in list(index.keys)}


@examples(50)
@given(
    rows=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([0, 10, 5000, 9000])), max_size=20),
    cut=st.integers(0, 20), block=st.sampled_from([7, 1000, 1 << 20]), ending=st.sampled_from([b"\n", b"\r\n", b"\n\n"]),
    packed=st.booleans(), ended=st.booleans(),
)  # fmt: skip
def test_streams_are_the_lines_of_each_key_in_log_order(
    tmp_path_factory, rows, cut, block, ending, packed, ended
):
    lines = [line(key, n, pad) for n, (key, pad) in enumerate(rows)]
    first, second = (b"".join(row + ending for row in part) for part in (lines[:cut], lines[cut:]))
    if not ended:
        first = first.removesuffix(ending)
    if packed:
        first = gzip.compress(first)
    paths = write(tmp_path_factory.mktemp("log"), first, second)
    with Index.build(Source(paths, block=block), ENVELOPE) as index:
        expected = {}
        for (key, _), row in zip(rows, lines, strict=True):
            expected.setdefault(key, []).append(row)
        assert streams(index) == expected
        assert list(index.keys) == list(expected)
        assert len(index) == len(lines)
        for key, stream in expected.items():
            assert sum(map(len, index.lines(key))) == len(stream)
        assert "none" not in index.keys
        assert list(index.lines("none")) == []
        assert index.error is None


def test_neighbours_share_a_read_and_batches_stay_bounded(tmp_path, monkeypatch):
    reads = []
    pread = os.pread
    monkeypatch.setattr(log.os, "pread", lambda *args: reads.append(args[1]) or pread(*args))
    rows = [line("one", n) for n in range(20_000)]
    (path,) = write(tmp_path, b"\n".join(rows) + b"\n")
    with Index.build(Source([path]), ENVELOPE) as index:
        batches = list(index.lines("one"))
    assert [row for batch in batches for row in batch] == rows
    assert len(reads) == len(batches) < 6
    assert max(reads) <= 256 << 10
    assert sum(reads) <= os.path.getsize(path)


def test_far_apart_lines_are_read_alone_but_batched(tmp_path):
    rows = [line(key, n, 5000) for n in range(2000) for key in "ab"]
    (path,) = write(tmp_path, b"\n".join(rows))
    with Index.build(Source([path]), ENVELOPE) as index:
        batches = list(index.lines("b"))
    assert [row for batch in batches for row in batch] == rows[1::2]
    assert len(batches) == 3
    # Bounded in bytes as well, for lines may be long.
    assert max(sum(map(len, batch)) for batch in batches) < 5 << 20


def test_only_the_keys_asked_for(tmp_path):
    rows = [line(f"u{n % 20}", n) for n in range(100)]
    for content in (b"\n".join(rows), gzip.compress(b"\n".join(rows))):
        paths = write(tmp_path, content)
        with Index.build(Source(paths), ENVELOPE, keys=frozenset({"u3", "none"})) as index:
            assert streams(index) == {"u3": rows[3::20]}
            assert index.others == ["u0", "u1", "u2", *(f"u{n}" for n in range(4, 11))]


@pytest.mark.parametrize(
    ("bad", "why"),
    [(b'{"k":"a"', "ends early"), (b"[1]", "an array"), (b'{"k":1.5}', "the key (k) is"), (b'{"x":1}', "no key"),
     (b'{"k":%s}' % (b"9" * 25), "does not fit 64 bits")],
)  # fmt: skip
def test_a_bad_line_ends_the_pass_and_leaves_what_came_before(tmp_path, bad, why):
    good = [line("a", 0), line("b", 1), line("a", 2)]
    content = b"\r\n".join([*good, bad, line("a", 3)])
    (path,) = write(tmp_path, content)
    index = Index.build(Source([path]), ENVELOPE)
    assert streams(index) == {"a": good[::2], "b": good[1:2]}
    assert isinstance(index.error, BadEvent)
    assert why in index.error.why
    at = content.index(bad)
    assert (index.error.path, index.error.line, index.error.offset) == (path, 4, at)
    assert (index.cursor.bytes, index.cursor.lines) == (at, 3)
    content = content[:at] + b'{"k":"c"}'
    (path,) = write(tmp_path, content)
    assert streams(Index.build(Source([path]), ENVELOPE, start=index.cursor)) == {
        "c": [b'{"k":"c"}']
    }


def test_a_pass_can_be_stopped_at_every_chunk(tmp_path):
    (path,) = write(tmp_path, b"\n".join(line("a", n) for n in range(1000)))
    asked = []

    def check():
        asked.append(1)
        if len(asked) == 3:
            raise Interrupted(15)

    with pytest.raises(Interrupted):
        Index.build(Source([path], block=4096), ENVELOPE, check=check)


def test_a_cut_off_input_leaves_what_came_before(tmp_path):
    rows = [line("a", n) for n in range(50)]
    (path,) = write(tmp_path, gzip.compress(b"\n".join(rows) + b"\n")[:-4])
    with Index.build(Source([path]), ENVELOPE) as index:
        assert streams(index) == {"a": rows}
        assert "ends early" in index.error.why
        assert index.cursor.lines == 50


@pytest.mark.parametrize("body", [b'{"k":null}', b"{}"])
def test_lines_without_a_key(tmp_path, body):
    (path,) = write(tmp_path, line("a", 0) + b"\n" + body + b"\n" + line("a", 1))
    assert "no key" in Index.build(Source([path]), ENVELOPE).error.why
    skipping = Index.build(Source([path]), ENVELOPE, on_missing_key="skip")
    assert (skipping.skipped, list(skipping.keys), skipping.error) == (1, ["a"], None)
    naming = Index.build(Source([path]), ENVELOPE, on_missing_key="all")
    assert list(naming.keys) == ["a", "all"]
    assert list(naming.lines("all")) == [[body]]
    whole = Index.build(Source([path]), Envelope(Mapping()), on_missing_key="u1")
    assert (list(whole.keys), len(whole)) == (["u1"], 3)


def test_a_pipe_is_spooled_into_the_given_folder(tmp_path, monkeypatch):
    rows = [line(key, n) for n in range(3000) for key in "ab"]
    monkeypatch.setattr(sys, "stdin", type("Stdin", (), {"buffer": io.BytesIO(b"\n".join(rows))}))
    with Index.build(Source(["-"]), ENVELOPE, spool_dir=str(tmp_path)) as index:
        assert list(tmp_path.iterdir()) == []
        assert streams(index) == {"a": rows[::2], "b": rows[1::2]}
    monkeypatch.setattr(sys, "stdin", type("Stdin", (), {"buffer": io.BytesIO(b"{}")}))
    with pytest.raises(StoreError):
        Index.build(Source(["/dev/stdin"]), ENVELOPE, spool_dir="/dev/null/x")


def test_from_a_cursor_on(tmp_path):
    (path,) = write(tmp_path, line("a", 0) + b"\n" + line("b", 1) + b"\n")
    source = Source([path])
    cursor = Index.build(source, ENVELOPE).cursor
    with open(path, "ab") as file:
        file.write(line("b", 2) + b"\n" + line("c", 3) + b"\n")
    with Index.build(Source([path]), ENVELOPE, start=cursor) as index:
        assert streams(index) == {"b": [line("b", 2)], "c": [line("c", 3)]}
    write(tmp_path, line("z", 0) + b"\n" + line("b", 1) + b"\n")
    with pytest.raises(PrefixChanged):
        Index.build(Source([path]), ENVELOPE, start=cursor)


@pytest.mark.parametrize("change", ["shorter", "rewritten", "replaced", "shifted", "gone"])
def test_an_input_that_changes_between_the_passes_is_refused(tmp_path, change):
    rows = [line("a", n) for n in range(10)]
    (path,) = write(tmp_path, b"\n".join(rows))
    index = Index.build(Source([path]), ENVELOPE)
    content = b"\n".join(rows)
    if change == "shorter":
        write(tmp_path, content[:-5])
    elif change == "rewritten":
        write(tmp_path, content.replace(b"9", b"8"))
        os.utime(path, ns=(1, 1))
    elif change == "replaced":
        os.replace(*write(tmp_path / "..", content), path)
    elif change == "shifted":
        write(tmp_path, b'{"k":"new"}\n' + content)
    else:
        os.remove(path)
    with pytest.raises(Exception) as met:
        streams(index)
    assert met.value.exit_code == (66 if change == "gone" else 74)


def test_an_input_that_only_grew_is_fine(tmp_path):
    rows = [line("a", n) for n in range(10)]
    (path,) = write(tmp_path, b"\n".join(rows))
    index = Index.build(Source([path]), ENVELOPE)
    write(tmp_path, b"\n".join(rows) + b"\n" + line("a", 11))
    assert streams(index) == {"a": rows}


def test_many_files_need_few_descriptors(tmp_path):
    paths = write(tmp_path, *(line(key, n) for n in range(60) for key in "ab"))
    with Index.build(Source(paths), ENVELOPE) as index:
        before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
        assert [len(rows) for rows in streams(index).values()] == [60, 60]
        if before:
            assert len(os.listdir("/proc/self/fd")) <= before + 32


# The survey behind `durproj stats`


def surveyed(tmp_path, *bodies, extra=b""):
    content = b"\n".join(json.dumps(body).encode() for body in bodies) + b"\n" + extra
    return stats(Source(write(tmp_path, content)), ENVELOPE)


def test_stats_count_types_keys_and_blanks(tmp_path):
    found = surveyed(
        tmp_path,
        {"t": "A", "k": "u1"},
        {"t": "B", "k": "u2"},
        {"t": "B", "k": "u2"},
        {"x": 1},
        extra=b"\n  \n",
    )
    assert (found.events, found.blank, found.keyless, found.bad) == (4, 2, 1, None)
    assert list(found.types.items()) == [("B", 2), ("A", 1), ("event", 1)]
    assert list(found.keys.items()) == [("u2", 2), ("u1", 1)]
    assert found.top_keys(1) == {"u2": 2}


def test_stats_compare_times_of_one_kind_only(tmp_path):
    times = [
        "2026-01-01T10:00:00Z", "2026-01-01T10:30:00+01:00", 100, "2026-01-01 09:00", 99.5, "yesterday",
        "2026-01-01T11:00:00.5Z", "2025-12-31", None, ["x"], 101,
    ]  # fmt: skip
    found = surveyed(tmp_path, *({"w": time} for time in times))
    assert found.times == {
        "zoned": TimeRange(3, "2026-01-01T10:30:00+01:00", "2026-01-01T11:00:00.5Z"),
        "number": TimeRange(3, 99.5, 101),
        "local": TimeRange(2, "2025-12-31", "2026-01-01 09:00"),
        "other": TimeRange(2, None, None),
    }
    assert found.back_in_time == 3


def test_stats_tell_duplicates_from_conflicts(tmp_path):
    found = surveyed(
        tmp_path,
        {"i": "1"},
        {"i": 1},
        {"i": "1"},
        {"i": "1", "x": 2},
        {"i": -1},
        {"i": -2},
        {"i": 1},
        {},
        {},
    )
    assert (found.repeated, found.conflicting) == (2, 1)


def test_stats_end_at_the_first_bad_line(tmp_path):
    found = surveyed(tmp_path, {"t": "A"}, {"t": "B"}, extra=b'{"t":[]}\n{"t":"C"}\n')
    assert found.events == 2
    assert (found.bad.line, found.bad.why.split(",")[0]) == (3, "the type is an array")


REAL = Path(__file__).parents[3] / "shared" / "data" / "wikiticker-2015-09-12-sampled.json.gz"


@pytest.mark.skipif(not REAL.exists(), reason="the folder of real logs is not beside the project")
def test_a_real_log_by_user():
    path = str(REAL)
    with gzip.open(path) as file:
        rows = [row.rstrip(b"\n") for row in file]
    by_user = sorted(
        ((json.loads(row)["user"], n, row) for n, row in enumerate(rows)), key=lambda r: r[:2]
    )
    with Index.build(Source([path]), Envelope(Mapping(key="user", time="time"))) as index:
        assert len(index.keys) == 10_531
        for key, group in groupby(by_user, key=lambda r: r[0]):
            assert [row for batch in index.lines(key) for row in batch] == [r[2] for r in group]
