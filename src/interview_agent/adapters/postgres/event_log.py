"""The log of what listeners are told: every change of a transcript, under its number."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from interview_agent.adapters.postgres.database import Connection

_LOG = """
WITH log AS (
    UPDATE meetings SET event = event + cardinality($2::text[]) WHERE meeting_id = $1
    RETURNING event - cardinality($2::text[]) AS before
), changed AS (
    UPDATE segments SET event = log.before + change.place
    FROM log, unnest($2::text[]) WITH ORDINALITY AS change (segment_id, place)
    WHERE segments.meeting_id = $1 AND segments.segment_id = change.segment_id
    RETURNING segments.*
), logged AS (
    INSERT INTO events (meeting_id, event, kind, segment_id, track, segment)
    SELECT meeting_id, event, CASE WHEN retracted THEN 'retract' ELSE 'update' END, segment_id,
        track, CASE WHEN NOT retracted THEN jsonb_build_object(
            'start', start_s, 'end', end_s, 'raw_text', raw_text, 'text', text, 'words', words,
            'changes', changes, 'confidence', confidence, 'language', language,
            'first_seq', first_seq, 'last_seq', last_seq, 'revision', revision,
            'is_final', is_final, 'enhanced', enhanced_revision = revision) END
    FROM changed
    RETURNING 1
)
SELECT before + cardinality($2::text[]) AS newest, (SELECT count(*) FROM logged) AS logged FROM log
"""


async def log_changes(connection: Connection, meeting_id: str, segment_ids: Sequence[str]) -> int:
    """Give each of these segments the next event number, in this order, and log it as it stands.

    To be called once in a transaction that holds the lock of the meeting, after the segments were
    written: so numbers have no gap, and nobody reads one before those below it. Returns the number
    of the last one. Raises `ValueError` when a segment is named twice or is not there.
    """
    row = await connection.fetchrow(_LOG, meeting_id, list(segment_ids))
    if row is None or row["logged"] != len(segment_ids):
        message = "the changed segments of a meeting have to exist, each named once"
        raise ValueError(message)
    newest: int = row["newest"]
    return newest
