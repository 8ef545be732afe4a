from __future__ import annotations

import bz2
import gzip
import io
import os
import signal
import sys
import tracemalloc
from itertools import pairwise

import pytest
from blake3 import blake3
from conftest import examples
from hypothesis import given
from hypothesis import strategies as st

from durproj.errors import (
    BadEvent,
    Interrupted,
    NotFound,
    StoreDenied,
    StoreError,
    UsageError,
)
from durproj.events import inputs
from durproj.events.cursor import Cursor, PrefixChanged
from durproj.events.inputs import expand
from durproj.events.lines import bad_event, is_blank, parse
from durproj.events.reader import Source
from durproj.runtime.observer import Stop

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def write(folder, *contents):
    paths = []
    for number, content in enumerate(contents):
        path = folder / f"{number}.jsonl"
        path.write_bytes(content)
        paths.append(str(path))
    return paths


def read(paths, start=None, **options):
    """Every line with its file, number and offsets; and the cursor after it all."""
    source = Source(paths, **options)
    rows = [row for chunk in source.chunks(start) for row in placed(chunk)]
    return rows, source.cursor()


def placed(chunk):
    return [
        (line, os.path.basename(chunk.path), chunk.line + i, chunk.offset_of(i),
         chunk.position + chunk.offset_of(i) - chunk.offset)
        for i, line in enumerate(chunk.lines)
    ]  # fmt: skip


def lines_of(paths, **options):
    return [row[0] for row in read(paths, **options)[0]]


def failing(paths, **options):
    """The lines handed out before the error, and the error."""
    rows = []
    with pytest.raises(BadEvent) as met:
        for chunk in Source(paths, **options).chunks():
            rows += chunk.lines
    return rows, met.value


# Inputs by name


def test_expand_paths_globs_and_stdin(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.jsonl", "a.jsonl", "x[1].jsonl", "x1.jsonl"):
        (tmp_path / name).touch()
    (tmp_path / "dir.jsonl").mkdir()
    assert expand(["-", "b.jsonl"]) == ["-", "b.jsonl"]
    assert expand(["?.jsonl"]) == ["a.jsonl", "b.jsonl"]
    assert expand(["*.jsonl"]) == ["a.jsonl", "b.jsonl", "x1.jsonl", "x[1].jsonl"]
    assert expand(["x[1].jsonl"]) == ["x[1].jsonl"]
    assert expand([]) == []


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("none.jsonl", "no such file"),
        ("*.none", "no file matches"),
        (".", "is a directory"),
        ("", "no such"),
    ],
)
def test_expand_names_what_is_not_there(tmp_path, monkeypatch, pattern, text):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFound, match=text) as met:
        expand([pattern])
    assert met.value.exit_code == 66


def test_expand_refuses_what_may_not_be_read(tmp_path, monkeypatch):
    (path,) = write(tmp_path, b"{}")
    monkeypatch.setattr(inputs.os, "access", lambda *_: False)
    with pytest.raises(StoreDenied) as met:
        expand([path])
    assert met.value.exit_code == 77


