"""Tools of the system that proofs stand on."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def missing(what: str, remedy: str) -> NoReturn:
    """Skip what cannot be proved for want of something, and say how to come by it; in CI, where everything
    is to be there, fail."""
    reason = f"{what} ({remedy})"
    if os.environ.get("CI"):
        raise FileNotFoundError(reason)
    pytest.skip(reason)


def strace() -> str:
    """The path of strace."""
    return shutil.which("strace") or missing("strace is not installed", "Debian's package: strace")
