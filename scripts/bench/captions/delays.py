"""When each word that was said was first shown, and when it stood for good."""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from captions.words import TimedWord

TOLERANCE_S = 2.0
"""A word heard further than this from where it was said is another word."""

GROWTH_S = 1.0
"""Delays grow when the median of the last third is so much above that of the first."""

_WEIGHT_OF_TIME = 0.5
_FEW_WORDS = 9


@dataclass(frozen=True, slots=True)
class Caption:
    """The words of one segment as they stood when a message about it arrived.

    `at_s` is seconds after the moment at which the first sample was spoken. `durable` tells a
    `transcript.update` from a partial. A segment that was taken back has no words.
    """

    at_s: float
    segment_id: str
    words: tuple[TimedWord, ...]
    durable: bool


@dataclass
class Delays:
    """Seconds from the end of a word in the audio, by the word's place in the reference."""

    words: int
    shown_s: dict[int, float] = field(default_factory=dict)
    committed_s: dict[int, float] = field(default_factory=dict)

    @property
    def first_shown_s(self) -> float | None:
        """The delay of the first word of all that was shown."""
        return self.shown_s[min(self.shown_s)] if self.shown_s else None

    @property
    def share(self) -> float:
        """The part of the words that were said which stood in the end."""
        return len(self.committed_s) / self.words if self.words else 0.0

    @property
    def growth_s(self) -> float:
        """How far the median of commits is in the last third above that in the first."""
        first = [each for at, each in self.committed_s.items() if at < self.words / 3]
        last = [each for at, each in self.committed_s.items() if at >= self.words * 2 / 3]
        if min(len(first), len(last)) < _FEW_WORDS / 3:
            return 0.0
        return statistics.median(last) - statistics.median(first)


def percentile(values: Iterable[float], per_cent: float) -> float | None:
    """Return the smallest value that so many per cent of the values do not exceed."""
    ranked = sorted(values)
    if not ranked:
        return None
    return ranked[max(0, math.ceil(len(ranked) * per_cent / 100) - 1)]


class Reference:
    """What was said on a track, to find heard words in."""

    def __init__(self, words: Sequence[TimedWord]) -> None:
        self.words = sorted(words, key=lambda word: word.start_s)
        self._starts = [word.start_s for word in self.words]

    def find(self, heard: Sequence[TimedWord], now_s: float = math.inf) -> set[int]:
        """Return the places of the words that `heard` holds, in order and about where they were.

        What had not been begun at `now_s` is not found: it can only have been guessed.
        """
        if not heard:
            return set()
        # The longest words known to speech last a few seconds.
        begin = bisect_left(self._starts, min(w.start_s for w in heard) - 3 * TOLERANCE_S)
        end = min(
            bisect_right(self._starts, max(w.end_s for w in heard) + TOLERANCE_S),
            bisect_right(self._starts, now_s),
        )
        said = self.words[begin:end]
        return {begin + at for at in _common(said, heard)}


def _common(said: Sequence[TimedWord], heard: Sequence[TimedWord]) -> list[int]:
    """Return the places in `said` of the best common subsequence; nearer words are better."""
    best = [[0.0] * (len(heard) + 1) for _ in range(len(said) + 1)]
    for i in range(len(said) - 1, -1, -1):
        for j in range(len(heard) - 1, -1, -1):
            pair = _likeness(said[i], heard[j])
            taken = best[i + 1][j + 1] + pair if pair else 0.0
            best[i][j] = max(taken, best[i + 1][j], best[i][j + 1])
    found, i, j = [], 0, 0
    while i < len(said) and j < len(heard):
        pair = _likeness(said[i], heard[j])
        if pair and best[i][j] == best[i + 1][j + 1] + pair:
            found.append(i)
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return found


def _likeness(said: TimedWord, heard: TimedWord) -> float:
    if said.text != heard.text:
        return 0.0
    apart_s = min(abs(said.start_s - heard.start_s), abs(said.end_s - heard.end_s))
    return 1.0 - _WEIGHT_OF_TIME * apart_s / TOLERANCE_S if apart_s <= TOLERANCE_S else 0.0


def measure(reference: Sequence[TimedWord], captions: Iterable[Caption]) -> Delays:
    """Return the delays of the words of one track.

    A word is shown when the first message holds it, and committed when an update holds it that no
    later caption takes back. Words that never stood have no delay.
    """
    track = Reference(reference)
    delays = Delays(words=len(track.words))
    segments: dict[str, set[int]] = {}
    since_s: dict[int, float] = {}
    for caption in captions:
        found = track.find(caption.words, caption.at_s)
        for at in found:
            delays.shown_s.setdefault(at, caption.at_s - track.words[at].end_s)
        if not caption.durable:
            continue
        segments[caption.segment_id] = found
        standing = set().union(*segments.values())
        since_s = {at: since_s.get(at, caption.at_s) for at in standing}
    delays.committed_s = {at: at_s - track.words[at].end_s for at, at_s in since_s.items()}
    return delays


def committed_words(captions: Iterable[Caption]) -> list[TimedWord]:
    """Return the text that stands after all captions, in the order of its times."""
    segments: dict[str, tuple[TimedWord, ...]] = {}
    for caption in captions:
        if caption.durable:
            segments[caption.segment_id] = caption.words
    ordered = sorted((words for words in segments.values() if words), key=lambda w: w[0].start_s)
    return [word for words in ordered for word in words]
