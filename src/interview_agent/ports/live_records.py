"""What the captions of a track read and write; every write is fenced by its claim."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from interview_agent.domain.meeting import Chunk, Meeting
    from interview_agent.domain.transcript import DraftSegment
    from interview_agent.ports.work import Claim


@dataclass(frozen=True, slots=True)
class GrowingSegment:
    """The segment that the next words of a track belong to; `revision` 0: nothing of it stands.

    Its name is taken in advance, so that partials can carry it, and survives the worker.
    """

    segment_id: str
    revision: int


@dataclass(frozen=True, slots=True)
class LiveTrackRecord:
    """Where the captions of a track stand; `checkpoint` is None at the beginning.

    The track began `offset_s` into the meeting.
    """

    meeting: Meeting
    growing: GrowingSegment
    checkpoint: dict[str, Any] | None
    offset_s: float = 0.0


@dataclass(frozen=True, slots=True)
class LiveNews:
    """What came of a track: new chunks by number, and whether the meeting is closed.

    `wanted` is how far the work was wanted when this was read. A hole before a chunk that was
    accepted earlier than `skips_before` holds the track no longer; None: holes do.
    """

    chunks: Sequence[Chunk]
    closed: bool
    wanted: int
    skips_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class LiveCommit:
    """Segments that continue the growing one, in order; the last one may still grow.

    Their times are those of the meeting.
    """

    segments: tuple[DraftSegment, ...]
    last_grows: bool
    checkpoint: dict[str, Any]
    heard_s: float


class LiveRecords(Protocol):
    """Raises `DatabaseError`, and `LeaseLost` when somebody else has the track."""

    async def open(self, claim: Claim) -> LiveTrackRecord:
        """Return where the captions of the claimed track stand."""
        ...

    async def news(self, claim: Claim, after_seq: int, limit: int) -> LiveNews:
        """Return what came after chunk `after_seq`, in one look."""
        ...

    async def commit(
        self, claim: Claim, growing: GrowingSegment, commit: LiveCommit
    ) -> GrowingSegment:
        """Store what stands now, and return the segment that grows next.

        Segments that are complete become due for the enhancer.
        """
        ...

    async def report_capacity(self, worker: str, capacity: float, streams: int) -> None:
        """Say how many streams a worker can caption, and how many it does."""
        ...