def test_expand_refuses_to_count_a_log_twice(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").touch()
    for patterns in (["a.jsonl", "*.jsonl"], ["-", "-"]):
        with pytest.raises(UsageError, match="twice"):
            expand(patterns)


# Lines


def test_lines_end_at_newlines_only(tmp_path):
    text = '{"a":"x\u2028y\u2029z\x85w"}\n\n  \r\n{"b":1}\r\r\n{"c":"\u000b"}'.encode()
    rows, _ = read(write(tmp_path, text))
    offsets = [0, *(i + 1 for i, byte in enumerate(text) if byte == 10)]
    assert [row[3] for row in rows] == offsets
    assert [row[0] for row in rows] == [
        '{"a":"x\u2028y\u2029z\x85w"}'.encode(), b"", b"  ", b'{"b":1}\r', b'{"c":"\x0b"}',
    ]  # fmt: skip
    assert [is_blank(row[0]) for row in rows] == [False, True, True, False, False]


def test_offsets_are_exact_with_crlf(tmp_path):
    (path,) = write(tmp_path, b'{"a":1}\r\n\r\n{"b":2}\n{bad}\r\n')
    (chunk,) = Source([path]).chunks()
    assert chunk.lines == [b'{"a":1}', b"", b'{"b":2}', b"{bad}"]
    error = bad_event(chunk, 3, "why", "hint")
    assert (error.path, error.line, error.offset, error.why, error.hint) == (
        path,
        4,
        19,
        "why",
        "hint",
    )
    assert str(error) == f"{path}:4: byte 19: why\nhint"


def test_files_are_one_sequence(tmp_path):
    paths = write(tmp_path, b'{"a":1}', b"", b'{"b":1}\n{"c":1}\n', b'{"d":1}')
    rows, cursor = read(paths)
    assert rows == [
        (b'{"a":1}', "0.jsonl", 1, 0, 0),
        (b'{"b":1}', "2.jsonl", 1, 0, 8),
        (b'{"c":1}', "2.jsonl", 2, 8, 16),
        (b'{"d":1}', "3.jsonl", 1, 0, 24),
    ]
    content = b'{"a":1}\n{"b":1}\n{"c":1}\n{"d":1}'
    assert cursor == Cursor(len(content), 4, blake3(content).hexdigest())


def test_long_digits_mark_their_chunk(tmp_path):
    (path,) = write(tmp_path, b'{"a":"12345678901234567 89"}\n' + b'{"a":1234567890123456789}\n')
    assert [chunk.odd for chunk in Source([path], block=29).chunks()] == [False, True]


def test_an_endless_line_is_refused_in_bounded_memory(tmp_path):
    limit = 1 << 20
    path = tmp_path / "endless.jsonl"
    with path.open("wb") as file:
        file.write(b'{"a":1}\n{"b":"')
        file.truncate(100 << 20)
    tracemalloc.start()
    lines, error = failing([str(path)], max_line=limit, block=1 << 16)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert lines == [b'{"a":1}']
    assert (error.line, error.offset) == (2, 8)
    assert "longer than 1,048,576 bytes" in error.why
    assert "--max-line" in error.hint
    assert peak < 4 * limit


@pytest.mark.parametrize("block", [1, 3, 1000])
def test_max_line_does_not_depend_on_blocks(tmp_path, block):
    paths = write(tmp_path, b"12345\n1234567\n123456\n12345678\n1\n")
    assert len(lines_of(paths, max_line=8, block=block)) == 5
    lines, error = failing(paths, max_line=7, block=block)
    assert (lines, error.line, error.offset) == ([b"12345", b"1234567", b"123456"], 4, 21)


@pytest.mark.parametrize("block", [1, 1 << 20])
@pytest.mark.parametrize(
    ("content", "text", "line", "offset"),
    [
        (b'\xef\xbb\xbf{"a":1}\n', "UTF-8 byte order mark", 1, 0),
        ('{"a":1}\n'.encode("utf-16"), "UTF-16", 1, 0),
        ('{"a":1}\n'.encode("utf-16-be"), "UTF-16", 1, 0),
        ('{"a":1}\n'.encode("utf-16-le"), "UTF-16", 1, 0),
        ('{"a":1}\n'.encode("utf-32"), "UTF-32", 1, 0),
        ('{"a":1}\n'.encode("utf-32-be"), "UTF-32", 1, 0),
        (b'[{"a":1},\n{"a":2}]\n', "a JSON array", 1, 0),
        (b"\n \n  [\n", "a JSON array", 3, 3),
        (b"[", "a JSON array", 1, 0),
        (bz2.compress(b"{}"), "bzip2", 1, 0),
    ],
)
def test_what_is_not_json_lines_is_named(tmp_path, content, text, line, offset, block):
    for path in write(tmp_path, content, gzip.compress(content)):
        lines, error = failing([path], block=block)
        assert lines == []
        assert text in error.why
        assert (error.line, error.offset) == (line, offset)
        assert error.hint
        assert error.exit_code == 65


# Compressed input

LOG = b"".join(b'{"n":%d,"pad":"%s"}\n' % (n, os.urandom(20).hex().encode()) for n in range(3000))


@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress(LOG),
        gzip.compress(LOG[:5000]) + gzip.compress(b"") + gzip.compress(LOG[5000:]) + bytes(512),
        zstd.compress(LOG),
        zstd.compress(LOG[:777]) + b"\x50\x2a\x4d\x18\x03\0\0\0abc" + zstd.compress(LOG[777:]),
        b"\x5e\x2a\x4d\x18\x03\0\0\0abc" + zstd.compress(LOG),
    ],
    ids=["gz", "gz members padded", "zst", "zst frames", "zst skippable first"],
)
@pytest.mark.parametrize("block", [7, 1000, 1 << 20])
def test_compressed_by_content(tmp_path, packed, block):
    plain, path = write(tmp_path, LOG, packed)
    rows, cursor = read([path], block=block)
    expected, plain_cursor = read([plain])
    assert [row[0] for row in rows] == [row[0] for row in expected]
    assert [row[2:] for row in rows] == [row[2:] for row in expected]
    assert cursor == plain_cursor
    assert Source([path]).restartable
    assert not Source([path]).seekable
    assert Source([plain]).seekable


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress], ids=["gz", "zst"])
@pytest.mark.parametrize("cut", [1, 5, 9, 2000, 30_000])
def test_a_cut_off_input_gives_what_it_has_then_fails(tmp_path, pack, cut):
    packed = pack(LOG[:60_000]) + pack(LOG[60_000:])
    (path,) = write(tmp_path, packed[:-cut])
    lines, error = failing([path])
    assert LOG.startswith(b"".join(line + b"\n" for line in lines))
    assert len(lines) >= LOG[:60_000].count(b"\n")
    assert "ends early" in error.why
    assert error.line == len(lines) + 1
    assert error.offset == sum(len(line) + 1 for line in lines)


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress], ids=["gz", "zst"])
def test_a_corrupt_input_is_refused(tmp_path, pack):
    packed = pack(LOG[:60_000]) + b"garbage after it"
    (path,) = write(tmp_path, packed)
    lines, error = failing([path])
    assert len(lines) == LOG[:60_000].count(b"\n")
    assert "corrupt" in error.why
    damaged = bytearray(gzip.compress(LOG))
    damaged[-6] ^= 1  # in the checksum
    (path,) = write(tmp_path, bytes(damaged))
    assert "corrupt" in failing([path])[1].why


