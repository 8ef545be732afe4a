"""Opening a SQLite file safely: pragmas, who may write, and what a store must look like.

Writers use WAL; a clean exit goes back to a rollback journal, because a WAL store without its `-wal`
and `-shm` files cannot be read from a read-only folder. On network and shared filesystems, where WAL's
shared memory is not coherent, the rollback journal is used throughout.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from durproj.errors import NotFound, StoreDamaged, StoreDenied, StoreError, UsageError
from durproj.stores.base import Durability
from durproj.stores.failed import Failed, is_io_error, leave
from durproj.stores.faults import FAULTS, not_copied, translate
from durproj.stores.migrations import (
    APPLICATION_ID,
    LACKING,
    OLDEST_VERSION,
    SCHEMA_VERSION,
    STAND_INS,
    acts,
    apply,
    expected_schema,
)
from durproj.stores.mounts import is_mounted, is_remote
from durproj.stores.temporary import file_for
from durproj.stores.whole import expect_whole


def connect_writer(
    path: Path, durability: Durability, *, whole: bool = False
) -> sqlite3.Connection:
    """A connection that may write, its schema made or brought up to date. The caller holds the lock. whole:
    all of the file is to be in order, as it always is where the schema is brought up to date: what is written
    to a page that is not may take the rest of the page along."""
    _check_file(path)
    conn = _connect(path)
    try:
        version = _check_identity(conn, path)
        if whole or 0 < version < SCHEMA_VERSION:
            expect_whole(conn, str(path))
        remote = is_remote(path)
        mode = conn.execute(f"PRAGMA journal_mode = {'DELETE' if remote else 'WAL'}").fetchone()[0]
        if mode != ("delete" if remote else "wal"):
            raise StoreError(f"{path}: SQLite stays in journal mode {mode}")
        level = "EXTRA" if remote else "FULL" if durability == "fsync" else "NORMAL"
        conn.execute(f"PRAGMA synchronous = {level}")
        # On Apple's systems only these reach the disk; elsewhere they do nothing.
        conn.execute("PRAGMA fullfsync = 1")
        conn.execute("PRAGMA checkpoint_fullfsync = 1")
        conn.execute("PRAGMA journal_size_limit = 67108864")
        apply(conn)
        _check_schema(conn, path)
    except BaseException as error:
        if is_io_error(error):
            leave(conn)
        conn.close()
        raise
    return conn


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that only reads, and that a running writer never notices. Raises NotFound when
    there is no store at `path`."""
    if not _check_file(path):
        raise NotFound(
            f"{path}: no such store",
            "durproj run makes it; name another with --store or DURPROJ_STORE",
        )
    conn = _connect(path, "?mode=ro")
    try:
        with _kept(conn):
            conn.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.OperationalError as error:
        conn = _connect_read_only_place(path, error)
    except FAULTS as error:
        raise translate(error, str(path)) from None
    with _kept(conn):
        version = _check_identity(conn, path)
        if version == 0:
            raise NotFound(f"{path}: the store is empty", "durproj run fills it")
        _stand_in(conn, _check_schema(conn, path))
        conn.execute("PRAGMA query_only = 1")
    return conn


def connect_copy(path: Path, folder: str | None = None) -> sqlite3.Connection:
    """A connection to a copy of the store at `path` as it is at this instant: however long it is read,
    no run is held up. The copy is made in `folder` and goes with the connection. Raises as `connect_reader`
    does, and StoreError when there is no room."""
    with closing(connect_reader(path)) as source:
        try:
            with (
                file_for(os.path.join(folder or tempfile.gettempdir(), "copy")) as (_, name),
                _kept(_connect(Path(name))) as copy,
            ):
                copy.execute("PRAGMA synchronous = 0")
                source.backup(copy)
                # A copy of a store in WAL would make its journal beside itself when it is nameless.
                copy.execute("PRAGMA journal_mode = MEMORY")
                _stand_in(copy, copy.execute("PRAGMA user_version").fetchone()[0])
                copy.execute("PRAGMA query_only = 1")
        except (*FAULTS, OSError) as error:
            raise not_copied(error, str(path), folder) from None
    return copy


def finish_writer(conn: sqlite3.Connection | Failed) -> None:
    """Close a writer's connection; the store is one file again unless somebody is reading it."""
    # A reader may be at work, or the disk full: the store then stays in WAL, whole as it is.
    try:
        conn.execute("PRAGMA busy_timeout = 0")
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        conn.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        if is_io_error(error) and isinstance(conn, sqlite3.Connection):
            leave(conn)
    conn.close()


def _connect(path: Path, query: str = "") -> sqlite3.Connection:
    try:
        # isolation_level None: transactions begin and end where the code says so.
        conn = sqlite3.connect(
            f"file://{quote(os.fsencode(path.absolute()))}{query}",
            uri=True,
            isolation_level=None,
            timeout=30.0,
            cached_statements=64,
        )
    except sqlite3.Error as error:
        raise translate(error, str(path)) from None
    with _kept(conn):
        for pragma in ("trusted_schema = 0", "cell_size_check = 1", "mmap_size = 0"):
            conn.execute(f"PRAGMA {pragma}")
    return conn


