"""A reducer is the same reducer on every Python: who takes a newer one goes on where the older one stopped."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, environment

from durproj.projections import syntax

EVERYTHING = '''
"""Module."""
from __future__ import annotations
import a.b as c, d
from . import e
@dec(1)
async def f(a, /, b: int = 1, *args, c=2.5, **kw) -> None:
    """Doc."""
    async with x as y, z: await y
    f"a" "b" f"{a!r:>{b}.2f}{{}}{c=}{d:}" f"" "end"
    f"{a:{'x'}}" rb"\\x00" 1j ... if False else 10**30
    return {**a, 'b': [*c]} | {i: j for i, j in k if i} or not -1
class G(H, metaclass=I):
    "Doc."
    x: int
    @property
    def y(self): return (yield), (yield from self)
try:
    pass
except* (OSError, ValueError) as err: raise E from None
match p:
    case {"a": [1, *rest], **more} | Point(x=0, y=_) if q: del a[1:2, ::3]
    case -1 | 2+3j | None | "s" as w: pass
for i in x: continue
else: assert (n := 3), "m"
while 1: break
global gg
lambda *a, k=1: (yield)
print(123456789012345678901234567890, 1e400, 0x1F, "\\ud800", True)
'''.replace(
    '    f"{a:{\'x\'}}" rb"\\x00" 1j ... if False', '    f"{a:{b}}"; rb"\\x00"; 1j; ... if False'
)

PROGRAM = """
import ast, hashlib, importlib.util, sys
spec = importlib.util.spec_from_file_location("syntax", sys.argv[1])
syntax = importlib.util.module_from_spec(spec)
spec.loader.exec_module(syntax)
tree = ast.parse(open(sys.argv[2], encoding="utf-8").read())
text = syntax.canonical(tree) + repr(sorted(syntax.free_names(tree)))
print(hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest())
"""


def interpreters():
    names = [f"python3.{minor}" for minor in range(11, 16)]
    found = [shutil.which(name) for name in names]
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found += [str(path) for name in names for path in versions.glob(f"*/bin/{name}")]
    # A version manager's stand-in is found by name, but need not run.
    return [path for path in found if path and _runs(path)]


def _runs(python):
    return not subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode


def test_the_canonical_text_is_the_same_on_every_python(tmp_path):
    others = interpreters()
    if not others:
        pytest.skip("no other Python 3.11 or later is on this machine")
    sample = tmp_path / "everything.py"
    sample.write_text(EVERYTHING)
    for source in (sample, Path(syntax.__file__), Path(__file__)):
        digests = {
            subprocess.run(
                [python, "-c", PROGRAM, syntax.__file__, str(source)],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for python in [sys.executable, *others]
        }
        assert len(digests) == 1, source


REDUCERS = """
from __future__ import annotations

import abc, dataclasses, enum, functools, itertools, json, operator, pathlib, re
from collections import Counter, namedtuple
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Protocol, TypeVar, final

T = TypeVar("T")
PATTERN = re.compile("a+")
PLACES = (1, 2)
Point = namedtuple("Point", "x y")

class Kind(enum.Enum):
    A = "a"

@dataclass(frozen=True, slots=True)
class Money:
    amount: int = 0
    notes: list[str] = field(default_factory=list)
    def plus(self, n):
        return dataclasses.replace(self, amount=self.amount + n)

def plain(state, event):
    '''Doc.'''
    return {"n": state.get("n", 0) + sum(x for x in PLACES if x > event.body["v"])}

def comprehending(state, event):
    limit = event.body["v"]
    inner = [[x * limit for x in range(y)] for y in range(limit)]
    return {"n": {k: [v for v in inner if v] for k in "ab"}}

def make(by, table):
    squares = [by * n for n in range(3)]
    def inner(state, event, step=by, *, other=[by]):
        return {"n": state.get("n", 0) + step + squares[0] + [table[k] for k in table][0]}
    return inner

def by_name(fn):
    @functools.wraps(fn)
    def wrapper(state, event):
        return fn(state, event)
    return wrapper

@by_name
def decorated(state, event):
    return {"n": Money().plus(3).amount, "k": Kind.A.value, "p": Point(1, 2)}

@functools.singledispatch
def dispatched(state, event):
    return state

@dispatched.register
def _(state: dict, event):
    return {"n": 1}

@contextmanager
def managed():
    yield 1

def using(state, event):
    def numbers():
        return (yield from range(3))
    match event.type:
        case "A" | "B":
            return {"f": f"{state!r:>{10}} {event.type=}", "m": bool(PATTERN.match("a"))}
        case {"a": [*x], **y}:
            return x
    with managed() as m:
        try:
            return {"n": [*numbers()], "m": m, "c": Counter(a=1)}
        except* (ValueError, TypeError):
            raise

class Reducing:
    '''Doc.'''
    __slots__ = ("by", "kinds")
    def __init__(self, by):
        self.by, self.kinds = by, {Kind.A}
    def __call__(self, state, event):
        return self.apply(state, event)
    def apply(self, state, event):
        return {"n": state.get("n", 0) + self.by}
    @classmethod
    def made(cls, state, event):
        return cls(2).apply(state, event)

class Below(Reducing):
    limit = 3
    def __init__(self):
        super().__init__(5)
        self.pattern, self.folder = PATTERN, pathlib.PurePosixPath("/")
    def apply(self, state, event):
        return super().apply(state, event)

@dataclass
class Ruled:
    by: int = 3
    def __call__(self, state, event):
        return {"n": self.by}
    @classmethod
    def made(cls, state, event):
        return {"n": cls().by}

