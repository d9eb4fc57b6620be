"""What callers may ask of erasure: to delete a meeting, and for the proof of what was deleted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from interview_agent.domain.errors import ForeignMeeting
from interview_agent.domain.ids import check_name
from interview_agent.domain.live import Nudge
from interview_agent.domain.route import Stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from interview_agent.domain.identity import Identity
    from interview_agent.ports.audit import AuditEvent, AuditLog
    from interview_agent.ports.broadcast import Broadcast
    from interview_agent.ports.erasure import Deletion, Deletions
    from interview_agent.ports.wake_queue import WakeQueue

Body = dict[str, Any]


def _body(deletion: Deletion) -> Body:
    finished_at = deletion.finished_at
    return {
        "id": deletion.id,
        "meeting_id": deletion.meeting_id,
        "cause": deletion.cause.value,
        "requested_by": deletion.requested_by,
        "requested_at": deletion.requested_at.isoformat(),
        "finished_at": finished_at.isoformat() if finished_at else None,
        "counts": dict(deletion.counts),
    }


class MeetingErasure:
    """Takes meetings out of sight at once; workers erase what there was of them."""

    def __init__(
        self, deletions: Deletions, audit: AuditLog, broadcast: Broadcast, wake: WakeQueue
    ) -> None:
        self._deletions = deletions
        self._audit = audit
        self._broadcast = broadcast
        self._wake = wake

    async def delete(
        self, caller: Identity, meeting_id: str, event: Callable[[], AuditEvent]
    ) -> Deletion:
        """Delete a meeting; asked again, return how far that is.

        What `event` gives goes into the audit trail first. Raises `ValidationFailed` for a bad id,
        `NotFound` for an absent or foreign meeting, and `DatabaseError`; without a trace nothing
        is deleted.
        """
        check_name(meeting_id, "meeting_id")
        if not caller.may_see(await self._deletions.owner(meeting_id)):
            raise ForeignMeeting
        asked = event()
        await self._audit.record(replace(asked, reason=f"{asked.reason}:meeting_delete"))
        deletion = await self._deletions.request(meeting_id, caller.subject)
        # Both hints may be lost: listeners look every second, workers every two.
        self._broadcast.publish(meeting_id, Nudge())
        self._wake.notify(Stage.ERASURE, meeting_id)
        return deletion

    async def page(self, *, limit: int, before_id: int | None) -> Body:
        """Return proofs, the newest first; `next_before` is null on the last page."""
        found = await self._deletions.page(limit=limit + 1, before_id=before_id)
        page, more = found[:limit], len(found) > limit
        return {
            "deletions": [_body(each) for each in page],
            "next_before": page[-1].id if more else None,
        }

    async def digests(self, deletion_id: int, *, limit: int, after: int | None) -> Body:
        """Return digests of the audio that a deletion removed, by growing numbers."""
        found = await self._deletions.digests(deletion_id, limit=limit + 1, after=after)
        page, more = found[:limit], len(found) > limit
        return {
            "deletion_id": deletion_id,
            "sha256": [digest for _, digest in page],
            "next_after": page[-1][0] if more else None,
        }
