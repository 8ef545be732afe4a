"""Values out of a store whose seals fit."""

from __future__ import annotations

import pytest

from durproj import StoreDamaged, codec
from durproj.stores.stored import ERROR, PARKED, stored_line, stored_record, stored_value


def nested(levels):
    return b"[" * levels + b"]" * levels


@pytest.mark.parametrize(
    "blob",
    [b"null", b'{"a":[1,2.5,"x"]}', nested(codec.DUMPS_DEPTH), b"[" + b"{}," * 1000 + b"1]"],
)
def test_what_durproj_writes_is_read(blob):
    assert stored_value(blob) == stored_line(blob) == codec.decode(blob)
    assert codec.encode(stored_value(blob)) == blob


@pytest.mark.parametrize("blob", [b"", b"{", b"NaN", b"\xff", nested(codec.DUMPS_DEPTH + 1)])
def test_what_durproj_never_writes_is_damage(blob):
    with pytest.raises(StoreDamaged, match="cannot be read"):
        stored_value(blob)


def test_a_line_may_be_as_deep_as_lines_are():
    assert codec.to_json(stored_line(nested(1024))).encode() == nested(1024)
    with pytest.raises(StoreDamaged, match="cannot be read"):
        stored_line(nested(1025))


STOPPED = {"kind": "KeyError", "message": "'x'", "step": 3}


@pytest.mark.parametrize("form", [ERROR, PARKED], ids=["an error", "a parked one"])
@pytest.mark.parametrize(
    "event",
    [
        {},
        {"id": "e1"},
        {"type": "Paid"},
        {"id": "e1", "type": None},
        {"id": ["e1"], "type": "Paid"},
        [5],
        "e1",
    ],
    ids=str,
)
def test_an_event_at_which_a_workflow_stopped_has_an_id_and_a_type(form, event):
    kept = STOPPED | {"event": {"id": None, "type": "Paid"}, "line": "{}"}
    assert stored_record(codec.encode(kept), form) == kept
    with pytest.raises(StoreDamaged, match="a stored record is malformed: "):
        stored_record(codec.encode(kept | {"event": event}), form)
