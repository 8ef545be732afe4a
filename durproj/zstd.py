"""Zstandard, from the standard library where it has it (Python 3.14) and from its backport before."""

from __future__ import annotations

import sys

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdCompressor, ZstdDecompressor, ZstdError, decompress
else:
    from backports.zstd import ZstdCompressor, ZstdDecompressor, ZstdError, decompress

__all__ = ["ZstdDecompressor", "ZstdError", "compress", "decompress", "decompress_one"]

# Level 3 costs 15 % more time on the account stream and saves nothing there. A compressor of its own for
# each frame would cost as much again.
_COMPRESSOR = ZstdCompressor(level=1)


def decompress_one(data: bytes, most: int) -> bytes:
    """The content of the one frame that `data` is. Raises ZstdError when it is not that, and for content
    of more than `most` bytes."""
    frame = ZstdDecompressor()
    content = frame.decompress(data, most)
    if not frame.eof or frame.unused_data:
        raise ZstdError("it is not one frame, or too much comes out of it")
    return content


def compress(data: bytes) -> bytes:
    """`data` in one frame."""
    return _COMPRESSOR.compress(data, ZstdCompressor.FLUSH_FRAME)
