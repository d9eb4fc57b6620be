"""The list of all figures of a report, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from interview_agent.domain.analytics.measures import dialogue, floor, pace, punctuality, talk
from interview_agent.domain.analytics.measures.measurement import Measurement, PerSpeaker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from interview_agent.domain.analytics.reading import Reading

MEASURES: Mapping[str, Callable[[Reading], PerSpeaker]] = {
    "speech_s": talk.speech,
    "attributed_share": talk.attributed_share,
    "talk_share": talk.talk_share,
    "talk_share_of_session": talk.talk_share_of_session,
    "role_share": talk.role_share,
    "silence_ratio": talk.silence_ratio,
    "overlap_s": talk.overlap,
    "panel_balance": talk.panel_balance,
    "turns": floor.turns,
    "speaker_switches": floor.speaker_switches,
    "switches_per_min": floor.switches_per_minute,
    "longest_monologue_s": floor.longest_monologue,
    "longest_answer_s": floor.longest_answer,
    "response_latency_s": floor.response_latency,
    "thinking_time_s": dialogue.thinking_time,
    "interruptions": floor.interruptions,
    "backchannels": floor.backchannels,
    "long_pauses": floor.long_pauses,
    "questions": dialogue.questions,
    "questions_per_hour": dialogue.questions_per_hour,
    "candidate_question_share": dialogue.candidate_question_share,
    "answer_length_s": dialogue.answer_seconds,
    "answer_length_words": dialogue.answer_words,
    "pace_wpm": pace.pace,
    "letters_per_second": pace.letters_per_second,
    "fillers_per_100_words": pace.fillers,
    "punctuality_s": punctuality.punctuality,
}
"""Name to measure; a result is one figure, or a mapping of speaker (or role) to figure."""


def measure_all(reading: Reading) -> dict[str, Any]:
    """Return the JSON form of every figure of the catalogue."""
    return {name: as_json(measure(reading)) for name, measure in MEASURES.items()}


def as_json(result: PerSpeaker) -> dict[str, Any]:
    """Return the JSON form of one figure, or of one for each speaker."""
    if isinstance(result, Measurement):
        return result.as_dict()
    return {speaker: measurement.as_dict() for speaker, measurement in result.items()}
