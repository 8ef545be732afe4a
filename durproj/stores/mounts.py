"""What Linux's mount table says of the place of a store."""

from __future__ import annotations

import re
from pathlib import Path

_REMOTE = ("nfs", "cifs", "smb", "9p", "virtiofs", "fuse", "sshfs", "ceph", "gluster", "vboxsf")
_TABLE = Path("/proc/self/mountinfo")


def is_remote(path: Path, mountinfo: Path = _TABLE) -> bool:
    """Whether `path` lies on a network or host-shared filesystem."""
    folder = str(path.resolve().parent)
    best, kind = "", ""
    for point, found in _mounts(mountinfo):
        inside = point in {"/", folder} or folder.startswith(point + "/")
        if inside and len(point) >= len(best):
            best, kind = point, found
    return kind.startswith(_REMOTE) and kind != "fuse.lxcfs"


def is_mounted(path: Path, mountinfo: Path = _TABLE) -> bool:
    """Whether something is mounted at `path` itself, as containers mount single files: what lies beside
    the file under its other name is not beside it here."""
    real = str(path.resolve())
    return any(point == real for point, _ in _mounts(mountinfo))


def _mounts(mountinfo: Path) -> list[tuple[str, str]]:
    """Where something is mounted, and of which kind; nothing where there is no such table."""
    try:
        text = mountinfo.read_text("utf-8", "surrogateescape")
    except OSError:
        return []
    mounts = [line.split(" ") for line in text.split("\n") if line]
    return [(_unescaped(fields[4]), fields[fields.index("-") + 1]) for fields in mounts]


def _unescaped(point: str) -> str:
    """A path of the table, in which blanks and backslashes are octal."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), point)
