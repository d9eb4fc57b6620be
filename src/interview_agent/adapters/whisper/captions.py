"""Short windows of live speech, encoded without the padding to 30 s that makes Whisper dear.

A short window alone makes the decoder run away: it misses the states that a silent end of 30 s
gives it. So the states of such an end are kept once and grafted behind each window, and what still
looks implausible is decoded again with the whole padding.
"""

from __future__ import annotations

import zlib
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import ctranslate2
import numpy as np
import numpy.typing as npt
from faster_whisper.transcribe import get_suppressed_tokens, merge_punctuations

from interview_agent.adapters.whisper.languages import known_language, tokenizer_of
from interview_agent.ports.audio import SAMPLE_RATE
from interview_agent.ports.captions import CaptionResult, CaptionWindow, CaptionWord
from interview_agent.ports.speech import FRAME, WINDOW_FRAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faster_whisper import WhisperModel

    from interview_agent.ports.audio import Samples

States = npt.NDArray[np.float32]
"""Output of the encoder, shape (batch, states, width); a state stands for 20 ms."""

SILENCE_SAMPLES = SAMPLE_RATE // 2
"""Zeros behind the speech of a window."""
GRAFT_STATES = 250
"""States of silence that are grafted behind those of a window: 5 s."""
KEPT_SPEECH_S = 2
"""Speech at the beginning of the kept states: silence alone makes the decoder invent words."""

_PROMPT_STEP = 24
"""Windows decoded together have prompts of one length, a multiple of this."""
_TOKENS_PER_S = {"en": 5.0}
_OTHER_TOKENS_PER_S = 9.0
_SPARE_TOKENS = 12
_MAX_WORDS_PER_S = 6.0
_MAX_COMPRESSION = 2.4
_PREPENDED = "\"'“¿([{-"
_APPENDED = "\"'.。,，!！?？:：”)]}、"
_SEED = 7