def test_a_gzip_bomb_meets_the_line_limit(tmp_path):
    (path,) = write(tmp_path, gzip.compress(bytes(64 << 20)))
    tracemalloc.start()
    assert "longer than" in failing([path], max_line=1 << 20)[1].why
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


# stdin and pipes


class Stdin:
    def __init__(self, content):
        self.buffer = io.BytesIO(content)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd.compress], ids=["plain", "gz", "zst"])
def test_stdin_by_content_once(monkeypatch, pack):
    monkeypatch.setattr(sys, "stdin", Stdin(pack(LOG)))
    source = Source(["-"])
    assert not source.restartable
    assert not source.seekable
    assert b"".join(line + b"\n" for chunk in source.chunks() for line in chunk.lines) == LOG
    with pytest.raises(UsageError, match="only once"):
        next(source.chunks())


@pytest.mark.parametrize("block", [5, 1 << 20])
def test_a_sample_takes_nothing_away(monkeypatch, tmp_path, block):
    monkeypatch.setattr(sys, "stdin", Stdin(LOG))
    paths = write(tmp_path, LOG)
    for source in (Source(["-"], block=block), Source(paths, block=block)):
        assert [body["n"] for body in source.sample()] == list(range(100))
        assert len(source.sample(limit=7)) == 7
        assert b"".join(line + b"\n" for chunk in source.chunks() for line in chunk.lines) == LOG
        assert source.cursor() == Cursor(len(LOG), 3000, blake3(LOG).hexdigest())


def test_a_sample_ends_at_the_first_bad_line(tmp_path):
    assert Source(write(tmp_path, b'{"a":1}\n\n{"a":2}\nbad\n{"a":3}\n')).sample() == [
        {"a": 1},
        {"a": 2},
    ]
    assert Source(write(tmp_path, b"\xef\xbb\xbf{}")).sample() == []


