"""Rows as Parquet: the one door to pyarrow.

Columns are int64, double, bool and string, lists of one kind of these are native lists; what is of
several kinds, or nested in a list, is JSON in a string.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from durproj import codec
from durproj.errors import UsageError
from durproj.exports.table import Column, Row

MOST_COLUMNS = 10_000
"""Each costs memory while the file is written and while it is read."""

GROUP_CELLS = 400_000
GROUP_ROWS = 65_536
"""A row group is what is held in memory: so many cells, and so many rows, at the most."""


def check() -> None:
    """Raise UsageError when pyarrow is not installed."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ModuleNotFoundError:
        raise UsageError(
            "Parquet needs the package pyarrow, which is not installed",
            "pip install 'durproj[parquet]'",
        ) from None


def write(path: str, columns: Sequence[Column], rows: Iterable[Row]) -> None:
    """Write the file at `path`, a row group at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {
        "integer": pa.int64(),
        "real": pa.float64(),
        "boolean": pa.bool_(),
        "text": pa.string(),
        "json": pa.string(),
    }
    schema = pa.schema(
        (name, pa.list_(types[of]) if of else types[kind]) for name, kind, of in columns
    )
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for group in _groups(rows, max(1, min(GROUP_ROWS, GROUP_CELLS // len(columns)))):
            arrays = [
                pa.array(_values(column, group), type=field.type)
                for column, field in zip(columns, schema, strict=True)
            ]
            writer.write_batch(pa.record_batch(arrays, schema=schema))


def _groups(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    each = iter(rows)
    while group := list(islice(each, size)):
        yield group


def _values(column: Column, rows: Sequence[Row]) -> list[Any]:
    values = [row.get(column.name) for row in rows]
    if column.kind == "json":
        return [None if value is None else codec.to_json(value) for value in values]
    return values
