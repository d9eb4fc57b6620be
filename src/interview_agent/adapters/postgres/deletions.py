"""Which meetings were deleted, and the proof of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from interview_agent.adapters.postgres.database import rows_of
from interview_agent.adapters.postgres.patience import Patience
from interview_agent.domain.errors import NotFound
from interview_agent.domain.route import Stage
from interview_agent.ports.erasure import Cause, Deletion

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from interview_agent.adapters.postgres.database import Connection, Database

_COLUMNS = "id, meeting_id, cause, requested_by, requested_at, finished_at, counts"

# Whoever works on the meeting finds the lease gone, and claims begin anew with the next number.
_END_WORK = """
UPDATE stage_work SET due_at = NULL, lease_until = NULL, lease_owner = NULL, epoch = epoch + 1,
    failed = false, put_off_since = NULL, updated_at = now()
WHERE meeting_id = $1
"""

# The bot is called back by the erasure. Whoever pulls its sound finds the right to do so gone, and
# the link, which may hold a password, is needed no more.
_END_CONNECTOR = """
UPDATE connector_sessions SET wanted = false, join_url = NULL, bot_name = NULL, open_until = NULL,
    pull_fence = pull_fence + 1, pull_until = NULL, pull_owner = NULL
WHERE meeting_id = $1
"""

_RETENTION_DUE = f"""
INSERT INTO stage_work AS work (meeting_id, stage, wanted, due_at)
SELECT meeting_id, '{Stage.RETENTION.value}', 1, now() FROM (
    SELECT meeting_id FROM meetings m
    WHERE created_at < now() - make_interval(days => $1)
        AND text_deleted_at IS NULL AND deleted_at IS NULL
        AND NOT EXISTS (SELECT FROM stage_work w WHERE w.meeting_id = m.meeting_id
            AND w.stage = '{Stage.RETENTION.value}' AND (w.due_at IS NOT NULL OR w.failed))
    ORDER BY created_at LIMIT $2
) AS forgotten
ORDER BY meeting_id
ON CONFLICT (meeting_id, stage, track) DO UPDATE SET wanted = work.wanted + 1, due_at = now(),
    updated_at = now()
WHERE work.due_at IS NULL AND NOT work.failed
"""


def _deletion_of(row: Mapping[str, Any]) -> Deletion:
    return Deletion(**{**dict(row), "cause": Cause(row["cause"])})


class PostgresDeletions:
    """Implements `ports.erasure.Deletions`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._patience = Patience()

    async def owner(self, meeting_id: str) -> str:
        return await self._patience.wait(self._owner(meeting_id))

    async def _owner(self, meeting_id: str) -> str:
        async with self._database.connection() as connection:
            owner: str | None = await connection.fetchval(
                "SELECT owner FROM meetings WHERE meeting_id = $1", meeting_id
            )
        if owner is None:
            raise NotFound
        return owner

    async def request(self, meeting_id: str, requested_by: str) -> Deletion:
        return await self._patience.wait(self._request(meeting_id, requested_by))

    async def _request(self, meeting_id: str, requested_by: str) -> Deletion:
        async with self._database.transaction() as connection:
            gone = await connection.fetchval(
                "SELECT deleted_at IS NOT NULL FROM meetings WHERE meeting_id = $1 FOR UPDATE",
                meeting_id,
            )
            if gone is None:
                raise NotFound
            if not gone:
                await self._bury(connection, meeting_id, requested_by)
            row = await connection.fetchrow(
                f"SELECT {_COLUMNS} FROM deletions WHERE meeting_id = $1 AND cause = $2",
                meeting_id,
                Cause.REQUEST.value,
            )
        return _deletion_of(row)

    @staticmethod
    async def _bury(connection: Connection, meeting_id: str, requested_by: str) -> None:
        await connection.execute(
            "UPDATE meetings SET deleted_at = now() WHERE meeting_id = $1", meeting_id
        )
        await connection.execute(_END_WORK, meeting_id)
        await connection.execute(_END_CONNECTOR, meeting_id)
        await connection.execute(
            "INSERT INTO stage_work (meeting_id, stage, wanted, due_at) VALUES ($1, $2, 1, now())",
            meeting_id,
            Stage.ERASURE.value,
        )
        # What retention was in the middle of is finished by this deletion.
        await connection.execute(
            "UPDATE deletions SET finished_at = now()"
            " WHERE meeting_id = $1 AND finished_at IS NULL",
            meeting_id,
        )
        await connection.execute(
            "INSERT INTO deletions (meeting_id, cause, requested_by) VALUES ($1, $2, $3)",
            meeting_id,
            Cause.REQUEST.value,
            requested_by,
        )

    async def deleted(self, meeting_ids: Sequence[str]) -> list[str]:
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "SELECT meeting_id FROM meetings"
                " WHERE meeting_id = ANY($1) AND deleted_at IS NOT NULL",
                list(meeting_ids),
            )
        return [row["meeting_id"] for row in rows]

    async def page(self, *, limit: int, before_id: int | None) -> list[Deletion]:
        return await self._patience.wait(self._page(limit, before_id))

    async def _page(self, limit: int, before_id: int | None) -> list[Deletion]:
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"SELECT {_COLUMNS} FROM deletions WHERE $1::bigint IS NULL OR id < $1"
                " ORDER BY id DESC LIMIT $2",
                before_id,
                limit,
            )
        return [_deletion_of(row) for row in rows]

    async def digests(
        self, deletion_id: int, *, limit: int, after: int | None
    ) -> list[tuple[int, str]]:
        return await self._patience.wait(self._digests(deletion_id, limit, after or 0))

    async def _digests(self, deletion_id: int, limit: int, after: int) -> list[tuple[int, str]]:
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "SELECT number, encode(sha256, 'hex') AS sha256 FROM deleted_chunks"
                " WHERE deletion_id = $1 AND number > $2 ORDER BY number LIMIT $3",
                deletion_id,
                after,
                limit,
            )
            if not rows and not await connection.fetchval(
                "SELECT 1 FROM deletions WHERE id = $1", deletion_id
            ):
                raise NotFound
        return [(row["number"], row["sha256"]) for row in rows]

    async def oldest_unfinished_s(self) -> float:
        async with self._database.connection() as connection:
            age_s: float = await connection.fetchval(
                "SELECT coalesce(extract(epoch FROM now() - min(requested_at)), 0)::float8"
                " FROM deletions WHERE finished_at IS NULL"
            )
        return age_s

    async def schedule_retention(self, days: int, limit: int) -> int:
        async with self._database.connection() as connection:
            status: str = await connection.execute(_RETENTION_DUE, days, limit)
        return rows_of(status)
