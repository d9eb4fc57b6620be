"""Who spoke how much: talk shares, silence, overlap, balance of a panel."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from interview_agent.domain.analytics.measures.measurement import (
    Measurement,
    PerSpeaker,
    Reason,
    not_measurable,
    per_speaker,
    refused,
    seconds,
    share,
    span_of,
)
from interview_agent.domain.analytics.questions import CANDIDATE, INTERVIEWER

if TYPE_CHECKING:
    from interview_agent.domain.analytics.reading import Reading


def speech(reading: Reading) -> PerSpeaker:
    """S_k: seconds of speech, words joined over gaps of at most 0.30 s."""
    return per_speaker(
        reading,
        "s",
        lambda name: Measurement(seconds(reading.speech_ms[name]), "s", _stretches(reading, name)),
    )


def talk_share(reading: Reading) -> PerSpeaker:
    """S_k / sum(S): silence is left out."""
    total = sum(reading.speech_ms.values())
    return per_speaker(reading, "share", lambda name: _share(reading, name, total))


def talk_share_of_session(reading: Reading) -> PerSpeaker:
    """S_k / T."""
    total = reading.conversation.session_ms
    return per_speaker(reading, "share", lambda name: _share(reading, name, total))


def role_share(reading: Reading) -> PerSpeaker:
    """Sum of the talk shares of each role; speakers without a role count in the whole alone."""
    refusal = refused(reading, "share")
    if refusal is None and not (reading.interviewers or reading.candidates):
        refusal = not_measurable("share", Reason.NO_ROLES)
    total = sum(reading.speech_ms.values())
    if refusal is None and not total:
        refusal = not_measurable("share", Reason.NO_SPEECH)
    if refusal is not None:
        return refusal
    groups = {INTERVIEWER: reading.interviewers, CANDIDATE: reading.candidates}
    return {
        role: Measurement(
            share(sum(reading.speech_ms[name] for name in names), total),
            "share",
            len(names),
        )
        for role, names in groups.items()
    }


def attributed_share(reading: Reading) -> Measurement:
    """Share of speech whose speaker is known."""
    value = reading.attributed_share
    if value is None:
        return not_measurable("share", Reason.NO_SPEECH)
    return Measurement(round(value, 4), "share", len(reading.conversation.stretches))


def silence_ratio(reading: Reading) -> Measurement:
    """1 - len(union S) / T."""
    conversation = reading.conversation
    if not conversation.stretches or not conversation.session_ms:
        return not_measurable("share", Reason.NO_SPEECH)
    silent = conversation.session_ms - conversation.union_ms
    return Measurement(
        share(silent, conversation.session_ms), "share", len(conversation.speech_spans)
    )


def overlap(reading: Reading) -> Measurement:
    """sum(S) - len(union S); the evidence is every place where a stretch met one going on."""
    refusal = refused(reading, "s")
    if refusal is not None:
        return refusal
    if not reading.session.channels_separate:
        return not_measurable("s", Reason.CHANNELS_NOT_SEPARATE)
    conversation = reading.conversation
    total = sum(reading.speech_ms.values()) + conversation.unattributed_ms
    evidence = []
    reached_ms = -1
    for stretch in conversation.stretches:
        until_ms = min(reached_ms, stretch.end_ms)
        if until_ms > stretch.start_ms:
            evidence.append(span_of(reading, stretch.words[0], stretch.start_ms, until_ms))
        reached_ms = max(reached_ms, stretch.end_ms)
    return Measurement(
        seconds(total - conversation.union_ms), "s", len(evidence), evidence=tuple(evidence)
    )


def panel_balance(reading: Reading) -> Measurement:
    """Entropy of the interviewers' talk over its largest possible value (Shannon, 1948).

    An interviewer who was named counts in that value though they never spoke: of three, one of
    whom is silent, the others reach ln 2 / ln 3 at most.
    """
    refusal = refused(reading, "share")
    if refusal is not None:
        return refusal
    lengths = [reading.speech_ms.get(name, 0) for name in reading.panel]
    if not lengths:
        return not_measurable("share", Reason.NO_ROLES)
    if len(lengths) == 1:
        return not_measurable("share", Reason.ONE_INTERVIEWER, 1)
    parts = [length / sum(lengths) for length in lengths if length]
    if not parts:
        return not_measurable("share", Reason.NO_SPEECH, len(lengths))
    entropy = -sum(part * math.log(part) for part in parts)
    return Measurement(round(abs(entropy) / math.log(len(lengths)), 4), "share", len(lengths))


def _stretches(reading: Reading, name: str) -> int:
    return sum(stretch.speaker == name for stretch in reading.conversation.stretches)


def _share(reading: Reading, name: str, total_ms: int) -> Measurement:
    if not total_ms:
        return not_measurable("share", Reason.NO_SPEECH)
    return Measurement(share(reading.speech_ms[name], total_ms), "share", _stretches(reading, name))