def test_a_sample_holds_no_more_than_a_longest_line_and_what_came_with_its_end(tmp_path):
    lines = [b'{"n":%d,"pad":"%b"}' % (n, b"x" * 80) for n in range(50)]
    source = Source(write(tmp_path, b"\n".join(lines)), max_line=200, block=10)
    assert [body["n"] for body in source.sample()] == [0, 1, 2]
    assert source.sample_cut
    assert sum(len(chunk.lines) for chunk in source.chunks()) == 50
    whole = Source(write(tmp_path, b"\n".join(lines)), max_line=10_000)
    assert (len(whole.sample()), whole.sample_cut) == (50, False)


def test_a_fifo_is_read_once(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    child = os.fork()
    if not child:
        path.write_bytes(b'{"a":1}\n')
        os._exit(0)
    source = Source([str(path)])
    assert not source.restartable
    assert source.sample() == [{"a": 1}]
    assert [chunk.lines for chunk in source.chunks()] == [[b'{"a":1}']]
    os.waitpid(child, 0)


@pytest.mark.parametrize("way", ["opening", "reading", "sampling"])
def test_a_wait_for_input_can_be_interrupted(tmp_path, monkeypatch, way):
    stop = Stop()

    def ask(signum, _frame):
        stop.signum = signum
        if stop.interruptible:
            raise Interrupted(signum)

    path = tmp_path / "fifo"
    os.mkfifo(path)
    out, into = os.pipe()
    with os.fdopen(out) as stdin, os.fdopen(into, "w"):
        monkeypatch.setattr(sys, "stdin", stdin)
        source = Source([str(path) if way == "opening" else "-"], waiting=stop.waiting)
        before = signal.signal(signal.SIGALRM, ask)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            with pytest.raises(Interrupted):
                source.sample() if way == "sampling" else next(source.chunks())
        finally:
            signal.signal(signal.SIGALRM, before)
    assert not stop.interruptible
    with pytest.raises(Interrupted), stop.waiting():
        pytest.fail("no wait begins once stopping was asked for")


def test_a_file_is_never_waited_for(tmp_path):
    def waiting():
        raise AssertionError

    assert sum(len(c.lines) for c in Source(write(tmp_path, LOG), waiting=waiting).chunks()) == 3000


def test_one_file_under_two_names_is_refused(tmp_path):
    (path,) = write(tmp_path, LOG)
    (tmp_path / "link.jsonl").symlink_to(path)
    os.link(path, tmp_path / "hard.jsonl")
    for other in ("link.jsonl", "hard.jsonl"):
        with pytest.raises(UsageError, match=rf"{other} is the same file as .*0\.jsonl"):
            expand([path, str(tmp_path / other)])
    with pytest.raises(UsageError, match="given twice"):
        expand([path, path])
    with pytest.raises(UsageError, match="given twice"):
        expand(["-", "-"])


def test_errors_of_the_system_name_the_input(tmp_path, monkeypatch):
    with pytest.raises(NotFound, match=r"gone\.jsonl"):
        list(Source([str(tmp_path / "gone.jsonl")]).chunks())

    class Broken(io.RawIOBase):
        def readable(self):
            return True

        def readinto(self, _):
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(sys, "stdin", type("Stdin", (), {"buffer": io.BufferedReader(Broken())}))
    with pytest.raises(StoreError, match="cannot read -: Input/output error") as met:
        list(Source(["-"]).chunks())
    assert met.value.exit_code == 74


# Cursors

LINE = st.sampled_from(
    [b'{"a":1}', b"", b"  ", b'{"b":"\xe2\x80\xa8"}', b"x\r", b"\r", b'{"long":"%s"}' % (b"y" * 30)]
)
LOGS = st.lists(LINE, max_size=12)


def split_log(lines, cuts, ended, newlines):
    """`lines` as the contents of files, cut at the line numbers `cuts`."""
    bounds = sorted({0, len(lines), *(cut % (len(lines) + 1) for cut in cuts)})
    files = [b"".join(line + b"\n" for line in lines[a:b]) for a, b in pairwise(bounds)]
    if newlines:
        # A last line that is empty needs its newline to be there at all.
        files = [
            f[:-1] if f.endswith(b"\n") and f[:-1] and not f.endswith(b"\n\n") else f for f in files
        ]
    elif files and not ended and not files[-1].endswith(b"\n\n"):
        files[-1] = files[-1][:-1]
    return files


@examples(60)
@given(lines=LOGS, cuts=st.lists(st.integers(0, 12), max_size=3), block=st.integers(1, 40),
       ended=st.booleans(), stripped=st.booleans())  # fmt: skip
def test_any_split_reads_the_same(tmp_path_factory, lines, cuts, block, ended, stripped):
    folder = tmp_path_factory.mktemp("split")
    files = split_log(lines, cuts, ended, stripped)
    joined = b"".join(
        f if f.endswith(b"\n") or i == len(files) - 1 else f + b"\n" for i, f in enumerate(files)
    )
    whole = folder / "whole"
    whole.write_bytes(joined)
    rows, cursor = read([str(whole)])
    split_rows, split_cursor = read(write(folder, *files), block=block)
    assert [row[0] for row in split_rows] == [row[0] for row in rows]
    assert [row[4] for row in split_rows] == [row[4] for row in rows]
    assert split_cursor == cursor == Cursor(len(joined), len(rows), blake3(joined).hexdigest())


@examples(60)
@given(lines=LOGS, cuts=st.lists(st.integers(0, 12), max_size=3), block=st.integers(1, 40),
       other=st.integers(1, 40), ended=st.booleans(), stripped=st.booleans())  # fmt: skip
def test_skipping_from_any_cursor_equals_the_full_read(
    tmp_path_factory, lines, cuts, block, other, ended, stripped
):
    paths = write(tmp_path_factory.mktemp("skip"), *split_log(lines, cuts, ended, stripped))
    rows, end = read(paths)
    source = Source(paths, block=block)
    done = 0
    for chunk in source.chunks():
        for taken in range(len(chunk.lines) + 1):
            cursor = source.cursor(taken)
            assert cursor.lines == done + taken
            assert read(paths, Cursor.from_dict(cursor.to_dict()), block=other) == (
                rows[done + taken :],
                end,
            )
        done += len(chunk.lines)
        assert source.cursor() == source.cursor(len(chunk.lines))
    assert read(paths, end, block=other) == ([], end)


@pytest.mark.parametrize("block", [1, 1 << 20])
@pytest.mark.parametrize(
    ("after", "rest"),
    [
        (b'{"a":1}\n{"b":2}', []),
        (b'{"a":1}\n{"b":2}\n', []),
        (b'{"a":1}\n{"b":2}\r\n{"c":3}\n', [(b'{"c":3}', 3, 17)]),
        (b'{"a":1}\n{"b":2}\n{"c":3}', [(b'{"c":3}', 3, 16)]),
    ],
)
def test_appending_after_an_unended_line(tmp_path, block, after, rest):
    (path,) = write(tmp_path, b'{"a":1}\n{"b":2}')
    cursor = read([path])[1]
    write(tmp_path, after)
    rows, end = read([path], cursor, block=block)
    assert [(row[0], row[2], row[3]) for row in rows] == rest
    assert end == read([path])[1]


@pytest.mark.parametrize("block", [1, 1 << 20])
@pytest.mark.parametrize(
    "now",
    [
        b'{"a":1}\n{"b":23}\n',
        b'{"a":1}\n{"b":2}{"c":3}\n',
        b'{"a":1}\n{"b":2} \n',
        b'{"a":9}\n{"b":2}\n',
        b'{"a":1}\n{"b":2',
        b'{"a":1}\n',
        b'{"b":2}\n{"a":1}\n',
        b"",
    ],
)
def test_a_changed_prefix_is_noticed(tmp_path, now, block):
    (path,) = write(tmp_path, b'{"a":1}\n{"b":2}')
    cursor = read([path])[1]
    write(tmp_path, now)
    with pytest.raises(PrefixChanged):
        read([path], cursor, block=block)


def test_the_prefix_may_move_between_files_and_be_packed(tmp_path):
    paths = write(tmp_path, b'{"a":1}\n', b'{"b":2}')
    cursor = read(paths)[1]
    more = write(tmp_path, b'{"a":1}', b'{"b":2}', b'{"c":3}\n')
    assert [row[:3] for row in read(more, cursor)[0]] == [(b'{"c":3}', "2.jsonl", 1)]
    (packed,) = write(tmp_path, gzip.compress(b'{"a":1}\n{"b":2}\n{"c":3}\n'))
    assert [row[0] for row in read([packed], cursor)[0]] == [b'{"c":3}']
    (cut,) = write(tmp_path, gzip.compress(os.urandom(99).hex().encode())[:-20])
    with pytest.raises(PrefixChanged):
        read([cut], Cursor(500, 3, "00"))


# One line

DEEP = {depth: b'{"a":' * depth + b"1" + b"}" * depth for depth in (255, 1024, 1025, 100_000)}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"a":1', "ends early"),
        (b'{"a":"x', "ends early"),
        (b'{"a":"\\u12', "ends early"),
        (b"{", "pretty-printed"),
        (b'{"a":"\xff"}', "invalid UTF-8 at byte 6"),
        (b'{"a":"\xed\xa0\x80"}', "invalid UTF-8 at byte 6"),
        (b'{"a":"\\ud800"}', "surrogate"),
        (b'{"a":"x\0y"}', "control character"),
        (b'{"a":1}\0', "more follows"),
        (b"\0", "not JSON"),
        (b'{"a":NaN}', "NaN and Infinity"),
        (b'{"a":Infinity}', "NaN and Infinity"),
        (b'{"a":-Infinity}', "NaN and Infinity"),
        (b'{"a":1e400}', "too large"),
        (b'{"a":1,}', "comma"),
        (b'{"a":1}{"b":2}', "two documents"),
        (b'{"a":1}\r{"b":2}', "two documents"),
        (b"{'a':1}", "double quotes"),
        (b'{"a":01}', "character 5"),
        (b"# comment", "character 0"),
        (DEEP[1025], "too deep"),
        (DEEP[100_000], "too deep"),
        (b"[" * 100_000, "too deep"),
        (b"[1]", "an array"),
        (b'"text"', "a string"),
        (b"12", "a number"),
        (b"1.5", "a number"),
        (b"true", "true or false"),
        (b"null", "null"),
    ],
)
@pytest.mark.parametrize("exact", [False, True])
def test_what_is_no_event_is_explained(line, why, exact):
    with pytest.raises(ValueError, match=why) as met:
        parse(line, exact)
    assert len(str(met.value)) < 120
    assert "\n" not in str(met.value)


