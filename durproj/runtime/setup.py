"""Setting a fold up: its input, envelope and row in the store, and what the guard says before any event
is read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from durproj import codec
from durproj.errors import UsageError
from durproj.events.envelope import Envelope
from durproj.events.formats.mapping import PLAIN, Layers, Mapping
from durproj.events.formats.paths import plain
from durproj.events.inputs import expand
from durproj.events.reader import Source
from durproj.events.spool import drop, recovered
from durproj.ids import check_name, workflow_id
from durproj.runtime.guard import changed_option, contrast
from durproj.runtime.observer import Observer, Stop
from durproj.runtime.request import (
    REPLACED_BY,
    SAMPLE,
    SAMPLE_KEY,
    SELECTION,
    WHOLE_LOG,
    Request,
    opened_path,
    spool_path,
)
from durproj.stores.base import Run, Store
from durproj.stores.journal import Journal
from durproj.stores.packing import damaged
from durproj.stores.stored import whole_options
from durproj.wording import first

RESTARTING, ACCEPTING = "restarting", "accepting"
"""Options of a run: that `--restart` and `--accept-reducer` hold until it is complete."""

SMALL = 100
"""Logs of so many events are shown event by event; more of them are summed up."""


class Setup:
    """`request`, ready to be folded. `base`: the folder from which stored paths count; `stop`: ends
    a wait for input.

    source: its input, opened (or as given); envelope: how lines are read; label: the key of the whole log
    when no line has one; small: it has few events; run: its row in the store, marked as under way; held:
    the cursor that the row had.

    Raises UsageError, NotFound, PastChanged; the store is then as it was.
    """

    def __init__(
        self,
        request: Request,
        store: Store,
        base: Path,
        observer: Observer,
        stop: Stop,
        source: Source | None = None,
    ) -> None:
        self.request = request
        self._store, self._observer = store, observer
        check_name(request.name)
        self._before = before = store.find_run(request.name, request.identity())
        if request.strict_types and request.reducer.types is None:
            what = "does not say which event types it knows, so none counts as unknown"
            observer.note(f"{request.reducer.ref} {what}; give it an attribute `types` that does")
        self._recorded = self._first_recorded(before.no) if before and before.no else None
        if before and self._recorded:
            whole_options(before.options)
        container = self._layers().container
        if source and container:
            raise UsageError(
                f"{container} cannot be followed", "a followed input is JSON, an event a line"
            )
        self.source = source or self._opened(base, stop, container)
        self._sample = self.source.sample(SMALL + 1, past_bad=request.on_bad_line == "skip")
        self.small = len(self._sample) <= SMALL and not self.source.sample_cut
        self.held = before.cursor if before else None
        mapping = self._mapping()
        self._refuse_unknown(mapping)
        self.envelope = Envelope(mapping)
        self.label = self._label(mapping)
        del self._sample  # it may be large
        self.run = self._begin(request.options(mapping))
        copies = {
            opened_path(path, base): self._copy(self.run.no or 0, path) for path in request.inputs
        }
        self.source.spool(copies, sync=request.durability == "fsync")

    def _opened(self, base: Path, stop: Stop, container: str | None) -> Source:
        """The inputs; in the place of pipes that are gone, the copies that a crash left."""
        request, before = self.request, self._before if self.request.resumed else None
        paths, broken = [], []
        for path in request.inputs:
            copy = recovered(self._copy(before.no or 0, path)) if before else None
            paths.append(copy[0] if copy else opened_path(path, base))
            if copy and copy[1]:
                if container:
                    raise UsageError(
                        f"{path} broke off in the middle of {container}",
                        "give it the same input again, as it was given first",
                    )
                broken.append(copy[0])
                self._observer.note(f"{path} broke off; what had come through is folded")
        return Source(
            *(expand(paths), request.max_line),
            waiting=stop.waiting,
            broken=broken,
            container=container,
        )

    def _copy(self, run: int, path: str) -> str:
        """Where a copy of the pipe `path` is kept for a run."""
        return spool_path(self._store.location, run, path)

    def drop_copies(self) -> None:
        """Remove copies of pipes: all of the run is done."""
        for path in self.request.inputs:
            drop(self._copy(self.run.no or 0, path))

    def revert(self) -> None:
        """Make the store forget a run that was refused before it did anything."""
        if self._before is not None:
            self._store.save_run(self._before)
        elif self.run.no is not None and not self._store.has_workflows(self.run.no):
            self._store.drop_run(self.run.no)

    def _mapping(self) -> Mapping:
        """The envelope's paths: those given, then those with which steps were recorded, else those
        found; what an empty or bad log showed is no more than that."""
        given = self.request.mapping
        if self._before and self._recorded:
            asked = {name: path for name, path in given.to_dict().items() if path is not None}
            options = self._before.options
            self.request.mapping = Mapping.from_dict(options["given"] | asked)
            found: dict[str, str | None] = {name: path or None for name, path in asked.items()}
            return Mapping.from_dict(
                options["mapping"] | found | {"format": self._layers().resolved().name}
            )
        from durproj.events.formats.detection import detect, infrequent_keys

        bodies = self._sample[:SMALL]
        if self.request.inputs == [SAMPLE]:
            return detect(bodies, replace(given, format=given.format or PLAIN))
        mapping = detect(bodies, given)
        if bodies:
            self._observer.note(f"{self.request.shown_input()}: {mapping.describe()}")
        layers = Layers.parse(mapping.format).resolved()
        if mapping.key is None and given.key is None and layers.as_they_are:
            for name, lines in infrequent_keys(bodies).items():
                way = f"to use it: --key {name} --no-key skip"
                self._observer.note(f"{name} is on {lines} of the first {len(bodies)} lines; {way}")
        return mapping

    def _layers(self) -> Layers:
        """What the lines are: the format asked for or, where that leaves it open, the one with which
        steps were recorded."""
        asked = Layers.parse(self.request.mapping.format)
        if not self._before or not self._recorded:
            return asked
        known = Layers.parse(self._before.options["mapping"].get("format")).resolved()
        return known if asked == Layers.parse(None) or asked.fits(known) else asked

    def _refuse_unknown(self, mapping: Mapping) -> None:
        """What events are ordered or told apart by must be known."""
        by: dict[str, tuple[str, str]] = {
            "time": ("--order time", "time"),
            "seq": ("--order seq", "sequence number"),
            "id": ("--dedupe id", "id"),
        }
        for name in (self.request.order, self.request.dedupe):
            if not self._sample or name not in by:
                continue
            flag, what = by[name]
            why = self._unknown(name, what, mapping)
            if why:
                without = "--dedupe none" if name == "id" else "--order file"
                raise UsageError(
                    f"{flag}: {why}", f"say where: --{name} PATH; or fold with {without}"
                )

    def _unknown(self, name: str, what: str, mapping: Mapping) -> str | None:
        """Why it is not known where lines have `what`, the field `name`; None when it is."""
        path = getattr(mapping, name)
        if path is None:
            return f"no field is known to hold the {what}"
        if name != "id":  # the first line without one will be refused, with its place
            return None
        if self._recorded:  # by lines that had it; a log that was rotated may begin with others
            return None
        from durproj.events.formats.detection import leads_nowhere

        sample = self._sample[:SMALL]
        if leads_nowhere(path, sample, mapping):
            return f"{first(len(sample), 'line has', 'lines have')} no {what} in {plain(path)}"
        return None

    def _label(self, mapping: Mapping) -> str:
        """Without a key in the lines, the one key asked for names the whole log."""
        request = self.request
        if mapping.key is not None:
            return ""
        if self._sample and request.keys and len(request.keys) > 1:
            many = f"{len(request.keys)} keys were asked for"
            raise UsageError(f"{many}, but no line has a key", "say where it is: --key PATH")
        sample = request.inputs == [SAMPLE]
        label = request.keys[0] if request.keys else SAMPLE_KEY if sample else WHOLE_LOG
        if self._sample and not sample and not self._recorded:
            id = workflow_id(request.name, label)
            self._observer.note(f"no line has a key: the whole log is one stream, {id}")
        return label

    def _begin(self, options: dict[str, Any]) -> Run:
        request, store, before = self.request, self._store, self._before
        run = replace(before) if before else Run(request.name, request.identity(), options)
        with store.transaction():
            if before and before.no is not None:
                if request.restart:
                    self._drop_all(before.no)
                    # What is dropped stays dropped, whatever comes of this run.
                    run.cursor = before.cursor = None
                    before.complete = False
                elif self._recorded:
                    guard(self._recorded, before.options, options, accept=request.accept_reducer)
            if request.release:
                options = self._released(options)
            else:
                options |= self._permits(options)
            if request.release or not self.source.restartable:
                run.cursor = None
            by = run.options.get(REPLACED_BY)
            if by and REPLACED_BY not in options:
                self._observer.note(
                    f"{by} has replaced {run.name}; it is in use again, so gc keeps it"
                )
            run.options, run.complete = options, False
            store.save_run(run)
        return run

    def _released(self, options: dict[str, Any]) -> dict[str, Any]:
        """The run's options as they were: what a changed reducer does to streams that were parked says
        nothing of the others. Where there are no others, the run has the changed one from now on."""
        if self._before is None:
            raise damaged(self.request.name, "its run does not belong to the inputs that it names")
        was, only = self._before.options, self.request.only or ()
        if was["fingerprint"] == options["fingerprint"]:
            return was
        change = f"{was['reducer']} has changed ({was['fingerprint']} → {options['fingerprint']})"
        self._observer.note(f"{change}: it makes the new steps of these streams")
        others = any(head.key not in only for head in self._store.heads(run=self._before.no))
        if others or was["reducer"] != options["reducer"]:
            return was
        return was | {name: options[name] for name in ("fingerprint", "initial_source")}

    def _permits(self, options: dict[str, Any]) -> dict[str, bool]:
        """What this run may do to the workflows of others: what is asked of it or, when it is resumed,
        was before. Another change of the reducer needs to be accepted anew."""
        asked = self.request
        before = self._before.options if self._before and asked.resumed else {}
        same = all(before.get(name) == options[name] for name in ("fingerprint", "initial_source"))
        permits = {
            RESTARTING: asked.restart or RESTARTING in before,
            ACCEPTING: asked.accept_reducer or (same and ACCEPTING in before),
        }
        return {name: True for name, given in permits.items() if given}

    def _drop_all(self, run: int) -> None:
        for head in list(self._store.heads(run=run)):
            if head.no is not None:
                self._store.drop_workflow(head.no)

    def _first_recorded(self, run: int) -> str | None:
        """The id of a workflow of `run` that has steps."""
        heads = self._store.heads(run=run)
        return next((head.id for head in heads if Journal(self._store, head).steps), None)


def finish(run: Run) -> None:
    """Mark `run` as complete; what it was permitted ends with it."""
    run.complete = True
    for name in (RESTARTING, ACCEPTING):
        run.options.pop(name, None)


def guard(id: str, recorded: dict[str, Any], present: dict[str, Any], *, accept: bool) -> None:
    """Raise PastChanged unless the reducer, its initial state and the envelope are the recorded ones.
    `accept`: let another reducer or initial state pass."""

    def pair(name: str) -> tuple[str, str]:
        return codec.to_json(recorded[name]), codec.to_json(present[name])

    if recorded["fingerprint"] != present["fingerprint"] and not accept:
        refs = contrast(recorded["reducer"], present["reducer"])
        was, now = (
            f"{ref} ({side['fingerprint']})"
            for ref, side in zip(refs, (recorded, present), strict=True)
        )
        raise changed_option(id, "reducer", was, now, "--accept-reducer")
    if recorded["initial_source"] != present["initial_source"] and not accept:
        raise changed_option(id, "initial state", *pair("initial_source"), "--accept-reducer")
    if _seen_through(recorded) != _seen_through(present):
        raise changed_option(id, "envelope", *pair("mapping"), "")
    if recorded["no_key"] != present["no_key"]:
        raise changed_option(id, "--no-key", *pair("no_key"), "")
    for name, before in SELECTION.items():
        was = recorded.get(name, before)
        if was != present[name]:
            raise changed_option(id, f"--{name}", was, present[name], "")


def _seen_through(options: dict[str, Any]) -> dict[str, str | None]:
    """What of a mapping makes the events what they are: all but the sequence number, unless they are in
    its order."""
    ordered = options.get("order") == "seq"
    return {name: path for name, path in options["mapping"].items() if name != "seq" or ordered}
