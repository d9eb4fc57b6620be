"""What chunks that were pulled from a gateway read and change beside their own rows."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from interview_agent.adapters.postgres.database import Connection
    from interview_agent.ports.intake import NewChunk, Receipt


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


async def note_pulled(connection: Connection, taken: Sequence[tuple[NewChunk, Receipt]]) -> None:
    """Move the cursors that chunks carry and count those that are new, in their locked sessions."""
    cursors: dict[str, str | None] = {}
    fresh: Counter[str] = Counter()
    for chunk, receipt in taken:
        if chunk.pull is not None:
            cursors[chunk.meeting_id] = chunk.pull.cursor or cursors.get(chunk.meeting_id)
            fresh[chunk.meeting_id] += not receipt.duplicate
    if cursors:
        await connection.execute(
            "UPDATE connector_sessions s SET cursor = coalesce(new.cursor, s.cursor),"
            " untold_chunks = s.untold_chunks + new.chunks"
            " FROM unnest($1::text[], $2::text[], $3::bigint[])"
            " AS new (meeting_id, cursor, chunks) WHERE s.meeting_id = new.meeting_id",
            list(cursors),
            list(cursors.values()),
            [fresh[meeting_id] for meeting_id in cursors],
        )
