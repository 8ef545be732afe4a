"""What a disk may hold after the power went: every file that was synced, and of the rest anything.

Rules: `fsync` of a file makes its content durable, and not its name; names become durable with their folder.
Before that a name that was given, taken or changed may be so or not, one by one: POSIX promises no order. (ext4
and XFS keep one; btrfs and F2FS write down the name of a file that is synced, ahead of what befell other names.)
A name changes as a whole: with a rename the file has the old one or the new one. What was written since the last
sync may be there or not, write by write and in no order, and of one write some sectors, or zeros in its
place where the file became longer.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from proof.tracing import Call, Cut, Linked, Renamed, Said, Synced, Unlinked, Written

SECTOR = 512

Image = dict[str, bytes]
"""The files of the folder."""

Naming = dict[str, int | None]
"""What a call does to names: the file that each has from then on."""


class Disk:
    """A disk that is written to by `calls`; `names` and `contents` are on it already. `said`: what was
    acknowledged so far."""

    def __init__(self, names: dict[str, int], contents: dict[str, bytes]) -> None:
        self.said = b""
        self._names = dict(names)
        self._files = {file: contents[name] for name, file in names.items()}
        self._naming: list[Naming] = []
        self._writes: list[Written | Cut] = []
        self._renamed = False

    def take(self, call: Call) -> None:
        """Let one call happen."""
        self._renamed = isinstance(call, Renamed)
        if isinstance(call, Said):
            self.said += call.text
        elif isinstance(call, Written | Cut):
            self._writes.append(call)
        elif not isinstance(call, Synced):
            self._naming.append(self._renaming(call))
        elif call.file is None:
            self._names, self._naming = self._named(self._naming), []
        else:
            mine = [write for write in self._writes if write.file == call.file]
            self._files = self._written(mine)
            self._writes = [write for write in self._writes if write.file != call.file]

    @property
    def waiting(self) -> int:
        """How many calls are not on the disk for certain."""
        return len(self._writes) + len(self._naming)

    def images(self, rng: random.Random, count: int) -> Iterator[Image]:
        """What a power cut may leave now: nothing of what waits, all of it, after a rename all but what befell
        one other name, and `count` mixtures."""
        yield self._image([], [])
        if not self.waiting:
            return
        yield self._image(self._naming, self._writes)
        for lost in range(len(self._naming) - 1 if self._renamed else 0):
            yield self._image(self._naming[:lost] + self._naming[lost + 1 :], self._writes)
        for _ in range(count):
            yield self._image(self._some_naming(rng), self._mixture(rng))

    def _some_naming(self, rng: random.Random) -> list[Naming]:
        """Some of what befell names: what came first, or all but a few, or any."""
        naming = self._naming
        how = rng.randrange(4)
        if how == 0:
            return naming
        if how == 1:
            return naming[: rng.randint(0, len(naming))]
        share = 0.5 if how == 2 else 0.9
        return [each for each in naming if rng.random() < share]

    def _mixture(self, rng: random.Random) -> list[Written | Cut]:
        """Some of what waits."""
        writes = self._writes
        how = rng.randrange(6)
        if how == 0:  # what came first, the last of it torn
            end = rng.randint(0, len(writes))
            kept = [*writes[: max(0, end - 1)]]
            return kept + [_torn(write, rng) for write in writes[end - 1 : end]]
        if how == 1:  # one file and nothing of the others
            file = rng.choice([write.file for write in writes] or [0])
            return [write for write in writes if write.file == file]
        if how == 2:  # all but a few
            lost = set(rng.choices(range(len(writes)), k=rng.randint(1, 3))) if writes else set()
            return [write for at, write in enumerate(writes) if at not in lost]
        if how == 3:  # files have become longer, and zeros are in them
            return [write if rng.random() < 0.5 else self._emptied(write) for write in writes]
        share = rng.choice((0.1, 0.5, 0.9))
        chosen = [write for write in writes if rng.random() < share]
        return chosen if how == 4 else [_torn(write, rng) for write in chosen]

    def _emptied(self, write: Written | Cut) -> Written | Cut:
        """Of `write` only that it made the file longer."""
        if isinstance(write, Cut):
            return write
        begin = max(write.offset, len(self._files.get(write.file, b"")))
        return Written(write.file, begin, bytes(max(0, write.offset + len(write.data) - begin)))

    def _image(self, naming: list[Naming], writes: list[Written | Cut]) -> Image:
        files = self._written(writes)
        return {name: files.get(file, b"") for name, file in self._named(naming).items()}

    def _renaming(self, call: Linked | Unlinked | Renamed) -> Naming:
        if isinstance(call, Linked):
            return {call.name: call.file}
        if isinstance(call, Unlinked):
            return {call.name: None}
        return {call.old: None, call.new: self._named(self._naming)[call.old]}

    def _named(self, naming: list[Naming]) -> dict[str, int]:
        names: Naming = dict(self._names)
        for each in naming:
            names |= each
        return {name: file for name, file in names.items() if file is not None}

    def _written(self, writes: list[Written | Cut]) -> dict[int, bytes]:
        changed: dict[int, bytearray] = {}
        for write in writes:
            content = changed.get(write.file)
            if content is None:
                content = changed[write.file] = bytearray(self._files.get(write.file, b""))
            end = write.size if isinstance(write, Cut) else write.offset
            if len(content) < end:
                content.extend(bytes(end - len(content)))
            if isinstance(write, Cut):
                del content[end:]
            else:
                content[end : end + len(write.data)] = write.data
        return self._files | {file: bytes(content) for file, content in changed.items()}


def _torn(write: Written | Cut, rng: random.Random) -> Written | Cut:
    """A stretch of the sectors that `write` touches: a disk writes a sector as a whole."""
    if isinstance(write, Cut):
        return write
    end = write.offset + len(write.data)
    cuts = [write.offset, *range(write.offset // SECTOR * SECTOR + SECTOR, end, SECTOR), end]
    first, last = sorted(rng.choices(range(len(cuts)), k=2))
    if rng.random() < 0.5:
        first = 0
    begin = cuts[first]
    return Written(write.file, begin, write.data[begin - write.offset : cuts[last] - write.offset])
