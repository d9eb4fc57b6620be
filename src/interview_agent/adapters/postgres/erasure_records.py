"""What is forgotten, batch by batch; every batch stands behind the fence of its claim."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interview_agent.adapters.postgres.database import rows_of
from interview_agent.adapters.postgres.work import fence
from interview_agent.domain.connector import SessionState
from interview_agent.domain.errors import LeaseLost
from interview_agent.ports.erasure import Cause, Content, OpenDeletion

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from interview_agent.adapters.postgres.database import Connection, Database
    from interview_agent.ports.work import Claim

_RETENTION = "retention"
_WITH_BOT = [state.value for state in SessionState if state.alive]
_OPEN = "id, extract(epoch FROM now() - requested_at)::float8 AS age_s"

# The digest of an upload is proved once, also where each of its channels is a chunk.
_PROVED = """, proved AS (
    INSERT INTO deleted_chunks (deletion_id, sha256)
    SELECT $3, decode(sha256, 'hex') FROM gone WHERE channel IS NULL OR channel = 0
)
SELECT count(*) AS chunks, count(*) FILTER (WHERE stored) AS files,
    coalesce(sum(size_bytes) FILTER (WHERE stored), 0)::bigint AS bytes
FROM (SELECT size_bytes, stored AND (channel IS NULL OR channel = 0) AS stored FROM gone) AS upload
"""

_FORGET_AUDIO = f"""
WITH gone AS (
    UPDATE chunks SET blob_key = NULL WHERE meeting_id = $1 AND blob_key = ANY($2)
    RETURNING sha256, size_bytes, channel, true AS stored
){_PROVED}"""

_FORGET_CHUNKS = f"""
WITH gone AS (
    DELETE FROM chunks WHERE meeting_id = $1 AND blob_key = ANY($2)
    RETURNING sha256, size_bytes, channel, true AS stored
){_PROVED}"""

_FORGET_SILENT = f"""
WITH gone AS (
    DELETE FROM chunks WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM chunks WHERE meeting_id = $1 AND blob_key IS NULL LIMIT $2))
    RETURNING sha256, size_bytes, channel, false AS stored
){_PROVED}"""

_COUNT = """
UPDATE deletions SET counts = counts || (
    SELECT jsonb_object_agg(kind, coalesce((counts ->> kind)::bigint, 0) + number)
    FROM unnest($2::text[], $3::bigint[]) AS more (kind, number))
WHERE id = $1
"""

_EXPIRED_TEXT = """
SELECT coalesce(last_audio_at, created_at) < now() - make_interval(days => $2) AS is_old,
    text_deleted_at IS NULL
        OR EXISTS (SELECT FROM segments WHERE meeting_id = $1)
        OR EXISTS (SELECT FROM events WHERE meeting_id = $1)
        OR EXISTS (SELECT FROM reports WHERE meeting_id = $1) AS has_words
FROM meetings WHERE meeting_id = $1
"""

_FORGET_WHO_AND_WHAT = """
WITH forgotten AS (
    UPDATE tracks SET checkpoint = NULL, live_checkpoint = NULL, speaker_hint = NULL
    WHERE meeting_id = $1
), nameless AS (
    UPDATE connector_tracks SET name = NULL WHERE meeting_id = $1
), unlinked AS (
    UPDATE connector_sessions SET join_url = NULL, bot_name = NULL WHERE meeting_id = $1
)
UPDATE meetings SET text_deleted_at = coalesce(text_deleted_at, now()), context = '{}',
    recipients = '{}'
WHERE meeting_id = $1
"""

_FORGET_CONNECTOR = """
WITH gone AS (
    DELETE FROM connector_sessions WHERE meeting_id = $1
    RETURNING provider, epoch > 0 AND state = ANY($2) AS may_have_bot
), stray AS (
    INSERT INTO connector_stray_bots (deletion_id, provider)
    SELECT $3, provider FROM gone WHERE may_have_bot
)
SELECT may_have_bot FROM gone
"""

_LEFT = """
SELECT text_deleted_at IS NULL
    OR EXISTS (SELECT FROM chunks WHERE meeting_id = $1 AND blob_key IS NOT NULL)
