"""Marks: how much of a file is on the disk for certain."""

from __future__ import annotations

import pytest
from blake3 import blake3

from durproj.events.mark import Mark, cut_unmarked

CONTENT = b"".join(b"%d\n" % number for number in range(1_000))

ENDS = [10, 100, 1_000]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "copy"
    path.write_bytes(CONTENT)
    return path


def marked(file, ends=ENDS, content=CONTENT):
    """The mark of `file` once it was set at `ends`."""
    path = file.with_name("mark")
    mark = Mark(str(path))
    for end in ends:
        mark.set(end, blake3(content[:end]).digest())
    mark.close()
    return path


def left(file, mark):
    cut_unmarked(str(file), str(mark))
    return len(file.read_bytes())


@pytest.mark.parametrize("count", [1, 2, 3])
def test_what_is_behind_the_last_end_is_cut_off(file, count):
    assert left(file, marked(file, ENDS[:count])) == ENDS[count - 1]
    assert CONTENT.startswith(file.read_bytes())


def test_nothing_is_cut_off_a_file_that_has_no_mark(file):
    assert left(file, file.with_name("mark")) == len(CONTENT)


def test_nothing_is_cut_off_by_the_mark_of_another_file(file):
    assert left(file, marked(file, content=CONTENT[::-1])) == len(CONTENT)


def test_nothing_is_cut_off_by_a_mark_that_was_begun(file):
    assert left(file, marked(file, [])) == len(CONTENT)


@pytest.mark.parametrize("before", [ENDS[:1], ENDS[:2], ENDS])
@pytest.mark.parametrize("torn", range(1, 40, 13))
def test_an_end_that_is_torn_while_it_is_written_leaves_the_one_before(file, before, torn):
    path = marked(file, before)
    former = path.read_bytes()
    written = marked(file, [2_000]).read_bytes()  # opened anew, as by the next copy
    changed = [at for at, byte in enumerate(written) if former[at : at + 1] != bytes([byte])]
    cut = changed[0] + torn
    path.write_bytes(written[:cut] + former[cut:].ljust(len(written) - cut, b"\0"))
    assert left(file, path) == before[-1]
