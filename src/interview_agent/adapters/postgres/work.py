"""Leases with fencing numbers on rows of work, on the clock of the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interview_agent.adapters.postgres import schedule
from interview_agent.adapters.postgres.database import rows_of
from interview_agent.adapters.postgres.operations import CHUNK_GIVEN_UP, WORK_GIVEN_UP
from interview_agent.domain.errors import LeaseLost
from interview_agent.domain.route import Stage, next_steps, steps_after_giving_up
from interview_agent.ports.work import Claim, QueueDepth

if TYPE_CHECKING:
    from interview_agent.adapters.postgres.database import Connection, Database

# Materialised, because a subquery joined in may be run once for each row and take several.
_CLAIM = """
WITH next AS MATERIALIZED (
    SELECT meeting_id, track, lease_until IS NOT NULL AS taken_over,
        due_at > updated_at AS scheduled
    FROM stage_work
    WHERE stage = $1 AND due_at <= now() AND (lease_until IS NULL OR lease_until < now())
    ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED
)
UPDATE stage_work AS work SET
    epoch = epoch + 1,
    attempts = attempts + 1,
    lease_owner = $2,
    lease_until = now() + make_interval(secs => $3),
    leased_at = now(),
    updated_at = now()
FROM next
WHERE work.meeting_id = next.meeting_id AND work.stage = $1 AND work.track = next.track
RETURNING work.meeting_id, work.track, work.epoch, work.wanted, work.attempts, work.trace_id,
    next.taken_over, next.scheduled
"""

# Every second for ever: conditions and order are those of the index `meetings_to_close`, so that
# neither what is long closed nor what never began costs anything.
_QUIET = """
SELECT meeting_id FROM meetings
WHERE closed_version IS DISTINCT FROM audio_version AND deleted_at IS NULL
    AND greatest(last_audio_at, finish_requested_at) < now() - make_interval(secs => $1)
    AND NOT EXISTS (SELECT FROM live_sessions s
        WHERE s.meeting_id = meetings.meeting_id AND s.open_until > now())
    AND NOT EXISTS (SELECT FROM connector_sessions s
        WHERE s.meeting_id = meetings.meeting_id AND s.open_until > now() AND s.wanted)
ORDER BY greatest(last_audio_at, finish_requested_at) LIMIT 100
FOR UPDATE OF meetings SKIP LOCKED
"""

_GIVEN_UP_BY_REASON = f"""
SELECT stage, split_part(coalesce(reason, ''), ':', 1) AS code, count(*) AS number
FROM (
    SELECT stage, reason FROM stage_work WHERE {WORK_GIVEN_UP}
    UNION ALL SELECT '{Stage.STT.value}', reason FROM chunks WHERE {CHUNK_GIVEN_UP}
) AS given_up GROUP BY stage, code
"""

_FENCE = """
SELECT 1 FROM meetings m JOIN stage_work w USING (meeting_id)
WHERE meeting_id = $1 AND w.stage = $2 AND w.track = $3 AND w.epoch = $4
    AND w.lease_until IS NOT NULL AND (m.deleted_at IS NOT NULL) = $5
