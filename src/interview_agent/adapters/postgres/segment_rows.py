"""Segments of a track as rows: written one by one while it is live, replaced when heard again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interview_agent.adapters.postgres.event_log import log_changes
from interview_agent.adapters.postgres.rows import SEGMENT_COLUMNS, segment_of, word_json
from interview_agent.domain.revision import plan_revision

if TYPE_CHECKING:
    from collections.abc import Sequence

    from interview_agent.adapters.postgres.database import Connection
    from interview_agent.domain.revision import Revision
    from interview_agent.domain.transcript import DraftSegment, Segment
    from interview_agent.ports.transcriber import TrackProgress
    from interview_agent.ports.work import Claim

_STORE = """
INSERT INTO segments (meeting_id, segment_id, track, ordinal, start_s, end_s, raw_text, text, words,
    confidence, language, first_seq, last_seq, is_final)
VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (meeting_id, segment_id) DO UPDATE SET ordinal = $4, start_s = $5, end_s = $6,
    raw_text = $7, text = $7, words = $8, changes = '[]', confidence = $9, language = $10,
    first_seq = $11, last_seq = $12, is_final = $13, retracted = false,
    revision = segments.revision + 1
RETURNING revision
"""


async def take_segment_ids(connection: Connection, meeting_id: str, count: int) -> list[str]:
    """Return names for `count` new segments; the caller has locked the meeting."""
    last: int = await connection.fetchval(
        "UPDATE meetings SET segment_count = segment_count + $2 WHERE meeting_id = $1"
        " RETURNING segment_count",
        meeting_id,
        count,
    )
    return [f"seg_{number:06d}" for number in range(last - count + 1, last + 1)]


async def store_segment(
    connection: Connection,
    claim: Claim,
    segment_id: str,
    ordinal: int,
    draft: DraftSegment,
    *,
    is_final: bool,
) -> int:
    """Write a new segment, or a new revision of the one of that name; return its revision."""
    revision: int = await connection.fetchval(
        _STORE,
        claim.meeting_id,
        segment_id,
        claim.track,
        ordinal,
        round(draft.start_s, 3),
        round(draft.end_s, 3),
        draft.text,
        [word_json(word) for word in draft.words],
        draft.confidence,
        draft.language,
        draft.first_seq,
        draft.last_seq,
        is_final,
    )
    return revision


async def enhance_again(connection: Connection, claim: Claim, from_ordinal: int) -> None:
    """Make the enhancer look at the segments of a track from the one before `from_ordinal` on.

    How a segment begins and ends is read from its neighbours as well.
    """
    await connection.execute(
        "UPDATE segments SET enhanced_revision = 0 WHERE meeting_id = $1 AND track = $2"
        " AND NOT retracted AND ordinal >= $3",
        claim.meeting_id,
        claim.track,
        from_ordinal - 1,
    )


async def replace_segments(connection: Connection, claim: Claim, progress: TrackProgress) -> int:
    """Bring the segments of a track to what a step says; return how many changed."""
    rows = await connection.fetch(
        f"SELECT {SEGMENT_COLUMNS} FROM segments WHERE meeting_id = $1 AND track = $2"
        " AND NOT retracted AND ordinal >= $3 ORDER BY ordinal",
        claim.meeting_id,
        claim.track,
        progress.keep,
    )
    standing = [segment_of(row) for row in rows]
    # Rounded as the times of segments are, so that one that begins there stays.
    until_s = float("inf") if progress.until_s is None else round(progress.until_s, 3)
    plan = plan_revision([each for each in standing if each.start_s < until_s], progress.segments)
    changed = list(plan.retracted)
    await connection.execute(
        "UPDATE segments SET retracted = true, revision = revision + 1"
        " WHERE meeting_id = $1 AND segment_id = ANY($2)",
        claim.meeting_id,
        changed,
    )
    for ordinal, revision in enumerate(plan.revisions, start=progress.keep):
        segment_id = await _store_revision(connection, claim, ordinal, revision)
        if revision.changed:
            changed.append(segment_id)
    following = [each for each in standing if each.start_s >= until_s]
    await _renumber(connection, claim, following, progress.keep + len(plan.revisions))
    if changed:
        await enhance_again(connection, claim, progress.keep)
    await log_changes(connection, claim.meeting_id, changed)
    return len(changed)


async def _renumber(
    connection: Connection, claim: Claim, segments: Sequence[Segment], from_ordinal: int
) -> None:
    """Let segments that stay follow those that were written before them."""
    await connection.execute(
        "UPDATE segments s SET ordinal = $3 + place.number - 1"
        " FROM unnest($2::text[]) WITH ORDINALITY AS place (segment_id, number)"
        " WHERE s.meeting_id = $1 AND s.segment_id = place.segment_id"
        " AND s.ordinal <> $3 + place.number - 1",
        claim.meeting_id,
        [each.segment_id for each in segments],
        from_ordinal,
    )


async def _store_revision(
    connection: Connection, claim: Claim, ordinal: int, revision: Revision
) -> str:
    draft, segment_id = revision.draft, revision.segment_id
    if segment_id is not None and not revision.changed:
        await connection.execute(
            "UPDATE segments SET ordinal = $3, first_seq = $4, last_seq = $5"
            " WHERE meeting_id = $1 AND segment_id = $2",
            claim.meeting_id,
            segment_id,
            ordinal,
            draft.first_seq,
            draft.last_seq,
        )
        return segment_id
    if segment_id is None:
        [segment_id] = await take_segment_ids(connection, claim.meeting_id, 1)
    await store_segment(connection, claim, segment_id, ordinal, draft, is_final=True)
    return segment_id
