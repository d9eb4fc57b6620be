"""Statements that make work due and close transcripts; used inside somebody's transaction.

Everybody locks the row of the meeting before rows of its work, so that no two wait for each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from interview_agent.domain.meeting import Extent, missing_expected
from interview_agent.domain.route import RouteFacts, Stage, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from interview_agent.adapters.postgres.database import Connection
    from interview_agent.ports.work import Claim

WANT_AGAIN = """
ON CONFLICT (meeting_id, stage, track) DO UPDATE SET
    wanted = work.wanted + 1,
    due_at = CASE WHEN work.due_at IS NOT NULL
                      AND (work.attempts > 0 OR work.put_off_since IS NOT NULL) THEN work.due_at
                  WHEN excluded.due_at > now() THEN excluded.due_at
                  ELSE least(work.due_at, excluded.due_at) END,
    attempts = CASE WHEN work.failed THEN 0 ELSE work.attempts END,
    reason = CASE WHEN work.failed THEN NULL ELSE work.reason END,
    failed = false,
    trace_id = coalesce(excluded.trace_id, work.trace_id),
    updated_at = now()
"""
"""How an insertion into `stage_work AS work` meets work that is there; see `want`."""

_WANT = f"""
INSERT INTO stage_work AS work (meeting_id, stage, track, wanted, due_at, trace_id)
SELECT meeting_id, $1, track, 1, now() + make_interval(secs => $2), trace_id
FROM unnest($3::text[], $4::text[], $5::text[]) AS new (meeting_id, track, trace_id)
ORDER BY meeting_id, track
{WANT_AGAIN}"""


# One step down the key for each track: what is promised far ahead costs no look at every chunk.
_PROMISED = """
SELECT meeting_id, expected_last_seq, (
    SELECT max(last_of.seq) FROM tracks t CROSS JOIN LATERAL (
        SELECT seq FROM chunks c WHERE c.meeting_id = t.meeting_id AND c.track = t.track
        ORDER BY seq DESC LIMIT 1
    ) AS last_of WHERE t.meeting_id = m.meeting_id
) AS highest_seq
FROM meetings m WHERE meeting_id = ANY($1)
    AND finish_requested_at IS NOT NULL AND closed_version IS DISTINCT FROM audio_version
    AND (NOT $2 OR (expected_last_seq <> '{}' AND closed_version IS NULL))
"""

_EXTENTS = """
SELECT name, min(seq), max(seq), count(DISTINCT seq)
FROM chunks CROSS JOIN LATERAL (SELECT track UNION SELECT upload_track) AS names (name)
WHERE meeting_id = $1 AND (track = ANY($2) OR upload_track = ANY($2)) GROUP BY name
"""


async def want(
    connection: Connection,
    stage: Stage,
    items: Sequence[tuple[str, str, str | None]],
    delay_s: float = 0.0,
) -> None:
    """Make (meeting, track, trace id) items of a stage due after `delay_s`.

    Work that waits for its next try, or for what it needs, keeps its time: more of it must not
    shorten the wait. A delay starts anew each time.
    """
    await connection.execute(
        _WANT,
        stage.value,
        delay_s,
        [meeting_id for meeting_id, _, _ in items],
        [track for _, track, _ in items],
        [trace_id for _, _, trace_id in items],
    )


async def close(connection: Connection, meeting_ids: Sequence[str]) -> None:
    """Close transcripts whose rows the caller has locked, and make their tracks flush."""
    if not meeting_ids:
        return
    await connection.execute(
        "UPDATE meetings SET closed_version = audio_version WHERE meeting_id = ANY($1)",
        list(meeting_ids),
    )
    rows = await connection.fetch(
        "SELECT meeting_id, track, live FROM tracks WHERE meeting_id = ANY($1)", list(meeting_ids)
    )
    for stage, live in ((Stage.LIVE, True), (Stage.STT, False)):
        tracks = [(row["meeting_id"], row["track"], None) for row in rows if row["live"] is live]
        await want(connection, stage, tracks)
    silent = set(meeting_ids) - {row["meeting_id"] for row in rows}
    await want(connection, Stage.ENHANCER, [(each, "", None) for each in sorted(silent)])


async def close_complete(
    connection: Connection, meeting_ids: Sequence[str], *, promised_only: bool = False
) -> None:
    """Close those of the meetings that somebody finished and whose promised chunks are there.

    With `promised_only` a meeting that was finished without naming numbers is left alone: audio
    that comes later re-opens it, and silence closes it again.
    """
    rows = await connection.fetch(_PROMISED, list(meeting_ids), promised_only)
    complete = []
    for row in rows:
        expected, highest = row["expected_last_seq"], row["highest_seq"]
        # While even the best that can have come is not enough, nothing has to be counted.
        at_best = {} if highest is None else dict.fromkeys(expected, Extent(highest, highest, 1))
        if missing_expected(expected, at_best):
            continue
        came: dict[str, Extent] = {}
        if expected:
            found = await connection.fetch(_EXTENTS, row["meeting_id"], list(expected))
            came = {name: Extent(*numbers) for name, *numbers in found}
        if not missing_expected(expected, came):
            complete.append(row["meeting_id"])
    await close(connection, complete)


async def want_next(
    connection: Connection, claim: Claim, route: Callable[[Stage, RouteFacts], tuple[Step, ...]]
) -> tuple[Stage, ...]:
    """Make due what `route` says comes after settled work; the caller has locked the meeting."""
    upstream = [
        each.value for each in Stage if list(Stage).index(each) <= list(Stage).index(claim.stage)
    ]
    row = await connection.fetchrow(
        "SELECT closed_version IS NOT DISTINCT FROM audio_version AS closed,"
        " finish_requested_at IS NOT NULL AS finish_requested,"
        " NOT EXISTS (SELECT FROM stage_work WHERE meeting_id = $1 AND stage = ANY($2)"
        " AND due_at IS NOT NULL) AS upstream_settled,"
        " EXISTS (SELECT FROM segments WHERE meeting_id = $1 AND enhanced_revision < revision"
        " AND is_final AND NOT retracted) AS text_changed"
        " FROM meetings WHERE meeting_id = $1",
        claim.meeting_id,
        upstream,
    )
    facts = RouteFacts(
        closed=row["closed"],
        upstream_settled=row["upstream_settled"],
        text_changed=row["text_changed"],
        finish_requested=row["finish_requested"],
    )
    steps = route(claim.stage, facts)
    for step in steps:
        track = claim.track if step.stage.per_track else ""
        item = (claim.meeting_id, track, claim.trace_id)
        await want(connection, step.stage, [item], step.delay_s)
    return tuple(step.stage for step in steps)
