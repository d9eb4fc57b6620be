"""One turn of the loop in `WhisperModel.generate_segments` of faster-whisper 1.2.

The library hears a whole file in one call. Here the same steps are taken one window at a time, by
the library's own methods, so that the loop can stop anywhere and go on elsewhere.
"""

from __future__ import annotations

import copy
import inspect
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import ctranslate2
import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.audio import pad_or_trim
from faster_whisper.transcribe import TranscriptionOptions, get_suppressed_tokens
from faster_whisper.utils import get_end

from interview_agent.adapters.whisper.features import Features, log_mel, scaled
from interview_agent.adapters.whisper.languages import known_language, tokenizer_of
from interview_agent.ports.speech import SpeechWindow, SpokenWord, WindowResult

if TYPE_CHECKING:
    from faster_whisper.tokenizer import Tokenizer

SEED = 1
"""Any number but 0, which CTranslate2 takes for a wish to be seeded at random."""


class WindowReader:
    """Recognises windows with one model. Safe to use from several threads."""

    def __init__(self, whisper: WhisperModel, *, model_path: str, beam_size: int) -> None:
        self._whisper = whisper
        self._model_path = model_path
        self._beam_size = beam_size
        self._seconds_per_frame = whisper.feature_extractor.time_per_frame
        self._tokenizer = lru_cache(partial(tokenizer_of, whisper))
        ctranslate2.set_random_seed(SEED)

    def read(self, window: SpeechWindow) -> WindowResult:
        """Recognise one window, as the library would at this place of the whole file."""
        log_mels = log_mel(self._whisper.feature_extractor, window)
        loudest = max(float(log_mels.max()), window.loudest or -np.inf)
        features = scaled(log_mels, loudest)
        language = self._language(window.language, features)
        tokenizer = self._tokenizer(language)
        options = self._options(tokenizer)
        whisper = self._repeatable()
        encoded = whisper.encode(pad_or_trim(features[:, : window.frames]))
        prompt = whisper.get_prompt(tokenizer, list(window.prompt))
        result, avg_logprob, temperature, _ = whisper.generate_with_fallback(
            encoded, prompt, tokenizer, options
        )
        heard = partial(WindowResult, temperature=temperature, loudest=loudest, language=language)
        if _is_silence(result.no_speech_prob, avg_logprob, options):
            return heard(
                words=(),
                tokens=(),
                next_frame=window.start_frame + window.frames,
                silent=True,
                last_word_end_s=window.last_word_end_s,
            )
        pieces, next_frame = self._timed(
            window, tokenizer, encoded, result.sequences_ids[0], options
        )
        written = [
            piece
            for piece in pieces
            if piece["start"] != piece["end"] and tokenizer.decode(piece["tokens"]).strip()
        ]
        last_end_s = get_end(pieces)
        return heard(
            words=tuple(word for piece in written for word in _words(piece, tokenizer)),
            tokens=tuple(token for piece in written for token in piece["tokens"]),
            next_frame=next_frame,
            silent=False,
            last_word_end_s=window.last_word_end_s if last_end_s is None else float(last_end_s),
        )

    def loudest(self, window: SpeechWindow) -> float:
        """Return the highest log10-mel value of the window."""
        return float(log_mel(self._whisper.feature_extractor, window).max())

    def _timed(
        self,
        window: SpeechWindow,
        tokenizer: Tokenizer,
        encoded: ctranslate2.StorageView,
        tokens: list[int],
        options: TranscriptionOptions,
    ) -> tuple[list[dict[str, Any]], int]:
        """Return the pieces of text with their words and times, and the frame to go on from."""
        whisper = self._whisper
        time_offset_s = window.start_frame * self._seconds_per_frame
        # Private, and the one place where text, time and the next seek are decided together.
        pieces, seek, single_ending = whisper._split_segments_by_timestamps(  # noqa: SLF001
            tokenizer=tokenizer,
            tokens=tokens,
            time_offset=time_offset_s,
            segment_size=window.frames,
            segment_duration=window.frames * self._seconds_per_frame,
            seek=window.start_frame,
        )
        whisper.add_word_timestamps(
            [pieces],
            tokenizer,
            encoded,
            window.frames,
            options.prepend_punctuations,
            options.append_punctuations,
            last_speech_timestamp=window.last_word_end_s,
        )
        if not single_ending:
            last_end_s = get_end(pieces)
            if last_end_s is not None and last_end_s > time_offset_s:
                seek = round(last_end_s * whisper.frames_per_second)
        # The library would hear the same window for ever.
        return pieces, seek if seek > window.start_frame else window.start_frame + window.frames

    def _language(self, wanted: str | None, features: Features) -> str:
        """Return the language to write, found in the features where none that exists is wanted."""
        if not self._whisper.model.is_multilingual:
            return "en"
        if known := known_language(self._whisper, wanted):
            return known
        language, _, _ = self._whisper.detect_language(features=features)
        return str(language)

    def _options(self, tokenizer: Tokenizer) -> TranscriptionOptions:
        """Return the defaults of `transcribe` with our beam and with word times."""
        parameters = inspect.signature(WhisperModel.transcribe).parameters
        defaults = {name: parameter.default for name, parameter in parameters.items()}
        defaults["temperatures"] = defaults["temperature"]
        wanted = inspect.signature(TranscriptionOptions).parameters
        options = {name: value for name, value in defaults.items() if name in wanted}
        options.update(
            beam_size=self._beam_size,
            word_timestamps=True,
            suppress_tokens=get_suppressed_tokens(tokenizer, [-1]),
        )
        return TranscriptionOptions(**options)

    def _repeatable(self) -> WhisperModel:
        """Return the model with sampling that does not depend on what it sampled before."""
        if self._whisper.model.device != "cpu":
            return self._whisper
        twin = copy.copy(self._whisper)
        twin.model = _RepeatableSampling(self._whisper.model, self._model_path)
        return twin


