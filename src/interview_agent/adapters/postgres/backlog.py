"""The count of chunks that wait, by owner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interview_agent.adapters.postgres.patience import Patience
from interview_agent.domain.route import Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from interview_agent.adapters.postgres.database import Database

# Beginning with the work that is due, the count costs nothing while everything is heard in time,
# and never touches the chunks of open live tracks, of which there may be millions.
_WAITING = """
SELECT m.owner, count(*) AS chunks
FROM stage_work w
JOIN tracks t ON t.meeting_id = w.meeting_id AND t.track = w.track AND NOT t.live
JOIN meetings m ON m.meeting_id = w.meeting_id
JOIN chunks c ON c.meeting_id = w.meeting_id AND c.track = w.track AND c.state = 'pending'
WHERE w.stage = $1 AND w.due_at IS NOT NULL
GROUP BY m.owner HAVING count(*) >= $2
"""


class PostgresBacklog:
    """Implements `ports.backlog.BacklogRows`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._patience = Patience()

    async def waiting(self, at_least: int) -> Mapping[str, int]:
        return await self._patience.wait(self._waiting(at_least))

    async def _waiting(self, at_least: int) -> Mapping[str, int]:
        async with self._database.connection() as connection:
            rows = await connection.fetch(_WAITING, Stage.STT.value, at_least)
        return {row["owner"]: row["chunks"] for row in rows}
