"""Whether another file has taken the place of one that is followed."""

from __future__ import annotations

import json
import os

import pytest
from live import add, line

from durproj.errors import NotFound
from durproj.events import rotation
from durproj.events.cursor import Cursor, PrefixChanged, same_file
from durproj.events.live import LiveSource
from durproj.events.reader import Source
from durproj.events.rotation import lies_in


def test_a_new_file_counts_as_begun_once_something_was_written_to_it(log):
    add(log, line(0))
    source = LiveSource(str(log))
    assert source.open()
    assert not source.replaced()
    log.rename(f"{log}.1")
    log.touch()
    # Who writes may go on with the old file for any time: until then that is not left.
    assert source.replaced()
    assert not source.replaced(begun=True)
    add(log, line(1))
    assert source.replaced(begun=True)
    source.close()


def test_a_file_that_is_renamed_while_it_is_looked_for_is_found_under_its_next_name(
    log, monkeypatch
):
    add(log, line(1), line(2))
    source = LiveSource(str(log), 1 << 20)
    assert source.open()
    assert list(source.chunks())
    start, rotated = source.cursor(), log.with_name("app.log.1")
    source.close()
    plain = rotation.name_of

    def name_of(*args):
        found = plain(*args)
        if log.exists():
            log.rename(rotated)
        return found

    monkeypatch.setattr(rotation, "name_of", name_of)
    assert lies_in(str(log), start) == str(rotated)
    rotated.unlink()
    assert lies_in(str(log), start) is None


@pytest.mark.parametrize("file", [None, (7, 9)])
def test_a_cursor_comes_back_as_it_was_stored(file):
    cursor = Cursor(120, 3, "ab", origin=100, file=file)
    stored = json.loads(json.dumps({**cursor.to_dict(), "steps": 3}))
    assert Cursor.from_dict(stored) == cursor
    # As stores had it before inputs could be rotated.
    del stored["origin"], stored["file"]
    assert Cursor.from_dict(stored) == Cursor(120, 3, "ab")


def test_a_file_is_the_same_while_nothing_of_it_has_changed(log):
    log.write_bytes(b"1234")
    then = log.stat()
    assert same_file(str(log), then)
    os.utime(log, ns=(then.st_atime_ns, then.st_mtime_ns + 1))
    assert not same_file(str(log), then)
    os.utime(log, ns=(then.st_atime_ns, then.st_mtime_ns))
    assert same_file(str(log), then)
    log.write_bytes(b"12345")
    os.utime(log, ns=(then.st_atime_ns, then.st_mtime_ns))
    assert not same_file(str(log), then)
    other = log.with_name("other")
    other.write_bytes(b"1234")
    os.utime(other, ns=(then.st_atime_ns, then.st_mtime_ns))
    assert not same_file(str(other), then)
    log.unlink()
    assert not same_file(str(log), then)


def test_a_file_that_is_renamed_while_its_fold_begins_is_read_on(log):
    add(log, line(1))
    source = LiveSource(str(log), 1 << 20)
    assert source.open()
    log.rename(log.with_name("app.log.1"))
    source.spool({str(log): "copy"}, sync=False)
    assert [raw for chunk in source.chunks() for raw in chunk.raw] == [line(1).rstrip()]
    source.close()


@pytest.mark.parametrize("renewed", [False, True])
def test_a_file_of_which_nothing_was_read_is_read_on_under_its_next_name(log, renewed):
    add(log, line(1))
    source = LiveSource(str(log), 1 << 20)
    assert source.open()
    start = source.begin(5)
    log.rename(log.with_name("app.log.1"))
    if renewed:
        add(log, line(2))
    assert [raw for chunk in source.chunks(start) for raw in chunk.raw] == [line(1).rstrip()]
    source.close()


def test_a_place_in_another_file_is_not_gone_on_from(log):
    add(log, line(1))
    source = LiveSource(str(log), 1 << 20)
    assert source.open()
    start = source.begin(5)
    log.rename(log.with_name("app.log.1"))
    add(log, line(1))
    assert source.open()
    with pytest.raises(PrefixChanged):
        list(source.chunks(start))
    source.close()


def test_a_file_that_is_gone_before_it_is_read_is_named(log):
    add(log, line(1))
    live = LiveSource(str(log))
    assert live.open()
    start = live.begin(5)
    live.close()
    source = Source([str(log)])
    assert list(source.chunks(start))
    source = Source([str(log)])
    log.unlink()
    with pytest.raises(NotFound, match=r"app\.log"):
        list(source.chunks(start))
