"""Rows of the audit trail."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import asyncpg

from interview_agent.adapters.postgres.database import rows_of
from interview_agent.adapters.postgres.patience import Patience
from interview_agent.domain.errors import DatabaseError
from interview_agent.ports.audit import AuditEvent, StoredAuditEvent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from interview_agent.adapters.postgres.database import Database
    from interview_agent.adapters.postgres.rows import Row
    from interview_agent.ports.audit import AuditBatch

_COLUMNS = (
    "outcome, endpoint, method, subject, auth_type, reason, error_code, status_code, client_ip,"
    " meeting_id, times"
)

_APPEND = f"""
WITH fresh AS (
    INSERT INTO security_audit_batches (batch_id) VALUES ($14) ON CONFLICT DO NOTHING RETURNING 1
)
INSERT INTO security_audit_events AS stored (created_at, fold, {_COLUMNS})
SELECT * FROM unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
    $7::text[], $8::text[], $9::text[], $10::int[], $11::text[], $12::text[], $13::bigint[])
WHERE EXISTS (SELECT FROM fresh)
ON CONFLICT (fold) DO UPDATE SET times = stored.times + excluded.times
"""

_PAGE = f"""
SELECT id, created_at, {_COLUMNS} FROM security_audit_events
WHERE ($1::text IS NULL OR outcome = $1) AND ($2::text IS NULL OR subject = $2)
    AND ($3::bigint IS NULL OR id < $3)
ORDER BY id DESC LIMIT $4
"""

_FORGET = """
DELETE FROM security_audit_events WHERE id IN (
    SELECT id FROM security_audit_events WHERE created_at < now() - make_interval(days => $1)
    ORDER BY created_at LIMIT $2
)
"""

_FORGET_BATCHES = """
DELETE FROM security_audit_batches WHERE batch_id IN (
    SELECT batch_id FROM security_audit_batches WHERE stored_at < now() - make_interval(days => $1)
    ORDER BY stored_at LIMIT $2
)
"""


class PostgresAuditStore:
    """Implements `ports.audit.AuditStore`; whatever keeps a row from being kept is an outage."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._patience = Patience()

    async def append(self, batch: AuditBatch) -> None:
        await self._patience.wait(self._append(batch))

    async def _append(self, batch: AuditBatch) -> None:
        # Processes that add to the same rows take them in the same order.
        ordered = sorted(batch.rows, key=lambda row: row.fold or "")
        events = [row.event for row in ordered]
        with _faults():
            async with self._database.connection() as connection:
                await connection.execute(
                    _APPEND,
                    [row.created_at for row in ordered],
                    [row.fold for row in ordered],
                    [event.outcome for event in events],
                    [event.endpoint for event in events],
                    [event.method for event in events],
                    [event.subject for event in events],
                    [event.auth_type for event in events],
                    [event.reason for event in events],
                    [event.error_code for event in events],
                    [event.status_code for event in events],
                    [event.client_ip for event in events],
                    [event.meeting_id for event in events],
                    [event.times for event in events],
                    batch.batch_id,
                )

    async def page(
        self, *, limit: int, outcome: str | None, subject: str | None, before_id: int | None
    ) -> list[StoredAuditEvent]:
        return await self._patience.wait(self._page(limit, outcome, subject, before_id))

    async def _page(
        self, limit: int, outcome: str | None, subject: str | None, before_id: int | None
    ) -> list[StoredAuditEvent]:
        with _faults():
            async with self._database.connection() as connection:
                rows = await connection.fetch(_PAGE, outcome, subject, before_id, limit)
        return [_stored(row) for row in rows]

    async def forget(self, *, days: int, limit: int) -> int:
        with _faults():
            async with self._database.connection() as connection:
                status: str = await connection.execute(_FORGET, days, limit)
                while rows_of(await connection.execute(_FORGET_BATCHES, days, limit)) == limit:
                    pass
        return rows_of(status)


def _stored(row: Row) -> StoredAuditEvent:
    event = AuditEvent(**{name.strip(): row[name.strip()] for name in _COLUMNS.split(",")})
    return StoredAuditEvent(row["id"], row["created_at"], event)


@contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except asyncpg.PostgresError as error:
        # Rows are made to fit: what the server finds fault with is its own state, such as a
        # trigger of somebody else's, and the action must not be done as if it had been kept.
        raise DatabaseError(details={"cause": type(error).__name__}) from error
