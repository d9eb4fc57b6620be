"""Streaming as public servers do it: LocalAgreement-2 over windows that are padded to 30 s.

The policy of ufal/whisper_streaming: everything since the last cut is heard again each time, what
two hearings in a row agree on is committed, and a window longer than 15 s is cut after the last
segment that ended before the last committed word.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SAMPLE_RATE = 16_000
TRIM_S = 15.0
PROMPT_CHARS = 200
LONGEST_OVERLAP_WORDS = 5

Sound: TypeAlias = npt.NDArray[np.float32]
Spoken: TypeAlias = tuple[str, float, float]
"""A word as the model writes it, with start and end in seconds."""


@dataclass(frozen=True, slots=True)
class Hearing:
    """What the model heard in a window: words and the ends of its segments, from its start."""

    words: tuple[Spoken, ...]
    segment_ends_s: tuple[float, ...]


class LocalAgreement:
    """The state of one stream."""

    def __init__(self, hear: Callable[[Sound, str], Hearing]) -> None:
        self._hear = hear
        self._sound = np.zeros(0, np.float32)
        self._sound_starts_s = 0.0
        self._committed: list[Spoken] = []
        self._pending: list[Spoken] = []

    @property
    def pending(self) -> tuple[Spoken, ...]:
        """The words of the last hearing that nothing has confirmed."""
        return tuple(self._pending)

    def step(self, sound: Sound) -> list[Spoken]:
        """Hear all that is kept with `sound` behind it; return the words that stand from now on."""
        self._sound = np.concatenate((self._sound, sound))
        hearing = self._hear(self._sound, self._prompt())
        shift_s = self._sound_starts_s
        heard = [(text, start + shift_s, end + shift_s) for text, start, end in hearing.words]
        new = self._without_overlap(heard)
        agreed = 0
        for one, other in zip(self._pending, new, strict=False):
            if one[0] != other[0]:
                break
            agreed += 1
        committed, self._pending = new[:agreed], new[agreed:]
        self._committed += committed
        if len(self._sound) > TRIM_S * SAMPLE_RATE:
            self._cut([end_s + shift_s for end_s in hearing.segment_ends_s])
        return committed

    def finish(self) -> list[Spoken]:
        """Return the words that were never confirmed: no more sound comes."""
        rest, self._pending = self._pending, []
        self._committed += rest
        return rest

    def _without_overlap(self, heard: list[Spoken]) -> list[Spoken]:
        """Leave out what was committed before and is still in the window."""
        last_s = self._committed[-1][2] if self._committed else 0.0
        new = [word for word in heard if word[1] > last_s - 0.1]
        if not new or abs(new[0][1] - last_s) >= 1.0:
            return new
        window = [word for word in self._committed if word[2] > self._sound_starts_s]
        for count in range(1, min(len(window), len(new), LONGEST_OVERLAP_WORDS) + 1):
            if _texts(window[-count:]) == _texts(new[:count]):
                return new[count:]
        return new

    def _prompt(self) -> str:
        """Return the end of the text whose sound was cut off."""
        older = [text for text, _, end_s in self._committed if end_s <= self._sound_starts_s]
        prompt: list[str] = []
        while older and sum(map(len, prompt)) < PROMPT_CHARS:
            prompt.insert(0, older.pop())
        return "".join(prompt)

    def _cut(self, segment_ends_s: list[float]) -> None:
        """Drop the sound up to the last segment but one that ended before what is committed."""
        if not self._committed:
            return
        last_s = self._committed[-1][2]
        ended = [end_s for end_s, _ in pairwise(segment_ends_s) if end_s <= last_s]
        if ended:
            self._sound = self._sound[int((ended[-1] - self._sound_starts_s) * SAMPLE_RATE) :]
            self._sound_starts_s = ended[-1]


def _texts(words: Sequence[Spoken]) -> list[str]:
    return [text for text, _, _ in words]
