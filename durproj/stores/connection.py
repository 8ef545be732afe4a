"""Opening a SQLite file safely: pragmas, who may write, what a store must look like, and errors.

Writers use WAL; a clean exit goes back to a rollback journal, because a WAL store without its `-wal`
and `-shm` files cannot be read from a read-only folder. On network and shared filesystems, where WAL's
shared memory is not coherent, the rollback journal is used throughout.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from pathlib import Path
from urllib.parse import quote

from durproj.errors import NotFound, StoreBusy, StoreDamaged, StoreDenied, StoreError, UsageError
from durproj.stores.base import Durability
from durproj.stores.migrations import APPLICATION_ID, SCHEMA_VERSION, apply, expected_schema

_REMOTE = ("nfs", "cifs", "smb", "9p", "virtiofs", "fuse", "sshfs", "ceph", "gluster", "vboxsf")
_DENIED = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_SCHEMA}


def translate(error: sqlite3.Error, location: str) -> StoreError:
    """The durproj error for an error of SQLite, by its result code."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreBusy(f"{location}: {error}", "another process uses the store; try again")
    if code in _DENIED:
        return StoreDenied(f"{location}: {error}", "the store and its folder must be writable")
    if code in _DAMAGED:
        return StoreDamaged(f"{location}: {error}", "restore the store from a backup")
    if code == sqlite3.SQLITE_FULL:
        return StoreError(f"{location}: the disk is full", "make room, then: durproj resume")
    if code == sqlite3.SQLITE_CONSTRAINT:
        return StoreError(f"{location}: refused by the store: {error}")
    if code == sqlite3.SQLITE_CANTOPEN and os.path.exists(location):
        return StoreDenied(
            f"{location}: {error}", "check the permissions of the store and its folder"
        )
    return StoreError(
        f"{location}: {error}", "every acknowledged step is safe; then: durproj resume"
    )


def connect_writer(path: Path, durability: Durability) -> sqlite3.Connection:
    """A connection that may write, its schema made or brought up to date. The caller holds the lock."""
    if path.exists():
        _check_file(path)
    elif not path.parent.is_dir():
        raise NotFound(f"{path.parent}: no such folder", "make it first, or give another --store")
    conn = _connect(f"file:{quote(str(path))}")
    try:
        _check_identity(conn, path)
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
    except BaseException:
        conn.close()
        raise
    return conn


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that only reads, and that a running writer never notices. Raises NotFound when
    there is no store at `path`."""
    if not path.exists():
        raise NotFound(
            f"{path}: no such store",
            "durproj run makes it; name another with --store or DURPROJ_STORE",
        )
    _check_file(path)
    conn = _connect(f"file:{quote(str(path))}?mode=ro")
    try:
        conn.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.Error as error:
        conn.close()
        if not isinstance(error, sqlite3.OperationalError):
            raise translate(error, str(path)) from None
        conn = _connect_read_only_place(path, error)
    try:
        _check_identity(conn, path)
        if conn.execute("PRAGMA user_version").fetchone()[0] == 0:
            raise NotFound(f"{path}: the store is empty", "durproj run fills it")
        _check_schema(conn, path)
        conn.execute("PRAGMA query_only = 1")
    except BaseException:
        conn.close()
        raise
    return conn


def finish_writer(conn: sqlite3.Connection) -> None:
    """Close a writer's connection; the store is one file again unless somebody is reading it."""
    try:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        conn.execute("PRAGMA busy_timeout = 0")
        conn.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.OperationalError:
        pass  # a reader is at work: the store stays in WAL, which every reader can open
    finally:
        conn.close()


