"""Work that was given up on: listed, made due again, or put aside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interview_agent.adapters.postgres.database import rows_of
from interview_agent.adapters.postgres.patience import Patience
from interview_agent.adapters.postgres.rows import STAGE_COLUMNS, stage_view_of
from interview_agent.domain.errors import Conflict, NotFound
from interview_agent.domain.route import Stage
from interview_agent.ports.operations import GivenUp, Handled, StageReport, WorkPlace

if TYPE_CHECKING:
    from interview_agent.adapters.postgres.database import Connection, Database
    from interview_agent.adapters.postgres.rows import Row

WORK_GIVEN_UP = "failed AND coalesce(discarded_at < updated_at, true)"
"""Whether a row of `stage_work` is listed."""

CHUNK_GIVEN_UP = (
    "state = 'failed' AND blob_key IS NOT NULL"
    " AND coalesce(discarded_at < coalesce(failed_at, accepted_at), true)"
)
"""Whether a row of `chunks` is listed: one whose audio is gone can never be heard."""

_BEFORE_REPORT = (Stage.LIVE, Stage.STT, Stage.ENHANCER, Stage.ANALYTICS)

_GIVEN_UP = f"""
SELECT * FROM (
    SELECT stage, meeting_id, track, -1 AS seq, reason, attempts, updated_at AS failed_at
    FROM stage_work WHERE {WORK_GIVEN_UP}
    UNION ALL
    SELECT '{Stage.STT.value}', meeting_id, track, seq, reason, NULL,
        coalesce(failed_at, accepted_at)
    FROM chunks WHERE {CHUNK_GIVEN_UP}
) AS given_up JOIN meetings USING (meeting_id)
WHERE deleted_at IS NULL AND ($2::timestamptz IS NULL
    OR (failed_at, meeting_id, stage, track, seq) < ($2, $3::text, $4::text, $5::text, $6::int))
ORDER BY failed_at DESC, meeting_id DESC, stage DESC, track DESC, seq DESC LIMIT $1
"""

_IS_GIVEN_UP = f"""
SELECT (
    EXISTS (SELECT FROM stage_work WHERE meeting_id = m.meeting_id AND stage = $2 AND track = $3
        AND {WORK_GIVEN_UP})
    OR ($4 AND EXISTS (SELECT FROM chunks WHERE meeting_id = m.meeting_id AND track = $3
        AND {CHUNK_GIVEN_UP}))
) FROM meetings m WHERE meeting_id = $1 AND deleted_at IS NULL
"""

_AGAIN = """
INSERT INTO stage_work AS work (meeting_id, stage, track, wanted, due_at)
VALUES ($1, $2, $3, 1, now())
ON CONFLICT (meeting_id, stage, track) DO UPDATE SET wanted = work.wanted + 1, due_at = now(),
    attempts = 0, failed = false, reason = NULL, updated_at = now()
"""

_STAGES = f"""
SELECT {STAGE_COLUMNS}, wanted, reached, due_at, lease_owner,
    extract(epoch FROM now() - leased_at)::float8 AS lease_age_s
