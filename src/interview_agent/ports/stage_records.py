"""What each stage reads and writes; every write is fenced by the claim it was done under."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from interview_agent.domain.meeting import Chunk, ChunkRun, Meeting
    from interview_agent.domain.transcript import Change, Segment
    from interview_agent.ports.archive import TrackView
    from interview_agent.ports.transcriber import TrackProgress
    from interview_agent.ports.work import Claim


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """What speech recognition needs to know of a track, which began `offset_s` into the meeting."""

    meeting: Meeting
    track: str
    checkpoint: dict[str, Any] | None
    heard_s: float
    chunks: Sequence[Chunk]
    offset_s: float = 0.0


@dataclass(frozen=True, slots=True)
class PlainSegment:
    """A segment to enhance, with the raw text before and after it on its track, empty at an end.

    `mark` is another one as soon as it has to be looked at again.
    """

    segment: Segment
    previous_raw_text: str
    next_raw_text: str
    mark: int = 0


@dataclass(frozen=True, slots=True)
class EnhancedText:
    """The enhanced form of one revision of a segment, with the `mark` that it was read under."""

    segment_id: str
    revision: int
    text: str
    changes: Sequence[Change]
    mark: int = 0


@dataclass(frozen=True, slots=True)
class MeetingRecord:
    """What the report is made from.

    `first_audio_at` is when its first live track began, or its first chunk came; None without any.
    """

    meeting: Meeting
    tracks: Sequence[TrackView]
    segments: Sequence[Segment]
    runs: Sequence[ChunkRun]
    first_audio_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ReportRecord:
    """A stored report and whom it is meant for."""

    meeting: Meeting
    version: int
    report: Mapping[str, Any]
    delivered: bool


class StageRecords(Protocol):
    """Reads and fenced writes of the stages.

    Raises `DatabaseError`, `NotFound`, and `LeaseLost`, also by reads of a deleted meeting.
    """

    async def track(self, claim: Claim) -> TrackRecord:
        """Return the track that was claimed."""
        ...

    async def commit_progress(self, claim: Claim, progress: TrackProgress) -> int:
        """Store one step of speech recognition and return how many segments changed.

        Its times are those of the meeting.
        """
        ...

    async def fail_next_chunk(self, claim: Claim, reason: str) -> int | None:
        """Mark the first undone chunk of the track failed; return its number, None if none."""
        ...

    async def unenhanced(self, claim: Claim, limit: int) -> list[PlainSegment]:
        """Return final segments that changed, or whose neighbour did, since they were enhanced.

        One that still grows is nobody's neighbour yet.
        """
        ...

    async def commit_enhanced(self, claim: Claim, texts: Sequence[EnhancedText]) -> int:
        """Store enhanced texts and return how many differ from what stood there.

        One whose segment or its neighbours have moved on is passed over.
        """
        ...

    async def record(self, claim: Claim) -> MeetingRecord:
        """Return everything of the meeting that was claimed."""
        ...

    async def commit_report(
        self, claim: Claim, audio_version: int, report: Mapping[str, Any]
    ) -> int:
        """Store the report as the next version and return its number."""
        ...

    async def report(self, claim: Claim) -> ReportRecord | None:
        """Return the newest report, None where there is none."""
        ...

    async def commit_delivery(
        self, claim: Claim, version: int, channel: str, state: str, reason: str | None
    ) -> None:
        """Record what became of a report version: pending, sent, skipped or failed."""
        ...
