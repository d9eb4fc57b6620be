"""Short windows of real speech, recognised by the real model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from captions.words import edits
from interview_agent.ports.audio import SAMPLE_RATE
from interview_agent.ports.captions import CaptionWindow
from real_speech import Track, normal, plain_words, recording, silence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from interview_agent.adapters.whisper.model import WhisperSpeechModel
    from interview_agent.ports.audio import Samples
    from interview_agent.ports.captions import CaptionResult

SENSE = "0870_sense.wav"
SENSE_TEXT = (
    "and mister john dashwood had then leisure to consider how much there might be prudently in his"
    " power to do for them"
)
LIBRI = "libri_2412_0.wav"
LIBRI_TEXT = (
    "if the reader will excuse me i will say nothing of my antecedents nor of the circumstances"
    " which led me to leave my native country the narrative would be tedious to him and painful to"
    " myself"
)
TONE = "tone_short.wav"
TONE_TEXT = "ну сейчас к тебе приедет бригада давай давай я жду"


def samples(track: Track, start_s: float = 0.0, end_s: float | None = None) -> Samples:
    stop = len(track) if end_s is None else int(end_s * SAMPLE_RATE)
    return track[int(start_s * SAMPLE_RATE) : stop].astype(np.float32) / 32768


def words_of(result: CaptionResult) -> list[str]:
    return [text for text, _, _ in normal([(word.text, 0.0, 0.0) for word in result.words])]


def read(model: WhisperSpeechModel, *windows: CaptionWindow) -> list[CaptionResult]:
    """Recognise the windows in one batch."""
    together = model._threads._read
    assert together is not None
    return together(windows)


@pytest.mark.parametrize(
    ("name", "text", "language", "wrong"),
    [(SENSE, SENSE_TEXT, "en", 2), (LIBRI, LIBRI_TEXT, "en", 2), (TONE, TONE_TEXT, "ru", 5)],
)
async def test_plain_speech_is_heard_right(
    speech_model: WhisperSpeechModel, name: str, text: str, language: str, wrong: int
) -> None:
    """Within so many words of what was said."""
    sound = samples(recording(name), end_s=11.7)
    result = await speech_model.captions.caption(CaptionWindow(sound, language, final=True))
    assert result.plausible
    assert edits(words_of(result), text.split()) <= wrong, words_of(result)


async def test_words_lie_where_the_padded_recognition_of_the_whole_puts_them(
    speech_model: WhisperSpeechModel,
) -> None:
    track = recording(LIBRI)
    [result] = read(speech_model, CaptionWindow(samples(track), "en", final=True))
    known = {text: start_s for text, start_s, _ in plain_words(speech_model, track, "en")}
    heard = normal([(word.text, word.start_s, word.end_s) for word in result.words])
    off = [abs(known[text] - start_s) for text, start_s, _ in heard if text in known]
    assert np.median(off) < 0.15
    starts = [word.start_s for word in result.words]
    assert starts == sorted(starts)
    assert max(word.end_s for word in result.words) <= len(track) / SAMPLE_RATE + 0.3


def pieces(length_s: float) -> list[Samples]:
    """Cut four windows of about so long from three recordings."""
    spans = ((SENSE, 0.2), (SENSE, 2.0), (LIBRI, 0.0), (LIBRI, 5.5))
    return [
        samples(recording(name), start_s, start_s + length_s + number * 0.2)
        for number, (name, start_s) in enumerate(spans)
    ]


async def test_windows_that_are_recognised_together_give_the_words_of_each_alone(
    speech_model: WhisperSpeechModel,
) -> None:
    """A window that is padded to the longest one may differ by a word in all."""
    windows = [CaptionWindow(sound, "en", final=True) for sound in pieces(4.0)]
    together = read(speech_model, *windows)
    alone = [read(speech_model, window)[0] for window in windows]
    different = [
        edits(words_of(one), words_of(other)) for one, other in zip(together, alone, strict=True)
    ]
    assert sum(different) <= 2, different
    assert min(len(words_of(each)) for each in together) >= 4


async def test_windows_with_prompts_of_any_length_can_be_recognised_together(
    speech_model: WhisperSpeechModel,
) -> None:
    [before] = read(speech_model, CaptionWindow(pieces(4.0)[0], "en"))
    prompt = tuple(token for word in before.words for token in word.tokens)
    lengths = (0, 5, 30, 72)
    windows = [
        CaptionWindow(sound, "en", prompt=(prompt * 9)[:length])
        for sound, length in zip(pieces(4.0), lengths, strict=True)
    ]
    for result in read(speech_model, *windows):
        assert result.plausible
        assert len(words_of(result)) >= 4


async def test_the_words_of_the_prefix_come_first_and_are_not_said_twice(
    speech_model: WhisperSpeechModel,
) -> None:
    sound = samples(recording(SENSE))
    [whole] = read(speech_model, CaptionWindow(sound, "en"))
    known = whole.words[:4]
    prefix = tuple(token for word in known for token in word.tokens)
    [result] = read(speech_model, CaptionWindow(sound, "en", prefix=prefix, final=True))
    assert tuple(token for word in result.words for token in word.tokens)[: len(prefix)] == prefix
    assert edits(words_of(result), SENSE_TEXT.split()) <= 2


async def test_growing_windows_never_run_away_into_loops(
    speech_model: WhisperSpeechModel,
) -> None:
    """As the windows of one speech do; hardly any of them is refused."""
    track, refused, count = recording(LIBRI), 0, 0
    for end_s in np.arange(0.6, 11.7, 1.1):
        [result] = read(speech_model, CaptionWindow(samples(track, end_s=end_s), "en"))
        words = words_of(result)
        assert len(words) <= 6 * end_s + 3
        runs = [tuple(words[at : at + 4]) for at in range(len(words) - 3)]
        assert len(set(runs)) == len(runs)
        refused, count = refused + (not result.plausible), count + 1
    assert refused <= count / 10


async def test_what_is_said_twice_is_doubted_while_it_grows_and_heard_anew_in_the_end(
    speech_model: WhisperSpeechModel,
) -> None:
    """It looks like a loop. The padded window, which never loops, may take it for said once."""
    piece = recording(SENSE)[: int(2.2 * SAMPLE_RATE)]
    sound = samples(np.concatenate((piece, silence(0.2), piece)))
    [growing] = read(speech_model, CaptionWindow(sound, "en"))
    assert not growing.plausible
    assert growing.words == ()
    [final] = read(speech_model, CaptionWindow(sound, "en", final=True))
    assert final.plausible
    assert "dashwood" in words_of(final)


async def test_the_language_is_told_with_a_sign(speech_model: WhisperSpeechModel) -> None:
    english, russian = samples(recording(SENSE)), samples(recording(TONE))
    asked = [
        CaptionWindow(english, "en", detect=True),
        CaptionWindow(english, "ru", detect=True),
        CaptionWindow(russian, "ru", detect=True),
        CaptionWindow(english, "en"),
    ]
    told = [read(speech_model, window)[0].language_probability for window in asked]
    assert told[0] is not None
    assert told[0] > 0.8
    assert told[1] is not None
    assert told[1] < -0.8
    assert told[2] is not None
    assert told[2] > 0.5
    assert told[3] is None


async def test_a_language_that_nobody_named_is_found_for_each_window(
    speech_model: WhisperSpeechModel,
) -> None:
    sounds = [samples(recording(name)) for name in (SENSE, TONE)]
    results = [read(speech_model, CaptionWindow(sound, None))[0] for sound in sounds]
    assert [result.language for result in results] == ["en", "ru"]
    assert all((result.language_probability or 0) > 0.5 for result in results)


async def test_a_language_that_is_unknown_or_has_a_region_is_understood(
    speech_model: WhisperSpeechModel,
) -> None:
    sound = samples(recording(SENSE))
    for name in ("EN-us", "en_GB", "xx"):
        [result] = read(speech_model, CaptionWindow(sound, name))
        assert result.language == "en"


@pytest.mark.parametrize("count", [0, 1, 159, 8000])
async def test_hardly_any_sound_is_no_fault(speech_model: WhisperSpeechModel, count: int) -> None:
    window = CaptionWindow(np.zeros(count, np.float32), "en", final=True)
    [result] = read(speech_model, window)
    assert len(result.words) <= 4


async def test_windows_of_very_different_length_do_no_harm_together(
    speech_model: WhisperSpeechModel,
) -> None:
    track = recording(SENSE)
    sounds: Sequence[Samples] = (samples(track, end_s=0.2), samples(track))
    short, whole = read(speech_model, *(CaptionWindow(each, "en", final=True) for each in sounds))
    assert len(short.words) <= 4
    assert edits(words_of(whole), SENSE_TEXT.split()) <= 2
