"""What each stage reads and writes; every write stands behind the fence of its claim."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from interview_agent.adapters.postgres.event_log import log_changes
from interview_agent.adapters.postgres.reads import (
    fetch_chunk_rows,
    fetch_claimed,
    fetch_runs,
    fetch_segment_rows,
    fetch_tracks,
    overtaken_by_deletion,
)
from interview_agent.adapters.postgres.rows import (
    MEETING_COLUMNS,
    SEGMENT_COLUMNS,
    change_json,
    chunk_of,
    meeting_of,
    read_rows,
    segment_of,
)
from interview_agent.adapters.postgres.segment_rows import replace_segments
from interview_agent.adapters.postgres.work import fence
from interview_agent.domain.errors import NotFound
from interview_agent.ports.stage_records import (
    EnhancedText,
    MeetingRecord,
    PlainSegment,
    ReportRecord,
    TrackRecord,
)
from interview_agent.ports.transcriber import JUDGED_BY_EARLIER_PARTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from interview_agent.adapters.postgres.database import Connection, Database
    from interview_agent.ports.transcriber import FailedPart, TrackProgress
    from interview_agent.ports.work import Claim

_TRACK = f"""
SELECT {MEETING_COLUMNS}, checkpoint, heard_s, offset_s
FROM meetings LEFT JOIN LATERAL (
    SELECT checkpoint, heard_s, offset_s FROM tracks WHERE meeting_id = $1 AND track = $2
) AS track ON true
WHERE meeting_id = $1 AND deleted_at IS NULL
"""

_FIRST_AUDIO = """
SELECT coalesce(origin_at, (SELECT min(accepted_at) FROM chunks WHERE meeting_id = $1))
FROM meetings WHERE meeting_id = $1
"""

_ADVANCE = """
WITH heard AS (
    UPDATE tracks SET checkpoint = $4, heard_s = $5, language = coalesce($6, language)
    WHERE meeting_id = $1 AND track = $3
), done AS (
    UPDATE chunks SET state = 'done'
    WHERE meeting_id = $1 AND track = $3 AND seq <= $7 AND state = 'pending'
)
UPDATE stage_work SET attempts = 0 WHERE meeting_id = $1 AND stage = $2 AND track = $3
"""

_ENHANCE = """
UPDATE segments s SET enhanced_revision = s.revision, text = new.text,
    changes = CASE WHEN old.text = new.text THEN old.changes ELSE new.changes::jsonb END
FROM unnest($2::text[], $3::int[], $4::int[], $5::text[], $6::text[])
    AS new (segment_id, revision, mark, text, changes), segments old
WHERE s.meeting_id = $1 AND s.segment_id = new.segment_id AND s.revision = new.revision
    AND s.enhanced_revision = new.mark AND NOT s.retracted
    AND old.meeting_id = $1 AND old.segment_id = s.segment_id
