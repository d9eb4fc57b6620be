"""A recogniser of captions that knows what is said when, and sound that says where it is from.

Each sample spells its own place on the track, in units of 2 ms, so that the twin hears what a
window really holds: a hole or a doubled stretch in it is an error of the caller.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from interview_agent.ports.audio import SAMPLE_RATE, Samples
from interview_agent.ports.captions import CaptionModel, CaptionResult, CaptionWindow, CaptionWord
from interview_agent.ports.speech import VOICE_SAMPLES, Probabilities, VoiceState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from interview_agent.domain.errors import SttError

UNIT = 32
"""Samples that spell the same place."""

_SCALE = 32_768
_SLACK = 3 * UNIT
_TOKENS_A_WORD = 4
_COMMA, _MANGLED = 2, 3
_NOTHING = np.zeros((1, 1, 128), np.float32)


def sound(start: int, end: int) -> Samples:
    """Return samples `start` to `end` of any track; s16le keeps them for its first two minutes."""
    places = np.arange(start, end) // UNIT
    return ((places - _SCALE) / _SCALE).astype(np.float32)


def pcm(start: int, end: int) -> bytes:
    """Return the same as s16le."""
    return (sound(start, end) * _SCALE).astype("<i2").tobytes()


def place(value: float) -> int:
    """Return the sample that a value was cut from."""
    return round(value * _SCALE + _SCALE) * UNIT


@dataclass(frozen=True, slots=True)
class Said:
    """A word of the script; times in seconds."""

    text: str
    start_s: float
    end_s: float


def script(*pieces: tuple[float, int], word_s: float = 0.3, gap_s: float = 0.06) -> list[Said]:
    """Return words w0, w1, … : after each pause in seconds so many of them."""
    words: list[Said] = []
    at_s = 0.0
    for pause_s, count in pieces:
        at_s += pause_s
        for _ in range(count):
            words.append(Said(f"w{len(words)}", round(at_s, 3), round(at_s + word_s, 3)))
            at_s += word_s + gap_s
    return words


@dataclass
class CaptionTwin(CaptionModel):
    """Hears the words of `said`; a word that the window cuts off comes out mangled.

    Faults: windows for which `runs_away` holds are implausible; those words whose number is in
    `misheard` are taken for others when they are heard first, and not surely; those in `commas`
    get a comma only when they are the last ones that are known already; times drift by up to
    `drift_s`. Each of `failures` is raised once. Unless `strict`, sound may be missing.
    """

    said: Sequence[Said]
    language: str = "en"
    language_probability: float = 0.9
    runs_away: Callable[[CaptionWindow], bool] = lambda _window: False
    misheard: frozenset[int] = frozenset()
    commas: frozenset[int] = frozenset()
    drift_s: float = 0.0
    strict: bool = True
    probability: float = 0.9
    failures: list[SttError] = field(default_factory=list)
    windows: list[CaptionWindow] = field(default_factory=list)
    _heard: set[int] = field(default_factory=set)
    _chance: random.Random = field(default_factory=lambda: random.Random(5))

    async def voice(
        self, samples: Samples, state: VoiceState | None
    ) -> tuple[Probabilities, VoiceState]:
        """Find voice in each step that sounds with a word."""
        assert samples.size
        assert samples.size % VOICE_SAMPLES == 0
        first = self._checked(samples, state)
        starts = (first + np.arange(0, samples.size, VOICE_SAMPLES)) / SAMPLE_RATE
        voiced = np.zeros(starts.size, bool)
        for word in self.said:
            voiced |= (starts + VOICE_SAMPLES / SAMPLE_RATE > word.start_s) & (starts < word.end_s)
        found = np.where(voiced, 0.9, 0.05).astype(np.float32)
        return found, VoiceState(_NOTHING, _NOTHING, samples[-64:])

    def _checked(self, samples: Samples, state: VoiceState | None) -> int:
        """Return where the samples begin; they are one stretch, and go on from the state."""
        first, last = place(float(samples[0])), place(float(samples[-1]))
        if not self.strict:
            return first
        assert abs(last - first - samples.size) <= _SLACK, "samples are missing or doubled"
        if state is not None:
            gap = first - place(float(state.context[-1]))
            assert -_SLACK <= gap <= _SLACK, "samples between two calls are missing or doubled"
        return first

    async def caption(self, window: CaptionWindow) -> CaptionResult:
        """Return the words of the prefix and those behind them that sound in the window."""
        self.windows.append(window)
        if self.failures:
            raise self.failures.pop(0)
        if self.runs_away(window):
            return CaptionResult((), self.language, None, plausible=False)
        start_s = self._checked(window.samples, None) / SAMPLE_RATE
        end_s = start_s + window.samples.size / SAMPLE_RATE
        known = [token // _TOKENS_A_WORD for token in window.prefix]
        first = known[-1] + 1 if known else 0
        numbers = sorted(set(known)) + [
            number
            for number, word in enumerate(self.said)
            if number >= first and (word.start_s + word.end_s) / 2 > start_s
        ]
        words: list[CaptionWord] = []
        for number in numbers:
            word = self._word(number, end_s, window)
            if word is None:
                break
            words.append(self._in_window(word, start_s, end_s))
        told = window.detect or window.language is None
        sureness = self.language_probability if told else None
        return CaptionResult(tuple(words), self.language, sureness, plausible=True)

    def _word(self, number: int, end_s: float, window: CaptionWindow) -> CaptionWord | None:
        said = self.said[number]
        base = number * _TOKENS_A_WORD
        tokens = tuple(token for token in window.prefix if token // _TOKENS_A_WORD == number)
        heard = min((end_s - said.start_s) / (said.end_s - said.start_s), 1.0)
        text, probability = " " + said.text, self.probability
        if tokens:
            text = self._text_of(tokens, said.text)
        elif heard < 0.4:
            return None
        elif heard < 1:
            text, probability, tokens = text[:-1] + "-", 0.3, (base + _MANGLED,)
        elif number in self.misheard and number not in self._heard:
            self._heard.add(number)
            text, probability, tokens = f" x{number}", 0.4, (base,)
        else:
            tokens = (base, base + 1)
        if number in self.commas and tokens == window.prefix[-len(tokens) :]:
            text, tokens = text + ",", (*tokens, base + _COMMA)
        return CaptionWord(text, tokens, said.start_s, said.end_s, probability)

    @staticmethod
    def _text_of(tokens: tuple[int, ...], text: str) -> str:
        last = tokens[-1] % _TOKENS_A_WORD
        if last == _MANGLED:
            return f" {text[:-1]}-"
        return f" {text}," if last == _COMMA else f" {text}"

    def _in_window(self, word: CaptionWord, start_s: float, end_s: float) -> CaptionWord:
        def drifted(at_s: float) -> float:
            drift_s = self._chance.uniform(-self.drift_s, self.drift_s)
            return min(max(at_s + drift_s, start_s), end_s + self.drift_s) - start_s

        return replace(word, start_s=drifted(word.start_s), end_s=drifted(word.end_s))
