"""Arrays, CSV and XES as JSON lines: the records as they are, whatever the blocks, and what is refused."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path

import pytest
from conftest import examples
from hypothesis import given
from hypothesis import strategies as st

from durproj.errors import BadEvent
from durproj.events.containers.conversion import BadRecord, json_lines
from durproj.events.envelope import Envelope
from durproj.events.formats.mapping import Mapping
from durproj.events.log import Index
from durproj.events.reader import PrefixChanged, Source

ECOM = Path(__file__).parents[3] / "shared" / "data" / "ecom.csv.gz"
MOST = 1 << 20


def converted(container, content, block=1 << 16, most=MOST):
    """The lines before the first trouble, and the trouble."""
    if isinstance(content, str):
        content = content.encode()
    blocks = (content[at : at + block] for at in range(0, len(content), block))
    lines = b""
    try:
        for made in json_lines(container, blocks, most):
            assert made.endswith(b"\n")
            lines += made
    except BadRecord as bad:
        return lines.splitlines(), (bad.number, bad.why)
    return lines.splitlines(), None


def values(container, content, **options):
    lines, trouble = converted(container, content, **options)
    assert trouble is None
    return [json.loads(line) for line in lines]


# -- arrays

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=6)
    | st.sampled_from(["]", '"', "\\", '\\"', "[{", "},", "data"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@examples(50)
@given(
    elements=st.lists(st.dictionaries(st.text(max_size=4), JSON, max_size=3), max_size=5),
    indent=st.sampled_from([None, 1, "\t"]),
    block=st.sampled_from([1, 2, 3, 7, 1 << 16]),
    listed=st.booleans(),
    ascii=st.booleans(),
)
def test_an_array_is_its_elements_however_it_is_written_and_read(
    elements, indent, block, listed, ascii
):
    whole = {"object": "list", "x": {"data": [0]}, "data": elements, "more": ["data", {"data": 1}]}
    text = json.dumps(whole if listed else elements, indent=indent, ensure_ascii=ascii)
    lines, trouble = converted("array", text, block)
    assert trouble is None
    assert [json.loads(line) for line in lines] == elements
    if len(lines) == len(elements):
        compact = [json.dumps(e, separators=(",", ":"), ensure_ascii=ascii) for e in elements]
        exact = all(abs(n) < 2**63 for e in elements for n in _integers(e))
        assert not exact or [line.decode() for line in lines] == compact


def _integers(value):
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _integers(inner)
    elif isinstance(value, int):
        yield value


def test_numbers_and_escapes_keep_every_character():
    text = '[{"a": 1.10, "b": -0, "c": 12345678901234567890.5,\n "d": 1E5, "e": "\\u0041\\ud83d"}]'
    assert converted("array", '[{"a": 1.10, "b": -0, "c": 0.30000000000000000004}]')[0] == [
        b'{"a":1.10,"b":-0,"c":0.30000000000000000004}'
    ]
    (line,), _ = converted("array", text)
    assert b"\\ud83d" in line  # half a pair: for the reader of the lines to refuse


@pytest.mark.parametrize(
    ("content", "count", "number", "why"),
    [
        ("", 0, None, "neither a JSON array"),
        ("{}", 0, None, "neither a JSON array"),
        ('{"data":{}}', 0, None, "neither a JSON array"),
        ('{"a":1}\n{"a":2}\n', 0, None, "neither a JSON array"),
        ('"data"', 0, None, "neither a JSON array"),
        ('{"a":["data",[1]]}', 0, None, "neither a JSON array"),
        ("[{},{}", 1, 2, "ends early"),
        ('[{},{"a":"', 1, 2, "ends early"),
        ("[", 0, 1, "ends early"),
        ("[{},]", 1, 2, "a comma"),
        ("[,{}]", 0, 1, "a comma"),
        ("[{},,{}]", 1, 2, "a comma"),
        ("[{}] x", 1, None, "not JSON around"),
        ("[{}]]", 1, None, "not JSON around"),
        ("[{}}", 1, None, "not JSON around"),
        ("[{}][{}]", 1, None, "not JSON around"),
        ('{"data":[{}]', 1, None, "not JSON around"),
        ('{"data" [{}]}', 0, None, "neither a JSON array"),
        ('{"data":[{}],"data":[{}]}', 1, None, '"data" more than once'),
        ('{"data":[{}],"x":{"data":1},"d\\u0061ta" : null}', 1, None, '"data" more than once'),
        ('{"data":{"a":":"},"data":[{}]}', 1, None, '"data" more than once'),
    ],
)
def test_what_is_no_array_is_refused_after_the_elements_before_it(content, count, number, why):
    for block in (1, 3, 1 << 16):
        lines, trouble = converted("array", content, block)
        assert len(lines) == count
        assert trouble is not None
        assert trouble[0] == number
        assert why in trouble[1]


def test_an_empty_array_is_no_events_and_a_mark_is_passed_over():
    assert values("array", "\ufeff [ ]\n") == []
    assert values("array", '\ufeff[{"a":1}]') == [{"a": 1}]
    assert values("array", '{"data":[]}') == []


def test_an_element_beyond_the_longest_is_refused():
    lines, trouble = converted("array", '[{},{"a":"' + "x" * 200, block=50, most=100)
    assert lines == [b"{}"]
    assert trouble == (2, "the record is longer than 100 bytes")


def test_what_is_no_event_in_an_array_is_refused_by_its_number(tmp_path):
    path = tmp_path / "log.json"
    for element, why in (
        (b"7", "a number, where"),
        (b'{"a":\n01}', "not JSON"),
        (b"{} {}", "more"),
    ):
        path.write_bytes(b'[{"k":"a"},\n' + element + b"]")
        with Index.build(Source([str(path)], container="array"), Envelope(Mapping("k"))) as index:
            assert str(index.error).startswith(f"{path}: record 2: ")
            assert why in str(index.error)
            assert len(index) == 1


# -- CSV


FIELDS = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=8)


@examples(50)
@given(
    rows=st.lists(st.lists(FIELDS, min_size=3, max_size=3), max_size=6),
    delimiter=st.sampled_from(",;\t"),
    end=st.sampled_from(["\n", "\r\n"]),
    block=st.sampled_from([1, 2, 5, 1 << 16]),
    mark=st.sampled_from(["", "\ufeff"]),
)
def test_csv_is_its_rows_however_it_is_written_and_read(rows, delimiter, end, block, mark):
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerow(["id", "a, b; c", "é"])
    writer.writerows(rows)
    expected = [dict(zip(["id", "a, b; c", "é"], row, strict=True)) for row in rows]
    assert values("csv", mark + file.getvalue(), block=block) == expected


def test_blank_lines_and_a_missing_last_line_end_are_no_matter():
    assert values("csv", "\n\na;b\n1;2\n\n3;4") == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
    assert values("csv", "a\n1\n") == [{"a": "1"}]
    assert values("csv", "") == values("csv", "\n\n") == values("csv", "a,b\n") == []


@pytest.mark.parametrize(
    ("content", "count", "number", "why"),
    [
        (b"a,b\n1,2\n3\n", 1, 2, "1 field, where the first row has 2 (in the row that ends on line 3"),
        (b"a,b\n1,2,3\n", 0, 1, "3 fields, where the first row has 2"),
        (b'a,b\n1,"x\n', 0, 1, "unexpected end of data"),
        (b'a,b\n1,"x"y\n', 0, 1, "expected after"),
        (b"a,b\n1,2\n3,\xff\n", 1, 2, "invalid UTF-8 (in the row that ends on line 3"),
        (b"a,\xe2\n1,2\n", 0, None, "invalid UTF-8"),
        (b"a,a\n1,2\n", 0, None, 'names two fields "a"'),
        (b'a,"b\n', 0, None, "the first row, which names the fields"),
    ],
)  # fmt: skip
def test_a_bad_row_is_refused_after_the_rows_before_it(content, count, number, why):
    lines, trouble = converted("csv", content)
    assert (len(lines), trouble[0]) == (count, number)
    assert why in trouble[1]


def test_a_row_is_handed_out_before_the_next_block_is_asked_for():
    def blocks():
        yield b"a,b\n1,2\n3,"
        asked.append("the second block")
        yield b"4\n"

    asked = []
    made = json_lines("csv", blocks(), MOST)
    assert next(made) == b'{"a":"1","b":"2"}\n'
    assert asked == []
    assert [*made] == [b'{"a":"3","b":"4"}\n']


@pytest.mark.skipif(not ECOM.exists(), reason="the real data is not here (../shared/data)")
def test_a_real_csv_log_is_what_the_csv_module_makes_of_it():
    with gzip.open(ECOM, "rt", encoding="utf-8", newline="") as file:
        expected = list(csv.DictReader(file))
    source = Source([str(ECOM)], container="csv")
    assert [json.loads(line) for chunk in source.chunks() for line in chunk.lines] == expected


# -- XES

XES = """<?xml version="1.0" encoding="UTF-8"?>
<log xes.version="1.0" xmlns="http://www.xes-standard.org/">
<extension name="Concept" prefix="concept" uri="http://www.xes-standard.org/concept.xesext"/>
<global scope="event"><string key="concept:name" value="?"/></global>
<string key="concept:name" value="the log's own"/>
<trace>
 <string key="concept:name" value="A&amp;17"/><int key="n" value="7"/>
 <event>
  <string key="concept:name" value="register"/><date key="time:timestamp" value="2026-01-31T09:00:00+01:00"/>
  <int key="i" value="-3"/><float key="f" value="1.5"/><float key="nan" value="NaN"/>
  <boolean key="yes" value="true"/><boolean key="no" value="0"/><id key="identity:id" value="x-1"/>
  <list key="l"><values><string key="a" value="1"/><int key="a" value="2"/></values></list>
  <container key="c"><string key="x" value="é"/></container>
 </event>
 <event><string key="concept:name" value="close"><string key="origin" value="sys"><int key="v" value="2"/></string></string></event>
