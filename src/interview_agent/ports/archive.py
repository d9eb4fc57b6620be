"""What readers ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from interview_agent.domain.errors import ForeignMeeting, NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from interview_agent.domain.identity import Identity
    from interview_agent.domain.meeting import Chunk, ChunkRun, Meeting, StageView
    from interview_agent.domain.transcript import Segment, TranscriptEvent


@dataclass(frozen=True, slots=True)
class TrackView:
    """A track as readers see it: its hint and the decoded length heard so far.

    It began `offset_s` into the meeting.
    """

    track: str
    speaker_hint: str | None
    language: str | None
    heard_s: float
    offset_s: float = 0.0


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """What became of one report version: pending, sent, skipped or failed, with the reason."""

    report_version: int
    channel: str
    state: str
    reason: str | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class MeetingView:
    """All there is of a meeting but its words and chunks."""

    meeting: Meeting
    tracks: Sequence[TrackView]
    stages: Sequence[StageView]
    deliveries: Sequence[DeliveryView]
    report: Mapping[str, Any] | None
    report_version: int | None


@dataclass(frozen=True, slots=True)
class MeetingListItem:
    """A meeting in a list."""

    meeting: Meeting
    stages: Sequence[StageView]


class Archive(Protocol):
    """Reads; raises `DatabaseError`, and `NotFound` for an unknown meeting."""

    async def owner(self, meeting_id: str) -> str:
        """Return whose a meeting is, and read nothing else of it."""
        ...

    async def meeting(self, meeting_id: str) -> MeetingView:
        """Return one meeting."""
        ...

    async def meetings(
        self, owner: str | None, *, limit: int, before: tuple[datetime, str] | None
    ) -> list[MeetingListItem]:
        """Return meetings of `owner` (None: of everybody), newest first, after a position."""
        ...

    async def segments(self, meeting_id: str) -> list[Segment]:
        """Return the current transcript by start time; speakers are not yet named."""
        ...

    async def events(self, meeting_id: str, after: int, limit: int) -> list[TranscriptEvent]:
        """Return the changes of the transcript after number `after`, in order."""
        ...

    async def changes(
        self, after: Mapping[str, int], limit: int
    ) -> dict[str, list[TranscriptEvent]]:
        """Return by id what `events` gives for each meeting after its own number, in one look."""
        ...

    async def standings(self, meeting_ids: Sequence[str]) -> dict[str, MeetingListItem]:
        """Return the meetings that exist, with their stages, by id, in one look.

        Their contexts and recipients, which may be large and never change, are left out.
        """
        ...

    async def chunks(self, meeting_id: str, track: str | None = None) -> list[Chunk]:
        """Return the chunks of a meeting or of one track, by track and number."""
        ...

    async def runs(self, meeting_id: str) -> list[ChunkRun]:
        """Return how the chunks of a meeting stand, by track and number, and nothing else of them.

        For a long meeting that is far less than its chunks.
        """
        ...

    async def unreferenced(self, keys: Sequence[str]) -> list[str]:
        """Return those of the blob keys that no chunk names."""
        ...


async def meeting_for(caller: Identity, meeting_id: str, archive: Archive) -> MeetingView:
    """Return a meeting that exists for the caller.

    Raises `NotFound`, in the same words for a foreign meeting as for an absent one.
    """
    try:
        # Whose it is comes first: what a foreign one holds must not show in the time that it takes.
        if caller.may_see(await archive.owner(meeting_id)):
            return await archive.meeting(meeting_id)
    except NotFound:
        # The archive's own message must not tell an unknown id from a foreign one.
        raise NotFound from None
    raise ForeignMeeting