@contextmanager
def _kept(conn: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Close `conn` unless what is done with it succeeds."""
    try:
        yield conn
    except BaseException:
        conn.close()
        raise


def _connect_read_only_place(path: Path, error: sqlite3.OperationalError) -> sqlite3.Connection:
    """Read a store that nobody may write to. `immutable` would ignore a live journal, so a store that
    has one is copied, both files, and read there."""
    real = path.resolve()
    if not os.access(real, os.R_OK):
        raise StoreDenied(f"{path}: permission denied") from None
    hot = error.sqlite_errorcode == sqlite3.SQLITE_READONLY_ROLLBACK
    if os.access(real.parent, os.W_OK) and not hot:
        raise translate(error, str(path)) from None
    live = [end for end in ("-wal", "-journal") if _size(f"{real}{end}")]
    try:
        if not live:
            with _kept(_connect(path, "?mode=ro&immutable=1")) as conn:
                conn.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            return conn
        with tempfile.TemporaryDirectory() as folder:
            for end in ("", *live):
                shutil.copyfile(f"{real}{end}", f"{folder}/copy{end}")
            with (
                closing(_connect(Path(folder, "copy"))) as copy,
                _kept(sqlite3.connect(":memory:", isolation_level=None)) as memory,
            ):
                copy.backup(memory)
            return memory
    except (*FAULTS, OSError) as second:
        raise not_copied(second, str(path)) from None


def _size(name: str) -> int:
    return os.path.getsize(name) if os.path.exists(name) else 0


def _check_file(path: Path) -> bool:
    """Whether there is a file at `path`; refused if it is none that can be a store."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except PermissionError as error:
        raise StoreDenied(f"{path}: {error.strerror}") from None
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from None
    if not stat.S_ISREG(found.st_mode):
        raise UsageError(f"{path}: not a file, so not a store")
    if found.st_size == 1:
        # SQLite takes such a file, and no other, for an empty one (unixFileSize in os_unix.c).
        raise StoreDamaged(f"{path}: file is not a database", "restore the store from a backup")
    if found.st_nlink > 1:
        raise UsageError(
            f"{path}: the store has {found.st_nlink} names (hard links)",
            "SQLite would lose its journal under the other name; keep one and copy instead",
        )
    if is_mounted(path):
        raise UsageError(
            f"{path}: the store is mounted there as a single file",
            "its journal and its lock stay where it comes from; mount its folder instead",
        )
    return True


def _check_identity(conn: sqlite3.Connection, path: Path) -> int:
    """The version of the store's schema. Refuses a file that is no store of ours, one of a later durproj, or
    one in which more is done than asked for when its tables are read or written, before reading on."""
    try:
        # In one transaction: the store may be in the making just now.
        conn.execute("BEGIN")
        schema = conn.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema").fetchall()
        application = conn.execute("PRAGMA application_id").fetchone()[0]
        version = conn.execute("PRAGMA user_version").fetchone()[0]
        conn.execute("COMMIT")
    except FAULTS as error:
        raise translate(error, str(path)) from None
    if application != APPLICATION_ID and (schema or application):
        raise UsageError(
            f"{path}: a SQLite database, but not a durproj store", "name another with --store"
        )
    if version > SCHEMA_VERSION:
        raise UsageError(
            f"{path}: written by a later durproj (schema {version}; this one knows {SCHEMA_VERSION})",
            "upgrade durproj",
        )
    if 0 < version < OLDEST_VERSION:
        raise UsageError(
            f"{path}: written by a durproj before its first release (schema {version})",
            "fold the log again into another --store",
        )
    if version < (1 if application or schema else 0):
        raise StoreDamaged(f"{path}: schema version {version}", "restore the store from a backup")
    ours = {name for _, name in expected_schema()}
    acting = {name for kind, name, table, sql in schema if table in ours and acts(kind, sql)}
    if acting:
        raise _another_schema(path, acting)
    return int(version)


def _another_schema(path: Path, odd: set[str]) -> StoreDamaged:
    return StoreDamaged(
        f"{path}: the schema is not durproj's: {', '.join(sorted(odd))}",
        "restore the store from a backup; keep your own tables and views under other names",
    )


def _stand_in(conn: sqlite3.Connection, version: int) -> None:
    """Let a store of an earlier version be read through `conn` as one of the present version."""
    for name in LACKING.get(version, ()):
        if name in STAND_INS:
            conn.execute("PRAGMA temp_store = MEMORY")
            conn.execute(STAND_INS[name])


def _check_schema(conn: sqlite3.Connection, path: Path) -> int:
    """The version of the schema. Refuses a store whose tables and view are not exactly ours: such a file could
    make a plain read do anything. Other tables and views beside them are the user's."""
    expected = expected_schema()
    names = {name for _, name in expected}
    try:
        # In one transaction: a writer may bring it up to date just now.
        conn.execute("BEGIN")
        version = int(conn.execute("PRAGMA user_version").fetchone()[0])
        found = {
            (kind, name): sql
            for kind, name, sql in conn.execute("SELECT type, name, sql FROM sqlite_schema")
            if name in names
        }
        conn.execute("COMMIT")
    except FAULTS as error:
        raise translate(error, str(path)) from None
    if version in LACKING:
        expected = {each: sql for each, sql in expected.items() if each[1] not in LACKING[version]}
    elif version != SCHEMA_VERSION:
        raise UsageError(
            f"{path}: written by an earlier durproj (schema {version}, now {SCHEMA_VERSION})",
            "durproj run or resume brings it up to date",
        )
    if found != expected:
        odd = {name for (_, name), _ in set(found.items()) ^ set(expected.items())}
        raise _another_schema(path, odd)
    return version
