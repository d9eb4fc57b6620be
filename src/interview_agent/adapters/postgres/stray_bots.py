"""Bots that may still be in erased meetings, and the proofs that say so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interview_agent.adapters.postgres.database import rows_of
from interview_agent.ports.stray_bots import StrayBot

if TYPE_CHECKING:
    from interview_agent.adapters.postgres.database import Database

_NEXT = """
WITH longest AS (
    SELECT deletion_id FROM connector_stray_bots WHERE provider = $1
    ORDER BY looked_at NULLS FIRST, deletion_id LIMIT $2 FOR UPDATE SKIP LOCKED
)
UPDATE connector_stray_bots s SET looked_at = now()
FROM longest JOIN deletions d ON d.id = longest.deletion_id
WHERE s.deletion_id = longest.deletion_id
RETURNING s.deletion_id, d.meeting_id
"""

_CALLED_BACK = """
WITH gone AS (
    DELETE FROM connector_stray_bots WHERE deletion_id = $1 RETURNING deletion_id
)
UPDATE deletions d SET counts = d.counts
    || '{"bots_not_called_back": 0, "bots_called_back_late": 1}'
FROM gone WHERE d.id = gone.deletion_id
"""


class PostgresStrayBots:
    """Implements `ports.stray_bots.StrayBots`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def next(self, provider: str, limit: int) -> list[StrayBot]:
        async with self._database.connection() as connection:
            return [StrayBot(**row) for row in await connection.fetch(_NEXT, provider, limit)]

    async def called_back(self, bot: StrayBot) -> bool:
        async with self._database.connection() as connection:
            return rows_of(await connection.execute(_CALLED_BACK, bot.deletion_id)) > 0

    async def give_up(self, age_s: float) -> int:
        async with self._database.connection() as connection:
            return rows_of(
                await connection.execute(
                    "DELETE FROM connector_stray_bots"
                    " WHERE strayed_at < now() - make_interval(secs => $1)",
                    age_s,
                )
            )
