"""Segments of a track as rows: written one by one while it is live, replaced when heard again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from interview_agent.adapters.postgres.event_log import log_changes
from interview_agent.adapters.postgres.rows import SEGMENT_COLUMNS, segment_of, word_json
from interview_agent.domain.revision import plan_revision

if TYPE_CHECKING:
    from collections.abc import Sequence

    from interview_agent.adapters.postgres.database import Connection
    from interview_agent.domain.revision import RevisionPlan
    from interview_agent.domain.transcript import DraftSegment
    from interview_agent.ports.transcriber import TrackProgress
    from interview_agent.ports.work import Claim

_STORE = """
INSERT INTO segments (meeting_id, track, is_final, segment_id, ordinal, start_s, end_s, raw_text,
    text, words, confidence, language, first_seq, last_seq)
SELECT $1, $2, is_final, segment_id, ordinal, start_s, end_s, raw_text, raw_text, words::jsonb,
    confidence, language, first_seq, last_seq
FROM unnest($3::text[], $4::int[], $5::boolean[], $6::float8[], $7::float8[], $8::text[],
    $9::text[], $10::real[], $11::text[], $12::int[], $13::int[])
    AS new (segment_id, ordinal, is_final, start_s, end_s, raw_text, words, confidence, language,
        first_seq, last_seq)
ON CONFLICT (meeting_id, segment_id) DO UPDATE SET ordinal = excluded.ordinal,
    start_s = excluded.start_s, end_s = excluded.end_s, raw_text = excluded.raw_text,
    text = excluded.text, words = excluded.words, changes = '[]',
    confidence = excluded.confidence, language = excluded.language,
    first_seq = excluded.first_seq, last_seq = excluded.last_seq, is_final = excluded.is_final,
    retracted = false, revision = segments.revision + 1
RETURNING segment_id, revision
"""

_PLACE = """
UPDATE segments s SET ordinal = place.ordinal, first_seq = place.first_seq,
    last_seq = place.last_seq
FROM unnest($2::text[], $3::int[], $4::int[], $5::int[])
    AS place (segment_id, ordinal, first_seq, last_seq)
WHERE s.meeting_id = $1 AND s.segment_id = place.segment_id
    AND (s.ordinal, s.first_seq, s.last_seq)
        <> (place.ordinal, place.first_seq, place.last_seq)
"""


class SegmentRow(NamedTuple):
    """A segment to be written: its name, its place among those of the track, what was heard."""

    segment_id: str
    ordinal: int
    draft: DraftSegment
    is_final: bool = True


async def take_segment_ids(connection: Connection, meeting_id: str, count: int) -> list[str]:
    """Return names for `count` new segments; the caller has locked the meeting."""
    if not count:
        return []
    last: int = await connection.fetchval(
        "UPDATE meetings SET segment_count = segment_count + $2 WHERE meeting_id = $1"
        " RETURNING segment_count",
        meeting_id,
        count,
    )
    return [f"seg_{number:06d}" for number in range(last - count + 1, last + 1)]


async def store_segments(
    connection: Connection, claim: Claim, segments: Sequence[SegmentRow]
) -> dict[str, int]:
    """Write segments, as new revisions where they are there; return the revision of each."""
    if not segments:
        return {}
    drafts = [each.draft for each in segments]
    rows = await connection.fetch(
        _STORE,
        claim.meeting_id,
        claim.track,
        [each.segment_id for each in segments],
        [each.ordinal for each in segments],
        [each.is_final for each in segments],
        [round(draft.start_s, 3) for draft in drafts],
        [round(draft.end_s, 3) for draft in drafts],
        [draft.text for draft in drafts],
        [json.dumps([word_json(word) for word in draft.words]) for draft in drafts],
        [draft.confidence for draft in drafts],
        [draft.language for draft in drafts],
        [draft.first_seq for draft in drafts],
        [draft.last_seq for draft in drafts],
    )
    return {row["segment_id"]: row["revision"] for row in rows}


async def enhance_again(
    connection: Connection, claim: Claim, from_ordinal: int, written: Sequence[str]
) -> None:
    """Make the enhancer look at the segments of a track from the one before `from_ordinal` on.

    How a segment begins and ends is read from its neighbours as well. Each gets another mark, so
    that a text which was made in the light of the old neighbours is not taken any more; those just
    `written` have a new revision, which does the same.
    """
    await connection.execute(
        "UPDATE segments SET enhanced_revision = least(enhanced_revision, 0) - 1"
        " WHERE meeting_id = $1 AND track = $2 AND NOT retracted AND ordinal >= $3"
        " AND segment_id <> ALL($4)",
        claim.meeting_id,
        claim.track,
        from_ordinal - 1,
        list(written),
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
    if plan.retracted:
        await connection.execute(
            "UPDATE segments SET retracted = true, revision = revision + 1"
            " WHERE meeting_id = $1 AND segment_id = ANY($2)",
            claim.meeting_id,
            plan.retracted,
        )
    written = await _write_plan(connection, claim, progress.keep, plan)
    # Segments that stay follow those that were written before them.
    following = [each for each in standing if each.start_s >= until_s]
    first = progress.keep + len(plan.revisions)
    await _place(
        connection,
        claim,
        [
            (each.segment_id, first + at, each.first_seq, each.last_seq)
            for at, each in enumerate(following)
        ],
    )
    changed = [*plan.retracted, *written]
    if changed:
        await enhance_again(connection, claim, progress.keep, written)
        await log_changes(connection, claim.meeting_id, changed)
    return len(changed)


async def _write_plan(
    connection: Connection, claim: Claim, keep: int, plan: RevisionPlan
) -> list[str]:
    """Write the segments of a plan from position `keep` on; return the names of those changed."""
    fresh = sum(revision.segment_id is None for revision in plan.revisions)
    names = iter(await take_segment_ids(connection, claim.meeting_id, fresh))
    changed: list[SegmentRow] = []
    placed: list[tuple[str, int, int, int]] = []
    for ordinal, revision in enumerate(plan.revisions, start=keep):
        draft = revision.draft
        if revision.segment_id is not None and not revision.changed:
            placed.append((revision.segment_id, ordinal, draft.first_seq, draft.last_seq))
        else:
            changed.append(SegmentRow(revision.segment_id or next(names), ordinal, draft))
    await store_segments(connection, claim, changed)
    await _place(connection, claim, placed)
    return [row.segment_id for row in changed]


async def _place(
    connection: Connection, claim: Claim, places: Sequence[tuple[str, int, int, int]]
) -> None:
    """Give unchanged segments (name, ordinal, first and last seq) their places."""
    if places:
        columns = [list(column) for column in zip(*places, strict=True)]
        await connection.execute(_PLACE, claim.meeting_id, *columns)