RETURNING s.segment_id, old.text <> new.text AS differs
"""


class PostgresStageRecords:
    """Implements `ports.stage_records.StageRecords`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def track(self, claim: Claim) -> TrackRecord:
        async with self._database.connection() as connection:
            # First of the two: chunks that come in between are heard with the others, while the
            # other way round a closed meeting would look complete without them.
            row = await connection.fetchrow(_TRACK, claim.meeting_id, claim.track)
            if row is None:
                raise overtaken_by_deletion()
            if row["heard_s"] is None:
                raise NotFound
            rows = await fetch_chunk_rows(connection, claim.meeting_id, claim.track)
        chunks = await read_rows(rows, chunk_of)
        return TrackRecord(
            meeting_of(row),
            claim.track,
            row["checkpoint"],
            row["heard_s"],
            chunks,
            offset_s=row["offset_s"],
        )

    async def commit_progress(self, claim: Claim, progress: TrackProgress) -> int:
        async with self._database.transaction() as connection:
            await fence(connection, claim)
            changed = await replace_segments(connection, claim, progress)
            if progress.failed:
                await self._fail_chunks(connection, claim, progress.failed)
            await connection.execute(
                _ADVANCE,
                claim.meeting_id,
                claim.stage.value,
                claim.track,
                progress.checkpoint,
                progress.heard_s,
                next((each.language for each in progress.segments if each.language), None),
                progress.done_seq,
            )
        return changed

    @staticmethod
    async def _fail_chunks(
        connection: Connection, claim: Claim, failed: Sequence[FailedPart]
    ) -> None:
        # Chunks that came in since the claim may be the ones that the failed ones lacked; the
        # work that they made due judges again.
        await connection.execute(
            "UPDATE chunks c SET state = 'failed', reason = bad.reason, failed_at = now()"
            " FROM unnest($3::int[], $4::text[]) AS bad (seq, reason), stage_work w"
            " WHERE c.meeting_id = $1 AND c.track = $2 AND c.seq = bad.seq"
            " AND w.meeting_id = $1 AND w.track = $2 AND w.stage = $5"
            " AND (w.wanted = $6 OR bad.reason <> ALL($7))",
            claim.meeting_id,
            claim.track,
            [part.seq for part in failed],
            [part.reason for part in failed],
            claim.stage.value,
            claim.target,
            JUDGED_BY_EARLIER_PARTS,
        )

    async def fail_next_chunk(self, claim: Claim, reason: str) -> int | None:
        async with self._database.transaction() as connection:
            await fence(connection, claim)
            seq: int | None = await connection.fetchval(
                "UPDATE chunks SET state = 'failed', reason = $3, failed_at = now()"
                " WHERE meeting_id = $1 AND track = $2 AND seq = (SELECT min(seq)"
                " FROM chunks WHERE meeting_id = $1 AND track = $2 AND state = 'pending')"
                " RETURNING seq",
                claim.meeting_id,
                claim.track,
                reason,
            )
            if seq is not None:
                await connection.execute(
                    "UPDATE stage_work SET attempts = 0, due_at = now(), lease_until = NULL,"
                    " lease_owner = NULL WHERE meeting_id = $1 AND stage = $2 AND track = $3",
                    claim.meeting_id,
                    claim.stage.value,
                    claim.track,
                )
        return seq

    async def unenhanced(self, claim: Claim, limit: int) -> list[PlainSegment]:
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"SELECT {SEGMENT_COLUMNS}, enhanced_revision, coalesce(previous, '') AS previous,"
                " coalesce(next, '') AS next FROM (SELECT *,"
                " lag(raw_text) OVER track_order AS previous,"
                " lead(raw_text) OVER track_order AS next"
                " FROM segments WHERE meeting_id = $1 AND is_final AND NOT retracted"
                " WINDOW track_order AS (PARTITION BY track ORDER BY ordinal)) AS transcript"
                " WHERE enhanced_revision < revision ORDER BY event LIMIT $2",
                claim.meeting_id,
                limit,
            )
        return [
            PlainSegment(
                segment_of(row), row["previous"], row["next"], mark=row["enhanced_revision"]
            )
            for row in rows
        ]

    async def commit_enhanced(self, claim: Claim, texts: Sequence[EnhancedText]) -> int:
        async with self._database.transaction() as connection:
            await fence(connection, claim)
            rows = await connection.fetch(
                _ENHANCE,
                claim.meeting_id,
                [text.segment_id for text in texts],
                [text.revision for text in texts],
                [text.mark for text in texts],
                [text.text for text in texts],
                [json.dumps([change_json(change) for change in text.changes]) for text in texts],
            )
            differs = {row["segment_id"]: row["differs"] for row in rows}
            changed = [text.segment_id for text in texts if differs.get(text.segment_id)]
            if changed:
                await log_changes(connection, claim.meeting_id, changed)
        return len(changed)

    async def record(self, claim: Claim) -> MeetingRecord:
        async with self._database.snapshot() as connection:
            meeting = await fetch_claimed(connection, claim)
            tracks = await fetch_tracks(connection, claim.meeting_id)
            rows = await fetch_segment_rows(connection, claim.meeting_id)
            runs = await fetch_runs(connection, claim.meeting_id)
            first_audio_at = await connection.fetchval(_FIRST_AUDIO, claim.meeting_id)
        segments = await read_rows(rows, segment_of)
        return MeetingRecord(meeting, tracks, segments, runs, first_audio_at)

    async def commit_report(
        self, claim: Claim, audio_version: int, report: Mapping[str, Any]
    ) -> int:
        async with self._database.transaction() as connection:
            await fence(connection, claim)
            version: int = await connection.fetchval(
                "UPDATE meetings SET version = version + 1, reported_version = $2"
                " WHERE meeting_id = $1 RETURNING version",
                claim.meeting_id,
                audio_version,
            )
            await connection.execute(
                "INSERT INTO reports (meeting_id, version, audio_version, report)"
                " VALUES ($1, $2, $3, $4)",
                claim.meeting_id,
                version,
                audio_version,
                dict(report),
            )
        return version

    async def report(self, claim: Claim) -> ReportRecord | None:
        async with self._database.connection() as connection:
            meeting = await fetch_claimed(connection, claim)
            row = await connection.fetchrow(
                "SELECT r.version, r.report, d.state IN ('sent', 'skipped') AS delivered"
                " FROM reports r LEFT JOIN deliveries d ON d.meeting_id = r.meeting_id"
                " AND d.report_version = r.version"
                " WHERE r.meeting_id = $1 ORDER BY r.version DESC LIMIT 1",
                claim.meeting_id,
            )
        if row is None:
            return None
        return ReportRecord(meeting, row["version"], row["report"], bool(row["delivered"]))

    async def commit_delivery(
        self, claim: Claim, version: int, channel: str, state: str, reason: str | None
    ) -> None:
        async with self._database.transaction() as connection:
            await fence(connection, claim)
            await connection.execute(
                "INSERT INTO deliveries (meeting_id, report_version, channel, state, reason)"
                " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (meeting_id, report_version, channel)"
                " DO UPDATE SET state = $4, reason = $5, updated_at = now()",
                claim.meeting_id,
                version,
                channel,
                state,
                reason,
            )
