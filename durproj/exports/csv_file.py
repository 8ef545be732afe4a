r"""Rows as CSV (RFC 4180, but for lines that end in \n alone): texts are quoted, numbers, true and false
are bare, lists and objects are JSON. What is absent or null is an empty cell; an empty text is `""`.

Spreadsheets execute a text that begins with = + - @ or a blank control character. For these (`excel`) it
gets an apostrophe before it, as OWASP advises, and the file a byte order mark, without which they
take UTF-8 for something else.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

from durproj import codec
from durproj.exports.table import Row

MOST_COLUMNS = 10_000
"""More make a file that nothing opens."""

_MARK = "\ufeff"
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001  wide forms count


class _Bare(float):
    """A word that the csv module writes without quotes, as it does with numbers."""

    def __new__(cls, word: str) -> Self:
        bare = super().__new__(cls)
        bare.word = word
        return bare

    word: str

    def __str__(self) -> str:
        return self.word

    __repr__ = __str__


_ABSENT = _Bare("")
_WORDS = {True: _Bare("true"), False: _Bare("false")}


def lines(names: Sequence[str], rows: Iterable[Row], *, excel: bool = False) -> Iterator[str]:
    """The header and the rows, each with the line end after it."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")

    def line(cells: Iterable[Any]) -> str:
        writer.writerow(_defused(cells) if excel else cells)
        text = buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
        return text

    yield line(names)
    for row in rows:
        yield line([_cell(row.get(name, _ABSENT)) for name in names])


def write(path: str, names: Sequence[str], rows: Iterable[Row], *, excel: bool = False) -> None:
    """Write the file at `path`."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        if excel:
            file.write(_MARK)
        file.writelines(lines(names, rows, excel=excel))


def _cell(value: Any) -> Any:
    kind = type(value)
    if kind is bool:
        return _WORDS[value]
    return codec.to_json(value) if kind is list or kind is dict else value


def _defused(cells: Iterable[Any]) -> Iterator[Any]:
    for cell in cells:
        yield f"'{cell}" if type(cell) is str and cell.startswith(_FORMULA) else cell
