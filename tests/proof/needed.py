"""Tools of the system that proofs stand on."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """Skip what cannot be proved for want of something; in CI, where everything is to be there, fail."""
    if os.environ.get("CI"):
        raise FileNotFoundError(what)
    pytest.skip(what)


def strace() -> str:
    """The path of strace."""
    return shutil.which("strace") or missing("strace is not installed")
