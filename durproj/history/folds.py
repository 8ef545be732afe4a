"""The projections of a store, each with its history. What the steps of a program returned are no states of
one thing, so that there is nothing in them to search or compare."""

from __future__ import annotations

from collections.abc import Iterator

from durproj.errors import NotFound, UsageError
from durproj.history.reading import journal_of
from durproj.history.timeline import Timeline
from durproj.ids import split_id
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
            raise UsageError(
                f"{id} is the workflow of a program: what its steps returned are no states of one thing",
                f"durproj inspect {id}#N shows a step of it",
            )
        return found

    def every(self, name: str | None = None) -> Iterator[Timeline]:
        """Those of this name, or all, in the order they began. Raises NotFound when no workflow has this
        name, and UsageError when it is the name of a program's."""
        some = False
        for id in self._ids(name):
            journal = Journal.open(self._store, id)
            # One that is gone was dropped since.
            if journal is not None and (found := self._timeline(journal)).is_projection:
                some = True
                yield found
        if name is not None and not some:
            raise UsageError(
                f"{name}: its workflows are a program's: what their steps returned are no states of one thing",
                "durproj list shows what there is",
            )

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
            names = sorted({head.name for head in self._store.heads()})
            raise NotFound(
                f"{name}: no workflow of this name in {self._store.location}",
                f"names that there are: {', '.join(names[:10])}" if names else "it has none at all",
            )

    def _timeline(self, journal: Journal) -> Timeline:
        number = journal.head.run
        if number not in self._runs:
            self._runs[number] = self._store.run(number)
        return Timeline(journal, self._runs[number])
