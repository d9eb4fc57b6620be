"""What tests of erasure share: the object that the API asks, and whom it wakes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from audit_twin import NotedAudit
from interview_agent.pipeline.erasure import MeetingErasure
from local_broadcast import LocalBroadcast

if TYPE_CHECKING:
    from interview_agent.ports.audit import AuditLog
    from interview_agent.ports.broadcast import Broadcast
    from interview_agent.ports.erasure import Deletions


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

    async def wait(self, stage: object, timeout_s: float) -> bool:
        """Hear nothing."""
        assert stage
        await asyncio.sleep(timeout_s)
        return False


def erasure_by(
    deletions: Deletions, *, audit: AuditLog | None = None, broadcast: Broadcast | None = None
) -> MeetingErasure:
    """Return what the API asks, with twins for what is not given."""
    return MeetingErasure(deletions, audit or NotedAudit(), broadcast or LocalBroadcast(), Deaf())