@pytest.mark.parametrize(
    ("line", "body"),
    [
        (b'{"a":1,"a":2}', {"a": 2}),
        (b'{"a":-0.0,"b":0.1234567890123456789}', {"a": -0.0, "b": 0.1234567890123456789}),
        (b'{"a":9223372036854775807,"b":-9223372036854775808}', {"a": 2**63 - 1, "b": -(2**63)}),
        (b'{"a":9223372036854775808,"b":18446744073709551615}', {"a": 2**63, "b": 2**64 - 1}),
        (b'{"a":"123456789012345678901234567890"}', {"a": "123456789012345678901234567890"}),
        (b'{"a":"\\u0000"}', {"a": "\0"}),
        ('{"a":"x\u2028y\x85z"}'.encode(), {"a": "x\u2028y\x85z"}),
        (b' {"a":1}\t', {"a": 1}),
    ],
)
def test_values_are_exact(line, body):
    assert parse(line, exact=True) == body
    assert {key: type(value) for key, value in parse(line, exact=True).items()} == {
        key: type(value) for key, value in body.items()
    }


@pytest.mark.parametrize(
    "number", [b"18446744073709551616", b"-9223372036854775809", b"9" * 30, b"9" * 5000]
)
def test_integers_beyond_64_bits_are_refused_from_file_to_event(tmp_path, number):
    (path,) = write(tmp_path, b'{"ok":1}\n{"a":%s}\n' % number)
    (chunk,) = Source([path]).chunks()
    assert chunk.odd
    assert parse(chunk.lines[0], chunk.odd) == {"ok": 1}
    with pytest.raises(ValueError, match="send it as a string"):
        parse(chunk.lines[1], chunk.odd)


def test_depth_that_can_be_read_is_read():
    assert parse(DEEP[255], exact=True) == parse(DEEP[255], exact=False)
    assert parse(DEEP[1024], exact=False)
