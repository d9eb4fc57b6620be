"""One figure of a report, with what it rests on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from interview_agent.domain.analytics.reading import Reading
    from interview_agent.domain.analytics.word_times import SpokenWord

METHOD_VERSION = "1"
SAMPLE_MIN = 5
RATE_MIN_SPEECH_MS = 30_000


class Reason(StrEnum):
    """Why something is not measured or is measured on little."""

    NO_SPEECH = "no_speech"
    NO_ROLES = "no_roles"
    UNATTRIBUTED_SPEECH = "unattributed_speech"
    CHANNELS_NOT_SEPARATE = "channels_not_separate"
    TOO_LITTLE_SPEECH = "too_little_speech"
    FEW_OBSERVATIONS = "few_observations"
    NO_OBSERVATIONS = "no_observations"
    NO_PUNCTUATION = "no_punctuation"
    NO_QUESTIONS = "no_questions"
    NOT_VERBATIM = "not_verbatim"
    LANGUAGE_NOT_SUPPORTED = "language_not_supported"
    ONE_INTERVIEWER = "one_interviewer"
    NO_PLAN = "no_plan"
    NO_SCHEDULE = "no_schedule"
    NO_START = "no_start"


class Standing(StrEnum):
    """How well a figure is founded."""

    OK = "ok"
    LOW_SAMPLE = "low_sample"
    NOT_MEASURABLE = "not_measurable"


@dataclass(frozen=True, slots=True)
class Span:
    """A place in the transcript that a figure rests on; times in milliseconds."""

    segment_id: str
    start_ms: int
    end_ms: int

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form, times in seconds."""
        return {
            "segment_id": self.segment_id,
            "start": seconds(self.start_ms),
            "end": seconds(self.end_ms),
        }


@dataclass(frozen=True, slots=True)
class Measurement:
    """A value in a unit, from `n` observations; `p90` goes with the median of a distribution."""

    value: float | None
    unit: str
    n: int
    status: Standing = Standing.OK
    reason: Reason | None = None
    evidence: tuple[Span, ...] = ()
    p90: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form; `p90` stands there only where it was computed."""
        shown: dict[str, Any] = {
            "value": self.value,
            "unit": self.unit,
            "n": self.n,
            "status": self.status.value,
            "reason": self.reason.value if self.reason else None,
            "method_version": METHOD_VERSION,
            "evidence": [span.as_dict() for span in self.evidence],
        }
        return shown if self.p90 is None else {**shown, "p90": self.p90}


PerSpeaker = Measurement | Mapping[str, Measurement]
"""A figure for each speaker, or one that says why there is none."""


def seconds(milliseconds: float) -> float:
    """Return seconds with three digits."""
    return round(milliseconds / 1000, 3)


def share(part: float, whole: float) -> float:
    """Return `part / whole` with four digits."""
    return round(part / whole, 4)


def not_measurable(unit: str, reason: Reason, n: int = 0) -> Measurement:
    """Make a figure that is null, and say why."""
    return Measurement(None, unit, n, Standing.NOT_MEASURABLE, reason)


def quantile(ordered: Sequence[float], q: float) -> float:
    """Return the `q` quantile by linear interpolation (Hyndman and Fan, 1996, type 7)."""
    place = q * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def distribution(
    values: Sequence[float], unit: str, evidence: Sequence[Span] = (), *, scale: float = 1.0
) -> Measurement:
    """Return median and p90 of `values` / `scale`; under five of them it is a low sample."""
    if not values:
        return not_measurable(unit, Reason.NO_OBSERVATIONS)
    ordered = sorted(values)
    few = len(ordered) < SAMPLE_MIN
    return Measurement(
        value=round(quantile(ordered, 0.5) / scale, 3),
        unit=unit,
        n=len(ordered),
        status=Standing.LOW_SAMPLE if few else Standing.OK,
        reason=Reason.FEW_OBSERVATIONS if few else None,
        evidence=tuple(evidence),
        p90=round(quantile(ordered, 0.9) / scale, 3),
    )


def per_speaker(reading: Reading, unit: str, measure: Callable[[str], Measurement]) -> PerSpeaker:
    """Measure every known speaker, unless too much speech belongs to nobody known."""
    if not reading.conversation.stretches:
        return not_measurable(unit, Reason.NO_SPEECH)
    if not reading.speech_ms:
        return not_measurable(unit, Reason.UNATTRIBUTED_SPEECH)
    if not reading.attributed:
        return dict.fromkeys(reading.speech_ms, not_measurable(unit, Reason.UNATTRIBUTED_SPEECH))
    return {speaker: measure(speaker) for speaker in reading.speech_ms}


def refused(reading: Reading, unit: str) -> Measurement | None:
    """Return why a figure that needs known speakers cannot be had, or None if it can."""
    if not reading.conversation.stretches:
        return not_measurable(unit, Reason.NO_SPEECH)
    if not reading.attributed:
        return not_measurable(unit, Reason.UNATTRIBUTED_SPEECH)
    return None


def span_of(
    reading: Reading, word: SpokenWord, start_ms: int | None = None, end_ms: int | None = None
) -> Span:
    """Point at the segment of `word`, for the given time or that of the word."""
    return Span(
        reading.segments[word.segment].segment_id,
        word.start_ms if start_ms is None else start_ms,
        word.end_ms if end_ms is None else end_ms,
    )
