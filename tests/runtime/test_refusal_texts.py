"""Word by word, what is said where the past has changed: what was recorded, what is there now, what to do."""

from __future__ import annotations

import pytest

from durproj import PastChanged, StepFailed, Unstorable
from durproj.codec import decode
from durproj.runtime import guard, recording

ID = "projection/u1"
WAS, NOW = b'{"v":1}', b'{"v":2}'
BOTH = """\
  recorded: {"v":1}
            v = 1
  now:      {"v":2}
            v = 2
"""
FROM_THE_START = """\
fold again from the start:  durproj run --restart …
keep both:  durproj run --name OTHER …"""
BACK = "put the log back as it was, or\n"
FROM_6 = "drop the steps from 6 on with rewind, and run again\n"


def changed_event():
    with pytest.raises(PastChanged) as caught:
        guard.compare_inputs(ID, 5, [b"1", WAS, b"3"], [b"1", NOW])
    return caught.value


def test_a_changed_event():
    error = changed_event()
    assert (error.id, error.step) == (ID, 6)
    assert str(error) == (
        f"{ID}#6: the past changed\n{BOTH}{BACK}{FROM_6}{FROM_THE_START}"
    )  # fmt: skip


def test_the_same_beginning_is_no_change():
    guard.compare_inputs(ID, 0, [WAS, NOW], [WAS])
    guard.compare_inputs(ID, 0, [WAS, NOW], [WAS, NOW])


def test_an_event_that_comes_late_is_shown_whole():
    assert str(guard.late_event(changed_event(), "seq")) == (
        f"{ID}#6: the past changed\n"
        '  recorded: {"v":1}\n'
        '  now:      {"v":2}\n'
        "            it came late: by --order seq it is before the recorded event\n"
        f"{FROM_6}{FROM_THE_START}"
    )


@pytest.mark.parametrize("mended", [False, True])
def test_a_changed_parked_event(mended):
    take = "take the event as it is now:  durproj parked retry …\n" if mended else ""
    assert str(guard.changed_parked(ID, 6, WAS, NOW, mended=mended)) == (
        f"{ID}#6: the past changed\n{BOTH}{take}{BACK}{FROM_6}{FROM_THE_START}"
    )


def test_a_log_that_became_shorter():
    assert str(guard.past_the_end(ID, 0, WAS)) == (
        f"{ID}#0: the past changed\n"
        '  recorded: {"v":1}\n'
        "  now:      the log ends before this event\n"
        f"{BACK}{FROM_THE_START}"
    )


def test_what_comes_before_the_first_step_that_is_kept():
    error = guard.changed_dropped(ID, 1234, "others")
    assert error.step is None
    assert str(error) == (
        f"{ID}: the past changed\n"
        "  recorded: its first 1,234 events, by a digest (durproj gc dropped their steps)\n"
        f"  now:      others\n{BACK}{FROM_THE_START}"
    )


@pytest.mark.parametrize(
    ("size", "recorded"),
    [(1234, "1,234 bytes of the input, by their hash"), (0, "the file by its inode")],
)
def test_another_file_where_one_was_rotated(size, recorded):
    error = guard.other_input("projection", size)
    assert error.step is None
    assert str(error) == (
        f"projection: the past changed\n  recorded: {recorded}\n  now:      it is another file\n"
        "put the file back, under its name or a rotated one: its rest is read, then the new one\n"
        "or, if all of it was read: durproj run --follow --rotated …\n"
        "or, if the file was edited: without --follow every event is compared\n"
        "or fold again from the start of what is there: --restart"
    )


@pytest.mark.parametrize("flag", ["--accept-reducer", ""])
def test_another_reducer_or_envelope(flag):
    error = guard.changed_option(ID, "reducer", "a", "b", flag)
    accept = f"accept it for new steps: {flag}\n" if flag else ""
    assert error.step == 0
    assert str(error) == (
        f"{ID}#0: the past changed\n  recorded: reducer a\n  now:      reducer b\n"
        f"{accept}fold again from the start: --restart\nkeep both: another --name"
    )


