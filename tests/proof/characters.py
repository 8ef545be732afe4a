"""Characters that do something where they are shown."""

from __future__ import annotations

import re
from unicodedata import category

# Joiners are shown as they are, and some that Unicode calls format characters are signs to be seen.
SHOWN = re.compile(
    "[\u200c\u200d\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd\U00013430-\U0001343f]"
)
ACTIVE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""The categories of characters that act on a terminal, or hide."""


def acting(text: str) -> list[str]:
    """The characters of `text`, in their order, that act where they are shown, or hide: line feeds do not count."""
    seen = SHOWN.sub("", text)
    return [each for each in re.findall(r"[^\n\x20-\x7e]", seen) if category(each) in ACTIVE]