class CaptionReader:
    """Recognises batches of short windows with one model. Safe to use from several threads."""

    def __init__(self, whisper: WhisperModel) -> None:
        self._whisper = whisper
        self._tokenizer = lru_cache(partial(tokenizer_of, whisper))
        self._kept = self._silent_end()

    def read(self, windows: Sequence[CaptionWindow]) -> list[CaptionResult]:
        """Recognise windows together; each result is that of its window alone, give or take."""
        states = self._encode([window.samples for window in windows])
        languages = self._languages(windows, states)
        tokens = self._decode(windows, states, languages)
        return [
            self._result(window, states[at : at + 1], *languages[at], tokens[at])
            for at, window in enumerate(windows)
        ]

    def _encode(self, sounds: Sequence[Samples]) -> States:
        """Return the states of the sounds, each followed by SILENCE_SAMPLES of zeros or more."""
        longest = max(sound.size for sound in sounds) + SILENCE_SAMPLES
        frames = min(-(-longest // (2 * FRAME)) * 2, WINDOW_FRAMES)
        return self._encoded([self._features(sound, frames) for sound in sounds])

    def _encoded(self, features: Sequence[States]) -> States:
        batch = ctranslate2.StorageView.from_array(np.ascontiguousarray(np.stack(features)))
        return np.array(self._whisper.model.encode(batch, to_cpu=True))

    def _features(self, sound: Samples, frames: int) -> States:
        padded = np.zeros(frames * FRAME, np.float32)
        padded[: min(sound.size, padded.size)] = sound[: padded.size]
        features: States = self._whisper.feature_extractor(padded, padding=0)[:, :frames]
        return features

    def _silent_end(self) -> States:
        """Return the states that follow a little speech-like sound in an otherwise silent window.

        The sound is a voiced hum of our own making, so that nobody's speech is kept.
        """
        seconds = np.arange(KEPT_SPEECH_S * SAMPLE_RATE) / SAMPLE_RATE
        pitch_hz = 120 + 20 * np.sin(2 * np.pi * 3 * seconds)
        phase = 2 * np.pi * np.cumsum(pitch_hz) / SAMPLE_RATE
        hum = sum(np.sin(overtone * phase) / overtone for overtone in range(1, 20))
        syllables = 0.5 - 0.5 * np.cos(2 * np.pi * 4 * seconds)
        breath = np.random.default_rng(_SEED).normal(0, 0.02, seconds.size)
        sound = (0.1 * hum * syllables + breath * syllables).astype(np.float32)
        return self._encoded([self._features(sound, WINDOW_FRAMES)])

    def _languages(
        self, windows: Sequence[CaptionWindow], states: States
    ) -> list[tuple[str, float | None]]:
        """Return the language of each window, with its probability where it was looked for."""
        if not self._whisper.model.is_multilingual:
            return [("en", None)] * len(windows)
        known = [known_language(self._whisper, window.language) for window in windows]
        found: list[tuple[str, float | None]] = []
        for at, (window, language) in enumerate(zip(windows, known, strict=True)):
            if language is not None and not window.detect:
                found.append((language, None))
                continue
            grafted = self._grafted(states[at : at + 1])
            [ranking] = self._whisper.model.detect_language(grafted)
            best, probability = ranking[0]
            best = best.strip("<|>")
            if language is None:
                found.append((best, probability))
            else:
                found.append((language, probability if best == language else -probability))
        return found

    def _grafted(self, states: States) -> ctranslate2.StorageView:
        begin = states.shape[1]
        tail = self._kept[:, begin : begin + GRAFT_STATES]
        whole = np.concatenate((states, np.repeat(tail, states.shape[0], axis=0)), axis=1)
        return ctranslate2.StorageView.from_array(np.ascontiguousarray(whole))

    def _decode(
        self,
        windows: Sequence[CaptionWindow],
        states: States,
        languages: Sequence[tuple[str, float | None]],
    ) -> list[list[int]]:
        """Return the tokens of each window, those of its prefix included."""
        shared = min(len(window.prompt) for window in windows) // _PROMPT_STEP * _PROMPT_STEP
        if len(windows) == 1:
            shared = len(windows[0].prompt)
        prompts = [
            self._prompt(window, language, shared)
            for window, (language, _) in zip(windows, languages, strict=True)
        ]
        caps = [
            len(window.prefix) + _token_cap(window, language)
            for window, (language, _) in zip(windows, languages, strict=True)
        ]
        return self._generated(self._grafted(states), prompts, languages[0][0], max(caps))

    def _generated(
        self, states: ctranslate2.StorageView, prompts: list[list[int]], language: str, cap: int
    ) -> list[list[int]]:
        tokenizer = self._tokenizer(language)
        longest = max(len(prompt) for prompt in prompts)
        results = self._whisper.model.generate(
            states,
            prompts,
            beam_size=1,
            # The library allows half of it, and no more than it leaves beside the prompt.
            max_length=min(max(2 * cap, longest + cap), self._whisper.max_length),
            suppress_blank=True,
            suppress_tokens=get_suppressed_tokens(tokenizer, [-1]),
        )
        return [list(result.sequences_ids[0]) for result in results]

    def _prompt(self, window: CaptionWindow, language: str, shared: int) -> list[int]:
        tokenizer = self._tokenizer(language)
        before = [tokenizer.sot_prev, *window.prompt[-shared:]] if shared else []
        return [*before, *tokenizer.sot_sequence, tokenizer.no_timestamps, *window.prefix]

    def _result(
        self,
        window: CaptionWindow,
        states: States,
        language: str,
        probability: float | None,
        tokens: list[int],
    ) -> CaptionResult:
        tokenizer = self._tokenizer(language)
        tokens = [token for token in tokens if token < tokenizer.eot]
        plausible = self._is_plausible(window, language, tokens)
        if not plausible and window.final:
            states = self._encoded([self._features(window.samples, WINDOW_FRAMES)])
            view = ctranslate2.StorageView.from_array(states)
            prompt = self._prompt(window, language, len(window.prompt))
            cap = len(window.prefix) + _token_cap(window, language)
            [tokens] = self._generated(view, [prompt], language, cap)
            tokens = [token for token in tokens if token < tokenizer.eot]
            plausible = self._is_plausible(window, language, tokens)
        words = self._timed(window, states, language, tokens) if plausible else ()
        return CaptionResult(words, language, probability, plausible)

    def _is_plausible(self, window: CaptionWindow, language: str, tokens: list[int]) -> bool:
        """Say whether a decoder that did not run away can have written this."""
        if len(tokens) - len(window.prefix) >= _token_cap(window, language):
            return False
        text = self._tokenizer(language).decode(tokens)
        words = text.split()
        if len(words) > _MAX_WORDS_PER_S * _seconds(window) + 3:
            return False
        raw = text.encode()
        if len(words) >= 8 and len(raw) / len(zlib.compress(raw)) > _MAX_COMPRESSION:
            return False
        runs = [tuple(words[at : at + 4]) for at in range(len(words) - 3)]
        return len(set(runs)) == len(runs)

    def _timed(
        self, window: CaptionWindow, states: States, language: str, tokens: list[int]
    ) -> tuple[CaptionWord, ...]:
        if not tokens:
            return ()
        view = ctranslate2.StorageView.from_array(np.ascontiguousarray(states))
        frames = min(window.samples.size // FRAME + 20, states.shape[1] * 2)
        [found] = self._whisper.find_alignment(self._tokenizer(language), [tokens], view, frames)
        merge_punctuations(found, _PREPENDED, _APPENDED)
        return tuple(
            CaptionWord(
                text=word["word"],
                tokens=tuple(word["tokens"]),
                start_s=float(word["start"]),
                end_s=float(word["end"]),
                probability=float(word["probability"]),
            )
            for word in found
            if word["word"]
        )


def _seconds(window: CaptionWindow) -> float:
    return window.samples.size / SAMPLE_RATE


def _token_cap(window: CaptionWindow, language: str) -> int:
    per_s = _TOKENS_PER_S.get(language, _OTHER_TOKENS_PER_S)
    return int(per_s * _seconds(window) + _SPARE_TOKENS)
