"""How many meetings one owner may open in an hour, counted over all processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interview_agent.domain.errors import MeetingQuotaReached

if TYPE_CHECKING:
    from interview_agent.adapters.postgres.database import Connection

# The oldest of so many meetings says when there is room again; one that is known takes none.
_WAIT = """
SELECT ceil(extract(epoch FROM created_at + interval '1 hour' - now()))::int FROM meetings
WHERE owner = $1 AND created_at > now() - interval '1 hour'
    AND NOT EXISTS (SELECT FROM meetings WHERE meeting_id = $2)
ORDER BY created_at DESC OFFSET $3 LIMIT 1
"""


class MeetingQuota:
    """Lets an owner open `most` meetings in any hour, deleted ones included; None: any number.

    Requests that run at the same time may all find the last place free.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most

    async def check(self, connection: Connection, owner: str, meeting_id: str) -> None:
        """Raise `MeetingQuotaReached` if this meeting would be one too many."""
        if self._most is None:
            return
        wait_s = await connection.fetchval(_WAIT, owner, meeting_id, self._most - 1)
        if wait_s is not None:
            raise MeetingQuotaReached(retry_after_s=max(1, wait_s))
