"""Reads that readers and stages share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interview_agent.adapters.postgres.rows import (
    CHUNK_COLUMNS,
    MEETING_COLUMNS,
    SEGMENT_COLUMNS,
    meeting_of,
    run_of,
)
from interview_agent.domain.errors import LeaseLost, NotFound
from interview_agent.ports.archive import TrackView

if TYPE_CHECKING:
    from interview_agent.adapters.postgres.database import Connection
    from interview_agent.adapters.postgres.rows import Row
    from interview_agent.domain.meeting import ChunkRun, Meeting
    from interview_agent.ports.work import Claim

_RUNS = """
SELECT track, upload_track, min(seq) AS first_seq, max(seq) AS last_seq, state, reason
FROM (
    SELECT track, upload_track, seq, state, reason, seq - row_number() OVER (
        PARTITION BY track, upload_track, state, reason ORDER BY seq) AS start
    FROM chunks WHERE meeting_id = $1
) AS numbered
GROUP BY track, upload_track, state, reason, start ORDER BY track, first_seq
"""


async def fetch_meeting(connection: Connection, meeting_id: str) -> Meeting:
    """Return a meeting or raise `NotFound`, also for a deleted one."""
    row = await connection.fetchrow(
        f"SELECT {MEETING_COLUMNS} FROM meetings WHERE meeting_id = $1 AND deleted_at IS NULL",
        meeting_id,
    )
    if row is None:
        raise NotFound
    return meeting_of(row)


def overtaken_by_deletion() -> LeaseLost:
    """Say to somebody who works on a meeting that it is no more."""
    message = "the meeting was deleted"
    return LeaseLost(message)


async def fetch_claimed(connection: Connection, claim: Claim) -> Meeting:
    """Return the meeting that somebody works on; `LeaseLost` when it was deleted meanwhile."""
    try:
        return await fetch_meeting(connection, claim.meeting_id)
    except NotFound:
        raise overtaken_by_deletion() from None


async def fetch_tracks(connection: Connection, meeting_id: str) -> list[TrackView]:
    """Return the tracks of a meeting by name."""
    rows = await connection.fetch(
        "SELECT track, speaker_hint, language, heard_s, offset_s FROM tracks WHERE meeting_id = $1"
        " ORDER BY track",
        meeting_id,
    )
    return [TrackView(**dict(row)) for row in rows]


async def fetch_segment_rows(connection: Connection, meeting_id: str) -> list[Row]:
    """Return rows of SEGMENT_COLUMNS for the current transcript, by start time."""
    rows: list[Row] = await connection.fetch(
        f"SELECT {SEGMENT_COLUMNS} FROM segments WHERE meeting_id = $1 AND NOT retracted"
        " ORDER BY start_s, track, ordinal",
        meeting_id,
    )
    return rows


async def fetch_chunk_rows(
    connection: Connection, meeting_id: str, track: str | None = None
) -> list[Row]:
    """Return rows of CHUNK_COLUMNS, by track and number, for a meeting or one of its tracks."""
    rows: list[Row] = await connection.fetch(
        f"SELECT {CHUNK_COLUMNS} FROM chunks"
        " WHERE meeting_id = $1 AND ($2::text IS NULL OR track = $2) ORDER BY track, seq",
        meeting_id,
        track,
    )
    return rows


async def fetch_runs(connection: Connection, meeting_id: str) -> list[ChunkRun]:
    """Return the chunks of a meeting as runs, by track and number."""
    rows = await connection.fetch(_RUNS, meeting_id)
    return [run_of(row) for row in rows]
