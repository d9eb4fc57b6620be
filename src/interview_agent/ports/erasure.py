"""How meetings, their audio and their words are forgotten, and the proof that stays of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from interview_agent.ports.work import Claim


class Cause(StrEnum):
    """Why something was deleted."""

    REQUEST = "request"
    RETENTION_AUDIO = "retention_audio"
    RETENTION_TEXT = "retention_text"


class Content(StrEnum):
    """Rows that hold content or say what was there, in the order in which they have to go."""

    EVENTS = "events"
    SEGMENTS = "segments"
    DELIVERIES = "deliveries"
    REPORTS = "reports"
    LIVE_SESSIONS = "live_sessions"
    CONNECTOR_TRACKS = "connector_tracks"
    TRACKS = "tracks"
    STAGE_WORK = "stage_work"


TEXT = (Content.EVENTS, Content.SEGMENTS, Content.DELIVERIES, Content.REPORTS)
"""Rows with words in them."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """The proof of a deletion. `counts` says by kind how much is gone so far: files, bytes, rows.

    `requested_by` names the caller as the log does, or `retention`.
    """

    id: int
    meeting_id: str
    cause: Cause
    requested_by: str
    requested_at: datetime
    finished_at: datetime | None
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OpenDeletion:
    """A deletion that goes on, and the seconds since it was asked for."""

    id: int
    age_s: float


class Deletions(Protocol):
    """What is deleted, and its proof. All methods raise `DatabaseError`."""

    async def owner(self, meeting_id: str) -> str:
        """Return whose meeting it is or was. Raises `NotFound` if there never was one."""
        ...

    async def request(self, meeting_id: str, requested_by: str) -> Deletion:
        """Take a meeting out of sight, end all work on it and make its erasure due, at once.

        Asked again, returns the deletion as it stands. Raises `NotFound`.
        """
        ...

    async def deleted(self, meeting_ids: Sequence[str]) -> list[str]:
        """Return those of the meetings that were deleted."""
        ...

    async def page(self, *, limit: int, before_id: int | None) -> list[Deletion]:
        """Return deletions, the newest first."""
        ...

    async def digests(
        self, deletion_id: int, *, limit: int, after: int | None
    ) -> list[tuple[int, str]]:
        """Return SHA-256 digests in hex of the audio that was deleted, under growing numbers.

        Raises `NotFound` for an unknown deletion.
        """
        ...

    async def oldest_unfinished_s(self) -> float:
        """Return the age of the oldest deletion that goes on, 0 when there is none."""
        ...

    async def schedule_retention(self, days: int, limit: int) -> int:
        """Make retention due for meetings older than `days` that it does not look after yet.

        Returns for how many, `limit` at most.
        """
        ...


class BotRecall(Protocol):
    """The bots that gateways have in meetings."""

    async def call_back(self, meeting_id: str) -> bool:
        """Take the bot out of a meeting; False: it may still be there, so try again.

        Raises `DatabaseError`.
        """
        ...


class ErasureRecords(Protocol):
    """What forgetting reads and writes, a bounded batch at a time, each behind the fence.

    Raises `DatabaseError` and `LeaseLost`. Every batch is counted in the proof in the transaction
    that deletes it, so a deletion that is done again from any point counts nothing twice.
    """

    async def requested(self, claim: Claim) -> OpenDeletion | None:
        """Return the deletion that was asked for; None once it has finished."""
        ...

    async def expired_audio(self, claim: Claim, days: int) -> OpenDeletion | None:
        """Return the deletion of audio older than `days`, begun if it was not; None: none is."""
        ...

    async def expired_text(self, claim: Claim, days: int) -> OpenDeletion | None:
        """Return the deletion of the words of a meeting without audio for `days`, begun if needed.

        Names, context and everything else that tells who spoke of what goes as it begins. None:
        the meeting is younger, or has no words any more.
        """
        ...

    async def next_audio(
        self, claim: Claim, limit: int, *, older_than_days: int | None = None
    ) -> list[str]:
        """Return keys of stored audio, `limit` at most: of any age, or of what is older."""
        ...

    async def forget_audio(self, claim: Claim, deletion: OpenDeletion, keys: Sequence[str]) -> None:
        """Note that nothing is stored under these keys; what is known of the chunks stays."""
        ...

    async def forget_chunks(
        self, claim: Claim, deletion: OpenDeletion, keys: Sequence[str]
    ) -> None:
        """Delete the chunks whose audio was stored under these keys."""
        ...

    async def forget_silent_chunks(self, claim: Claim, deletion: OpenDeletion, limit: int) -> int:
        """Delete chunks whose audio had gone before; return how many, `limit` at most."""
        ...

    async def forget_rows(
        self, claim: Claim, deletion: OpenDeletion, content: Content, limit: int
    ) -> int:
        """Delete rows of a kind and return how many there were, `limit` at most."""
        ...

    async def forget_connector(self, claim: Claim, deletion: OpenDeletion) -> None:
        """Delete what is known of the bot; the proof says if it may be in the meeting still.

        It is then a stray one: see `ports.stray_bots`.
        """
        ...

    async def count_strays(self, claim: Claim, deletion: OpenDeletion, files: int) -> None:
        """Note that files which no chunk named were deleted."""
        ...

    async def finish(self, claim: Claim, deletion: OpenDeletion) -> None:
        """Close the proof."""
        ...

    async def left(self, claim: Claim) -> bool:
        """Say whether audio or words are left that retention has to look after."""
        ...

    async def try_again(self, claim: Claim, delay_s: float) -> None:
        """Let go of the work and make it due again with all its tries."""
        ...
