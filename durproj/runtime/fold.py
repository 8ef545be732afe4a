"""Folding a log into a store: which streams there are, where each goes on, and what is refused.

A run's cursor says how much of the input, by length and hash, is wholly checkpointed. While the input
still begins with those very bytes, replay would serve every step before the cursor unchanged, so only
what follows is read; otherwise every event is compared with what the journal holds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from durproj.errors import BadEvent, NotFound, PastChanged
from durproj.events.cursor import Cursor, PrefixChanged
from durproj.events.log import Index
from durproj.events.single import SingleStream
from durproj.ids import workflow_id
from durproj.runtime.guard import other_input
from durproj.runtime.intake import Intake
from durproj.runtime.observer import Counts, Observer, Stop
from durproj.runtime.ownership import Fold
from durproj.runtime.proven import counted, held_cursor, kept_now, restored_cursor
from durproj.runtime.refusals import former_run, no_such_key, refuse_vanished
from durproj.runtime.setup import ACCEPTING, RESTARTING, Setup, finish, guard
from durproj.runtime.stream import StreamFold
from durproj.stores.base import Head, Store
from durproj.stores.journal import Journal
from durproj.wording import number

CURSOR_LINES = 8_192
"""So many lines are compared again at most when a crashed fold of one stream is resumed."""


class LogFold:
    """One fold over `store`, set up. `run` raises what stopped it; `counts` is right in any case.
    errors: how many events were parked or skipped in folds that this one goes on with."""

    def __init__(
        self, setup: Setup, store: Store, observer: Observer, stop: Stop, errors: int = 0
    ) -> None:
        self.counts = Counts()
        self._setup, self._request, self._store = setup, setup.request, store
        self._source, self._observer = setup.source, observer
        request, run = setup.request, setup.run
        self._fold = Fold(request, store, run, setup.envelope, observer, stop, errors=errors)
        self._cursor = Cursor.from_dict(setup.run.cursor) if setup.run.cursor else None
        self._intake = Intake(setup.request, setup.envelope, setup.run.cursor, stop.check)
        self._expect_untouched()
        self._touched: set[str] = set()
        # Whether the store has no workflow of this name yet.
        self._new = not self._cursor and next(store.heads(name=setup.request.name), None) is None
        self._unclaimed: list[str] = []
        if self._cursor and not self._intake.informed and not self._cursor.origin:
            self._void_cursor()

    def run(self) -> None:
        """Fold every selected stream as far as the log goes.

        Raises PastChanged, StepFailed, TooManyErrors, BadEvent, NotFound (no such key), Interrupted,
        StoreError; whatever was finished by then is committed.
        """
        try:
            try:
                self._fold_streams()
            except PrefixChanged:
                if self._cursor and self._cursor.origin:
                    size = self._cursor.bytes - self._cursor.origin
                    raise other_input(self._request.name, size) from None
                self._void_cursor()
                self._fold_streams()
        except (PastChanged, NotFound):
            if not self.counts.executed:
                self._setup.revert()
            raise
        finally:
            try:
                self._fold.commits.flush()
            finally:
                self._count_whole()
        self._count_untouched()

    def _fold_streams(self) -> None:
        request, key_path = self._request, self._fold.envelope.mapping.key
        asked = request.only or (frozenset(request.keys) if request.keys else None)
        if self._intake.ordered:
            self._fold_many(None if key_path is None else asked)
        elif key_path is None:
            self._fold_one(self._setup.label)
        elif asked is not None and len(asked) == 1:
            self._fold_one(next(iter(asked)))
        else:
            self._fold_many(asked)

    def _fold_one(self, key: str) -> None:
        """One stream, in one pass; the cursor follows every so many lines."""
        left_out = self._intake.left_out
        single = SingleStream(self._fold.envelope, key, self._request.no_key, left_out)
        stream: StreamFold | None = None
        moved, lasting = 0, self._source.restartable
        try:
            for chunk in self._source.chunks(self._cursor):
                lines, events, taken, error = found = single.take(chunk)
                if stream is None:
                    stream = self._open(key)
                if self._intake.asked:
                    lines, events, taken, error = self._intake.of_chunk(chunk, found, stream)
                stream.feed(lines, events)
                if not lasting:
                    # The next line of a pipe may be long in coming.
                    self._fold.commits.flush()
                moved += len(chunk.raw) if stream.executed else 0
                due = moved and not stream.parked and (error or moved >= CURSOR_LINES)
                if due and self._alone():
                    moved = 0
                    self._move_cursor(stream, self._source.cursor(taken))
                if error:
                    raise error
            if stream is None:
                stream = self._open(key)
            there = stream.position or stream.cached or stream.parked or stream.awaited
            known = there or self._cursor or not self._source.ends
            if self._fold.envelope.mapping.key and not known:
                raise no_such_key(self._request, [key], sorted(single.others))
            if stream.exists:
                self._finish(stream)
        except BadEvent:
            if stream is not None:
                stream.suspend()
            raise
        finally:
            if stream is not None:
                self._count(stream)
        self._end(self._source.cursor())

    def _fold_many(self, asked: frozenset[str] | None) -> None:
        """Many streams: one pass files the lines by key, then one stream after another is folded."""
        request, envelope, check = self._request, self._fold.envelope, self._fold.stop.check
        spool = str(Path(self._store.location).resolve().parent)
        whole = self._setup.label if envelope.mapping.key is None else None
        index = Index.build(
            *(self._source, envelope, asked, self._cursor, request.no_key, spool, check),
            places=self._intake.asked,
            whole=whole,
            left_out=self._intake.left_out,
        )
        with index:
            if self._intake.ordered:
                # What is missing, or not read, may belong before what is there.
                if index.error:
                    raise index.error
                if self._cursor and len(index):
                    raise PrefixChanged
            if index.skipped:
                self._observer.note(f"left out: {number(index.skipped, 'line')} without a key")
            self._observer.expect(len(index))
            for key in index.keys:
                stream = self._open(key)
                try:
                    for lines, events in self._intake.batches(index, key, stream):
                        stream.feed(lines, events)
                    if index.error is None:
                        self._finish(stream)
                    else:
                        stream.suspend()
                except BadEvent:
                    stream.suspend()
                    raise
                except PastChanged as changed:
                    raise self._intake.late(changed, index, key, stream) from None
                finally:
                    self._count(stream)
            if index.error:
                raise index.error
            # The end of an input that broke off is no evidence of what is not in it.
            if self._cursor is None and self._source.ends:
                if not self._new:
                    refuse_vanished(self._fold, index.keys, asked)
                missing = sorted(key for key in asked or () if key not in index.keys)
                if missing and (request.only is None or request.release):
                    raise no_such_key(request, missing, [*index.keys, *index.others])
        # Lines were read again since the cursor's hash was taken: of a file that changed, others.
        self._end(index.cursor if self._source.unchanged() else None)

    def _open(self, key: str) -> StreamFold:
        """The stream's fold, standing where the proven prefix ends."""
        fold, prefix_bytes = self._fold, self._cursor.bytes if self._cursor else 0
        assert fold.run.no is not None
        id = workflow_id(self._request.name, key)
        journal = None if self._new else Journal.open(self._store, id)
        if journal is not None and journal.head.run != fold.run.no:
            former = former_run(self._store, journal.head)
            if RESTARTING in fold.run.options:
                fold.drop(journal.head)
                journal = None
            elif journal.steps:
                accept = ACCEPTING in fold.run.options
                guard(id, former.options, fold.run.options, accept=accept)
        if journal is None:
            head = Head(id, self._request.name, key, fold.run.no, prefix_bytes=prefix_bytes)
            return StreamFold(fold, key, Journal(self._store, head), 0, prefix_bytes)
        head = journal.head
        own = head.run == fold.run.no
        counted_in = own and self._cursor is not None
        # Not behind: what moved since the cursor, and others' streams unless a pipe goes on with them.
        past = head.prefix_bytes != prefix_bytes
        behind = past if counted_in else self._request.continues and not own
        proven = journal.steps if behind else head.prefix_steps if counted_in else 0
        stream = StreamFold(fold, key, journal, proven, prefix_bytes, behind=behind)
        waits = head.status == "parked" and behind
        if counted_in and (proven or waits):
            stream.before = Counts(1, proven, parked=int(waits))
        return stream

    def _finish(self, stream: StreamFold) -> None:
        stream.finish(ends=self._source.ends)
        # A run that is refused later must not have taken anything from another.
        if not stream.executed and not stream.claimed:
            self._unclaimed.append(stream.id)

    def _count(self, stream: StreamFold) -> None:
        if self._cursor is not None:
            self._touched.add(stream.id)
        if not stream.exists:
            return
        if stream.before:
            self._untouched -= stream.before
        counts = self.counts
        counts.projections += 1
        counts.cached += stream.cached
        counts.executed += stream.executed
        counts.failed += stream.failed
        counts.parked += stream.parked
        counts.parked_before += stream.parked_before
        counts.waiting += stream.waiting
        counts.skipped += stream.skipped

    def _count_whole(self) -> None:
        """What is not counted stream by stream, less what was executed and not committed."""
        self.counts.executed -= self._fold.commits.uncommitted
        self.counts.unknown += self._fold.unknown
        self.counts += self._intake.counts()
        if self._intake.left_out and self._intake.left_out.lines:
            self._observer.note(self._intake.left_out.describe())

    def _alone(self) -> bool:
        """Whether this fold covers all that its run stands for, so that the run's cursor may move."""
        only, keys = self._request.only, self._request.keys
        one_stream = self._fold.envelope.mapping.key is None
        return only is None or one_stream or (keys is not None and only == frozenset(keys))

    def _void_cursor(self) -> None:
        """The input begins with other bytes now. In the store, too: steps recorded from here on do not
        follow the cursor's prefix, which may come back."""
        self._cursor = self._fold.run.cursor = None
        self._intake.begin(None)
        self._expect_untouched()
        self._store.save_run(self._fold.run)

    def _expect_untouched(self) -> None:
        """So far no stream was touched: all that the cursor says is cached."""
        held = self._fold.run.cursor
        self._untouched = counted(held) if held else Counts()

    def _move_cursor(self, stream: StreamFold, cursor: Cursor) -> None:
        self._fold.commits.flush()
        with self._store.transaction():
            stream.mark(cursor.bytes)
            self._fold.run.cursor = self._held(cursor, Counts(1, stream.position))
            self._store.save_run(self._fold.run)

    def _end(self, cursor: Cursor | None) -> None:
        """The log was folded as far as `cursor`, if that can be told."""
        if self._alone():
            self._complete(cursor)
        elif self._request.release:
            self._restore_cursor(cursor)

    def _restore_cursor(self, cursor: Cursor | None) -> None:
        """After some streams were released: the run's cursor, void meanwhile, stands again if they came
        just as far as the others had. Else the next run compares, and finds out."""
        run = self._fold.run
        run.cursor = restored_cursor(self._setup.held, cursor, self.counts)
        if run.cursor and not run.cursor["parked"]:
            finish(run)
        self._fold.commits.flush()
        self._store.save_run(run)

    def _complete(self, cursor: Cursor | None) -> None:
        """All that the run stands for is done, as far as `cursor` if that can be told."""
        self._fold.commits.flush()
        run, now = self._fold.run, kept_now(self.counts, self._untouched)
        # Without any workflow nothing has shown what the log is like.
        known = now.projections or self._cursor
        run.cursor = self._held(cursor, now) if cursor and known else None
        with self._store.transaction():
            for id in self._unclaimed:
                head = self._store.head(id)
                assert head is not None
                self._fold.claim(head, (0, 0))
            finish(run)
            # What is parked is left to do.
            run.complete = not now.parked
            self._store.save_run(run)

    def _count_untouched(self) -> None:
        """Workflows before the cursor in which there was nothing to do."""
        if self._cursor is None or self._request.only is not None:
            return
        self.counts += self._untouched
        self.counts.parked_before += self._untouched.parked
        observer = self._observer
        if (observer.wants_all or observer.wants_steps) and not self._request.onward:
            for head in self._store.heads(run=self._fold.run.no):
                if head.id not in self._touched:
                    if observer.wants_steps:
                        self._open(head.key)  # which shows what is proven
                    observer.projection(head, head.steps, 0)

    def _held(self, cursor: Cursor, counts: Counts) -> dict[str, Any]:
        return {**held_cursor(cursor, counts), **self._intake.held()}
