"""The trail of who was let in, who was not, and who did what to the service."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One decision. Texts may hold anything that a caller sent: who stores them makes them safe.

    `endpoint` is the path as it was asked for. `times` counts events that were folded into this
    one, which was the first of them.
    """

    outcome: Literal["allow", "deny"]
    endpoint: str
    method: str
    subject: str
    auth_type: str
    reason: str
    status_code: int
    error_code: str | None = None
    client_ip: str | None = None
    meeting_id: str | None = None
    times: int = 1


@dataclass(frozen=True, slots=True)
class StoredAuditEvent:
    """An event as it was stored."""

    id: int
    created_at: datetime
    event: AuditEvent


class AuditLog(Protocol):
    """Keeps events: each has a line in the log, whatever becomes of its row.

    Where several share a row they share the line too.
    """

    def note(self, event: AuditEvent) -> None:
        """Record an event without waiting: its row follows, like ones folded under load."""
        ...

    def tally(self, event: AuditEvent) -> None:
        """Count one of many events of a subject in a meeting without waiting.

        They share a row for each hour, which comes some seconds later; for accepted audio.
        """
        ...

    async def record(self, event: AuditEvent) -> None:
        """Record an event durably, before what it is about is done. Raises `DatabaseError`."""
        ...

    async def page(
        self, *, limit: int, outcome: str | None, subject: str | None, before_id: int | None
    ) -> Sequence[StoredAuditEvent]:
        """Return events, newest first. Raises `DatabaseError`."""
        ...


@dataclass(frozen=True, slots=True)
class AuditRow:
    """An event, made safe, on its way to a row.

    Rows of the same `fold` are one: the first stays and their `times` are added up. None: a row of
    its own.
    """

    created_at: datetime
    event: AuditEvent
    fold: str | None = None


@dataclass(frozen=True, slots=True)
class AuditBatch:
    """Rows that are stored together; no two of them have the same `fold`.

    Who is not sure whether it was stored sends it again as it is.
    """

    batch_id: str
    rows: Sequence[AuditRow]


class AuditStore(Protocol):
    """Holds the rows of an audit log. Raises `DatabaseError`."""

    async def append(self, batch: AuditBatch) -> None:
        """Store all of the rows durably, or none; a batch that is stored already changes nothing.

        After an error it may be stored all the same.
        """
        ...

    async def page(
        self, *, limit: int, outcome: str | None, subject: str | None, before_id: int | None
    ) -> Sequence[StoredAuditEvent]:
        """Return rows, newest first."""
        ...

    async def forget(self, *, days: int, limit: int) -> int:
        """Delete up to `limit` rows that are older than `days`; return how many were deleted."""
        ...
