"""Who held the floor and how it passed: turns, latency, interruptions, monologues, pauses."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

from interview_agent.domain.analytics.measures.measurement import (
    Measurement,
    PerSpeaker,
    Reason,
    Span,
    distribution,
    not_measurable,
    per_speaker,
    refused,
    seconds,
    span_of,
)

if TYPE_CHECKING:
    from interview_agent.domain.analytics.conversation import Stretch, Turn
    from interview_agent.domain.analytics.reading import Reading
    from interview_agent.domain.analytics.word_times import SpokenWord


@dataclass(frozen=True, slots=True)
class Monologue:
    """Speech inside one turn without a silence of 3.0 s or more."""

    speaker: str
    first: SpokenWord
    start_ms: int
    end_ms: int

    @property
    def length_ms(self) -> int:
        """How long it lasts, its short silences included."""
        return self.end_ms - self.start_ms


def turns(reading: Reading) -> PerSpeaker:
    """Count the turns of each speaker."""
    counts = dict.fromkeys(reading.speech_ms, 0)
    for turn in reading.conversation.turns:
        counts[turn.speaker] += 1
    return per_speaker(
        reading, "count", lambda name: Measurement(counts[name], "count", counts[name])
    )


def speaker_switches(reading: Reading) -> Measurement:
    """Count how often the floor changed hands."""
    refusal = refused(reading, "count")
    if refusal is not None:
        return refusal
    switches = max(0, len(reading.conversation.turns) - 1)
    return Measurement(switches, "count", switches)


def switches_per_minute(reading: Reading) -> Measurement:
    """Floor changes over the minutes from the first word to the end of the last."""
    refusal = refused(reading, "1/min")
    if refusal is not None:
        return refusal
    spans = reading.conversation.speech_spans
    active_ms = spans[-1][1] - spans[0][0]
    if not active_ms:
        return not_measurable("1/min", Reason.TOO_LITTLE_SPEECH)
    switches = max(0, len(reading.conversation.turns) - 1)
    return Measurement(round(switches * 60_000 / active_ms, 2), "1/min", switches)


def response_latency(reading: Reading) -> PerSpeaker:
    """Silence before the speaker took the floor, where there was one: median and p90."""
    waits: dict[str, list[Turn]] = {name: [] for name in reading.speech_ms}
    for turn in reading.conversation.turns:
        if turn.silence_before_ms is not None and turn.silence_before_ms >= 0:
            waits[turn.speaker].append(turn)
    return per_speaker(reading, "s", lambda name: waiting(reading, waits[name]))


def waiting(reading: Reading, taken: list[Turn]) -> Measurement:
    """Return the distribution of the silences before these turns, in seconds."""
    silences = [float(turn.silence_before_ms or 0) for turn in taken]
    evidence = [
        span_of(
            reading,
            turn.stretches[0].words[0],
            turn.start_ms - (turn.silence_before_ms or 0),
            turn.start_ms,
        )
        for turn in taken
    ]
    return distribution(silences, "s", evidence, scale=1000.0)


def interruptions(reading: Reading) -> PerSpeaker:
    """Count how often each speaker took the floor by talking over its holder, who then stopped.

    The new taker overlaps by 0.5 s or more, is not a back-channel, and the holder stops within
    2.0 s of his beginning. The evidence is the overlap.
    """
    if reading.speech_ms and not reading.session.channels_separate:
        reason = not_measurable("count", Reason.CHANNELS_NOT_SEPARATE)
        return per_speaker(reading, "count", lambda _: reason)
    spans: dict[str, list[Span]] = {name: [] for name in reading.speech_ms}
    for hit in reading.conversation.interruptions:
        span = span_of(reading, hit.stretch.words[0], hit.at_ms, hit.at_ms + hit.overlap_ms)
        spans[hit.by].append(span)
    return per_speaker(reading, "count", lambda name: _count(spans[name]))


def backchannels(reading: Reading) -> PerSpeaker:
    """Count the back-channels of each speaker."""
    spans: dict[str, list[Span]] = {name: [] for name in reading.speech_ms}
    for stretch in reading.conversation.backchannels:
        if stretch.speaker is not None:
            spans[stretch.speaker].append(_whole(reading, stretch))
    return per_speaker(reading, "count", lambda name: _count(spans[name]))


def long_pauses(reading: Reading) -> Measurement:
    """Count silences of 3.0 s or more between two stretches of speech."""
    conversation = reading.conversation
    if not conversation.stretches:
        return not_measurable("count", Reason.NO_SPEECH)
    next_words: dict[int, SpokenWord] = {}
    for stretch in conversation.stretches:
        next_words.setdefault(stretch.start_ms, stretch.words[0])
    return _count(
        [span_of(reading, next_words[end], start, end) for start, end in conversation.long_pauses]
    )


def longest_monologue(reading: Reading) -> PerSpeaker:
    """Length of the longest stretch inside a turn with no silence of 3.0 s or more."""
    longest = longest_monologues(reading)

    def measure(name: str) -> Measurement:
        found = longest.get(name)
        if found is None:
            return not_measurable("s", Reason.NO_OBSERVATIONS)
        span = span_of(reading, found.first, found.start_ms, found.end_ms)
        return Measurement(seconds(found.length_ms), "s", 1, evidence=(span,))

    return per_speaker(reading, "s", measure)


def longest_answer(reading: Reading) -> Measurement:
    """Length of the longest monologue of a candidate."""
    refusal = refused(reading, "s")
    if refusal is not None:
        return refusal
    if not reading.candidates:
        return not_measurable("s", Reason.NO_ROLES)
    longest = longest_monologues(reading)
    found = [longest[name] for name in reading.candidates if name in longest]
    if not found:
        return not_measurable("s", Reason.NO_OBSERVATIONS)
    best = max(found, key=lambda one: (one.length_ms, one.start_ms))
    span = span_of(reading, best.first, best.start_ms, best.end_ms)
    return Measurement(seconds(best.length_ms), "s", 1, evidence=(span,))


def longest_monologues(reading: Reading) -> dict[str, Monologue]:
    """Return the longest monologue of each speaker who held the floor; of equals, the latest."""
    pauses = reading.conversation.long_pauses
    pause_starts = [start for start, _ in pauses]
    longest: dict[str, Monologue] = {}
    for turn in reading.conversation.turns:
        run: list[Stretch] = []
        for stretch in [*turn.stretches, None]:
            if run and (stretch is None or _paused(pauses, pause_starts, run[-1], stretch)):
                found = _monologue(turn.speaker, run)
                known = longest.get(turn.speaker)
                if known is None or found.length_ms >= known.length_ms:
                    longest[turn.speaker] = found
                run = []
            if stretch is not None:
                run.append(stretch)
    return longest


def _paused(
    pauses: tuple[tuple[int, int], ...], starts: list[int], before: Stretch, after: Stretch
) -> bool:
    at = bisect_left(starts, before.end_ms)
    return at < len(pauses) and pauses[at][1] <= after.start_ms


def _monologue(speaker: str, run: list[Stretch]) -> Monologue:
    return Monologue(speaker, run[0].words[0], run[0].start_ms, max(s.end_ms for s in run))


def _whole(reading: Reading, stretch: Stretch) -> Span:
    return span_of(reading, stretch.words[0], stretch.start_ms, stretch.end_ms)


def _count(spans: list[Span]) -> Measurement:
    return Measurement(len(spans), "count", len(spans), evidence=tuple(spans))
