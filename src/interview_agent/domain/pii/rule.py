"""What the finders of personal data share: their form, and how numbers are written in text.

Every pattern is bounded in length, so that a search takes time linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Span = tuple[int, int]
Accept = Callable[[str, "re.Match[str]"], Span | None]

SPACE = "[ \t\u00a0\u2000-\u200a\u202f\u205f]"
DASH = "[-\u2010-\u2015\u2212]"
HESITATION = rf",?{SPACE}(?:э+м*|м{{2,}}|э-э|u+[hm]+|er)[,.…]{{0,3}}{SPACE}"
"""A sound of hesitation inside a dictated number does not end the number."""
GAP = rf"(?:{SPACE}{{0,2}}{DASH}{SPACE}{{0,2}}|{SPACE}{{1,2}}|{HESITATION})"
LEFT = rf"(?<![\w])(?<![\w\]]{DASH})(?<![0-9\]][./:])(?<![$€£₽])"
"""No number begins inside a word, another number, an address, a version, a time or a price."""
LEFT_NO_PLUS = rf"{LEFT}(?<!\+)(?<!\+{SPACE})"
RIGHT = rf"(?!\w)(?!{DASH}[0-9\[\]])(?![./:][0-9\[\]])(?!,[0-9]{{1,2}}(?![0-9]))"

NUMBER_MIN_DIGITS = 6
_WITHIN_NUMBER = r"(?:\W|[эмuhmer]|за|и|and|номер[^\W\d]{0,3}|number|no)*+"
"""Whatever any rule lets stand between two digits of a number, and more."""

_BEFORE_CHARS = 48
_AFTER_CHARS = 32
_NUMBER_MAX_CHARS = 120
_CUT = re.compile(r"[0-9@\[\]]")


def compiled(pattern: str) -> re.Pattern[str]:
    """Compile a pattern of a rule; case does not matter."""
    return re.compile(pattern, re.IGNORECASE)


LONG_NUMBER = compiled(rf"[0-9](?:{_WITHIN_NUMBER}[0-9]){{{NUMBER_MIN_DIGITS - 1}}}")
"""Holds for every text in which a rule of numbers finds something, and is sought in no time."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern for candidates of one kind, and what decides on each of them.

    `accept` gets the text and a match and returns the span to mask, None for no personal data.
    `name`, where it is given, is what has to stand near a candidate for `accept` to take it. A text
    without what it `needs` is not searched: that decides quickly on most of what people say.
    """

    kind: str
    pattern: re.Pattern[str]
    accept: Accept
    name: re.Pattern[str] | None = None
    needs: re.Pattern[str] = LONG_NUMBER


def stretches(rule: Rule, text: str) -> Iterator[Span]:
    """Return where in `text` the rule is to look, without overlap and in order."""
    if rule.name is None:
        yield 0, len(text)
        return
    first = stop = 0
    for name in rule.name.finditer(text):
        start = max(0, name.start() - _AFTER_CHARS - _NUMBER_MAX_CHARS)
        if start > stop:
            if stop:
                yield first, stop
            first = start
        stop = min(len(text), name.end() + _BEFORE_CHARS + _NUMBER_MAX_CHARS)
    if stop:
        yield first, stop


def digits_of(text: str) -> str:
    """Return the ASCII digits of `text`."""
    return "".join(char for char in text if "0" <= char <= "9")


def group_lengths(text: str) -> tuple[int, ...]:
    """Return how many digits stand together, group by group."""
    return tuple(len(group) for group in re.findall(r"[0-9]+", text))


def looks_like_thousands(text: str) -> bool:
    """Whether the digits are grouped in threes as in a sum, by spaces or dots alone."""
    groups = group_lengths(text)
    grouped = len(groups) > 1 and groups[0] <= 3 and set(groups[1:]) == {3}
    return grouped and not re.search(rf"{DASH}|[()]", text)


def before(text: str, start: int) -> str:
    """Return the lower-cased words before `start`, back to the last number, address or label."""
    region = text[max(0, start - _BEFORE_CHARS) : start]
    cut = max((match.end() for match in _CUT.finditer(region)), default=0)
    return region[cut:].lower()


def around(text: str, start: int, end: int) -> str:
    """Return the lower-cased words on both sides, up to the next numbers, addresses or labels."""
    region = text[end : end + _AFTER_CHARS]
    cut = _CUT.search(region)
    return before(text, start) + " | " + region[: cut.start() if cut else None].lower()
