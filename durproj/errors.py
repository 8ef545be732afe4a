"""Every error durproj raises on purpose, and the exit code each one ends a command with.

    DurprojError
    ├─ UsageError       2    flags, references or configuration that cannot be used
    ├─ StepFailed       1    a step raised and its attempts are spent
    ├─ TooManyErrors    1    more events were parked or skipped than a run was to bear
    ├─ PastChanged      4    the input, the reducer or the workflow is not what the journal holds
    ├─ BadEvent         65   a line of the input is not an event
    ├─ NotFound         66   no such file, key, workflow or step
    ├─ StoreError       74   the store cannot be read or written: I/O error, disk full
    │  ├─ StoreDamaged  74   stored bytes are not the bytes that were written
    │  ├─ StoreBusy     75   another runner holds the store
    │  ├─ Rewritten     75   a history was rewritten while it was read, or a log while it was tested
    │  └─ StoreDenied   77   no permission
    ├─ OutputFailed     74   standard output cannot be written
    └─ Interrupted      128+n  signal n asked the run to stop; the step in hand was finished

`Unstorable` is a `TypeError`, raised where a value has no JSON form; inside a step it fails the step.
`Retry` is for users: a step raises it to be tried again.
"""

from __future__ import annotations


class DurprojError(Exception):
    """Base of all errors meant for the user: `message` says what was met and what was expected,
    `hint` what to do about it (may be empty)."""

    exit_code = 70

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UsageError(DurprojError):
    """The flags, references or configuration cannot be used as given."""

    exit_code = 2


class StepFailed(DurprojError):
    """A step raised and its attempts are spent. The same (`kind`, `message`) is raised when the
    workflow is replayed, so a workflow that catches it takes the same path.

    `event`: the id and type of the event that the step was given; None outside of a fold.
    """

    exit_code = 1

    def __init__(
        self,
        id: str,
        step: int,
        kind: str,
        message: str,
        hint: str = "",
        event: dict[str, str | int | None] | None = None,
    ) -> None:
        super().__init__(
            f"{id}#{step}: {kind}: {message}" if message else f"{id}#{step}: {kind}", hint
        )
        self.id = id
        self.step = step
        self.kind = kind
        self.reason = message
        self.event = event


class TooManyErrors(DurprojError):
    """More events were parked or skipped in one run than it was to bear; what was finished is kept."""

    exit_code = 1


class PastChanged(DurprojError):
    """A cached step would be served to another event, function or input than it was recorded for.

    `recorded` and `present` say what the journal holds and what is there now.
    """

    exit_code = 4

    def __init__(
        self, id: str, step: int | None, recorded: str, present: str, hint: str = ""
    ) -> None:
        where = id if step is None else f"{id}#{step}"
        super().__init__(
            f"{where}: the past changed\n  recorded: {recorded}\n  now:      {present}", hint
        )
        self.id = id
        self.step = step
        self.recorded = recorded
        self.present = present


class BadEvent(DurprojError):
    """A line of the input is not an event.

    `path` names the input, `line` counts from 1, `offset` is the byte at which the line begins. `record`:
    the input has records of another kind, and `line` is the number of one.
    """

    exit_code = 65

    def __init__(
        self, path: str, line: int, offset: int, why: str, hint: str = "", *, record: bool = False
    ) -> None:
        where = f"{path}: record {line}" if record else f"{path}:{line}: byte {offset}"
        super().__init__(f"{where}: {why}", hint)
        self.path = path
        self.line = line
        self.offset = offset
        self.why = why


class NotFound(DurprojError):
    """No such file, key, workflow or step."""

    exit_code = 66


class StoreError(DurprojError):
    """The store cannot be read or written."""

    exit_code = 74


class StoreDamaged(StoreError):
    """Stored bytes are not the bytes that were written; nothing of them is served."""


class StoreBusy(StoreError):
    """Another runner holds the store."""

    exit_code = 75


class Rewritten(StoreError):
    """A history was rewritten while it was read, or a log or reducer while it was tested. Nothing is wrong
    with it: read it again."""

    exit_code = 75


class StoreDenied(StoreError):
    """No permission to read or write the store or an input."""

    exit_code = 77


class OutputFailed(DurprojError):
    """Standard output cannot be written: no room, say."""

    exit_code = 74


class Interrupted(DurprojError):
    """Signal `signum` asked the run to stop; everything finished is committed."""

    def __init__(self, signum: int) -> None:
        super().__init__(
            "stopped; every finished step is checkpointed", "go on with: durproj resume"
        )
        self.exit_code = 128 + signum
        self.signum = signum


class Unstorable(TypeError):
    """A value that JSON cannot carry unchanged; the text names the path and what was met."""


class Retry(Exception):
    """Raise this in a step to say: nothing is wrong with the input, try again later."""
