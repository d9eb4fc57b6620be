"""What tests of erasure share: a trail in memory, and the object that the API asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from interview_agent.domain.errors import DatabaseError
from interview_agent.pipeline.erasure import MeetingErasure
from local_broadcast import LocalBroadcast

if TYPE_CHECKING:
    from interview_agent.ports.audit import AuditEvent
    from interview_agent.ports.broadcast import Broadcast
    from interview_agent.ports.erasure import Deletions


class NotedAudit:
    """Implements `ports.audit.AuditLog` in memory; while it is `broken` nothing can be recorded."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []
        self.broken = False

    def note(self, event: AuditEvent) -> None:
        """Keep the event."""
        self.events.append(event)

    async def record(self, event: AuditEvent) -> None:
        """Keep the event, or fail."""
        if self.broken:
            raise DatabaseError
        self.note(event)

    async def page(self, **_: Any) -> Any:
        """Return nothing."""
        return ()


class Deaf:
    """A wake queue that nobody is woken by."""

    def notify(self, stage: object, meeting_id: str, track: str = "") -> None:
        """Forget it."""

    def bury(self, stage: object, meeting_id: str, track: str, reason: str) -> None:
        """Forget it."""

    async def forget(self, meeting_id: str) -> int:
        """Have nothing to forget."""
        assert meeting_id
        return 0

    async def wait(self, stage: object, timeout_s: float) -> None:
        """Return at once."""


def erasure_by(
    deletions: Deletions, *, audit: NotedAudit | None = None, broadcast: Broadcast | None = None
) -> MeetingErasure:
    """Return what the API asks, with twins for what is not given."""
    return MeetingErasure(deletions, audit or NotedAudit(), broadcast or LocalBroadcast(), Deaf())
