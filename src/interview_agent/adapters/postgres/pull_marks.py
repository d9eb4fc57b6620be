"""What chunks that were pulled from a gateway read and change beside their own rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from interview_agent.adapters.postgres.database import Connection
    from interview_agent.ports.intake import NewChunk


async def lock_fences(connection: Connection, chunks: Sequence[NewChunk]) -> dict[str, int]:
    """Lock the sessions that chunks were pulled from; return the fence of each meeting.

    The caller has locked their meetings.
    """
    pulled = sorted({chunk.meeting_id for chunk in chunks if chunk.pull is not None})
    if not pulled:
        return {}
    rows = await connection.fetch(
        "SELECT meeting_id, pull_fence FROM connector_sessions WHERE meeting_id = ANY($1)"
        " ORDER BY meeting_id FOR UPDATE",
        pulled,
    )
    return {row["meeting_id"]: row["pull_fence"] for row in rows}


async def move_cursors(connection: Connection, chunks: Sequence[NewChunk]) -> None:
    """Move the cursors that chunks carry; the caller has locked their sessions."""
    moves = {
        chunk.meeting_id: chunk.pull.cursor
        for chunk in chunks
        if chunk.pull is not None and chunk.pull.cursor is not None
    }
    if moves:
        await connection.execute(
            "UPDATE connector_sessions s SET cursor = new.cursor"
            " FROM unnest($1::text[], $2::text[]) AS new (meeting_id, cursor)"
            " WHERE s.meeting_id = new.meeting_id",
            list(moves),
            list(moves.values()),
        )