FROM stage_work WHERE meeting_id = $1
"""


class PostgresOperations:
    """Implements `ports.operations.OperationRows`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._patience = Patience()

    async def given_up(self, limit: int, before: GivenUp | None) -> list[GivenUp]:
        position = (None,) * 5 if before is None else _position(before)
        async with self._database.connection() as connection:
            rows = await connection.fetch(_GIVEN_UP, limit, *position)
        return [_given_up(row) for row in rows]

    async def is_given_up(self, place: WorkPlace) -> bool:
        async with self._database.connection() as connection:
            found = await connection.fetchval(_IS_GIVEN_UP, *_key(place), _has_chunks(place))
        return bool(found)

    async def redrive(self, place: WorkPlace) -> Handled:
        return await self._patience.wait(self._redrive(place))

    async def _redrive(self, place: WorkPlace) -> Handled:
        async with self._database.transaction() as connection:
            await _lock(connection, place)
            await _check_heard_as_recording(connection, place)
            chunks = await _chunks(connection, place, "state = 'pending', reason = NULL")
            work = await _work(connection, place, "failed = false")
            if not chunks and not work:
                raise NotFound
            await connection.execute(_AGAIN, *_key(place))
            if place.stage in _BEFORE_REPORT:
                # The newest report was made without it, and so covers nothing any more.
                await connection.execute(
                    "UPDATE meetings SET reported_version = NULL WHERE meeting_id = $1",
                    place.meeting_id,
                )
        return Handled(stage=work > 0, chunks=chunks)

    async def discard(self, place: WorkPlace) -> Handled:
        return await self._patience.wait(self._discard(place))

    async def _discard(self, place: WorkPlace) -> Handled:
        async with self._database.transaction() as connection:
            await _lock(connection, place)
            chunks = await _chunks(connection, place, "discarded_at = clock_timestamp()")
            work = await _work(connection, place, "discarded_at = clock_timestamp()")
        if not chunks and not work:
            raise NotFound
        return Handled(stage=work > 0, chunks=chunks)

    async def stages(self, meeting_id: str) -> list[StageReport]:
        async with self._database.connection() as connection:
            found = await connection.fetchval(
                "SELECT 1 FROM meetings WHERE meeting_id = $1 AND deleted_at IS NULL", meeting_id
            )
            rows = await connection.fetch(_STAGES, meeting_id)
        if found is None:
            raise NotFound
        order = list(Stage)
        reports = [_report(row) for row in rows]
        return sorted(reports, key=lambda each: (order.index(each.view.stage), each.view.track))


def _key(place: WorkPlace) -> tuple[str, str, str]:
    return place.meeting_id, place.stage.value, place.track


def _has_chunks(place: WorkPlace) -> bool:
    return place.stage is Stage.STT


def _position(item: GivenUp) -> tuple[object, ...]:
    seq = -1 if item.seq is None else item.seq
    place = item.place
    return item.failed_at, place.meeting_id, place.stage.value, place.track, seq


def _given_up(row: Row) -> GivenUp:
    return GivenUp(
        place=WorkPlace(Stage(row["stage"]), row["meeting_id"], row["track"]),
        seq=None if row["seq"] < 0 else row["seq"],
        reason=row["reason"],
        attempts=row["attempts"],
        failed_at=row["failed_at"],
    )


def _report(row: Row) -> StageReport:
    leased = row["leased"]
    return StageReport(
        view=stage_view_of(row),
        wanted=row["wanted"],
        reached=row["reached"],
        due_at=row["due_at"],
        lease_owner=row["lease_owner"] if leased else None,
        lease_age_s=row["lease_age_s"] if leased else None,
    )


async def _lock(connection: Connection, place: WorkPlace) -> None:
    found = await connection.fetchval(
        "SELECT 1 FROM meetings WHERE meeting_id = $1 AND deleted_at IS NULL FOR UPDATE",
        place.meeting_id,
    )
    if found is None:
        raise NotFound


async def _check_heard_as_recording(connection: Connection, place: WorkPlace) -> None:
    if place.stage is not Stage.STT:
        return
    open_live = await connection.fetchval(
        "SELECT 1 FROM tracks JOIN meetings USING (meeting_id) WHERE meeting_id = $1"
        " AND track = $2 AND live AND closed_version IS DISTINCT FROM audio_version",
        place.meeting_id,
        place.track,
    )
    if open_live:
        message = "this track is live: it is heard again as a recording once the meeting is closed"
        raise Conflict(message)


async def _chunks(connection: Connection, place: WorkPlace, change: str) -> int:
    if not _has_chunks(place):
        return 0
    status: str = await connection.execute(
        f"UPDATE chunks SET {change} WHERE meeting_id = $1 AND track = $2 AND {CHUNK_GIVEN_UP}",
        place.meeting_id,
        place.track,
    )
    return rows_of(status)


async def _work(connection: Connection, place: WorkPlace, change: str) -> int:
    status: str = await connection.execute(
        f"UPDATE stage_work SET {change} WHERE meeting_id = $1 AND stage = $2 AND track = $3"
        f" AND {WORK_GIVEN_UP}",
        *_key(place),
    )
    return rows_of(status)
