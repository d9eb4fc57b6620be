"""Figures for a file of timed words, as `interview-agent metrics FILE` prints them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from interview_agent.domain.analytics.conversation import JOIN_GAP_MS
from interview_agent.domain.analytics.measures import dialogue, floor, pace, talk
from interview_agent.domain.analytics.measures.measurement import Measurement, PerSpeaker, seconds
from interview_agent.domain.analytics.questions import CANDIDATE, INTERVIEWER
from interview_agent.domain.analytics.reading import InterviewSession, Reading, read_session
from interview_agent.domain.errors import ValidationFailed
from interview_agent.domain.transcript import Segment, Word

MAX_TIME_S = 1_000_000.0
"""Longest session that is read, in seconds; anything above is taken for a mistake."""

_MAX_ERRORS = 20


class _Faults:
    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []

    def add(self, loc: Sequence[str | int], message: str) -> None:
        self.found.append({"loc": list(loc), "msg": message, "type": "metrics_file"})

    def as_error(self) -> ValidationFailed:
        first = self.found[0]
        place = ".".join(str(part) for part in first["loc"]) or "the document"
        message = f"not a file of timed words: {place} {first['msg']}"
        return ValidationFailed(message, details={"errors": self.found[:_MAX_ERRORS]})


def measure_words_file(document: object) -> dict[str, Any]:
    """Measure a document of `duration_s`, `channels_separate`, `roles` and `words`.

    `words` are objects of `speaker` (string or null), `start`, `end` (seconds) and `text`, in any
    order. Absent `channels_separate` is false, absent `roles` are none. The result holds shares
    with four digits, seconds with three, rates with two, pace with one; what cannot be measured
    is null. Raises `ValidationFailed` that names the first thing wrong and lists up to twenty.
    """
    return _result(read_session(_session(document)))


def _session(document: object) -> InterviewSession:
    faults = _Faults()
    if not isinstance(document, Mapping):
        faults.add((), "must be an object")
        raise faults.as_error()
    duration_s = _time(document.get("duration_s"))
    if duration_s is None or duration_s <= 0:
        faults.add(("duration_s",), "must be a number of seconds above zero")
    separate = document.get("channels_separate", False)
    if not isinstance(separate, bool):
        faults.add(("channels_separate",), "must be true or false")
    roles = _roles(document.get("roles", {}), faults)
    words = _words(document.get("words"), faults)
    if faults.found:
        raise faults.as_error()
    return InterviewSession(
        segments=_segments(words),
        duration_s=duration_s or 0.0,
        channels_separate=bool(separate),
        roles=roles,
    )


def _time(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Written so that NaN, which compares false to everything, is refused with the rest.
    return float(value) if abs(value) <= MAX_TIME_S else None


def _roles(value: object, faults: _Faults) -> dict[str, str]:
    if not isinstance(value, Mapping):
        faults.add(("roles",), "must be an object of speaker to role")
        return {}
    for speaker, role in value.items():
        if role not in (INTERVIEWER, CANDIDATE):
            faults.add(("roles", str(speaker)), f"must be {INTERVIEWER} or {CANDIDATE}")
    return {str(speaker): str(role) for speaker, role in value.items()}


def _words(value: object, faults: _Faults) -> list[tuple[str | None, Word]]:
    if not isinstance(value, list):
        faults.add(("words",), "must be a list")
        return []
    return [word for at, entry in enumerate(value) if (word := _word(entry, at, faults))]


def _word(entry: object, at: int, faults: _Faults) -> tuple[str | None, Word] | None:
    if not isinstance(entry, Mapping):
        faults.add(("words", at), "must be an object")
        return None
    speaker, text = entry.get("speaker"), entry.get("text")
    start, end = _time(entry.get("start")), _time(entry.get("end"))
    before = len(faults.found)
    if speaker is not None and (not isinstance(speaker, str) or not speaker):
        faults.add(("words", at, "speaker"), "must be a name or null")
    if not isinstance(text, str) or not text.strip():
        faults.add(("words", at, "text"), "must be a word")
    for name, time in (("start", start), ("end", end)):
        if time is None:
            faults.add(("words", at, name), "must be a number of seconds")
    if len(faults.found) > before or start is None or end is None:
        return None
    return speaker, Word(str(text).strip(), start, end)


def _segments(words: Sequence[tuple[str | None, Word]]) -> list[Segment]:
    ordered = sorted(words, key=lambda one: (one[1].start_s, one[1].end_s, one[1].text))
    runs: dict[str | None, list[list[Word]]] = {}
    for speaker, word in ordered:
        lane = runs.setdefault(speaker, [])
        if lane and (word.start_s - lane[-1][-1].end_s) * 1000 <= JOIN_GAP_MS:
            lane[-1].append(word)
        else:
            lane.append([word])
    flat = [(speaker, run) for speaker, lane in runs.items() for run in lane]
    flat.sort(key=lambda one: (one[1][0].start_s, one[0] or ""))
    return [
        Segment(
            meeting_id="file",
            segment_id=f"seg_{number:06d}",
            track=speaker or "main",
            start_s=run[0].start_s,
            end_s=max(word.end_s for word in run),
            raw_text=(text := " ".join(word.text for word in run)),
            text=text,
            words=tuple(run),
            speaker=speaker,
        )
        for number, (speaker, run) in enumerate(flat, start=1)
    ]


def _result(reading: Reading) -> dict[str, Any]:
    conversation = reading.conversation
    return {
        "words_with_adjusted_timing": reading.times.adjusted,
        "speech_s": _values(talk.speech(reading)),
        "talk_share_of_speech": _values(talk.talk_share(reading)),
        "talk_share_of_duration": _values(talk.talk_share_of_session(reading)),
        "silence_ratio": talk.silence_ratio(reading).value,
        "overlap_s": talk.overlap(reading).value,
        "turns": _values(floor.turns(reading)),
        "speaker_switches": floor.speaker_switches(reading).value,
        "switches_per_min": floor.switches_per_minute(reading).value,
        "longest_monologue": _monologues(reading),
        "response_latency_s": _latencies(floor.response_latency(reading)),
        "interruptions": _interruptions(reading),
        "backchannels": len(conversation.backchannels) if reading.attributed else None,
        "long_pauses": floor.long_pauses(reading).value,
        "questions": _asked(dialogue.questions(reading)),
        "wpm": _values(pace.pace(reading)),
    }


def _values(result: PerSpeaker) -> dict[str, float | None] | None:
    if isinstance(result, Measurement):
        return None
    return {speaker: measurement.value for speaker, measurement in result.items()}


def _asked(result: PerSpeaker) -> dict[str, float] | None:
    if isinstance(result, Measurement):
        return None
    if any(measurement.value is None for measurement in result.values()):
        return None
    return {speaker: one.value for speaker, one in result.items() if one.value}


def _latencies(result: PerSpeaker) -> dict[str, dict[str, Any]] | None:
    if isinstance(result, Measurement):
        return None
    return {
        speaker: {"median": one.value, "n": one.n, "status": one.status.value}
        for speaker, one in result.items()
    }


def _monologues(reading: Reading) -> dict[str, dict[str, float]] | None:
    if not reading.attributed:
        return None
    return {
        speaker: {
            "s": seconds(found.length_ms),
            "from": seconds(found.start_ms),
            "to": seconds(found.end_ms),
        }
        for speaker, found in floor.longest_monologues(reading).items()
    }


def _interruptions(reading: Reading) -> list[dict[str, Any]] | None:
    if not reading.attributed or not reading.session.channels_separate:
        return None
    return [
        {"by": hit.by, "at": seconds(hit.at_ms), "overlap": seconds(hit.overlap_ms)}
        for hit in reading.conversation.interruptions
    ]
