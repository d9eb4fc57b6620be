"""What goes from the worker that captions a track to everybody who listens to its meeting.

These signals are never stored and may be lost; each has one form on the wire, both ways.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from math import isfinite
from typing import Any, TypeAlias

from interview_agent.domain.transcript import Word


class AlertCode(StrEnum):
    """What is wrong with the sound of a track."""

    NO_AUDIO = "no_audio"
    NO_SPEECH = "no_speech"
    CLIPPING = "clipping"
    LANGUAGE_MISMATCH = "language_mismatch"
    BACKPRESSURE = "backpressure"


@dataclass(frozen=True, slots=True)
class Nudge:
    """The meeting has new events, or another status: look at the rows."""


@dataclass(frozen=True, slots=True)
class Partial:
    """What a growing segment may become.

    The first `committed` of `words` stand already; the others may still change. Times are seconds
    from the start of the meeting.
    """

    track: str
    segment_id: str
    revision: int
    words: tuple[Word, ...]
    committed: int
    last_seq: int
    language: str | None = None

    @property
    def text(self) -> str:
        """All words in one line."""
        return " ".join(word.text for word in self.words)


@dataclass(frozen=True, slots=True)
class Alert:
    """Something has been wrong with a track for `since_s` seconds; 0 says that it is over."""

    track: str
    code: AlertCode
    since_s: float


Signal: TypeAlias = Nudge | Partial | Alert


def to_wire(signal: Signal) -> dict[str, Any]:
    """Return a signal as a JSON object."""
    match signal:
        case Nudge():
            return {"kind": "nudge"}
        case Partial():
            return {"kind": "partial", **asdict(signal)}
        case Alert():
            return {"kind": "alert", **asdict(signal)}


def from_wire(value: dict[str, Any]) -> Signal | None:
    """Read what `to_wire` wrote; None for anything else, since others may write there too."""
    try:
        match value.get("kind"):
            case "nudge":
                return Nudge()
            case "partial":
                return Partial(
                    track=_text(value["track"]),
                    segment_id=_text(value["segment_id"]),
                    revision=_count(value["revision"]),
                    words=tuple(_word(word) for word in value["words"]),
                    committed=_count(value["committed"]),
                    last_seq=_count(value["last_seq"]),
                    language=_text_or_none(value["language"]),
                )
            case "alert":
                since_s = _number(value["since_s"])
                return Alert(_text(value["track"]), AlertCode(value["code"]), since_s)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return None


def _word(value: dict[str, Any]) -> Word:
    probability = value["probability"]
    return Word(
        text=_text(value["text"]),
        start_s=_number(value["start_s"]),
        end_s=_number(value["end_s"]),
        probability=None if probability is None else _number(probability),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    # Half of a surrogate pair can be read from JSON but sent to nobody.
    value.encode()
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    return value


def _number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not isfinite(value):
        raise TypeError
    return float(value)
