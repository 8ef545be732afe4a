"""What `verify` found as JUnit XML, as CI services read it: a test case for each workflow."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from durproj.cli.findings import finding
from durproj.errors import OutputFailed, UsageError
from durproj.ids import split_id
from durproj.render import safe

_ELEMENTS = {"damaged": "failure", "different": "failure", "unverifiable": "error"}

# What XML 1.0 has no place for besides the control characters and surrogates, which `safe` writes out.
_NO_CHARACTER = re.compile("[\ufffe\uffff]")


class Report:
    """The report at `path`. It is there from the beginning, as that of a `verify` that did not come to its
    end, so that none of yesterday's is taken for it, whatever happens. Raises OutputFailed when it cannot
    be written, UsageError when it would take the place of the `store`."""

    def __init__(self, path: Path, store: Path) -> None:
        self._path = path
        with suppress(OSError):
            if path.samefile(store):
                raise UsageError(f"--junit {path}: that is the store", "name another file")
        self.failed("it did not come to its end")

    def failed(self, why: str) -> None:
        """Write that nothing could be verified, and why."""
        self.write([{"id": None, "status": "unverifiable", "reason": why}])

    def write(self, records: Sequence[dict[str, Any]]) -> None:
        """Write the `verification` records. What is damaged or different is a failure, what cannot be
        verified an error."""
        cases = [_case(record) for record in records]
        kinds = [_ELEMENTS.get(record["status"]) for record in records]
        counts = {
            "tests": str(len(cases)),
            "failures": str(kinds.count("failure")),
            "errors": str(kinds.count("error")),
            "skipped": "0",
        }
        suites = ET.Element("testsuites", counts)
        ET.SubElement(suites, "testsuite", {"name": "durproj verify", **counts}).extend(cases)
        text = ET.tostring(suites, encoding="utf-8", xml_declaration=True)
        try:
            self._path.write_bytes(text + b"\n")
        except OSError as error:
            raise OutputFailed(f"{self._path} cannot be written: {error.strerror}") from None


def _case(record: dict[str, Any]) -> ET.Element:
    # Damage that is no workflow's is the store's.
    name, key = split_id(record["id"]) if record["id"] else ("durproj", "store")
    case = ET.Element("testcase", {"classname": _text(name), "name": _text(key)})
    if element := _ELEMENTS.get(record["status"]):
        lines = ["".join(text for text, _ in line) for line in finding(record)]
        about = {"type": record["status"], "message": _text(lines[0])}
        ET.SubElement(case, element, about).text = "\n".join(map(_text, lines))
    return case


def _text(text: str) -> str:
    """`text` in one line of characters that XML can hold."""
    return _NO_CHARACTER.sub(lambda match: f"\\u{ord(match[0]):04x}", safe(text))
