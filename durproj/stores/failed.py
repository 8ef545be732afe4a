"""Connections that have met an I/O error.

After a failed sync the kernel takes what it could not write for written: to sync again succeeds and says
nothing. So nothing more is written, brought over or removed; who opens the store next reads what is there.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from typing import Any, NoReturn
from urllib.parse import quote


def is_io_error(error: BaseException) -> bool:
    """Whether SQLite could not read, write or sync a file."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_IOERR


class Failed:
    """Stands in for the connection `conn`, which failed with `error`: whatever it is asked to do fails so."""

    in_transaction = False

    def __init__(self, conn: sqlite3.Connection, error: Exception) -> None:
        self._conn = conn
        self._error = error

    def execute(self, *_: Any) -> NoReturn:
        """Raises the error."""
        raise self._error

    def close(self) -> None:
        """Let go of the store, and leave its WAL as it is."""
        leave(self._conn)


def leave(conn: sqlite3.Connection) -> None:
    """Close `conn`, and leave its WAL as it is."""
    with suppress(sqlite3.Error):
        file = conn.execute("PRAGMA database_list").fetchone()[2]
        # The last to close brings the WAL over, unless it may only read.
        read_only = f"file://{quote(os.fsencode(file))}?mode=ro"
        with closing(sqlite3.connect(read_only, uri=True)) as last:
            last.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            conn.close()
    conn.close()
