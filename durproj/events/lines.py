"""Lines as they come out of an input, and the reasons why one is not an event."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from durproj.codec import DecodeError, decode, decode_exact
from durproj.errors import BadEvent

# One pass over a chunk finds what a quick look at its lines would miss: the bytes of numbers become "0",
# those of an exponent "e", and those that may follow a number ",". Signs count as digits.
_SHAPE = bytes(
    ord("0" if c in "0123456789+-" else "e" if c in "eE" else "," if c in ",}] \t\r\n" else ".")
    for c in map(chr, range(256))
)
_LONG = b"0" * 19
_EXPONENT = b"e000"
_DEEP = 1000

_BOM = b"\xef\xbb\xbf"
_IS_CSV = re.compile(r"\.[ct]sv(\.gz|\.zst)?$", re.IGNORECASE)

# What a file may begin with that cannot be JSON lines; longer beginnings before shorter ones.
_FOREIGN = (
    (_BOM, "a UTF-8 byte order mark", "remove its three bytes: tail -c +4 FILE"),
    (b"\xff\xfe\0\0", "UTF-32 text", "convert it: iconv -f UTF-32 -t UTF-8 FILE"),
    (b"\0\0\xfe\xff", "UTF-32 text", "convert it: iconv -f UTF-32 -t UTF-8 FILE"),
    (b"{\0\0\0", "UTF-32 text", "convert it: iconv -f UTF-32LE -t UTF-8 FILE"),
    (b"\0\0\0{", "UTF-32 text", "convert it: iconv -f UTF-32BE -t UTF-8 FILE"),
    (b"\xff\xfe", "UTF-16 text", "convert it: iconv -f UTF-16 -t UTF-8 FILE"),
    (b"\xfe\xff", "UTF-16 text", "convert it: iconv -f UTF-16 -t UTF-8 FILE"),
    (b"{\0", "UTF-16 text", "convert it: iconv -f UTF-16LE -t UTF-8 FILE"),
    (b"\0{", "UTF-16 text", "convert it: iconv -f UTF-16BE -t UTF-8 FILE"),
    (b"BZh", "bzip2 data", "unpack it: bzip2 -dc FILE | durproj run -"),
    (b"\xfd7zXZ\0", "xz data", "unpack it: xz -dc FILE | durproj run -"),
    (b"PK\x03\x04", "a zip archive", "unpack it: unzip -p FILE | durproj run -"),
)

_REASONS = (
    ("zero-length", "the line is empty"),
    ("unexpected end", "the line ends early (cut off?)"),
    ("after document", "more follows after the object (two documents on one line?)"),
    ("depth limit", "nested too deep (more than 1,024 levels)"),
    ("infinity", "a number too large to keep; send it as a string"),
    ("control character", "a control character inside a string; JSON wants it escaped"),
    ("surrogate in string", "half of a surrogate pair (\\ud800 to \\udfff), which is no character"),
    ("trailing comma", "a comma with nothing after it"),
    ("byte order mark", "a byte order mark"),
    ("string key", "a field name must be a string in double quotes"),
)
_KINDS = {list: "an array", str: "a string", bool: "true or false", type(None): "null"}


@dataclass(slots=True)
class Chunk:
    r"""Consecutive whole lines of one input.

    lines: without `\n` and one `\r` before it; blank lines are in it. raw: the same with `\r`.
    path, line, offset: the input, and the first line's number (from 1) and byte in it.
    position: the first line's byte in the logical sequence of all inputs.
    odd: somewhere in it there is, or may be, what only a close look can tell to be sound or not: bytes
    that are not UTF-8, a number of 19 digits, an exponent of three, a thousand levels of nesting.
    records: the lines were made from the records of a file of another kind, a line a record.
    """

    lines: list[bytes]
    raw: list[bytes]
    path: str
    line: int
    offset: int
    position: int
    odd: bool
    records: bool = False

    def offset_of(self, index: int) -> int:
        """The byte within the (decompressed) input at which line `index` of the chunk begins."""
        return self.offset + sum(map(len, self.raw[:index])) + index


def make_chunk(
    whole: bytes, path: str, line: int, offset: int, position: int, records: bool = False
) -> Chunk:
    """The Chunk of the lines in `whole`, whose last line may lack its newline."""
    raw = whole.split(b"\n")
    if not raw[-1]:
        raw.pop()
    lines = raw
    if b"\r" in whole:
        lines = [line[:-1] if line.endswith(b"\r") else line for line in raw]
    odd = is_odd(whole) or _is_deep(raw)
    return Chunk(lines, raw, path, line, offset, position, odd, records)


def is_odd(whole: bytes) -> bool:
    """Whether `whole` holds what only a close look can tell to be sound or not (see `Chunk.odd`)."""
    if not whole.isascii():
        try:
            whole.decode()
        except UnicodeDecodeError:
            return True
    shape = whole.translate(_SHAPE)
    # From the right, where a pattern with a rare first byte is found faster.
    return shape.rfind(_LONG) >= 0 or (shape.rfind(_EXPONENT) >= 0 and _has_exponent(shape))


def _is_deep(raw: list[bytes]) -> bool:
    """Whether a line may be nested deeper than orjson reads; how deep the decoder reads is up to the
    interpreter."""
    return max(map(len, raw), default=0) >= _DEEP and any(
        line.count(b"[") + line.count(b"{") >= _DEEP for line in raw
    )


def _has_exponent(shape: bytes) -> bool:
    """Whether an exponent of three or more digits ends a number, as it does not within most texts."""
    at = shape.find(_EXPONENT)
    while at >= 0:
        rest = shape[at + 1 : at + 40].lstrip(b"0")
        if rest[:1] in (b",", b"") and shape[at - 1 : at] == b"0":
            return True
        at = shape.find(_EXPONENT, at + 1)
    return False


class KeyMissing(ValueError):
    """A line has no key although it must have one."""

    def __init__(self) -> None:
        super().__init__("the line has no key")


def is_blank(line: bytes) -> bool:
    """Whether `line` is empty or white space, and so no event."""
    return not line or line.isspace()


def parse_value(line: bytes, exact: bool) -> Any:
    """The JSON value that `line` holds. `exact`: look at long integers too (see `Chunk.odd`).

    Raises ValueError with a short reason when it is none that can be kept.
    """
    try:
        return decode_exact(line) if exact else decode(line)
    except DecodeError as error:
        raise ValueError(_reason(line, error)) from None


def parse(line: bytes, exact: bool) -> dict[str, Any]:
    """The same for a line that must hold a JSON object; a ValueError when it holds another value."""
    return an_object(parse_value(line, exact))


def parse_text(value: Any) -> Any:
    """The JSON that a text holds when it is an object or an array; any other value as it is. Raises
    ValueError when the text begins like one and is none."""
    if type(value) is not str or not value.lstrip().startswith(("{", "[")):
        return value
    blob = value.encode()
    return parse_value(blob, is_odd(blob))


def an_object(value: Any) -> dict[str, Any]:
    """`value`. Raises ValueError when it is no JSON object."""
    if type(value) is dict:
        return value
    met = _KINDS.get(type(value), "a number")
    raise ValueError(f"{met}, where an event (a JSON object) was expected")


def bad_event(chunk: Chunk, index: int, why: str | ValueError, hint: str = "") -> BadEvent:
    """The error for line `index` of `chunk`: file, line number, byte offset, and `why`."""
    if isinstance(why, KeyMissing) and not hint:
        hint = "leave such lines out: --no-key skip; or give them a key: --no-key NAME"
    at = chunk.offset_of(index)
    return BadEvent(chunk.path, chunk.line + index, at, str(why), hint, record=chunk.records)


def too_long(path: str, line: int, offset: int, most: int) -> BadEvent:
    """The error for a line of more than `most` bytes."""
    why = f"the line is longer than {most:,} bytes"
    return BadEvent(path, line, offset, why, "allow more: --max-line")


def first_bytes_trouble(head: bytes, path: str, container: str | None = None) -> BadEvent | None:
    """The error when an input that begins with `head` cannot be JSON lines, or what `container` says that
    it is; else None."""
    if container == "xes":  # in which the XML itself says how its text is encoded
        return None
    wanted = {"array": "a JSON array", "csv": "CSV"}.get(container or "", "JSON lines")
    for magic, what, hint in _FOREIGN:
        if head.startswith(magic) and not (container and magic == _BOM):
            return BadEvent(path, 1, 0, f"{what}, not {wanted} in UTF-8", hint)
    if container:
        return None
    blanks = head[: len(head) - len(head.lstrip())]
    if head[len(blanks) :].startswith(b"["):
        offset = blanks.rfind(b"\n") + 1
        why = "a JSON array, not JSON lines"
        return BadEvent(path, 1 + blanks.count(b"\n"), offset, why, "read it with --array")
    if head.startswith(b"<"):
        hint = "read a process mining log with --format xes"
        return BadEvent(path, 1, 0, "XML, not JSON lines", hint)
    if _IS_CSV.search(path) and head.strip() and not head.startswith(b"{"):
        return BadEvent(path, 1, 0, "CSV, not JSON lines", "read it with --format csv")
    return None


def _reason(line: bytes, error: DecodeError) -> str:
    """Why `line` is not JSON, in words, with the place where it can be told."""
    try:
        text = line.decode()
    except UnicodeDecodeError as wrong:
        return f"invalid UTF-8 at byte {wrong.start} of the line"
    if text.strip() in {"{", "["}:
        return f"only {text.strip()!r} on the line: pretty-printed JSON, not one event a line"
    if text[error.pos :].startswith(("NaN", "Inf")):
        return "NaN and Infinity are not JSON; send null or a string"
    for part, words in _REASONS:
        if part in error.msg:
            return words
    if error.doc:
        return f"not JSON at character {error.pos} of the line ({error.msg})"
    return error.msg
