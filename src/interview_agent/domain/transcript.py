"""Words and segments: what a transcript is made of."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Word:
    """One recognised word on the timeline of its track.

    `text` carries its punctuation and no surrounding space; `start_s` and `end_s` are seconds from
    the start of the track, in a `Segment` from that of the meeting; `probability` is the
    recogniser's own, 0 to 1.
    """

    text: str
    start_s: float
    end_s: float
    probability: float | None = None

    def shifted(self, offset_s: float) -> Word:
        """Return the same word `offset_s` seconds later."""
        return replace(self, start_s=self.start_s + offset_s, end_s=self.end_s + offset_s)


@dataclass(frozen=True, slots=True)
class DraftSegment:
    """A stretch of speech as the recogniser gives it, before it has an identity.

    Times are seconds from the start of the track. `last_seq` is the last chunk that it touches.
    `confidence` is 0 to 1 or None where the recogniser gives none.
    """

    text: str
    start_s: float
    end_s: float
    words: tuple[Word, ...] = ()
    confidence: float | None = None
    language: str | None = None
    first_seq: int = 0
    last_seq: int = 0

    def shifted(self, offset_s: float) -> DraftSegment:
        """Return the same stretch `offset_s` seconds later."""
        return replace(
            self,
            start_s=self.start_s + offset_s,
            end_s=self.end_s + offset_s,
            words=tuple(word.shifted(offset_s) for word in self.words),
        )


@dataclass(frozen=True, slots=True)
class Change:
    """One change that the enhancer applied: what stood there, what stands there now, and why."""

    rule: str
    before: str
    after: str
    start: int
    """Offset of `before` in the raw text, in characters."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of transcript with an id that never changes and a revision that grows.

    Times are seconds from the start of the meeting, which all its tracks share. `raw_text` is what
    was recognised, `text` its enhanced form. Neither is masked: masking is a
    matter of who reads.
    """

    meeting_id: str
    segment_id: str
    track: str
    start_s: float
    end_s: float
    raw_text: str
    text: str
    words: tuple[Word, ...] = ()
    speaker: str | None = None
    confidence: float | None = None
    language: str | None = None
    first_seq: int = 0
    last_seq: int = 0
    revision: int = 1
    event: int = 0
    changes: tuple[Change, ...] = ()
    is_final: bool = True
    """False while a live segment still grows."""


@dataclass(frozen=True, slots=True)
class TranscriptEvent:
    """One numbered change of a transcript, as it stood after the change.

    `event` grows by one per meeting. `segment` is None when the segment was taken back. `enhanced`
    says whether its text had been enhanced by then.
    """

    event: int
    segment_id: str
    track: str
    segment: Segment | None
    enhanced: bool = False
