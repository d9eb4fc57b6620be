"""Reads of what is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interview_agent.adapters.postgres.reads import (
    fetch_chunk_rows,
    fetch_meeting,
    fetch_runs,
    fetch_segment_rows,
    fetch_tracks,
)
from interview_agent.adapters.postgres.rows import (
    EVENT_COLUMNS,
    MEETING_COLUMNS,
    STAGE_COLUMNS,
    STANDING_COLUMNS,
    chunk_of,
    event_of,
    meeting_of,
    read_rows,
    segment_of,
    stage_view_of,
)
from interview_agent.domain.errors import NotFound
from interview_agent.ports.archive import DeliveryView, MeetingListItem, MeetingView

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from interview_agent.adapters.postgres.database import Connection, Database
    from interview_agent.adapters.postgres.rows import Row
    from interview_agent.domain.meeting import Chunk, ChunkRun, StageView
    from interview_agent.domain.transcript import Segment, TranscriptEvent


async def _with_stages(connection: Connection, rows: Sequence[Row]) -> list[MeetingListItem]:
    stage_rows = await connection.fetch(
        f"SELECT meeting_id, {STAGE_COLUMNS} FROM stage_work WHERE meeting_id = ANY($1)",
        [row["meeting_id"] for row in rows],
    )
    stages: dict[str, list[StageView]] = {}
    for row in stage_rows:
        stages.setdefault(row["meeting_id"], []).append(stage_view_of(row))
    meetings = [meeting_of(row) for row in rows]
    return [MeetingListItem(each, stages.get(each.meeting_id, [])) for each in meetings]


class PostgresArchive:
    """Implements `ports.archive.Archive`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def owner(self, meeting_id: str) -> str:
        async with self._database.connection() as connection:
            owner: str | None = await connection.fetchval(
                "SELECT owner FROM meetings WHERE meeting_id = $1 AND deleted_at IS NULL",
                meeting_id,
            )
        if owner is None:
            raise NotFound
        return owner

    async def meeting(self, meeting_id: str) -> MeetingView:
        async with self._database.connection() as connection:
            meeting = await fetch_meeting(connection, meeting_id)
            stages = await connection.fetch(
                f"SELECT {STAGE_COLUMNS} FROM stage_work WHERE meeting_id = $1"
                " ORDER BY stage, track",
                meeting_id,
            )
            deliveries = await connection.fetch(
                "SELECT report_version, channel, state, reason, updated_at FROM deliveries"
                " WHERE meeting_id = $1 ORDER BY report_version, channel",
                meeting_id,
            )
            report = await connection.fetchrow(
                "SELECT version, report FROM reports WHERE meeting_id = $1"
                " ORDER BY version DESC LIMIT 1",
                meeting_id,
            )
            return MeetingView(
                meeting=meeting,
                tracks=await fetch_tracks(connection, meeting_id),
                stages=[stage_view_of(row) for row in stages],
                deliveries=[DeliveryView(**dict(row)) for row in deliveries],
                report=report["report"] if report else None,
                report_version=report["version"] if report else None,
            )

    async def meetings(
        self, owner: str | None, *, limit: int, before: tuple[datetime, str] | None
    ) -> list[MeetingListItem]:
        created_at, meeting_id = before or (None, None)
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"SELECT {MEETING_COLUMNS} FROM meetings"
                " WHERE deleted_at IS NULL AND ($1::text IS NULL OR owner = $1)"
                " AND ($2::timestamptz IS NULL OR (created_at, meeting_id) < ($2, $3))"
                " ORDER BY created_at DESC, meeting_id DESC LIMIT $4",
                owner,
                created_at,
                meeting_id,
                limit,
            )
            return await _with_stages(connection, rows)

    async def segments(self, meeting_id: str) -> list[Segment]:
        async with self._database.connection() as connection:
            rows = await fetch_segment_rows(connection, meeting_id)
        return await read_rows(rows, segment_of)

    async def events(self, meeting_id: str, after: int, limit: int) -> list[TranscriptEvent]:
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"SELECT {EVENT_COLUMNS} FROM events WHERE meeting_id = $1 AND event > $2"
                " ORDER BY event LIMIT $3",
                meeting_id,
                after,
                limit,
            )
        return [event_of(row) for row in rows]

    async def changes(
        self, after: Mapping[str, int], limit: int
    ) -> dict[str, list[TranscriptEvent]]:
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"SELECT {EVENT_COLUMNS} FROM unnest($1::text[], $2::bigint[]) AS known (id, last)"
                " CROSS JOIN LATERAL (SELECT * FROM events WHERE meeting_id = known.id"
                " AND event > known.last ORDER BY event LIMIT $3) AS missing"
                " ORDER BY meeting_id, event",
                list(after),
                list(after.values()),
                limit,
            )
        found: dict[str, list[TranscriptEvent]] = {}
        for row in rows:
            found.setdefault(row["meeting_id"], []).append(event_of(row))
        return found

    async def standings(self, meeting_ids: Sequence[str]) -> dict[str, MeetingListItem]:
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"SELECT {STANDING_COLUMNS} FROM meetings"
                " WHERE meeting_id = ANY($1) AND deleted_at IS NULL",
                list(meeting_ids),
            )
            found = await _with_stages(connection, rows)
        return {item.meeting.meeting_id: item for item in found}

    async def chunks(self, meeting_id: str, track: str | None = None) -> list[Chunk]:
        async with self._database.connection() as connection:
            rows = await fetch_chunk_rows(connection, meeting_id, track)
        return await read_rows(rows, chunk_of)

    async def runs(self, meeting_id: str) -> list[ChunkRun]:
        async with self._database.connection() as connection:
            return await fetch_runs(connection, meeting_id)

    async def unreferenced(self, keys: Sequence[str]) -> list[str]:
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "SELECT key FROM unnest($1::text[]) AS stored (key)"
                " WHERE NOT EXISTS (SELECT FROM chunks WHERE blob_key = key)",
                list(keys),
            )
        return [row["key"] for row in rows]
