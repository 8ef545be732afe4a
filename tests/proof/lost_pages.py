"""Pages of a database that were never written, written elsewhere, or written over."""

from __future__ import annotations

from proof.trial import Trial

PAGE = 4096

KINDS = ("zeros", "ones", "noise", "sector", "swapped", "twice", "shifted", "cut", "emptied")
"""What becomes of a page: see `with_page`."""


def with_page(trial: Trial, blob: bytes, page: int, kind: str, other: int) -> bytes:
    """The store `blob` with another content of a page, of this kind."""
    at, there = page * PAGE, other * PAGE
    whole, far = blob[at : at + PAGE], blob[there : there + PAGE]
    sector = 512 * trial.rng.randrange(PAGE // 512)
    by = trial.rng.randrange(1, PAGE)
    new = {
        "zeros": bytes(PAGE),
        "ones": b"\xff" * PAGE,
        "noise": trial.rng.randbytes(PAGE),
        "sector": whole[:sector] + bytes(512) + whole[sector + 512 :],
        "swapped": far,
        "twice": far,
        # What it was when it was new: a leaf of its tree that has no cell.
        "emptied": bytes([whole[0] | 8, 0, 0, 0, 0, PAGE >> 8, 0, 0]) + bytes(PAGE - 8),
        "shifted": whole[by:] + whole[:by],
        "cut": b"",
    }[kind]
    damaged = bytearray(blob)
    damaged[at : at + PAGE] = new
    if kind == "swapped":
        damaged[there : there + PAGE] = whole
    return bytes(damaged)
