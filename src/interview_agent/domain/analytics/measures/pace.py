"""How fast people spoke, and how often they filled a pause."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from interview_agent.domain.analytics.lexicon import LANGUAGES, count_fillers, normal_word
from interview_agent.domain.analytics.measures.measurement import (
    RATE_MIN_SPEECH_MS,
    Measurement,
    PerSpeaker,
    Reason,
    not_measurable,
    per_speaker,
)

if TYPE_CHECKING:
    from interview_agent.domain.analytics.reading import Reading
    from interview_agent.domain.analytics.word_times import SpokenWord


def pace(reading: Reading) -> PerSpeaker:
    """Words over minutes of the speaker's own speech."""
    spoken = words_by_speaker(reading)

    def measure(name: str) -> Measurement:
        count = sum(bool(normal_word(word.text)) for word in spoken[name])
        return _rate(reading, name, count * 60_000, "words/min", count, digits=1)

    return per_speaker(reading, "words/min", measure)


def letters_per_second(reading: Reading) -> PerSpeaker:
    """Letters over seconds of the speaker's own speech: fair to languages of long words."""
    spoken = words_by_speaker(reading)

    def measure(name: str) -> Measurement:
        count = sum(sum(map(str.isalpha, word.text)) for word in spoken[name])
        return _rate(reading, name, count * 1000, "letters/s", count, digits=2)

    return per_speaker(reading, "letters/s", measure)


def fillers(reading: Reading) -> PerSpeaker:
    """Lexicon hits per 100 words, where the recogniser keeps them."""
    unit = "1/100 words"
    spoken = words_by_speaker(reading)

    def measure(name: str) -> Measurement:
        if not reading.session.verbatim:
            return not_measurable(unit, Reason.NOT_VERBATIM)
        if reading.language not in LANGUAGES:
            return not_measurable(unit, Reason.LANGUAGE_NOT_SUPPORTED)
        words = [word for word in spoken[name] if normal_word(word.text)]
        if reading.speech_ms[name] < RATE_MIN_SPEECH_MS or not words:
            return not_measurable(unit, Reason.TOO_LITTLE_SPEECH, len(words))
        hits = sum(
            count_fillers([word.text for word in group])
            for _, group in groupby(words, key=lambda word: word.segment)
        )
        return Measurement(round(100 * hits / len(words), 2), unit, hits)

    return per_speaker(reading, unit, measure)


def words_by_speaker(reading: Reading) -> dict[str, list[SpokenWord]]:
    """Return the words of each known speaker by time."""
    spoken: dict[str, list[SpokenWord]] = {name: [] for name in reading.speech_ms}
    for word in reading.times.words:
        if word.speaker is not None:
            spoken[word.speaker].append(word)
    return spoken


def _rate(
    reading: Reading, name: str, amount: int, unit: str, n: int, *, digits: int
) -> Measurement:
    length_ms = reading.speech_ms[name]
    if length_ms < RATE_MIN_SPEECH_MS:
        return not_measurable(unit, Reason.TOO_LITTLE_SPEECH, n)
    return Measurement(round(amount / length_ms, digits), unit, n)