</trace>
<trace><string key="concept:name" value="B"/><event/></trace>
<event><string key="concept:name" value="loose"/></event>
</log>
"""
CASE = {"case:concept:name": "A&17", "case:n": 7}
EVENTS = [
    CASE
    | {
        "concept:name": "register", "time:timestamp": "2026-01-31T09:00:00+01:00", "i": -3, "f": 1.5,
        "nan": "NaN", "yes": True, "no": False, "identity:id": "x-1", "l": [{"a": "1"}, {"a": 2}], "c": {"x": "é"},
    },
    CASE | {"concept:name": "close", "concept:name:origin": "sys", "concept:name:origin:v": 2},
    {"case:concept:name": "B"},
    {"concept:name": "loose"},
]  # fmt: skip


@pytest.mark.parametrize("block", [1, 7, 1 << 16])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_xes_is_its_events_with_typed_values(block, encoding):
    text = XES.replace("UTF-8", encoding.upper().removesuffix("-SIG"))
    assert values("xes", text.encode(encoding), block=block) == EVENTS
    lines, _ = converted("xes", XES, block)
    assert lines[0].startswith(b'{"case:concept:name":"A&17","case:n":7,"concept:name":"register",')


BOMB = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>\n<log>&b;</log>'
READS = '<!DOCTYPE log SYSTEM "file:///etc/passwd"><log/>'


@pytest.mark.parametrize(
    ("content", "number", "why"),
    [
        (BOMB, None, "a document type declaration"),
        (READS, None, "a document type declaration"),
        ("<log>&undefined;</log>", 1, "undefined entity"),
        ("", 1, "no element found"),
        ("text", 1, "broken XML"),
        ("<html/>", None, "no XES log: it begins with <html>"),
        (XES[:-8], 5, "broken XML"),
        ("<log><event><string value='x'/></event></log>", 1, "a <string> without a key"),
        ("<log><event><int key='n' value='1.5'/></event></log>", 1, 'the int "n" is "1.5"'),
        ("<log><event><int key='n' value='9223372036854775808'/></event></log>", 1, 'the int "n"'),
        ("<log><event><float key='n' value='x'/></event></log>", 1, 'the float "n" is "x"'),
        ("<log><event><boolean key='n' value='si'/></event></log>", 1, 'the boolean "n" is "si"'),
        ("<log><event><id key='n'/><id key='n'/></event></log>", 1, 'two attributes "n"'),
        ("<log>" + "<trace>" * 200, 1, "nested deeper than 100"),
    ],
)
def test_what_is_no_xes_is_refused(content, number, why):
    _, trouble = converted("xes", content)
    assert trouble is not None
    assert trouble[0] == number
    assert why in trouble[1]


def test_attributes_beyond_the_longest_are_refused():
    many = "".join(f"<string key='{n}' value='xxxxxxxxxx'/>" for n in range(100))
    _, trouble = converted("xes", f"<log><event>{many}</event></log>", most=500)
    assert trouble == (1, "attributes of more than 500 characters")


# -- as a source


CONTENT = {"array": b'[{"k":"a"},{"k":"b"},\n{"k":"a"}]', "csv": b"k\na\nb\na\n"}


@pytest.mark.parametrize("container", CONTENT)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
def test_records_are_lines_from_a_cursor_on_and_cannot_be_read_back_by_place(
    tmp_path, container, packed
):
    path = tmp_path / "log"
    content = CONTENT[container]
    path.write_bytes(gzip.compress(content) if packed else content)
    source = Source([str(path)], container=container)
    assert source.restartable
    assert not source.seekable
    assert source.sample() == [{"k": "a"}, {"k": "b"}, {"k": "a"}]
    lines = [line for chunk in source.chunks() for line in chunk.lines]
    assert [json.loads(line)["k"] for line in lines] == ["a", "b", "a"]
    cursor = source.cursor()
    assert cursor.lines == 3
    grown = content.replace(b"]", b',{"k":"c"}]') if container == "array" else content + b"c\n"
    path.write_bytes(grown)
    assert [line for chunk in source.chunks(cursor) for line in chunk.lines] == [b'{"k":"c"}']
    path.write_bytes(content.replace(b"b", b"x"))
    with pytest.raises(PrefixChanged):
        list(source.chunks(cursor))
    with Index.build(source, Envelope(Mapping("k"))) as index:
        assert [*index.lines("a")] == [[b'{"k":"a"}', b'{"k":"a"}']]


def test_each_of_several_files_is_a_table_of_its_own(tmp_path):
    for name, content in (("1.csv", b"k,n\na,1\n"), ("2.csv", b"n;k\n2;b")):
        (tmp_path / name).write_bytes(content)
    source = Source([str(tmp_path / "1.csv"), str(tmp_path / "2.csv")], container="csv")
    assert source.sample() == [{"k": "a", "n": "1"}, {"n": "2", "k": "b"}]


@pytest.mark.parametrize("container", ["array", "csv"])
@pytest.mark.parametrize("head", [b"\xff\xfe[\0", b"PK\x03\x04", b"BZh9"])
def test_other_files_are_told_by_their_first_bytes(tmp_path, container, head):
    path = tmp_path / "log"
    path.write_bytes(head)
    with pytest.raises(BadEvent, match=r"not (a JSON array|CSV)"):
        list(Source([str(path)], container=container).chunks())