def is_remote(path: Path) -> bool:
    """Whether `path` lies on a network or host-shared filesystem, as Linux's mount table tells."""
    folder = str(path.resolve().parent)
    best, kind = "", ""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(errors="replace").splitlines()
    except OSError:
        return False
    for mount in mounts:
        fields = mount.split(" ")
        point = fields[4].replace("\\040", " ")
        inside = point in {"/", folder} or folder.startswith(point + "/")
        if inside and len(point) >= len(best):
            best, kind = point, fields[fields.index("-") + 1]
    return kind.startswith(_REMOTE) and kind != "fuse.lxcfs"


def _connect(uri: str) -> sqlite3.Connection:
    try:
        # isolation_level None: transactions begin and end where the code says so.
        conn = sqlite3.connect(
            uri, uri=True, isolation_level=None, timeout=30.0, cached_statements=64
        )
    except sqlite3.Error as error:
        raise translate(error, uri.removeprefix("file:").partition("?")[0]) from None
    for pragma in ("trusted_schema = 0", "cell_size_check = 1", "mmap_size = 0"):
        conn.execute(f"PRAGMA {pragma}")
    return conn


def _connect_read_only_place(path: Path, error: sqlite3.OperationalError) -> sqlite3.Connection:
    """Read a store whose folder cannot be written to. `immutable` would ignore a live WAL, so a store
    that has one is copied, both files, to a temporary folder and read there."""
    wal = Path(f"{path}-wal")
    if not os.access(path, os.R_OK):
        raise StoreDenied(f"{path}: permission denied") from None
    if os.access(path.parent, os.W_OK):
        raise translate(error, str(path)) from None
    if not wal.exists() or wal.stat().st_size == 0:
        conn = _connect(f"file:{quote(str(path))}?mode=ro&immutable=1")
    else:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "store.db"
            shutil.copyfile(path, copy)
            shutil.copyfile(wal, f"{copy}-wal")
            conn = _connect(f"file:{quote(str(copy))}")
            conn.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            memory = sqlite3.connect(":memory:", isolation_level=None)
            conn.backup(memory)
            conn.close()
            conn = memory
    try:
        conn.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.Error as second:
        conn.close()
        raise translate(second, str(path)) from None
    return conn


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise UsageError(f"{path}: not a file, so not a store")
    if path.stat().st_nlink > 1:
        raise UsageError(
            f"{path}: the store has {path.stat().st_nlink} names (hard links)",
            "SQLite would lose its journal under the other name; keep one and copy instead",
        )


def _check_identity(conn: sqlite3.Connection, path: Path) -> None:
    """Refuse a file that is no store of ours, or one of a later durproj, before reading on."""
    try:
        application = conn.execute("PRAGMA application_id").fetchone()[0]
        version = conn.execute("PRAGMA user_version").fetchone()[0]
        tables = conn.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    except sqlite3.Error as error:
        raise translate(error, str(path)) from None
    if application != APPLICATION_ID and (tables or application):
        raise UsageError(
            f"{path}: a SQLite database, but not a durproj store", "name another with --store"
        )
    if version > SCHEMA_VERSION:
        raise UsageError(
            f"{path}: written by a later durproj (schema {version}; this one knows {SCHEMA_VERSION})",
            "upgrade durproj",
        )


def _check_schema(conn: sqlite3.Connection, path: Path) -> None:
    """Refuse a store whose tables and view are not exactly ours, or that has triggers on them: such a
    file could make a plain read do anything. Other tables and views beside them are the user's."""
    expected = expected_schema()
    names = {name for _, name in expected}
    try:
        found = {
            (kind, name): sql
            for kind, name, table, sql in conn.execute(
                "SELECT type, name, tbl_name, sql FROM sqlite_schema"
            )
            if name in names or (kind == "trigger" and table in names)
        }
    except sqlite3.Error as error:
        raise translate(error, str(path)) from None
    if found != expected:
        odd = sorted({name for (_, name), _ in set(found.items()) ^ set(expected.items())})
        raise StoreDamaged(
            f"{path}: the schema is not durproj's: {', '.join(odd)}",
            "restore the store from a backup; keep your own tables and views under other names",
        )
