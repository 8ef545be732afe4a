"""The door to atheris, and to what it found before."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"


def corpus(target: str) -> list[bytes]:
    """The inputs that are kept for `target`."""
    return [path.read_bytes() for path in sorted((CORPUS / target).iterdir())]


def fuzz(target: str, *packages: str) -> None:
    """Look, guided by the coverage of `packages`, for an input on which the module `target`'s `check`
    raises. libFuzzer's arguments are those of the command line. Does not return."""
    import atheris

    # What was imported already was not instrumented.
    for name in [name for name in sys.modules if name.partition(".")[0] in ("durproj", "proof")]:
        del sys.modules[name]
    with atheris.instrument_imports(include=[*packages]):
        check = importlib.import_module(target).check
        # A merge starts the program again, by way of a shell.
        atheris.Setup([f"{sys.executable} -m {target}", *sys.argv[1:]], check)
        atheris.Fuzz()
