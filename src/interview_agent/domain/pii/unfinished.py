"""What the end of a growing text may still become.

Half of a telephone number is not found as one, so its first digits would stand in a caption until
the last ones are spoken. The end of a text that grows is therefore held back while it may be the
beginning of personal data.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SETTLED_AFTER_WORDS = 3
"""A number is over once so many words follow: what names it may stand behind it."""

_WITHIN_NUMBER_WORDS = 2
_ADDRESS_WORDS = 8
_DIGIT = re.compile(r"[0-9]")
_ADDRESS_SIGN = re.compile(r"@|\bсоба(?:ка|чка)\b", re.IGNORECASE)
_TOKEN = re.compile(r"\S+")


def settled_words(words: Sequence[str]) -> int:
    """Return how many of the first words cannot become personal data by what follows them all."""
    return min(_before_number(words), _before_address(words))


def settled_text(text: str) -> str:
    """Return `text` without its end that may become personal data by what follows."""
    tokens = list(_TOKEN.finditer(text))
    settled = settled_words([token.group() for token in tokens])
    return text if settled == len(tokens) else text[: tokens[settled].start()].rstrip()


def _before_number(words: Sequence[str]) -> int:
    last = len(words) - 1
    while last >= 0 and not _DIGIT.search(words[last]):
        last -= 1
        if len(words) - 1 - last >= SETTLED_AFTER_WORDS:
            return len(words)
    first = last
    for at in range(last - 1, -1, -1):
        if _DIGIT.search(words[at]):
            first = at
        elif first - at > _WITHIN_NUMBER_WORDS:
            break
    return first if first >= 0 else len(words)


def _before_address(words: Sequence[str]) -> int:
    for at in range(max(0, len(words) - _ADDRESS_WORDS), len(words)):
        sign = _ADDRESS_SIGN.search(words[at])
        if sign:
            return at if sign.start() > 0 else max(0, at - 1)
    return len(words)