def made(*bases, **options):
    class Made(*bases, **options):
        '''Doc.'''
        __limits__ = (b"1", 2, frozenset("abc"), {1: (0.5, None)})
        __note__ = None
        total: int = 0
        @classmethod
        def apply(cls, state, event):
            cls.last = event
            return {"n": cls.total}
    return Made

class Stub(abc.ABC):
    @abc.abstractmethod
    def stub(self): ...

class Row(NamedTuple):
    by: int = 3
    @classmethod
    def made(cls, state, event):
        return {"n": cls().by}

class Counted(enum.Enum):
    A = "a"
    B = ["b"]
    @classmethod
    def made(cls, state, event):
        return {"n": cls.A.value}

CLASSES = {
    "plain": made(), "abstract": made(Stub), "a protocol": made(Protocol), "generic": made(Generic[T]),
    "an exception": made(ValueError), "final": final(made()), "ordered": functools.total_ordering(
        type("Ordered", (made(),), {"__lt__": made, "apply": made().__dict__["apply"]})),
    "a frozen dataclass": dataclass(frozen=True, slots=True, order=True)(made()),
    "a dataclass with a hash": dataclass(unsafe_hash=True, kw_only=True)(made()),
    "a list": made(list),
}

below = Below()
REDUCERS = {
    **{fn.__name__: fn for fn in (plain, comprehending, decorated, dispatched, using)},
    "a closure": make(2, {"a": 1}),
    "one of two lambdas": (lambda s, e: {"n": 1}, lambda s, e: {"n": 2})[1],
    "of a comprehension": [lambda s, e, k=k: {"n": k} for k in range(3)][1],
    "a closure of a comprehension": [lambda s, e: {"n": k} for k in range(3)][1],
    "a lambda in a lambda": (lambda t: lambda s, e: {"n": t})({"a": (1, 2)}),
    "a partial": functools.partial(make(3, {"b": 2}), step=4),
    "native": functools.partial(operator.add),
    "an instance": Reducing(2), "a method": Reducing(2).apply, "of the class": Reducing.made,
    "a subclass": below, "its method": below.apply, "of the subclass": Below.made,
    "a dataclass": Ruled(), "of a dataclass": Ruled.made,
    "of a named tuple": Row.made, "of an enumeration": Counted.made,
    **{f"of a class of a call: {name}": kind.apply for name, kind in CLASSES.items()},
    "of an object of such a class": made()().apply,
    "of an object of such a dataclass": dataclass(slots=True)(made())(2).apply,
}
"""

FINGERPRINTS = """
import sys
import durproj.projections.fingerprint, reducers
for name, fn in reducers.REDUCERS.items():
    print(name, durproj.projections.fingerprint.fingerprint(fn))
"""

# What durproj needs of other packages here; theirs are built for one version of Python.
STAND_INS = {
    "blake3.py": """
from hashlib import sha256

class blake3:
    def __init__(self):
        self._digest = sha256()
        self.update = self._digest.update
    def hexdigest(self, length):
        return self._digest.hexdigest()[: 2 * length]
""",
    "orjson.py": """
from json import JSONDecodeError, dumps as _dumps, loads

OPT_PASSTHROUGH_SUBCLASS = OPT_PASSTHROUGH_DATACLASS = OPT_PASSTHROUGH_DATETIME = 0

def dumps(value, option):
    return _dumps(value).encode()
""",
}


def test_a_fingerprint_is_the_same_on_every_python(tmp_path):
    others = interpreters()
    if not others:
        pytest.skip("no other Python 3.11 or later is on this machine")
    (tmp_path / "reducers.py").write_text(REDUCERS)
    for name, text in {**STAND_INS, "main.py": FINGERPRINTS}.items():
        (tmp_path / name).write_text(text)
    found = {python: _fingerprints(python, tmp_path) for python in [sys.executable, *others]}
    here = found[sys.executable]
    assert len(here.splitlines()) == 34
    for python, there in found.items():
        assert there == here, python


def _fingerprints(python, folder):
    return subprocess.run(
        # -S: the stand-ins are found, and no packages beside them.
        [python, "-S", "main.py"],
        cwd=folder,
        env=environment(PYTHONPATH=os.pathsep.join([str(folder), str(ROOT)])),
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def equipped():
    """The Pythons of environments beside this one that hold what durproj needs, of other versions."""
    asked = "import sys, blake3, msgspec, orjson, rich, typer; print(sys.version_info[:2])"
    found = {}
    for python in ROOT.glob(".venv*/bin/python"):
        said = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=False)
        if not said.returncode and said.stdout.strip() != str(sys.version_info[:2]):
            found[said.stdout] = str(python)
    return [*found.values()]


@pytest.mark.parametrize("reducer", ["reducers:plain", "merge"])
def test_a_run_that_crashed_goes_on_under_another_python(reducer, tmp_path):
    others = equipped()
    if not others:
        pytest.skip("there is no environment of another Python beside this one")
    (tmp_path / "reducers.py").write_text(REDUCERS)
    lines = ({"key": "a", "type": "T", "v": n} for n in range(6))
    (tmp_path / "log.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    for number, other in enumerate(others):
        for first, second in ((other, sys.executable), (sys.executable, other)):
            store = f"{number}-{first == other}.db"
            run = ("run", "log.jsonl", "--reducer", reducer, "--store", store)
            assert _durproj(first, tmp_path, *run, "--crash", "3").returncode == 3
            done = _durproj(second, tmp_path, "resume", "--store", store)
            assert done.returncode == 0, (first, second, done.stderr)
            assert "3 executed, 3 cached" in done.stdout


def _durproj(python, folder, *args):
    return subprocess.run(
        [python, "-m", "durproj", *args],
        cwd=folder,
        env=environment(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        check=False,
    )
