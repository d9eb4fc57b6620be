"""What the front door writes: meetings, chunks, the wish to finish."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from interview_agent.domain.meeting import Consent, Meeting, Mode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from interview_agent.domain.upload import PullMark


@dataclass(frozen=True, slots=True)
class NewMeeting:
    """What a caller says about a meeting when it starts."""

    meeting_id: str
    owner: str
    mode: Mode = Mode.REALTIME
    language: str | None = None
    consent: Consent = Consent.UNKNOWN
    context: Mapping[str, Any] = field(default_factory=dict)
    recipients: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class NewChunk:
    """One chunk whose bytes are already durable under `blob_key`.

    `channel_tracks` names a track for each channel to hear apart; empty means the track itself
    hears all channels mixed. `sha256` is the full digest of the bytes in hex. `live` makes the
    track one that is captioned while it comes. A chunk of a live session names its `frames`,
    first and last, and the `session_id` that wrote it; one from a gateway the mark of its `pull`.
    `owner` is whose meeting it must be, and whose it becomes if nobody started it; with `any_owner`
    a meeting of somebody else is right too.
    """

    meeting_id: str
    owner: str
    track: str
    seq: int
    sha256: str
    size_bytes: int
    blob_key: str
    codec: str
    sample_rate: int
    channels: int
    idempotency_key: str
    channel_tracks: tuple[str, ...] = ()
    speaker_hint: str | None = None
    trace_id: str | None = None
    live: bool = False
    frames: tuple[int, int] | None = None
    session_id: str | None = None
    pull: PullMark | None = None
    any_owner: bool = False

    @property
    def rows(self) -> tuple[tuple[str, int | None], ...]:
        """The (track, channel) pairs that this chunk becomes."""
        if not self.channel_tracks:
            return ((self.track, None),)
        return tuple((track, channel) for channel, track in enumerate(self.channel_tracks))


@dataclass(frozen=True, slots=True)
class Receipt:
    """The durable answer to a chunk; for a duplicate it names what was stored the first time."""

    blob_key: str
    idempotency_key: str
    duplicate: bool


class Intake(Protocol):
    """The rows behind every acknowledgement. All methods raise `DatabaseError`."""

    async def start(self, new: NewMeeting) -> Meeting:
        """Create the meeting, or return it as it is when its owner starts it again.

        Raises `Conflict` when the id belongs to somebody else, `MeetingGone` when it was deleted,
        `MeetingQuotaReached` when its owner opened too many.
        """
        ...

    async def admit(self, chunk: NewChunk) -> Receipt | None:
        """Check a chunk before its bytes are stored; a receipt means that it is a duplicate.

        Raises `Conflict` (somebody else's meeting, other bytes, other number under that key),
        `MeetingGone`, `ConsentDenied`, and `MeetingQuotaReached` for a meeting too many.
        """
        ...

    async def admit_meeting(self, chunk: NewChunk) -> None:
        """Check only that the meeting takes audio from this owner. Raises as `admit` does."""
        ...

    async def accept(self, chunk: NewChunk) -> Receipt:
        """Record a chunk; it is durable on return. Raises as `admit` does.

        A chunk with frames raises `SessionTaken` unless its session still has the track and its
        first frame is the next one of the track; a chunk without them raises `Conflict` on a
        track that is numbered by frames. A chunk with the mark of a pull raises `LeaseLost` when
        that was overtaken; else its cursor moves with it, also where it is a duplicate.
        """
        ...

    async def finish(self, meeting_id: str, expected_last_seq: Mapping[str, int]) -> Meeting:
        """Note that the meeting is over and close it as soon as what was promised is there.

        Raises `NotFound`. Asking again changes nothing.
        """
        ...
