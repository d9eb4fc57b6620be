"""Words of a transcript with times that can be counted with: whole milliseconds, in order."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from interview_agent.domain.transcript import Segment


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word that somebody said; `segment` and `position` say where in the transcript it stands."""

    text: str
    start_ms: int
    end_ms: int
    speaker: str | None
    segment: int
    position: int


@dataclass(frozen=True, slots=True)
class WordTimes:
    """All words by time, how many had to be repaired, and how many were only estimated."""

    words: tuple[SpokenWord, ...]
    adjusted: int
    estimated: int


def milliseconds(seconds: float) -> int:
    """Return the nearest whole millisecond: sums of integers do not depend on their order."""
    return round(seconds * 1000)


def words_of(segments: Sequence[Segment]) -> WordTimes:
    """Take the words of `segments`, repair their times, and sort them.

    A word is adjusted when it starts before zero, does not end after its start, or starts before
    the previous word of the same speaker has ended. Repair never adds speech: the start moves up
    to where the time before is taken, and a word with no time of its own keeps its place with a
    length of zero. A segment without words has the tokens of its text spread evenly over its time.
    """
    told: list[SpokenWord] = []
    guessed: list[SpokenWord] = []
    for index, segment in enumerate(segments):
        if segment.words and all(
            math.isfinite(word.start_s) and math.isfinite(word.end_s) for word in segment.words
        ):
            told.extend(_recognised(segment, index))
        else:
            guessed.extend(_spread(segment, index))
    speakers: dict[str | None, list[SpokenWord]] = {}
    for word in sorted([*told, *guessed], key=_order):
        speakers.setdefault(word.speaker, []).append(word)
    repaired: list[SpokenWord] = []
    adjusted = 0
    for words in speakers.values():
        fixed = list(_repair(words))
        adjusted += sum(
            before != after or before.end_ms <= before.start_ms
            for before, after in zip(words, fixed, strict=True)
        )
        repaired.extend(fixed)
    return WordTimes(tuple(sorted(repaired, key=_order)), adjusted, len(guessed))


def _order(word: SpokenWord) -> tuple[int, int, str, int, int, str]:
    return (
        word.start_ms,
        word.end_ms,
        word.speaker or "",
        word.segment,
        word.position,
        word.text,
    )


def _recognised(segment: Segment, index: int) -> Iterable[SpokenWord]:
    for position, word in enumerate(segment.words):
        yield SpokenWord(
            word.text,
            milliseconds(word.start_s),
            milliseconds(word.end_s),
            segment.speaker,
            index,
            position,
        )


def _spread(segment: Segment, index: int) -> Iterable[SpokenWord]:
    tokens = segment.text.split()
    start = milliseconds(segment.start_s)
    length = max(0, milliseconds(segment.end_s) - start)
    for position, token in enumerate(tokens):
        yield SpokenWord(
            token,
            start + length * position // len(tokens),
            start + length * (position + 1) // len(tokens),
            segment.speaker,
            index,
            position,
        )


def _repair(words: Sequence[SpokenWord]) -> Iterable[SpokenWord]:
    taken_until = 0
    for word in words:
        end = max(word.end_ms, word.start_ms, 0)
        start = min(max(word.start_ms, taken_until), end)
        taken_until = max(taken_until, end)
        yield replace(word, start_ms=start, end_ms=end)