FOR UPDATE OF m, w
"""

_UNLEASED = "lease_until = NULL, lease_owner = NULL, updated_at = now()"
_UNCOUNTED = "attempts = greatest(attempts - 1, 0)"
_MINE = "meeting_id = $1 AND stage = $2 AND track = $3 AND epoch = $4 AND lease_until IS NOT NULL"


def _key(claim: Claim) -> tuple[str, str, str, int]:
    return claim.meeting_id, claim.stage.value, claim.track, claim.epoch


async def fence(connection: Connection, claim: Claim) -> None:
    """Lock the meeting and then the claimed work; raise `LeaseLost` if the claim was overtaken.

    A deleted meeting is there for its erasure alone, which works on no other.
    """
    found = await connection.fetchval(_FENCE, *_key(claim), claim.stage is Stage.ERASURE)
    if found is None:
        raise LeaseLost


def _check(status: str) -> None:
    if rows_of(status) == 0:
        raise LeaseLost


class PostgresWorkStore:
    """Implements `ports.work.WorkStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, stage: Stage, owner: str, lease_s: float) -> Claim | None:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_CLAIM, stage.value, owner, lease_s)
        if row is None:
            return None
        return Claim(
            stage=stage,
            meeting_id=row["meeting_id"],
            track=row["track"],
            epoch=row["epoch"],
            target=row["wanted"],
            attempts=row["attempts"],
            trace_id=row["trace_id"],
            taken_over=row["taken_over"],
            scheduled=row["scheduled"],
        )

    async def renew(self, claim: Claim, lease_s: float) -> None:
        async with self._database.connection() as connection:
            _check(
                await connection.execute(
                    "UPDATE stage_work SET lease_until = now() + make_interval(secs => $5)"
                    f" WHERE {_MINE}",
                    *_key(claim),
                    lease_s,
                )
            )

    async def complete(self, claim: Claim, again_in_s: float | None = None) -> tuple[Stage, ...]:
        async with self._database.transaction() as connection:
            await fence(connection, claim)
            await connection.execute(
                "UPDATE stage_work SET reached = $5, attempts = 0, reason = NULL,"
                " put_off_since = NULL, lease_until = NULL, lease_owner = NULL, updated_at = now(),"
                " due_at = CASE WHEN wanted > $5 THEN now()"
                f" ELSE now() + make_interval(secs => $6) END WHERE {_MINE}",
                *_key(claim),
                claim.target,
                again_in_s,
            )
            return await schedule.want_next(connection, claim, next_steps)

    async def retry_later(self, claim: Claim, delay_s: float, reason: str) -> None:
        await self._let_go(
            claim, "due_at = now() + make_interval(secs => $5), reason = $6", delay_s, reason
        )

    async def hand_back(self, claim: Claim) -> None:
        await self._let_go(claim, f"due_at = now(), {_UNCOUNTED}")

    async def put_off(self, claim: Claim, delay_s: float, reason: str) -> None:
        await self._let_go(
            claim,
            "due_at = now() + make_interval(secs => $5), reason = $6,"
            f" put_off_since = coalesce(put_off_since, due_at), {_UNCOUNTED}",
            delay_s,
            reason,
        )

    async def _let_go(self, claim: Claim, changes: str, *values: object) -> None:
        async with self._database.connection() as connection:
            _check(
                await connection.execute(
                    f"UPDATE stage_work SET {changes}, {_UNLEASED} WHERE {_MINE}",
                    *_key(claim),
                    *values,
                )
            )

    async def give_up(self, claim: Claim, reason: str) -> tuple[Stage, ...]:
        async with self._database.transaction() as connection:
            await fence(connection, claim)
            await connection.execute(
                "UPDATE stage_work SET failed = true, reason = $5, due_at = NULL,"
                " put_off_since = NULL, lease_until = NULL, lease_owner = NULL,"
                f" updated_at = now() WHERE {_MINE}",
                *_key(claim),
                reason,
            )
            return await schedule.want_next(connection, claim, steps_after_giving_up)

    async def close_quiet(self, quiet_s: float) -> int:
        async with self._database.transaction() as connection:
            rows = await connection.fetch(_QUIET, quiet_s)
            await schedule.close(connection, [row["meeting_id"] for row in rows])
        return len(rows)

    async def depths(self) -> list[QueueDepth]:
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "SELECT stage, count(*) FILTER (WHERE coalesce(put_off_since, due_at) <= now()"
                " AND (lease_until IS NULL OR lease_until < now())) AS waiting,"
                " count(*) FILTER (WHERE lease_until >= now()) AS running,"
                " coalesce(extract(epoch FROM now() - min(coalesce(put_off_since, due_at))"
                " FILTER (WHERE coalesce(put_off_since, due_at) <= now())), 0) AS oldest_age_s"
                " FROM stage_work WHERE due_at IS NOT NULL GROUP BY stage"
            )
            given_up = await connection.fetch(_GIVEN_UP_BY_REASON)
        found = {row["stage"]: row for row in rows}
        reasons: dict[Stage, dict[str, int]] = {stage: {} for stage in Stage}
        for row in given_up:
            reasons[Stage(row["stage"])][row["code"]] = row["number"]
        return [
            QueueDepth(
                stage=stage,
                waiting=row["waiting"] if row else 0,
                running=row["running"] if row else 0,
                failed=sum(reasons[stage].values()),
                oldest_age_s=float(row["oldest_age_s"]) if row else 0.0,
                reasons=reasons[stage],
            )
            for stage in Stage
            for row in (found.get(stage.value),)
        ]
