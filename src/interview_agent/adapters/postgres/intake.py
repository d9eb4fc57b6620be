"""Rows behind every acknowledgement; many accepts share one commit."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from interview_agent.adapters.postgres import schedule
from interview_agent.adapters.postgres.accept import (
    OF_FRAMES,
    STANDING,
    Standing,
    Stored,
    accept_chunks,
    accept_frames,
    check_key,
    check_meeting,
    check_numbering,
    check_standing,
    duplicate,
)
from interview_agent.adapters.postgres.group_commit import GroupCommit
from interview_agent.adapters.postgres.patience import PATIENCE_S, Patience
from interview_agent.adapters.postgres.quota import MeetingQuota
from interview_agent.adapters.postgres.rows import MEETING_COLUMNS, meeting_of
from interview_agent.domain.errors import NotFound
from interview_agent.domain.route import Stage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from interview_agent.adapters.postgres.database import Connection, Database
    from interview_agent.adapters.postgres.group_commit import Verdict
    from interview_agent.domain.meeting import Meeting
    from interview_agent.ports.intake import NewChunk, NewMeeting, Receipt

    _Record = Callable[[Connection, Sequence[NewChunk]], Awaitable[list[Verdict]]]

_ADMIT = (
    "SELECT m.owner, m.consent, m.deleted_at IS NOT NULL AS gone, c.sha256, c.blob_key,"
    " c.idempotency_key, k.seq AS seq_of_key, "
    + OF_FRAMES.format(meeting="$1", upload="$5", track="$2")
    + " AS of_frames FROM meetings m"
    " LEFT JOIN chunks c ON c.meeting_id = $1 AND c.track = $2 AND c.seq = $3"
    " LEFT JOIN chunks k ON k.meeting_id = $1 AND k.track = $2 AND k.idempotency_key = $4"
    " WHERE m.meeting_id = $1"
)


class PostgresIntake:
    """Implements `ports.intake.Intake`; a commit whose outcome is unknown is a `DatabaseError`."""

    def __init__(
        self,
        database: Database,
        *,
        patience_s: float = PATIENCE_S,
        quota: MeetingQuota | None = None,
    ) -> None:
        self._database = database
        self._patience = Patience(patience_s)
        self._quota = quota or MeetingQuota()
        # Chunks of live sessions are judged by fewer and other rows, so they have their own.
        self._chunks = GroupCommit(partial(self._commit, accept_chunks), patience_s=patience_s)
        self._frames = GroupCommit(partial(self._commit, accept_frames), patience_s=patience_s)

    async def start(self, new: NewMeeting) -> Meeting:
        return await self._patience.wait(self._start(new))

    async def _start(self, new: NewMeeting) -> Meeting:
        async with self._database.transaction() as connection:
            await self._quota.check(connection, new.owner, new.meeting_id)
            await connection.execute(
                "INSERT INTO meetings (meeting_id, owner, mode, language, consent, context,"
                " recipients) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
                new.meeting_id,
                new.owner,
                new.mode.value,
                new.language,
                new.consent.value,
                dict(new.context),
                list(new.recipients),
            )
            row = await connection.fetchrow(
                f"SELECT {MEETING_COLUMNS}, deleted_at IS NOT NULL AS gone FROM meetings"
                " WHERE meeting_id = $1",
                new.meeting_id,
            )
        check_standing(new.owner, row["owner"], gone=row["gone"])
        return meeting_of(row)

    async def admit_meeting(self, chunk: NewChunk) -> None:
        await self._patience.wait(self._admit_meeting(chunk))

    async def _admit_meeting(self, chunk: NewChunk) -> None:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                f"SELECT {STANDING} FROM meetings WHERE meeting_id = $1", chunk.meeting_id
            )
            if row is None:
                await self._quota.check(connection, chunk.owner, chunk.meeting_id)
        if row is not None:
            check_meeting(chunk, Standing(*row))

    async def admit(self, chunk: NewChunk) -> Receipt | None:
        return await self._patience.wait(self._admit(chunk))

    async def _admit(self, chunk: NewChunk) -> Receipt | None:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                _ADMIT,
                chunk.meeting_id,
                chunk.rows[0][0],
                chunk.seq,
                chunk.idempotency_key,
                chunk.track,
            )
            if row is None:
                await self._quota.check(connection, chunk.owner, chunk.meeting_id)
                return None
        check_meeting(chunk, Standing(row["owner"], row["consent"], row["gone"]))
        check_numbering(chunk, row["of_frames"])
        if row["sha256"] is not None:
            stored = Stored(row["sha256"], row["blob_key"] or "", row["idempotency_key"])
            return duplicate(chunk, stored)
        check_key(chunk, row["seq_of_key"])
        return None

    async def accept(self, chunk: NewChunk) -> Receipt:
        return await (self._frames if chunk.frames else self._chunks).accept(chunk)

    async def _commit(self, record: _Record, chunks: Sequence[NewChunk]) -> list[Verdict]:
        async with self._database.transaction() as connection:
            return await record(connection, chunks)

    async def finish(self, meeting_id: str, expected_last_seq: Mapping[str, int]) -> Meeting:
        return await self._patience.wait(self._finish(meeting_id, expected_last_seq))

    async def _finish(self, meeting_id: str, expected_last_seq: Mapping[str, int]) -> Meeting:
        async with self._database.transaction() as connection:
            found = await connection.fetchval(
                "UPDATE meetings SET finish_requested_at = coalesce(finish_requested_at, now()),"
                " expected_last_seq = expected_last_seq || $2"
                " WHERE meeting_id = $1 AND deleted_at IS NULL RETURNING 1",
                meeting_id,
                dict(expected_last_seq),
            )
            if found is None:
                raise NotFound
            await schedule.close_complete(connection, [meeting_id])
            await connection.execute(
                "UPDATE stage_work SET due_at = now() WHERE meeting_id = $1 AND stage = $2"
                " AND due_at > now() AND attempts = 0",
                meeting_id,
                Stage.DELIVERY.value,
            )
            row = await connection.fetchrow(
                f"SELECT {MEETING_COLUMNS} FROM meetings WHERE meeting_id = $1",
                meeting_id,
            )
        return meeting_of(row)
