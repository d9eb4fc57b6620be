"""Which samples are speech, told while they arrive.

The rule is that of `get_speech_timestamps` of faster-whisper 1.2 with its defaults: speech starts
at a probability of 0.5, ends where 2 s stay below 0.35, and is padded by 0.4 s on both sides.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from interview_agent.ports.audio import SAMPLE_RATE
from interview_agent.ports.speech import VOICE_SAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterable

THRESHOLD = 0.5
NEGATIVE_THRESHOLD = 0.35
MIN_SILENCE_SAMPLES = 2 * SAMPLE_RATE
PAD_SAMPLES = SAMPLE_RATE * 2 // 5


@dataclass(frozen=True, slots=True)
class Piece:
    """Samples `start` to `end` of the track that are certainly speech.

    `opens` says that silence was removed before them, or that they are the first.
    """

    start: int
    end: int
    opens: bool


class SpeechGate:
    """Turns probabilities of voice into pieces of speech, each as soon as it is certain."""

    def __init__(self) -> None:
        self.steps = 0
        """Probabilities fed so far; each stands for VOICE_SAMPLES samples."""
        self._ready: list[Piece] = []
        self._speech_from: int | None = None
        self._quiet_from: int | None = None
        self._taken: int | None = None

    def fork(self) -> SpeechGate:
        """Return a gate in the same state that goes its own way."""
        twin = copy.copy(self)
        twin.__dict__["_ready"] = list(self._ready)
        return twin

    def feed(self, probabilities: Iterable[float]) -> None:
        """Hear the next steps."""
        for probability in probabilities:
            self._step(float(probability), self.steps * VOICE_SAMPLES)
            self.steps += 1

    def _step(self, probability: float, at: int) -> None:
        if probability >= THRESHOLD:
            self._quiet_from = None
            if self._speech_from is None:
                self._speech_from = at
        elif probability < NEGATIVE_THRESHOLD and self._speech_from is not None:
            if self._quiet_from is None:
                self._quiet_from = at
            if at - self._quiet_from >= MIN_SILENCE_SAMPLES:
                self._close(self._speech_from, self._quiet_from + PAD_SAMPLES)

    def _close(self, speech_from: int, end: int) -> None:
        self._emit(speech_from, end)
        self._speech_from = self._quiet_from = self._taken = None

    def _emit(self, speech_from: int, end: int) -> None:
        """Make the open speech certain up to `end`."""
        opens = self._taken is None
        start = max(0, speech_from - PAD_SAMPLES) if self._taken is None else self._taken
        if end > start:
            self._ready.append(Piece(start, end, opens))
            self._taken = end

    def take(self, heard: int) -> list[Piece]:
        """Return the pieces that became certain since the last call, of `heard` samples."""
        if self._speech_from is not None:
            quiet_from = self._quiet_from
            at = self.steps * VOICE_SAMPLES if quiet_from is None else quiet_from
            self._emit(self._speech_from, min(heard, at + PAD_SAMPLES))
        ready, self._ready = self._ready, []
        return ready

    def end(self, heard: int) -> None:
        """Say that the track ends at `heard` samples: open speech lasts until there."""
        if self._speech_from is not None and self._speech_from < heard:
            self._close(self._speech_from, heard)
        self._speech_from = None

    def needed_from(self) -> int:
        """Return the first sample that a later piece may still begin with."""
        if self._taken is not None:
            return self._taken
        at = self.steps * VOICE_SAMPLES if self._speech_from is None else self._speech_from
        return max(0, at - PAD_SAMPLES)
