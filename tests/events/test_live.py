"""Whether another file has taken the place of one that is followed."""

from __future__ import annotations

from live import add, line

from durproj.events.live import LiveSource


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
