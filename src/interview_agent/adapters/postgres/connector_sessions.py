"""Sessions of the connector and the lock of their operations, on the clock of the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from interview_agent.adapters.postgres.accept import take_language
from interview_agent.adapters.postgres.database import rows_of
from interview_agent.adapters.postgres.patience import PATIENCE_S, Patience
from interview_agent.domain.connector import REJOIN_WINDOW_S, EndReason, SessionState
from interview_agent.domain.errors import ConnectorBusy, LeaseLost, NotFound
from interview_agent.ports.connector_sessions import ConnectorSession, Operation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from interview_agent.adapters.postgres.database import Connection, Database
    from interview_agent.ports.connector_sessions import SessionUpdate

_CONNECTED = [state.value for state in SessionState if state.connected]
_ALIVE = [state.value for state in SessionState if state.alive]
_REJOINABLE = [reason.value for reason in EndReason if reason.may_rejoin]

_SILENT_S = (
    "extract(epoch FROM now() - greatest(s.heartbeat_at, s.joined_at, s.created_at))::float8"
)

_COLUMNS = f"""
    s.meeting_id, s.provider, s.state, s.wanted, s.epoch, s.attempts, s.reason, s.last_error,
    s.join_url, s.bot_name, s.language, s.heartbeat_at, s.joined_at, s.updated_at, s.unanswered,
    ARRAY(SELECT at FROM unnest(s.rejoins) AS at
        WHERE at > now() - make_interval(secs => {REJOIN_WINDOW_S})) AS rejoins,
    m.deleted_at IS NOT NULL AS deleted,
    {_SILENT_S} AS silent_s
"""

_FREE = "(s.op_until IS NULL OR s.op_until < now())"
_MINE = "s.meeting_id = $1 AND s.op_fence = $2 AND s.op_until IS NOT NULL"

_MAKE = """
INSERT INTO connector_sessions (meeting_id, provider)
SELECT meeting_id, $2 FROM meetings WHERE meeting_id = $1 AND deleted_at IS NULL
ON CONFLICT DO NOTHING
"""

_BEGIN = f"""
UPDATE connector_sessions s SET op_name = $3, op_fence = op_fence + 1,
    op_until = now() + make_interval(secs => $4), provider = $2
FROM meetings m WHERE s.meeting_id = $1 AND m.meeting_id = s.meeting_id AND {_FREE}
RETURNING s.op_fence, {_COLUMNS}
"""

# What ends a session lets its meeting close; what shows it alive holds the meeting open.
_UPDATE = f"""
UPDATE connector_sessions s SET
    state = coalesce($3, s.state),
    reason = CASE WHEN $3 IS NULL THEN s.reason ELSE $4 END,
    last_error = CASE WHEN $6 THEN NULL ELSE coalesce($5, s.last_error) END,
    wanted = coalesce($7, s.wanted),
    attempts = coalesce($8, s.attempts),
    heartbeat_at = CASE WHEN $9 THEN now() ELSE s.heartbeat_at END,
    open_until = CASE WHEN $9 THEN now() + make_interval(secs => $10)
        WHEN coalesce($3, s.state) = ANY($11) THEN s.open_until END,
    joined_at = CASE WHEN $12 THEN now() ELSE s.joined_at END,
    unanswered = s.unanswered AND NOT $13,
    rejoins = CASE WHEN $14 THEN array_append(ARRAY(SELECT at FROM unnest(s.rejoins) AS at
        WHERE at > now() - make_interval(secs => {REJOIN_WINDOW_S})), now()) ELSE s.rejoins END,
    join_url = coalesce($15, s.join_url),
    bot_name = coalesce($16, s.bot_name),
    language = coalesce($17, s.language),
    updated_at = now()
FROM meetings m WHERE {_MINE} AND m.meeting_id = s.meeting_id
RETURNING {_COLUMNS}
"""

_TO_RECONCILE = f"""
SELECT {_COLUMNS} FROM connector_sessions s JOIN meetings m USING (meeting_id)
WHERE {_FREE} AND CASE WHEN s.wanted AND m.deleted_at IS NULL
    THEN CASE WHEN s.state = ANY($3)
        THEN s.state = 'requested' OR s.pull_failures >= $5
            OR {_SILENT_S} > $1
        ELSE s.reason IS NULL OR s.reason = ANY($4) END
    ELSE s.epoch > 0 AND s.state = ANY($3) END
