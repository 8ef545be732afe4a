"""A kind of fault, a trial of it, and what came of the cases."""

from __future__ import annotations

import random
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

MEMORY = "DURPROJ_PROOF_MEMORY"
"""The environment variable that names a folder in memory."""

FOUND = 0.02
"""Of what is broken on purpose, such a share of the cases at least has to be found."""

KEPT = 20
"""So many losses are told in full; all are counted."""


@dataclass
class Trial:
    """One go at a kind of fault. `rng` draws everything that is drawn, `count` says how many cases are
    asked for, `folder` is the trial's own; what happened is counted by `case`. words: of a control those of
    `Proof.control`. judged: how many of the lost ones say so in these words. broken: the error outside of any
    case that ended it early."""

    seed: str
    count: int
    folder: Path
    words: str = ""
    cases: int = 0
    lost: int = 0
    judged: int = 0
    losses: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    broken: str = ""
    rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)

    @property
    def broke_off(self) -> bool:
        """Whether it ended early, or before its first case: what was not lost says nothing then."""
        return bool(self.broken) or not self.cases

    @contextmanager
    def case(self, what: str) -> Iterator[None]:
        """One case: it is survived unless an exception leaves the block. `what` tells how to meet it
        again: the fault and where it struck."""
        self.cases += 1
        try:
            yield
        except Exception as error:
            self.lost += 1
            self.judged += self.words in str(error)
            if len(self.losses) < KEPT:
                at = "".join(traceback.format_exception(error)[-2:])
                self.losses.append(f"{what}\n{at}")

    def passed(self, cases: int = 1) -> None:
        """Count cases that were judged elsewhere and survived."""
        self.cases += cases

    def note(self, text: str) -> None:
        """Something to tell beside the table: what was reached, what was not."""
        self.notes.append(text)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A new folder for one case, removed after it."""
        with tempfile.TemporaryDirectory(dir=self.folder, prefix="case-") as folder:
            yield Path(folder)


@dataclass(frozen=True)
class Proof:
    """A kind of fault. promises: those of the README that it puts to the test. prove: injects
    `trial.count` cases. quick, nightly: how many cases in `make test` and in `make proof`; what is
    enumerated rather than drawn may come to more. case_ms: about how long a case takes, by which the long
    ones are started first. control: it is broken on purpose, and the harness has to find a
    loss in it, which says these words: any other error may be of what breaks it, and finds nothing. Empty: it
    is no control."""

    fault: str
    promises: tuple[str, ...]
    prove: Callable[[Trial], None]
    quick: int
    nightly: int
    case_ms: float
    control: str = ""

    def run(self, seed: str, count: int, folder: Path) -> Trial:
        """Run it in a new folder under `folder`. Losses are in the trial; nothing is raised for them."""
        with tempfile.TemporaryDirectory(dir=folder, prefix="proof-") as own:
            trial = Trial(f"{seed} {self.fault}", count, Path(own), self.control)
            try:
                self.prove(trial)
            except Exception:
                trial.broken = traceback.format_exc()
        return trial

    def faults(self, trial: Trial) -> list[str]:
        """What is wrong with how `trial` ended: nothing, when the promise held."""
        if trial.broken:
            return [*trial.losses, trial.broken]
        if not trial.cases:
            return ["not one case was made"]
        if self.control:
            found = f"broken on purpose, {trial.judged} of {trial.cases} cases say: {self.control}"
            return [] if trial.judged >= max(1, FOUND * trial.cases) else [found, *trial.losses]
        return trial.losses
