"""What the captions of a track read and write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interview_agent.adapters.postgres import schedule
from interview_agent.adapters.postgres.event_log import log_changes
from interview_agent.adapters.postgres.reads import fetch_meeting
from interview_agent.adapters.postgres.rows import CHUNK_COLUMNS, chunk_of
from interview_agent.adapters.postgres.segment_rows import (
    SegmentRow,
    enhance_again,
    store_segments,
    take_segment_ids,
)
from interview_agent.adapters.postgres.work import fence
from interview_agent.domain.errors import LeaseLost
from interview_agent.domain.route import Stage
from interview_agent.ports.live_records import (
    GrowingSegment,
    LiveCommit,
    LiveNews,
    LiveTrackRecord,
)

if TYPE_CHECKING:
    from interview_agent.adapters.postgres.database import Connection, Database
    from interview_agent.ports.work import Claim

HOLE_PATIENCE_S = 5.0
"""So long a chunk is waited for that a gateway did not deliver. Senders of their own repeat what is
not acknowledged, so there a hole is filled sooner or later; a gateway may have lost it for good."""

# One look, so that a meeting never seems closed without its last chunk.
_NEWS = f"""
SELECT m.closed_version IS NOT DISTINCT FROM m.audio_version AS closed, w.wanted,
    CASE WHEN EXISTS (SELECT FROM connector_tracks t WHERE t.meeting_id = $1 AND t.track = $3)
        THEN now() - make_interval(secs => $7) END AS skips_before, c.*
FROM meetings m
JOIN stage_work w ON w.meeting_id = m.meeting_id AND w.stage = $2 AND w.track = $3
    AND w.epoch = $4 AND w.lease_until IS NOT NULL
LEFT JOIN LATERAL (
    SELECT {CHUNK_COLUMNS} FROM chunks
    WHERE meeting_id = $1 AND track = $3 AND seq > $5 ORDER BY seq LIMIT $6
) c ON true
WHERE m.meeting_id = $1
"""

_ADVANCE = """
WITH progress AS (
    UPDATE tracks SET live_checkpoint = $4, heard_s = greatest(heard_s, $5),
        language = coalesce($6, language)
    WHERE meeting_id = $1 AND track = $3
)
UPDATE stage_work SET attempts = 0, due_at = now(), put_off_since = NULL
WHERE meeting_id = $1 AND stage = $2 AND track = $3
"""

_REPORT = """
WITH gone AS (DELETE FROM live_workers WHERE seen_at < now() - interval '1 hour')
INSERT INTO live_workers (worker, capacity, streams) VALUES ($1, $2, $3)
ON CONFLICT (worker) DO UPDATE SET capacity = $2, streams = $3, seen_at = now()
"""


class PostgresLiveRecords:
    """Implements `ports.live_records.LiveRecords`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, claim: Claim) -> LiveTrackRecord:
        async with self._database.transaction() as connection:
            await fence(connection, claim)
            meeting = await fetch_meeting(connection, claim.meeting_id)
            track = await connection.fetchrow(
                "SELECT live_checkpoint, offset_s FROM tracks WHERE meeting_id = $1 AND track = $2",
                claim.meeting_id,
                claim.track,
            )
            stored = track["live_checkpoint"] or {"growing": None, "checkpoint": None}
            if not await self._grows(connection, claim, stored["growing"]):
                [segment_id] = await take_segment_ids(connection, claim.meeting_id, 1)
                stored["growing"] = [segment_id, 0]
                await connection.execute(
                    "UPDATE tracks SET live_checkpoint = $3 WHERE meeting_id = $1 AND track = $2",
                    claim.meeting_id,
                    claim.track,
                    stored,
                )
        return LiveTrackRecord(
            meeting, GrowingSegment(*stored["growing"]), stored["checkpoint"], track["offset_s"]
        )

    async def news(self, claim: Claim, after_seq: int, limit: int) -> LiveNews:
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                _NEWS,
                claim.meeting_id,
                claim.stage.value,
                claim.track,
                claim.epoch,
                after_seq,
                limit,
                HOLE_PATIENCE_S,
            )
        if not rows:
            raise LeaseLost
        chunks = [chunk_of(row) for row in rows if row["seq"] is not None]
        return LiveNews(
            chunks,
            closed=rows[0]["closed"],
            wanted=rows[0]["wanted"],
            skips_before=rows[0]["skips_before"],
        )

    async def commit(
        self, claim: Claim, growing: GrowingSegment, commit: LiveCommit
    ) -> GrowingSegment:
        async with self._database.transaction() as connection:
            await fence(connection, claim)
            following = growing
            if commit.segments:
                following = await self._store(connection, claim, growing, commit)
            await connection.execute(
                _ADVANCE,
                claim.meeting_id,
                claim.stage.value,
                claim.track,
                {
                    "growing": [following.segment_id, following.revision],
                    "checkpoint": commit.checkpoint,
                },
                commit.heard_s,
                commit.segments[-1].language if commit.segments else None,
            )
        return following

    async def report_capacity(self, worker: str, capacity: float, streams: int) -> None:
        async with self._database.connection() as connection:
            await connection.execute(_REPORT, worker, capacity, streams)

    @staticmethod
    async def _grows(connection: Connection, claim: Claim, growing: tuple[str, int] | None) -> bool:
        """Say whether the segment can grow further: nobody else has written it since."""
        if growing is None:
            return False
        segment_id, revision = growing
        row = await connection.fetchrow(
            "SELECT revision, is_final FROM segments WHERE meeting_id = $1 AND segment_id = $2",
            claim.meeting_id,
            segment_id,
        )
        if row is None:
            return revision == 0
        return row["revision"] == revision and not row["is_final"]

    @staticmethod
    async def _store(
        connection: Connection, claim: Claim, growing: GrowingSegment, commit: LiveCommit
    ) -> GrowingSegment:
        complete = len(commit.segments) - commit.last_grows
        fresh = await take_segment_ids(connection, claim.meeting_id, complete)
        names = [growing.segment_id, *fresh]
        first = await connection.fetchval(
            "SELECT coalesce((SELECT ordinal FROM segments WHERE meeting_id = $1"
            " AND segment_id = $3 AND NOT retracted), (SELECT max(ordinal) + 1 FROM segments"
            " WHERE meeting_id = $1 AND track = $2 AND NOT retracted), 0)",
            claim.meeting_id,
            claim.track,
            growing.segment_id,
        )
        rows = [
            SegmentRow(names[at], first + at, draft, is_final=at < complete)
            for at, draft in enumerate(commit.segments)
        ]
        revisions = await store_segments(connection, claim, rows)
        written = [row.segment_id for row in rows]
        await log_changes(connection, claim.meeting_id, written)
        if complete:
            await enhance_again(connection, claim, first, written)
            await schedule.want(
                connection, Stage.ENHANCER, [(claim.meeting_id, "", claim.trace_id)]
            )
        return GrowingSegment(names[complete], revisions.get(names[complete], 0))
