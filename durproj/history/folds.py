"""The projections of a store, each with its history. What the steps of a program returned are no states of
one thing, so that there is nothing in them to search or compare."""

from __future__ import annotations

from collections.abc import Iterator

from durproj.history.programs import no_states
from durproj.history.reading import journal_of
from durproj.history.timeline import Timeline
from durproj.ids import split_id
from durproj.runtime.absent import no_name
from durproj.stores.base import Run, Store
from durproj.stores.journal import Journal


class Folds:
    """The projections in `store`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._runs: dict[int, Run | None] = {}

    def one(self, id: str) -> Timeline:
        """The history of the projection `id`. Raises NotFound, and UsageError for a program's workflow."""
        found = self._timeline(journal_of(self._store, id))
        if not found.is_projection:
            raise no_states(id, "state to search or compare")
        return found

    def every(self, name: str | None = None) -> Iterator[Timeline]:
        """Those of this name, or all, in the order they began. Raises NotFound when no workflow has this
        name, and UsageError when it is the name of a program's."""
        some, programs = False, ""
        for id in self._ids(name):
            journal = Journal.open(self._store, id)
            # One that is gone was dropped since.
            if journal is not None and (found := self._timeline(journal)).is_projection:
                some = True
                yield found
            programs = id
        if name is not None and not some:
            raise no_states(f"{name}/…", "state to search or compare", programs)

    def keys(self, name: str) -> Iterator[str]:
        """The keys of the workflows of this name, in the order they began. Raises NotFound when there are
        none."""
        return (split_id(id)[1] for id in self._ids(name))

    def _ids(self, name: str | None) -> Iterator[str]:
        none = True
        for head in self._store.heads(name=name):
            none = False
            yield head.id
        if none and name is not None:
            raise no_name(name, self._store)

    def _timeline(self, journal: Journal) -> Timeline:
        number = journal.head.run
        if number not in self._runs:
            self._runs[number] = self._store.run(number)
        return Timeline(journal, self._runs[number])
