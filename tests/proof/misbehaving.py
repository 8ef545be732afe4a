"""Reducers that do what they should not: end the process, take all memory, never return, close descriptors …"""

from __future__ import annotations

from collections.abc import Mapping

from proof.children import command
from proof.half_runs import EVENTS, expect_sound, journal, write_log
from proof.trial import Proof, Trial

GOOD = "def f(state, event):\n    return {'n': state.get('n', 0) + 1}\n"
BODY = "def f(state, event):\n    if event.id == 'e5':\n        {0}\n    return {{'n': state.get('n', 0) + 1}}\n"

IMPORTED: Mapping[str, str] = {
    "an error": "1 / 0",
    "no such module": "import not_there_at_all",
    "a syntax error": "def (",
    "SystemExit": "raise SystemExit(0)",
    "sys.exit with a text": "import sys; sys.exit('bye')",
    "no function": "f = 3",
    "endless recursion": "def g():\n    g()\ng()",
}
"""Modules that cannot be imported: exit 2, and no store."""

DONE: Mapping[str, tuple[str, set[int]]] = {
    "raises": ("1 / 0", {1}),
    "SystemExit": ("raise SystemExit(7)", {1, 7}),
    "os._exit": ("import os; os._exit(7)", {7}),
    "kills itself": ("import os; os.kill(os.getpid(), 9)", {-9}),
    "endless recursion": ("f(state, event)", {1, 0}),
    "all memory": ("import resource; resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30)); bytearray(2**34)", {1}),
    "never returns, and INT comes twice": (
        "import os; [os.kill(os.getpid(), 2) for _ in range(2)]; exec('while True: pass')",
        {130},
    ),
    "never returns, and TERM comes twice": (
        "import os; [os.kill(os.getpid(), 15) for _ in range(2)]; exec('while True: pass')",
        {143},
    ),
    "prints": ("print('noise'); __import__('sys').stdout.write('noise')", {0}),
    "writes to fd 1": ("import os; os.write(1, b'noise')", {0}),
    "closes stdout": ("import sys; sys.stdout.close()", {0}),
    "closes the descriptors": ("import os; os.close(1); os.close(2)", {0, 74}),
    "patches json": ("import json; json.loads = json.dumps = None", {0}),
    "changes folder": ("import os; os.chdir('/')", {0}),
    "changes signal handlers": ("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)", {0}),
    "starts a thread": ("import threading; threading.Thread(target=lambda: None).start()", {0}),
    "forks a child that ends": ("import os; pid = os.fork(); os._exit(0) if not pid else os.waitpid(pid, 0)", {0}),
    "changes sys.path": ("import sys; sys.path.clear()", {0}),
    "clears the environment": ("import os; os.environ.clear()", {0}),
    "turns the collector off": ("import gc; gc.disable()", {0}),
    "changes its limit": ("import sys; sys.setrecursionlimit(120)", {0, 1}),
    "warns": ("import warnings; warnings.simplefilter('error'); ", {0}),
}  # fmt: skip
"""What a reducer does at its sixth event, and how the run may end."""


def misbehaving(trial: Trial) -> None:
    cases = [*(("imports", kind) for kind in IMPORTED), *(("does", kind) for kind in DONE)]
    trial.rng.shuffle(cases)
    for n in range(trial.count):
        when, kind = cases[n % len(cases)]
        with trial.case(f"{when}: {kind}"), trial.scratch() as folder:
            write_log(folder)
            source = f"{IMPORTED[kind]}\n" if when == "imports" else BODY.format(DONE[kind][0])
            (folder / "r.py").write_text(source)
            done = command(["run", "log.jsonl", "--reducer", "r.py:f", "--json"], folder)
            codes = {2} if when == "imports" else DONE[kind][1]
            assert done.code in codes, f"exit {done.code}: {done.err}"
            assert "noise" not in done.out or kind == "writes to fd 1"
            assert "a bug in durproj" not in done.err
            if when == "imports":
                assert not (folder / "durproj.db").exists()
                continue
            expect_sound(folder)
            assert [record["state"]["n"] for record in journal(folder)][:5] == [1, 2, 3, 4, 5]
            (folder / "r.py").write_text(GOOD)
            again = command(["resume", "--accept-reducer"], folder)
            assert again.code == 0, again.err
            if done.code or len(journal(folder)) < EVENTS:
                assert [record["state"]["n"] for record in journal(folder)] == [
                    *range(1, EVENTS + 1)
                ]
            expect_sound(folder)


PROOFS = [
    Proof("a reducer that does what it should not", ("P1", "P8"), misbehaving, 29, 300, case_ms=89),
]
