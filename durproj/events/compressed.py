"""gzip and zstd streams to plain bytes, block by block, in bounded memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_SKIPPABLE = tuple(bytes([low]) + b"\x2a\x4d\x18" for low in range(0x50, 0x60))
ZSTD_MAGIC = (b"\x28\xb5\x2f\xfd", *_SKIPPABLE)
GZIP_MAGIC = (b"\x1f\x8b",)

# Small pieces in, so that a corrupt piece takes little sound data with it.
_PIECE = 1 << 16


class BrokenStream(Exception):
    """The compressed input is corrupt or ends early; the text says which. hint: what that says of the lines
    that were read of it."""

    def __init__(self, why: str, *, cut: bool = False) -> None:
        super().__init__(why)
        # What is corrupt may be met only at the checksum, after the changed bytes.
        self.hint = (
            "the lines before it are sound"
            if cut
            else "lines before it may be changed, too: put a sound copy in its place, and --restart"
        )


def plain_blocks(blocks: Iterator[bytes], head: bytes, size: int) -> Iterator[bytes]:
    """The decompressed content of `blocks`, at most `size` bytes at a time.

    `head` is the beginning of the input, by which its kind is told; plain input passes unchanged.
    Raises BrokenStream when a compressed input is corrupt or ends early, after everything that
    could be decoded has been yielded.
    """
    if head.startswith(GZIP_MAGIC):
        return _gunzip(_pieces(blocks), size)
    if head.startswith(ZSTD_MAGIC):
        return _unzstd(_pieces(blocks), size)
    return blocks


def is_compressed(head: bytes) -> bool:
    """Whether an input that begins with `head` (4 bytes or more) is gzip or zstd."""
    return head.startswith((*GZIP_MAGIC, *ZSTD_MAGIC))


def _pieces(blocks: Iterator[bytes]) -> Iterator[bytes]:
    for block in blocks:
        for at in range(0, len(block), _PIECE):
            yield block[at : at + _PIECE]


def _gunzip(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    import zlib

    member, between = zlib.decompressobj(31), False
    for piece in pieces:
        rest = piece
        while rest:
            if between:
                # Tapes and block devices pad a finished member with zeros.
                rest = rest.lstrip(b"\0")
                if not rest:
                    break
                member, between = zlib.decompressobj(31), False
            try:
                data = member.decompress(rest, size)
            except zlib.error as error:
                raise BrokenStream(f"the gzip data is corrupt ({error})") from None
            if data:
                yield data
            between = member.eof
            rest = member.unused_data if between else member.unconsumed_tail
    while not between and (data := member.decompress(b"", size)):
        yield data
        between = member.eof
    if not between:
        raise BrokenStream("the gzip data ends early (cut off?)", cut=True)


def _unzstd(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    from durproj import zstd

    frame, inside = zstd.ZstdDecompressor(), False
    for piece in pieces:
        rest = piece
        while rest or (inside and not frame.needs_input):
            try:
                data = frame.decompress(rest, size)
            except zstd.ZstdError as error:
                raise BrokenStream(f"the zstd data is corrupt ({error})") from None
            if data:
                yield data
            rest, inside = b"", True
            if frame.eof:
                rest, inside = frame.unused_data, False
                frame = zstd.ZstdDecompressor()
    if inside:
        raise BrokenStream("the zstd data ends early (cut off?)", cut=True)
