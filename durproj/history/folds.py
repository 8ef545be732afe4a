"""The projections of a store, each with its history. What the steps of a program returned are no states of
one thing, so that there is nothing in them to search or compare."""

from __future__ import annotations

from typing import NamedTuple

from durproj.history.programs import no_states
from durproj.history.reading import journal_of, run_of
from durproj.history.timeline import Timeline
from durproj.runtime.absent import no_name
from durproj.stores.base import Head, Run, Store
from durproj.stores.journal import Journal


class Member(NamedTuple):
    """A projection as it is listed: the number of its workflow in the store, which stays whatever becomes of
    the id."""

    no: int
    id: str
    name: str
    key: str


class Folds:
    """The projections in `store`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._runs: dict[int, Run] = {}

    def one(self, id: str) -> Timeline:
        """The history of the projection `id`. Raises NotFound, and UsageError for a program's workflow."""
        found = self._timeline(journal_of(self._store, id))
        if not found.is_projection:
            raise no_states(id, "state to search or compare")
        return found

    def members(self, *names: str) -> list[Member]:
        """The projections of these names, or all, in the order they began, under the ids that they have at
        one instant. Raises NotFound when no workflow has one of the names, and UsageError when it is the
        name of a program's."""
        found: list[Member] = []
        there: dict[str, str] = {}
        with self._store.snapshot():
            for head in self._store.heads():
                there.setdefault(head.name, head.id)
                if (not names or head.name in names) and self._is_projection(head):
                    assert head.no is not None
                    found.append(Member(head.no, head.id, head.name, head.key))
        for name in names:
            if name not in there:
                raise no_name(name, self._store)
            if not any(member.name == name for member in found):
                raise no_states(f"{name}/…", "state to search or compare", there[name])
        return found

    def open(self, member: Member) -> Timeline | None:
        """The history of a member, under the id that it had. None when it was dropped since."""
        journal = Journal.open(self._store, member.id, member.no)
        # The number may have been given again.
        if journal is None or journal.head.key != member.key:
            return None
        return self._timeline(journal)

    def _is_projection(self, head: Head) -> bool:
        return self._run(head).options.get("kind") == "fold"

    def _run(self, head: Head) -> Run:
        if head.run not in self._runs:
            self._runs[head.run] = run_of(self._store, head)
        return self._runs[head.run]

    def _timeline(self, journal: Journal) -> Timeline:
        return Timeline(journal, self._run(journal.head))