FROM meetings WHERE meeting_id = $1
"""


class PostgresErasureRecords:
    """Implements `ports.erasure.ErasureRecords`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def requested(self, claim: Claim) -> OpenDeletion | None:
        async with self._database.transaction() as connection:
            await fence(connection, claim)
            await connection.execute(
                "UPDATE meetings SET context = '{}', recipients = '{}', expected_last_seq = '{}',"
                " language = NULL WHERE meeting_id = $1",
                claim.meeting_id,
            )
            return await self._going_on(connection, claim, Cause.REQUEST)

    async def expired_audio(self, claim: Claim, days: int) -> OpenDeletion | None:
        async with self._database.transaction() as connection:
            await fence(connection, claim)
            going_on = await self._going_on(connection, claim, Cause.RETENTION_AUDIO)
            if going_on is not None:
                return going_on
            expired = await connection.fetchval(
                "SELECT EXISTS (SELECT FROM chunks WHERE meeting_id = $1 AND blob_key IS NOT NULL"
                " AND accepted_at < now() - make_interval(days => $2))",
                claim.meeting_id,
                days,
            )
            return await self._begin(connection, claim, Cause.RETENTION_AUDIO) if expired else None

    async def expired_text(self, claim: Claim, days: int) -> OpenDeletion | None:
        async with self._database.transaction() as connection:
            await fence(connection, claim)
            going_on = await self._going_on(connection, claim, Cause.RETENTION_TEXT)
            state = await connection.fetchrow(_EXPIRED_TEXT, claim.meeting_id, days)
            if going_on is not None and not state["is_old"]:
                # Audio came in between: what is said from now on has its own time.
                await self._finish(connection, going_on)
            if not state["is_old"] or (going_on is None and not state["has_words"]):
                return None
            if going_on is not None:
                return going_on
            await connection.execute(_FORGET_WHO_AND_WHAT, claim.meeting_id)
            return await self._begin(connection, claim, Cause.RETENTION_TEXT)

    async def next_audio(
        self, claim: Claim, limit: int, *, older_than_days: int | None = None
    ) -> list[str]:
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "SELECT blob_key FROM chunks WHERE meeting_id = $1 AND blob_key IS NOT NULL"
                " AND ($2::int IS NULL OR accepted_at < now() - make_interval(days => $2))"
                " LIMIT $3",
                claim.meeting_id,
                older_than_days,
                limit,
            )
        return sorted({row["blob_key"] for row in rows})

    async def forget_audio(self, claim: Claim, deletion: OpenDeletion, keys: Sequence[str]) -> None:
        async with self._database.transaction() as connection:
            await fence(connection, claim)
            gone = await connection.fetchrow(
                _FORGET_AUDIO, claim.meeting_id, list(keys), deletion.id
            )
            more = {"files": gone["files"], "bytes": gone["bytes"]}
            await self._count(connection, deletion, more)

    async def forget_chunks(
        self, claim: Claim, deletion: OpenDeletion, keys: Sequence[str]
    ) -> None:
        async with self._database.transaction() as connection:
            await fence(connection, claim)
            gone = await connection.fetchrow(
                _FORGET_CHUNKS, claim.meeting_id, list(keys), deletion.id
            )
            await self._count(connection, deletion, dict(gone))

    async def forget_silent_chunks(self, claim: Claim, deletion: OpenDeletion, limit: int) -> int:
        async with self._database.transaction() as connection:
            await fence(connection, claim)
            gone = await connection.fetchrow(_FORGET_SILENT, claim.meeting_id, limit, deletion.id)
            count: int = gone["chunks"]
            if count:
                await self._count(connection, deletion, {"chunks": count})
        return count

    async def forget_rows(
        self, claim: Claim, deletion: OpenDeletion, content: Content, limit: int
    ) -> int:
        # The row of the claim itself stays, for there is a verdict to be recorded in it.
        spared = " AND stage <> $2" if content is Content.STAGE_WORK else ""
        arguments = [claim.stage.value] if spared else []
        async with self._database.transaction() as connection:
            await fence(connection, claim)
            status: str = await connection.execute(
                f"DELETE FROM {content.value} WHERE ctid = ANY(ARRAY(SELECT ctid"
                f" FROM {content.value} WHERE meeting_id = $1{spared} LIMIT {int(limit)}))",
                claim.meeting_id,
                *arguments,
            )
            count = rows_of(status)
            if count:
                await self._count(connection, deletion, {content.value: count})
        return count

    async def forget_connector(self, claim: Claim, deletion: OpenDeletion) -> None:
        async with self._database.transaction() as connection:
            await fence(connection, claim)
            may_have_bot = await connection.fetchval(
                _FORGET_CONNECTOR, claim.meeting_id, _WITH_BOT, deletion.id
            )
            if may_have_bot is not None:
                gone = {"connector_sessions": 1, "bots_not_called_back": int(may_have_bot)}
                await self._count(connection, deletion, gone)

    async def count_strays(self, claim: Claim, deletion: OpenDeletion, files: int) -> None:
        async with self._database.transaction() as connection:
            await fence(connection, claim)
            await self._count(connection, deletion, {"stray_files": files})

    async def finish(self, claim: Claim, deletion: OpenDeletion) -> None:
        async with self._database.transaction() as connection:
            await fence(connection, claim)
            await self._finish(connection, deletion)

    async def left(self, claim: Claim) -> bool:
        async with self._database.connection() as connection:
            return bool(await connection.fetchval(_LEFT, claim.meeting_id))

    async def try_again(self, claim: Claim, delay_s: float) -> None:
        async with self._database.connection() as connection:
            status: str = await connection.execute(
                "UPDATE stage_work SET attempts = 0, due_at = now() + make_interval(secs => $5),"
                " lease_until = NULL, lease_owner = NULL, updated_at = now()"
                " WHERE meeting_id = $1 AND stage = $2 AND track = $3 AND epoch = $4",
                claim.meeting_id,
                claim.stage.value,
                claim.track,
                claim.epoch,
                delay_s,
            )
        if rows_of(status) == 0:
            raise LeaseLost

    @staticmethod
    async def _going_on(connection: Connection, claim: Claim, cause: Cause) -> OpenDeletion | None:
        row = await connection.fetchrow(
            f"SELECT {_OPEN} FROM deletions"
            " WHERE meeting_id = $1 AND cause = $2 AND finished_at IS NULL",
            claim.meeting_id,
            cause.value,
        )
        return OpenDeletion(**dict(row)) if row else None

    @staticmethod
    async def _begin(connection: Connection, claim: Claim, cause: Cause) -> OpenDeletion:
        row = await connection.fetchrow(
            "INSERT INTO deletions (meeting_id, cause, requested_by) VALUES ($1, $2, $3)"
            f" RETURNING {_OPEN}",
            claim.meeting_id,
            cause.value,
            _RETENTION,
        )
        return OpenDeletion(**dict(row))

    @staticmethod
    async def _finish(connection: Connection, deletion: OpenDeletion) -> None:
        await connection.execute(
            "UPDATE deletions SET finished_at = now() WHERE id = $1 AND finished_at IS NULL",
            deletion.id,
        )

    @staticmethod
    async def _count(
        connection: Connection, deletion: OpenDeletion, more: Mapping[str, int]
    ) -> None:
        await connection.execute(_COUNT, deletion.id, list(more), list(more.values()))
