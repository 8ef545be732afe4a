"""What is exported is what is in the store, in every format, whatever the states are."""

from __future__ import annotations

import csv
import json
import sqlite3
import tempfile
from collections import defaultdict
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import examples
from hypothesis import example, given
from hypothesis import strategies as st

import durproj
from durproj.history.paths import show_path

OURS = ["_id", "_name", "_key", "_status", "_steps", "_error"]
SAFE = 2**53 - 1

texts = st.text(max_size=5) | st.sampled_from(
    ["=1+1", "a\0b", 'q"q', "l\r\nm", "\r", "", "'", "[x]"]
)
names = texts | st.sampled_from(
    ["a", "A", "b", "_id", "_ID", "_key", "_error", "$", "a.b", "a_2", ""]
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.integers(-3, 3)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
states = st.lists(
    st.dictionaries(names, values, max_size=4) | values.filter(lambda value: value is not None),
    min_size=1,
    max_size=5,
)


def settled(state, event):
    return event.data["state"]


def filled(folder, states):
    """A store with a projection for each of `states`."""
    log, store = folder / "log.jsonl", folder / "store.db"
    with log.open("w") as file:
        for number, state in enumerate(states):
            line = {"user": f"k{number}", "type": "T", "id": f"e{number}", "data": {"state": state}}
            file.write(json.dumps(line) + "\n")
    durproj.fold(log, reducer=settled, store=store, durability="batch")
    return store


def leaves(state, path=()):
    """The leaves of a state by the names of their columns, as the documentation has them."""
    if type(state) is dict:
        for name, value in state.items():
            yield from leaves(value, (*path, name))
    elif state is not None:
        name = show_path(path)
        yield ("$." + name if name.lower() in OURS else name), state


def expected(states):
    rows = [dict(leaves(state)) for state in states]
    columns = defaultdict(list)
    for row in rows:
        for name, value in row.items():
            columns[name].append(value)
    return rows, columns


def exactly(one, other):
    """The same JSON, in the same types."""
    return json.dumps(one) == json.dumps(other)


def kind_of(values):
    """What a column of these values is in a format that has types."""
    kinds = {type(value) for value in values}
    integers = [value for value in values if type(value) is int]
    if len(kinds) == 1 and kinds <= {str, bool, float}:
        return kinds.pop()
    if kinds == {int} and all(-(2**63) <= value < 2**63 for value in integers):
        return int
    if kinds == {int, float} and all(-SAFE <= value <= SAFE for value in integers):
        return float
    if kinds == {list}:
        elements = [each for value in values for each in value if each is not None]
        if not elements:
            return list
        return list if kind_of(elements) not in ("json", list) else "json"
    return "json"


@examples(15)
@given(states)
@example([{"a": 1, "A": "x", "a_2": True}, {"_ID": {"x": [1, 2.5]}, "_id": 7}])
@example([{"a": 2**53}, {"a": 0.5}])
@example([[{"a": 1}], 5, "text", {}])
def test_every_format_holds_what_the_store_holds(states):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = filled(folder, states)
        rows, columns = expected(states)
        for end in ("jsonl", "csv", "db", "parquet"):
            record = durproj.export(folder / f"out.{end}", store=store)
            assert record["rows"] == len(states)

        lines = (folder / "out.jsonl").read_bytes().split(b"\n")
        assert lines.pop() == b""
        found = [json.loads(line) for line in lines]
        assert exactly([record["state"] for record in found], states)
        assert found == list(durproj.export_records(store=store))

        with (folder / "out.csv").open(newline="", encoding="utf-8") as file:
            header, *cells = csv.reader(file)
        assert header == [*OURS, *columns]
        for row, line in zip(rows, cells, strict=True):
            assert len(line) == len(header)
            for column, cell in zip(header[6:], line[6:], strict=True):
                value = row.get(column)
                written = (
                    value if type(value) is str else "" if value is None else json.dumps(value)
                )
                assert cell == written or exactly(json.loads(cell), value)

        with closing(sqlite3.connect(folder / "out.db")) as conn:
            found = conn.execute("SELECT * FROM projections ORDER BY rowid").fetchall()
        for row, line in zip(rows, found, strict=True):
            for column, cell in zip(header[6:], line[6:], strict=True):
                value, kind = row.get(column), kind_of(columns[column])
                if value is None:
                    assert cell is None
                elif kind in ("json", list):
                    assert exactly(json.loads(cell), value)
                else:
                    assert (type(cell), cell) == (int if kind is bool else kind, value)

        table = pq.read_table(folder / "out.parquet")
        assert table.column_names == header
        for row, line in zip(rows, table.to_pylist(), strict=True):
            for column in header[6:]:
                value, kind, cell = row.get(column), kind_of(columns[column]), line[column]
                if value is None:
                    assert cell is None
                elif kind == "json":
                    assert exactly(json.loads(cell), value)
                elif kind is list:
                    assert cell == value
                else:
                    assert (type(cell), cell) == (kind, value)


def test_a_column_of_lists_is_one_of_native_lists_in_parquet_as_far_as_one_type_goes(tmp_path):
    store = filled(
        tmp_path, [{"a": ["x", None], "b": [1, "x"], "c": [[1]]}, {"a": [], "b": [], "c": []}]
    )
    durproj.export(tmp_path / "out.parquet", store=store)
    table = pq.read_table(tmp_path / "out.parquet")
    assert table["a"].to_pylist() == [["x", None], []]
    assert table["b"].to_pylist() == ['[1,"x"]', "[]"]
    assert table["c"].to_pylist() == ["[[1]]", "[]"]


def test_parquet_is_written_in_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr("durproj.exports.parquet_file.GROUP_ROWS", 4)
    store = filled(tmp_path, [{"n": n} for n in range(10)])
    durproj.export(tmp_path / "out.parquet", store=store)
    file = pq.ParquetFile(tmp_path / "out.parquet")
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [4, 4, 2]
    assert file.read()["n"].to_pylist() == list(range(10))


def test_columns_chosen_are_the_only_ones_of_the_state(tmp_path):
    store = filled(tmp_path, [{"a": {"b": 1, "c": [5, 6]}, "z": 1, "_id": 9}, {"a": {}}])
    record = durproj.export(
        tmp_path / "out.db", store=store, columns=["a", "a.c[1]", "/a/b", "$", "_id", "nope"]
    )
    assert record["empty"] == ["nope"]
    with closing(sqlite3.connect(tmp_path / "out.db")) as conn:
        conn.row_factory = sqlite3.Row
        first, second = map(dict, conn.execute("SELECT * FROM projections"))
    assert [*first][6:] == ["a", "a.c[1]", "a.b", "$", "$._id", "nope"]
    assert [*first.values()][6:8] == ['{"b":1,"c":[5,6]}', 6]
    assert json.loads(first["$"]) == {"a": {"b": 1, "c": [5, 6]}, "z": 1, "_id": 9}
    assert (first["a.b"], first["$._id"], first["nope"]) == (1, 9, None)
    assert [*second.values()][6:] == ["{}", None, None, '{"a":{}}', None, None]


@pytest.mark.parametrize(("end", "most"), [("db", 2_000), ("csv", 10_000), ("parquet", 10_000)])
def test_too_many_paths_are_refused_with_what_to_do(tmp_path, end, most):
    store = filled(tmp_path, [{"items": {f"i{n}": n for n in range(most)}}])
    out = tmp_path / f"out.{end}"
    with pytest.raises(durproj.UsageError, match=rf"more than {most:,} different paths") as refused:
        durproj.export(out, store=store)
    assert "--column PATH" in refused.value.hint
    assert not out.exists()
    assert durproj.export(out, store=store, columns=["items"])["columns"] == 7


def test_as_many_columns_as_sqlite_takes_are_written(tmp_path):
    store = filled(tmp_path, [{f"i{n}": n for n in range(1_994)}])
    assert durproj.export(tmp_path / "out.db", store=store)["columns"] == 2_000
    with closing(sqlite3.connect(tmp_path / "out.db")) as conn:
        assert conn.execute("SELECT * FROM projections").fetchone()[6:] == tuple(range(1_994))
