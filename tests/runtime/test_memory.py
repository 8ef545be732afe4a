"""Long lines: a fold holds a few of them at a time, however many there are and however long the next one is."""

from __future__ import annotations

import tracemalloc
from contextlib import nullcontext

import pytest

import durproj

KIB = 1 << 10
LONGEST = 512 * KIB
LINE = b'{"user":"a","type":"T","p":"%b"}\n' % (b"x" * (LONGEST - KIB))


def peak(folder, content, *, bad=False):
    """The most bytes that Python held while it folded a log of `content`."""
    log, store = folder / "log.jsonl", folder / "s.db"
    log.write_bytes(content)
    store.unlink(missing_ok=True)
    tracemalloc.start()
    try:
        with pytest.raises(durproj.BadEvent, match="longer than") if bad else nullcontext():
            durproj.fold(log, reducer="counts", store=store, max_line=LONGEST)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_number_of_long_lines(tmp_path):
    peak(tmp_path, LINE)  # imports
    assert peak(tmp_path, LINE * 80) - peak(tmp_path, LINE * 40) < LONGEST


@pytest.mark.parametrize("longest", [2, 20])
def test_a_line_that_is_too_long_takes_no_memory_beside_what_is_folded(tmp_path, longest):
    peak(tmp_path, LINE)
    long = peak(tmp_path, LINE + b"x" * (longest * LONGEST), bad=True)
    assert long - peak(tmp_path, LINE) < LONGEST // 2


def test_a_log_of_a_few_long_lines_is_not_shown_as_a_small_one(tmp_path):
    log, told = tmp_path / "log.jsonl", []

    class Listening(durproj.Silent):
        def started(self, _record, _summary, *, small):
            told.append(small)

    for lines in (1, 3):
        log.write_bytes(LINE * lines)
        durproj.fold(
            log, reducer="counts", store=tmp_path / f"{lines}.db", max_line=LONGEST,
            observer=Listening(),
        )  # fmt: skip
    assert told == [True, False]