ORDER BY s.looked_at NULLS FIRST, s.updated_at LIMIT $2
"""

_PRUNE = f"""
DELETE FROM connector_sessions WHERE meeting_id IN (
    SELECT meeting_id FROM connector_sessions s
    WHERE {_FREE} AND CASE WHEN s.epoch > 0 AND s.state = ANY($3)
        THEN NOT s.wanted AND {_SILENT_S} > $1
        ELSE greatest(s.updated_at, s.heartbeat_at) < now() - make_interval(secs => $1) END
    LIMIT $2 FOR UPDATE SKIP LOCKED
)
"""


def _session_of(row: Mapping[str, Any]) -> ConnectorSession:
    values = {name: value for name, value in row.items() if name != "op_fence"}
    reason = row["reason"]
    return ConnectorSession(
        **{
            **values,
            "state": SessionState(row["state"]),
            "reason": None if reason is None else EndReason(reason),
            "rejoins": tuple(row["rejoins"]),
        }
    )


async def _refusal(connection: Connection, meeting_id: str) -> ConnectorBusy | NotFound:
    row = await connection.fetchrow(
        "SELECT op_name, ceil(extract(epoch FROM op_until - clock_timestamp()))::int AS left_s"
        " FROM connector_sessions WHERE meeting_id = $1",
        meeting_id,
    )
    if row is None:
        return NotFound()
    return ConnectorBusy(
        details={"meeting_id": meeting_id, "operation": row["op_name"]},
        retry_after_s=max(row["left_s"] or 0, 1),
    )


class PostgresConnectorSessions:
    """Implements `ports.connector_sessions.ConnectorSessions`."""

    def __init__(self, database: Database, *, patience_s: float = PATIENCE_S) -> None:
        self._database = database
        self._patience = Patience(patience_s)

    async def begin(self, meeting_id: str, name: str, *, provider: str, lock_s: float) -> Operation:
        return await self._patience.wait(self._begin(meeting_id, name, provider, lock_s))

    async def _begin(self, meeting_id: str, name: str, provider: str, lock_s: float) -> Operation:
        async with self._database.transaction() as connection:
            await connection.execute(_MAKE, meeting_id, provider)
            row = await connection.fetchrow(_BEGIN, meeting_id, provider, name, lock_s)
            if row is None:
                raise await _refusal(connection, meeting_id)
        return Operation(meeting_id, name, row["op_fence"], _session_of(row))

    async def renew(self, operation: Operation, *, lock_s: float) -> None:
        await self._patience.wait(
            self._change(operation, "op_until = now() + make_interval(secs => $3)", lock_s)
        )

    async def _change(self, operation: Operation, assignments: str, *values: object) -> int:
        """Write under the lock and return the epoch."""
        async with self._database.connection() as connection:
            epoch: int | None = await connection.fetchval(
                f"UPDATE connector_sessions s SET {assignments} WHERE {_MINE} RETURNING epoch",
                operation.meeting_id,
                operation.fence,
                *values,
            )
        if epoch is None:
            raise LeaseLost
        return epoch

    async def update(self, operation: Operation, update: SessionUpdate) -> ConnectorSession:
        return await self._patience.wait(self._update(operation, update))

    async def _update(self, operation: Operation, update: SessionUpdate) -> ConnectorSession:
        async with self._database.transaction() as connection:
            # The meeting before its session, as everybody locks them.
            await take_language(connection, operation.meeting_id, update.language)
            row = await connection.fetchrow(
                _UPDATE,
                operation.meeting_id,
                operation.fence,
                update.state,
                update.reason,
                update.last_error,
                update.clear_error,
                update.wanted,
                update.attempts,
                update.heartbeat,
                update.hold_s,
                _ALIVE,
                update.joined,
                update.answered,
                update.rejoined,
                update.join_url,
                update.bot_name,
                update.language,
            )
            if row is None:
                raise LeaseLost
        return _session_of(row)

    async def raise_epoch(self, operation: Operation) -> int:
        return await self._patience.wait(
            self._change(
                operation,
                "epoch = epoch + 1, unanswered = true, state = 'requested', reason = NULL,"
                " open_until = NULL, updated_at = now()",
            )
        )

    async def end(self, operation: Operation) -> None:
        await self._patience.wait(self._end(operation))

    async def _end(self, operation: Operation) -> None:
        async with self._database.connection() as connection:
            await connection.execute(
                f"UPDATE connector_sessions s SET op_until = NULL, op_name = NULL WHERE {_MINE}",
                operation.meeting_id,
                operation.fence,
            )

    async def get(self, meeting_id: str) -> ConnectorSession | None:
        return await self._patience.wait(self._get(meeting_id))

    async def _get(self, meeting_id: str) -> ConnectorSession | None:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                f"SELECT {_COLUMNS} FROM connector_sessions s JOIN meetings m USING (meeting_id)"
                " WHERE s.meeting_id = $1",
                meeting_id,
            )
        return None if row is None else _session_of(row)

    async def newest(self, limit: int) -> Sequence[ConnectorSession]:
        return await self._patience.wait(
            self._many(
                f"SELECT {_COLUMNS} FROM connector_sessions s JOIN meetings m USING (meeting_id)"
                " WHERE m.deleted_at IS NULL ORDER BY s.updated_at DESC, s.meeting_id LIMIT $1",
                limit,
            )
        )

    async def to_reconcile(
        self, stale_s: float, limit: int, *, pull_failures: int
    ) -> Sequence[ConnectorSession]:
        return await self._patience.wait(
            self._many(_TO_RECONCILE, stale_s, limit, _ALIVE, _REJOINABLE, pull_failures)
        )

    async def _many(self, statement: str, *values: object) -> list[ConnectorSession]:
        async with self._database.connection() as connection:
            return [_session_of(row) for row in await connection.fetch(statement, *values)]

    async def looked_at(self, meeting_id: str) -> None:
        await self._patience.wait(self._looked_at(meeting_id))

    async def _looked_at(self, meeting_id: str) -> None:
        async with self._database.connection() as connection:
            await connection.execute(
                "UPDATE connector_sessions SET looked_at = now() WHERE meeting_id = $1", meeting_id
            )

    async def prune(self, age_s: float, limit: int) -> int:
        return await self._patience.wait(self._prune(age_s, limit))

    async def _prune(self, age_s: float, limit: int) -> int:
        async with self._database.connection() as connection:
            status: str = await connection.execute(_PRUNE, age_s, limit, _ALIVE)
        return rows_of(status)

    async def count(self) -> tuple[int, int]:
        return await self._patience.wait(self._count())

    async def _count(self) -> tuple[int, int]:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                "SELECT count(*) FILTER (WHERE s.state = ANY($1)) AS connected,"
                " count(*) FILTER (WHERE s.state <> ALL($1)) AS disconnected"
                " FROM connector_sessions s JOIN meetings m USING (meeting_id)"
                " WHERE m.deleted_at IS NULL",
                _CONNECTED,
            )
        return row["connected"], row["disconnected"]
