"""What an exception comes to: a message for the user and an exit code."""

from __future__ import annotations

import traceback
from typing import Any

from durproj.errors import DurprojError, StoreDenied, StoreError, UsageError


def failure(error: Exception) -> DurprojError:
    """`error` as one of durproj's own."""
    if isinstance(error, DurprojError):
        return error
    if isinstance(error, OSError):
        kind = StoreDenied if isinstance(error, PermissionError) else StoreError
        return kind(f"{error.filename or 'input or output'}: {error.strerror or error}")
    if isinstance(error, MemoryError):
        return StoreError("there is not enough memory for it", "what is recorded is safe")
    # Typer's usage errors have no public base class; this is what they have in common.
    describe: Any = getattr(error, "format_message", None)
    if describe is not None:
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "durproj"
        return UsageError(describe(), f"{command} --help shows how it is used")
    return DurprojError(
        f"a bug in durproj; what is recorded is safe\n{''.join(traceback.format_exception(error))}",
        "please report it with these lines",
    )
