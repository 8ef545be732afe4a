"""The errors of SQLite, and which of ours stands for each."""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile

from durproj.errors import StoreBusy, StoreDamaged, StoreDenied, StoreError

_DENIED = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_SCHEMA}

Fault = sqlite3.Error | UnicodeDecodeError | MemoryError
# The module decodes SQLite's messages, and damaged ones may quote anything; a damaged length may be that of
# a value for which there is no memory.
FAULTS = (sqlite3.Error, UnicodeDecodeError, MemoryError)


def translate(error: Fault, location: str) -> StoreError:
    """The durproj error for an error of SQLite, by its result code."""
    if isinstance(error, MemoryError):
        return StoreDamaged(
            f"{location}: there is not enough memory for a value in it",
            "restore the store from a backup, unless memory is short (ulimit -v)",
        )
    code = getattr(error, "sqlite_errorcode", None)
    if code is None and isinstance(error, sqlite3.OperationalError | UnicodeDecodeError):
        # Text that is not UTF-8, which no store ever held.
        return StoreDamaged(f"{location}: {error}", "restore the store from a backup")
    code = sqlite3.SQLITE_ERROR if code is None else code & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreBusy(f"{location}: {error}", "another process uses the store; try again")
    if code in _DENIED:
        return StoreDenied(f"{location}: {error}", "the store and its folder must be writable")
    if code in _DAMAGED:
        return StoreDamaged(f"{location}: {error}", "restore the store from a backup")
    if code == sqlite3.SQLITE_FULL:
        return StoreError(f"{location}: the disk is full", "make room, then resume")
    if code == sqlite3.SQLITE_CONSTRAINT:
        return StoreError(f"{location}: refused by the store: {error}")
    if code == sqlite3.SQLITE_CANTOPEN and os.path.exists(location):
        return StoreDenied(
            f"{location}: {error}", "check the permissions of the store and its folder"
        )
    return StoreError(
        f"{location}: {error}", "every acknowledged step is safe; fix the cause, then resume"
    )


def not_copied(error: Fault | OSError, source: str, folder: str | None = None) -> StoreError:
    """The durproj error for one that was met as the store at `source` was copied into `folder`; None: to where
    temporary files are made. What is full is that place, and not the store's."""
    system = error.errno if isinstance(error, OSError) else None
    full = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
    if full or system in (errno.ENOSPC, errno.EDQUOT):
        other = "name a place with more" if folder else "set TMPDIR to a folder with more"
        place = os.path.abspath(folder) if folder else tempfile.gettempdir()
        return StoreError(
            f"{place}: the disk is full: there is no room for a copy of {source}",
            f"make room there, or {other}",
        )
    if isinstance(error, OSError):
        return StoreError(f"{source}: cannot be copied to be read: {error.strerror}")
    return translate(error, source)
