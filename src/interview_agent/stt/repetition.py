"""Cuts the loops that a recogniser falls into, and leaves real repetitions alone.

A recogniser that has lost the sound writes the same phrase again and again, faster than anybody
speaks or without any duration at all. A speaker who repeats himself takes the time to do so.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_PHRASE_WORDS = 8
MIN_REPEATS = 4
MIN_LOOP_WORDS = 8
MAX_WORDS_PER_S = 7.0
"""Fast speech stays below it: English about 5 words a second, short Russian ones about 6."""
NO_TIME_S = 0.03
"""A word is not spoken in less."""
MAX_PHRASE_REPEATS = 12
"""Nobody says a phrase of two words or more as often as this in a row within half a minute."""

_LETTERS = re.compile(r"\w+")


class TimedText(Protocol):
    """A piece of text with its place in time, in seconds."""

    @property
    def text(self) -> str:
        """The text of the word."""
        ...

    @property
    def start_s(self) -> float:
        """Where it starts."""
        ...

    @property
    def end_s(self) -> float:
        """Where it ends."""
        ...


WordT = TypeVar("WordT", bound=TimedText)


def cut_loops(words: Sequence[WordT]) -> tuple[WordT, ...]:
    """Return the words of one window with each loop reduced to its first round."""
    keys = ["".join(_LETTERS.findall(word.text.lower())) for word in words]
    kept: list[WordT] = []
    at = 0
    while at < len(words):
        phrase, stop = _longest_run(keys, at)
        if phrase and _is_loop(words[at:stop], phrase):
            kept.extend(words[at : at + phrase])
            at = stop
        else:
            kept.append(words[at])
            at += 1
    return tuple(kept)


def _longest_run(keys: Sequence[str], at: int) -> tuple[int, int]:
    """Return the phrase length and the end of the longest run of one phrase from `at` on."""
    phrase, best = 0, at
    for length in range(1, MAX_PHRASE_WORDS + 1):
        stop = at + length
        while stop < len(keys) and keys[stop] == keys[stop - length]:
            stop += 1
        if stop >= at + MIN_REPEATS * length and stop > best:
            phrase, best = length, stop
    return phrase, best


def _is_loop(run: Sequence[TimedText], phrase: int) -> bool:
    if len(run) < MIN_LOOP_WORDS:
        return False
    if phrase > 1 and len(run) >= phrase * MAX_PHRASE_REPEATS:
        return True
    timeless = sum(word.end_s - word.start_s < NO_TIME_S for word in run)
    spoken_s = run[-1].end_s - run[0].start_s
    return 2 * timeless > len(run) or len(run) > spoken_s * MAX_WORDS_PER_S
