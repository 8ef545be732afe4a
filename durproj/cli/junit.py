"""What a command found as JUnit XML, as CI services read it: a test case for each thing it looked at."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree as ET

from durproj.cli.findings import Line
from durproj.errors import OutputFailed
from durproj.render import safe

# What XML 1.0 has no place for besides the control characters and surrogates, which `safe` writes out.
_NO_CHARACTER = re.compile("[\ufffe\uffff]")

BEGINS = b"<?xml version='1.0' encoding='utf-8'?>\n<testsuites tests="
"""How a report begins."""


@dataclass(frozen=True)
class Case:
    """A test case. outcome: None when all is well, `failure` or `error`, of a `kind`, or `skipped` where it was
    not looked into; described by `lines`."""

    group: str
    name: str
    outcome: Literal["failure", "error", "skipped"] | None = None
    kind: str = ""
    lines: Sequence[Line] = ()


class Report:
    """The report of `command` at `path`. It is there from the beginning, as that of one that did not come to
    its end, so that none of yesterday's is taken for it, whatever happens. Raises OutputFailed when it
    cannot be written. subject: what is looked at as a whole."""

    def __init__(self, path: Path, command: str, subject: str) -> None:
        self._path, self._command, self._subject = path, command, subject
        self.failed("it did not come to its end")

    def failed(self, why: str) -> None:
        """Write that nothing could be found out, and why."""
        line = (("unverifiable  ", ""), (why, ""))
        self.write([Case("durproj", self._subject, "error", "unverifiable", (line,))])

    def write(self, cases: Sequence[Case]) -> None:
        """Write these cases."""
        outcomes = [case.outcome for case in cases]
        counts = {
            "tests": str(len(cases)),
            "failures": str(outcomes.count("failure")),
            "errors": str(outcomes.count("error")),
            "skipped": str(outcomes.count("skipped")),
        }
        suites = ET.Element("testsuites", counts)
        suite = ET.SubElement(suites, "testsuite", {"name": f"durproj {self._command}", **counts})
        suite.extend(map(_element, cases))
        text = ET.tostring(suites, encoding="utf-8", xml_declaration=True)
        try:
            self._path.write_bytes(text + b"\n")
        except OSError as error:
            raise OutputFailed(f"{self._path} cannot be written: {error.strerror}") from None


def _element(case: Case) -> ET.Element:
    element = ET.Element("testcase", {"classname": _text(case.group), "name": _text(case.name)})
    if case.outcome:
        lines = ["".join(text for text, _ in line) for line in case.lines]
        about = {"message": _text(lines[0])} | ({"type": case.kind} if case.kind else {})
        ET.SubElement(element, case.outcome, about).text = "\n".join(map(_text, lines))
    return element


def _text(text: str) -> str:
    """`text` in one line of characters that XML can hold."""
    return _NO_CHARACTER.sub(lambda match: f"\\u{ord(match[0]):04x}", safe(text))
