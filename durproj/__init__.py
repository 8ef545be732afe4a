"""durproj: fold event logs into projections, one durable checkpoint per event.

    import durproj

    def orders(state, event):
        match event.type:
            case "OrderPlaced": return state | {"open": state["open"] + 1}
            case _: return state

    orders.initial = {"open": 0}
    durproj.fold("events.jsonl", reducer=orders, store="shop.db")
    durproj.inspect("projection/u1", store="shop.db")["state"]

Workflows of any steps: `durproj.run("checkout/A-17", checkout, "A-17", store="shop.db")`, where
`checkout(ctx, order)` is a generator that yields `ctx.run(function, *args)`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from durproj.crashing.crashtest import crashtest
    from durproj.errors import (
        BadEvent,
        DurprojError,
        Interrupted,
        NotFound,
        OutputFailed,
        PastChanged,
        Retry,
        Rewritten,
        StepFailed,
        StoreBusy,
        StoreDamaged,
        StoreDenied,
        StoreError,
        TooManyErrors,
        Unstorable,
        UsageError,
    )
    from durproj.events.event import Event
    from durproj.events.formats.mapping import Mapping
    from durproj.exports.formats import export, export_records
    from durproj.history.blame import blame
    from durproj.history.compare import compare
    from durproj.history.diff import diff
    from durproj.history.find import find
    from durproj.history.fork import fork
    from durproj.history.gc import gc
    from durproj.history.log import log
    from durproj.history.parked import inspect_parked, parked
    from durproj.history.promote import promote
    from durproj.history.rewind import rewind
    from durproj.history.standing import inspect, workflows
    from durproj.page.report import report
    from durproj.projections.reducer import Reducer, from_function
    from durproj.runtime.engine import run
    from durproj.runtime.observer import Counts, Observer, Silent, Stop
    from durproj.runtime.project import fold
    from durproj.runtime.release import drop_parked, retry_parked
    from durproj.runtime.resume import resume
    from durproj.runtime.retry import Constant, Exponential, Linear, Never, RetryPolicy
    from durproj.runtime.workflow import Context, Step, process_events
    from durproj.verification.backup import backup
    from durproj.verification.verify import verify

_HOME = {
    "durproj.crashing.crashtest": "crashtest",
    "durproj.errors": (
        "BadEvent DurprojError Interrupted NotFound OutputFailed PastChanged Retry Rewritten StepFailed"
        " StoreBusy"
        " StoreDamaged StoreDenied StoreError TooManyErrors Unstorable UsageError"
    ),
    "durproj.events.event": "Event",
    "durproj.events.formats.mapping": "Mapping",
    "durproj.history.compare": "compare",
    "durproj.history.find": "find",
    "durproj.exports.formats": "export export_records",
    "durproj.history.blame": "blame",
    "durproj.history.diff": "diff",
    "durproj.history.log": "log",
    "durproj.history.fork": "fork",
    "durproj.history.gc": "gc",
    "durproj.history.parked": "inspect_parked parked",
    "durproj.history.promote": "promote",
    "durproj.history.rewind": "rewind",
    "durproj.history.standing": "inspect workflows",
    "durproj.page.report": "report",
    "durproj.projections.reducer": "Reducer from_function",
    "durproj.runtime.engine": "run",
    "durproj.runtime.observer": "Counts Observer Silent Stop",
    "durproj.runtime.project": "fold",
    "durproj.runtime.resume": "resume",
    "durproj.runtime.release": "drop_parked retry_parked",
    "durproj.runtime.retry": "Constant Exponential Linear Never RetryPolicy",
    "durproj.runtime.workflow": "Context Step process_events",
    "durproj.verification.backup": "backup",
    "durproj.verification.verify": "verify",
}
_MODULE = {name: module for module, names in _HOME.items() for name in names.split()}

__all__ = [
    "BadEvent",
    "Constant",
    "Context",
    "Counts",
    "DurprojError",
    "Event",
    "Exponential",
    "Interrupted",
    "Linear",
    "Mapping",
    "Never",
    "NotFound",
    "Observer",
    "OutputFailed",
    "PastChanged",
    "Reducer",
    "Retry",
    "RetryPolicy",
    "Rewritten",
    "Silent",
    "Step",
    "StepFailed",
    "Stop",
    "StoreBusy",
    "StoreDamaged",
    "StoreDenied",
    "StoreError",
    "TooManyErrors",
    "Unstorable",
    "UsageError",
    "backup",
    "blame",
    "compare",
    "crashtest",
    "diff",
    "drop_parked",
    "export",
    "export_records",
    "find",
    "fold",
    "fork",
    "from_function",
    "gc",
    "inspect",
    "inspect_parked",
    "log",
    "parked",
    "process_events",
    "promote",
    "report",
    "resume",
    "retry_parked",
    "rewind",
    "run",
    "verify",
    "workflows",
]


def __getattr__(name: str) -> Any:
    # Names are fetched when they are used: `durproj --version` needs none of them.
    if name not in _MODULE:
        raise AttributeError(f"module 'durproj' has no attribute {name!r}")
    return getattr(import_module(_MODULE[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