class _RepeatableSampling:
    """A model that starts from the same random numbers, for as long as this object lives.

    CTranslate2 seeds the generator of a thread once, when the thread first samples; setting the
    seed later changes nothing. So the rare window that needs sampling gets threads of its own.
    """

    def __init__(self, model: Any, model_path: str) -> None:
        self._model = model
        self._model_path = model_path
        self._sampler: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        """Generate as the model does; with a temperature, by the threads of this window."""
        if not kwargs.get("sampling_temperature"):
            return self._model.generate(*args, **kwargs)
        if self._sampler is None:
            self._sampler = ctranslate2.models.Whisper(
                self._model_path,
                device="cpu",
                compute_type=self._model.compute_type,
                intra_threads=1,
                inter_threads=1,
            )
        return self._sampler.generate(*args, **kwargs)


def _is_silence(no_speech: float, avg_logprob: float, options: TranscriptionOptions) -> bool:
    return bool(
        no_speech > options.no_speech_threshold and avg_logprob <= options.log_prob_threshold
    )


def _words(piece: dict[str, Any], tokenizer: Tokenizer) -> list[SpokenWord]:
    timed = [
        SpokenWord(
            text=word["word"],
            start_s=float(word["start"]),
            end_s=float(word["end"]),
            probability=float(word["probability"]),
        )
        for word in piece["words"]
    ]
    return timed or _evenly_timed(
        tokenizer.decode(piece["tokens"]), float(piece["start"]), float(piece["end"])
    )


def _evenly_timed(text: str, start_s: float, end_s: float) -> list[SpokenWord]:
    """Return the words of a text whose times could not be found, spread over its length."""
    words = text.split()
    step_s = (end_s - start_s) / max(1, len(words))
    return [
        SpokenWord(f" {word}", start_s + at * step_s, start_s + (at + 1) * step_s, None)
        for at, word in enumerate(words)
    ]