def test_the_first_step_has_none_before_it_to_keep():
    assert guard.way_on(0) == BACK + FROM_THE_START
    assert guard.way_on(1) == BACK + FROM_6.replace("6", "1") + FROM_THE_START


@pytest.mark.parametrize(
    ("was", "now", "paths"),
    [
        ('{"a":{"b":[1,2]}}', '{"a":{"b":[1,3]}}', ("a.b[1] = 2", "a.b[1] = 3")),
        ('{"a":{"b":[1,2]}}', '{"a":{"b":[1]}}', ("a.b = [1,2]", "a.b = [1]")),
        ("[1,2]", "[1,5]", ("[1] = 2", "[1] = 5")),
        ('{"a":1}', "{}", ("a = 1", "a = (absent)")),
        ('{"a":1}', '{"a":1,"b":null}', ("b = (absent)", "b = null")),
        ('{"a":[1]}', '{"a":{"0":1}}', ("a = [1]", 'a = {"0":1}')),
        ('{"a":"' + 60 * "x" + '"}', '{"a":2}', ('a = "' + 58 * "x" + "…", "a = 2")),
        ("1", "2", None),
        ("{", "1", None),
        ("1", "{", None),
    ],
)
def test_the_first_path_that_differs_is_named(was, now, paths):
    shown = (was, now)
    if paths:
        shown = tuple(
            f"{text}\n            {path}" for text, path in zip(shown, paths, strict=True)
        )
    assert guard.difference(was.encode(), now.encode()) == shown


def test_an_input_is_shown_in_one_short_line():
    assert guard.show(b"x" * 100) == "x" * 100
    assert guard.show(b"x" * 101) == "x" * 99 + "…"
    assert guard.show(b"abcde", 4) == "abc…"
    assert guard.show(b"a\xff") == "a\N{REPLACEMENT CHARACTER}"


def test_long_texts_are_shown_from_shortly_before_their_difference():
    same, rest = "s" * 50 + "t" * 40, "y" * 30
    assert guard.contrast(same + "1" + rest, same + "2") == (
        "…" + "t" * 40 + "1" + rest,
        "…" + "t" * 40 + "2",
    )
    assert guard.contrast("x" * 101, "x" * 90) == ("…" + "x" * 51, "…" + "x" * 40)
    assert guard.contrast("x" * 101, "y") == ("x" * 99 + "…", "y")
    assert guard.contrast("x" * 100, "y" * 99 + "z") == ("x" * 100, "y" * 99 + "z")
    assert guard.contrast("x" * 99 + "1", "x" * 99 + "2") == ("x" * 99 + "1", "x" * 99 + "2")
    assert guard.contrast("a\nb", "a") == ("a\\nb", "a")
    assert guard.contrast("x" * 50 + "a" * 60, "x" * 50 + "b", 20) == ("…" + "x" * 18 + "…",) * 2


def test_a_failed_step_is_kept_with_its_event_if_there_is_one():
    told = {"step": 3, "kind": "ValueError", "message": "no"}
    plain, of_event = (
        StepFailed(ID, 3, "ValueError", "no", event=event)
        for event in (None, {"id": 1, "type": "T"})
    )
    assert recording.rejected_error(plain) == told
    told["event"] = {"id": 1, "type": "T"}
    assert recording.rejected_error(of_event) == told
    assert decode(recording.parked_error(of_event, WAS)) == {**told, "line": '{"v":1}'}


def test_a_reducer_that_returned_nothing_is_told_what_it_must_return():
    recording.refuse_none(None)
    with pytest.raises(Unstorable) as caught:
        recording.refuse_none({})
    assert str(caught.value) == (
        "the reducer returned None; it must return the next state (a missing return?)"
    )
