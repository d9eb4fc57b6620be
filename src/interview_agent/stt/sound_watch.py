"""Watches the sound of a live track for what its sender should know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from interview_agent.domain.live import AlertCode
from interview_agent.ports.audio import SAMPLE_RATE

if TYPE_CHECKING:
    from interview_agent.ports.audio import Samples

_SPAN_S = 5.0
"""Clipping is judged over so much sound."""
_FULL_SCALE = 0.999
_CLIPPED = 0.005
"""Part of the samples at full scale above which the sound is clipped."""
_NO_SPEECH_S = 30.0
_OTHER_LANGUAGE = 0.8
_OTHER_LANGUAGE_TIMES = 2


class SoundWatch:
    """Says what is wrong with the sound, and since when; times are seconds of sound."""

    def __init__(self) -> None:
        self._heard_s = 0.0
        self._since_s: dict[AlertCode, float] = {}
        self._span = self._span_clipped = 0
        self._voice_s = 0.0
        self._other_language = 0

    def hear(self, samples: Samples) -> None:
        """Take in the next sound."""
        self._heard_s += samples.size / SAMPLE_RATE
        self._span += samples.size
        self._span_clipped += int(np.count_nonzero(np.abs(samples) >= _FULL_SCALE))
        if self._span >= _SPAN_S * SAMPLE_RATE:
            self._note(AlertCode.CLIPPING, self._span_clipped > _CLIPPED * self._span, _SPAN_S)
            self._span = self._span_clipped = 0
        silent_s = self._heard_s - self._voice_s
        self._note(AlertCode.NO_SPEECH, silent_s > _NO_SPEECH_S, silent_s)

    def voice(self, silent_s: float) -> None:
        """Note that somebody spoke `silent_s` seconds ago."""
        self._voice_s = max(self._voice_s, self._heard_s - silent_s)

    def language(self, probability: float) -> None:
        """Note how likely the language that is written is: of another one, negative."""
        other = -probability >= _OTHER_LANGUAGE
        self._other_language = self._other_language + 1 if other else 0
        enough = self._other_language >= _OTHER_LANGUAGE_TIMES
        self._note(AlertCode.LANGUAGE_MISMATCH, enough, 0.0)

    def lag(self, late_s: float, *, too_late: bool) -> None:
        """Note how late the captions are."""
        self._note(AlertCode.BACKPRESSURE, too_late, late_s)

    def troubles(self) -> dict[AlertCode, float]:
        """Return everything that is wrong now, with the seconds since it is."""
        return {code: self._heard_s - since for code, since in self._since_s.items()}

    def _note(self, code: AlertCode, wrong: bool, since_s: float) -> None:
        if wrong:
            self._since_s.setdefault(code, self._heard_s - since_s)
        else:
            self._since_s.pop(code, None)
