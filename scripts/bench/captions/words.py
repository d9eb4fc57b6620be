"""Words with times, made comparable, and how many of them are wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_DASHES = re.compile(r"[-‐-―/]")
_MARKS = re.compile(r"[^\w\s]")


@dataclass(frozen=True, slots=True)
class TimedWord:
    """One word and its times in seconds from the start of its track."""

    text: str
    start_s: float
    end_s: float

    def shifted(self, by_s: float) -> TimedWord:
        """Return the same word so many seconds later."""
        return replace(self, start_s=self.start_s + by_s, end_s=self.end_s + by_s)


def plain(text: str) -> list[str]:
    """Return the words in small letters without marks, ё as е; numbers stay as they are."""
    return _MARKS.sub("", _DASHES.sub(" ", text.lower().replace("ё", "е"))).split()


def timed(words: Iterable[tuple[str, float, float]]) -> tuple[TimedWord, ...]:
    """Return words of (text, start, end) in plain form; the parts of one share its times."""
    return tuple(
        TimedWord(part, float(start), float(end))
        for text, start, end in words
        for part in plain(text)
    )


def texts(words: Iterable[TimedWord]) -> list[str]:
    """Return the words without their times."""
    return [word.text for word in words]


def edits(one: Sequence[str], other: Sequence[str]) -> int:
    """Return the least number of insertions, deletions and substitutions."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


def word_error_rate(reference: Sequence[str], heard: Sequence[str]) -> float:
    """Return the errors in per cent of the words of the reference.

    Raises `ValueError` for a reference without words.
    """
    if not reference:
        message = "a word error rate needs a reference"
        raise ValueError(message)
    return 100.0 * edits(reference, heard) / len(reference)
