"""The engine: carries out what the driver asks for. `run` is the library's entry to workflows."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from durproj import codec
from durproj.errors import NotFound, PastChanged, StepFailed, Unstorable, UsageError
from durproj.ids import split_id
from durproj.runtime.arguments import workflow_arguments
from durproj.runtime.attempts import Attempts, kind_of, text_of
from durproj.runtime.driver import (
    NEW_CODE,
    Driver,
    Execute,
    Failed,
    Finish,
    Ok,
    Outcome,
)
from durproj.runtime.folding import writer
from durproj.runtime.guard import difference
from durproj.runtime.observer import Observer, Silent, Stop
from durproj.runtime.recording import step_meta
from durproj.runtime.retry import DEFAULT, RetryPolicy
from durproj.runtime.workflow import Context, Workflow
from durproj.stores.base import Durability, Head, Run, Store
from durproj.stores.journal import Journal
from durproj.stores.packing import Record
from durproj.stores.stored import stored_value


def run(
    id: str,
    workflow: Workflow,
    *args: Any,
    store: str | Path | Store = "durproj.db",
    durability: Durability = "step",
    retry: RetryPolicy = DEFAULT,
    accept_functions: bool = False,
    wait_s: float = 0.0,
    observer: Observer | None = None,
    stop: Stop | None = None,
) -> Any:
    """Run `workflow(ctx, *args)` under `id` (`name/key`) to its end, and return what it returns.

    Steps that `store` holds are served from it; the rest are executed and recorded, each committed
    before the next begins. Called again after a crash it goes on; called again after the end it
    returns the same result, executing nothing.

    Where `durproj gc` dropped steps of a workflow that has ended, the code is not run against those
    that are left.

    Raises StepFailed when a step's attempts are spent and the workflow does not catch it; PastChanged
    when a step, its function, its input or the workflow's arguments are not the recorded ones
    (`accept_functions=True` lets changed code pass); NotFound when steps that it would be served first
    are no longer kept, and it has not ended; StoreBusy when another process writes to the
    store for `wait_s` seconds; Interrupted when `stop` asks for it, also while it waits for the store;
    whatever else the workflow raises.
    """
    name, key = split_id(id)
    stop = stop or Stop()
    with writer(store, durability, wait_s, stop) as opened:
        generator = _started(id, workflow, args)
        journal = _journal(opened, id, name, key, workflow, args)
        head = journal.head
        if head.dropped and head.status == "resolved" and head.state is not None:
            return stored_value(head.state)
        if head.dropped:
            raise NotFound(
                f"{id}: steps before {head.dropped:,} are no longer kept",
                "a program is replayed from step 0, so it cannot go on from a later one;\n"
                "run it again under another id",
            )
        engine = _Engine(opened, journal, retry, observer or Silent(), stop)
        return engine.run(generator, accept_functions=accept_functions)


def _started(id: str, workflow: Workflow, args: tuple[Any, ...]) -> Generator[Any, Any, Any]:
    """The workflow's generator. Raises UsageError when it is none, before anything is stored."""
    generator: Any = workflow(Context(id), *args)
    if not isinstance(generator, Generator):
        raise UsageError(
            f"{_reference(workflow)} is not a workflow: it returned {type(generator).__name__}",
            "a workflow is a generator function: result = yield ctx.run(function, …)",
        )
    return generator


def _journal(
    store: Store, id: str, name: str, key: str, workflow: Workflow, args: tuple[Any, ...]
) -> Journal:
    """The workflow's journal, made when it is new; its recorded arguments must be `args`."""
    journal = Journal.open(store, id)
    given = workflow_arguments(args).decode()
    if journal is None:
        options = {"kind": "workflow", "workflow": _reference(workflow), "args": given}
        asked = Run(name, id, options)
        with store.transaction():
            store.save_run(asked)
            assert asked.no is not None
            journal = Journal(store, Head(id, name, key, asked.no))
            journal.save("pending")
        return journal
    began = store.run(journal.head.run)
    options = began.options if began else {}
    if options.get("kind") != "workflow":
        raise PastChanged(id, None, "a projection of a log", "a workflow", "use another id")
    if options["args"] != given:
        was, now = difference(options["args"].encode(), given.encode())
        raise PastChanged(id, None, f"arguments {was}", f"arguments {now}", "use another id")
    return journal


def _reference(workflow: Workflow) -> str:
    """`module:function`, for people."""
    kind = type(workflow)
    module = getattr(workflow, "__module__", kind.__module__)
    return f"{module}:{getattr(workflow, '__qualname__', kind.__qualname__)}"


class _Engine:
    """One run of one workflow."""

    def __init__(
        self, store: Store, journal: Journal, retry: RetryPolicy, observer: Observer, stop: Stop
    ) -> None:
        self._store, self._journal = store, journal
        self._retry, self._observer, self._stop = retry, observer, stop

    def run(self, generator: Any, *, accept_functions: bool) -> Any:
        id = self._journal.head.id
        driver = Driver(id, generator, self._recorded(), accept_functions=accept_functions)
        command = driver.start()
        first = True
        while isinstance(command, Execute):
            self._stop.check()
            if self._journal.head.status == "resolved":
                raise PastChanged(
                    id,
                    command.index,
                    "the workflow ended before it",
                    f"a step {command.step.name!r}",
                    NEW_CODE,
                )
            outcome, meta, output = self._execute(command, first=first)
            self._journal.add(command.index, Record(meta, command.input, output))
            first = False
            command = driver.send(outcome)
        return self._finish(command)

    def _recorded(self) -> Iterator[Record]:
        for _, records in self._journal.blocks():
            # A copy: appending goes on in the block that is still open.
            yield from list(records)

    def _execute(self, command: Execute, *, first: bool) -> tuple[Outcome, bytes, bytes]:
        head, step = self._journal.head, command.step
        assert head.no is not None
        policy = step.retry or self._retry
        attempts = Attempts(
            self._store, head.id, head.no, command.index, policy, self._observer, self._stop
        )
        if first:
            attempts.resume()
        try:
            output, value = attempts.call(
                lambda: codec.settle(step.fn(*step.args, **step.kwargs)), step.name
            )
        except StepFailed as failed:
            meta = step_meta(step.name, codec.decode(command.meta)["by"], failed=True)
            outcome = {"kind": failed.kind, "message": failed.reason}
            return Failed(failed.kind, failed.reason), meta, codec.encode(outcome)
        return Ok(value), command.meta, output

    def _finish(self, finish: Finish) -> Any:
        head = self._journal.head
        if head.status == "resolved" and head.state is not None:
            return stored_value(head.state)
        if finish.error is None:
            try:
                state, result = codec.settle(finish.result)
            except Unstorable as error:
                raise Unstorable(
                    f"{head.id}: the workflow's result cannot be stored: {error}"
                ) from None
            self._journal.save("resolved", state=state)
            return result
        self._journal.save("rejected", error=self._stored(finish.error))
        raise finish.error

    def _stored(self, error: Exception) -> bytes:
        """An error as the head keeps it."""
        if isinstance(error, StepFailed):
            step, kind, message = error.step, error.kind, error.reason
        else:
            step, kind, message = self._journal.steps, kind_of(error), text_of(error)
        return codec.encode({"step": step, "kind": kind, "message": message})
