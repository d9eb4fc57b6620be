"""What new chunks change, in one statement."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interview_agent.adapters.postgres import schedule
from interview_agent.domain.frames import pcm_bytes_per_s
from interview_agent.domain.route import Stage
from interview_agent.ports.transcriber import JUDGED_BY_EARLIER_PARTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from interview_agent.adapters.postgres.database import Connection
    from interview_agent.ports.intake import NewChunk

# One round trip for all, because a live track sends a chunk four times a second. Every part sees
# the rows as they were before: a track that turns live with these chunks counts as live by them.
_RECORD = f"""
WITH new AS MATERIALIZED (
    SELECT *, channel IS NULL OR channel = 0 AS counts
    FROM unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::bigint[], $6::text[], $7::text[],
        $8::int[], $9::smallint[], $10::smallint[], $11::text[], $12::text[], $13::bigint[],
        $14::bigint[], $15::boolean[], $16::text[], $17::text[], $19::float8[])
    AS new (meeting_id, track, seq, sha256, size_bytes, blob_key, codec, sample_rate, channels,
        channel, idempotency_key, upload_track, first_frame, last_frame, live, hint, trace_id,
        seconds)
), begun AS (
    -- Live sound comes as it is made: a track begins its own length before its first chunk came.
    SELECT meeting_id, track, now() - make_interval(secs => sum(seconds)) AS at
    FROM new WHERE live GROUP BY meeting_id, track
), origins AS (
    SELECT meeting_id, coalesce(m.origin_at, min(begun.at)) AS at
    FROM begun JOIN meetings m USING (meeting_id) GROUP BY meeting_id, m.origin_at
), heard AS (
    INSERT INTO tracks (meeting_id, track, speaker_hint, live, offset_s)
    SELECT meeting_id, track, min(hint), bool_or(live),
        coalesce(round(greatest(extract(epoch FROM min(begun.at - origins.at)), 0), 3), 0)
    FROM new LEFT JOIN begun USING (meeting_id, track) LEFT JOIN origins USING (meeting_id)
    GROUP BY meeting_id, track
    ON CONFLICT (meeting_id, track) DO UPDATE SET
        speaker_hint = coalesce(tracks.speaker_hint, excluded.speaker_hint),
        live = tracks.live OR excluded.live
    WHERE (tracks.speaker_hint IS NULL AND excluded.speaker_hint IS NOT NULL)
        OR (excluded.live AND NOT tracks.live)
), stored AS (
    INSERT INTO chunks (meeting_id, track, seq, sha256, size_bytes, blob_key, codec, sample_rate,
        channels, channel, idempotency_key, upload_track, first_frame, last_frame)
    SELECT meeting_id, track, seq, sha256, size_bytes, blob_key, codec, sample_rate, channels,
        channel, idempotency_key, upload_track, first_frame, last_frame FROM new
), heard_again AS (
    -- Chunks that failed for want of what came before them get another hearing.
    UPDATE chunks c SET state = 'pending', reason = NULL FROM new
    WHERE c.meeting_id = new.meeting_id AND c.track = new.track AND c.seq > new.seq
        AND c.state = 'failed' AND c.reason = ANY($18)
), sessions AS (
    UPDATE live_sessions s SET next_frame = sent.next_frame, next_seq = sent.next_seq,
        size_bytes = s.size_bytes + sent.size_bytes
    FROM (
        SELECT meeting_id, upload_track, max(last_frame) + 1 AS next_frame,
            max(seq) + 1 AS next_seq, sum(size_bytes) AS size_bytes
        FROM new WHERE counts AND last_frame IS NOT NULL GROUP BY meeting_id, upload_track
    ) AS sent
    WHERE s.meeting_id = sent.meeting_id AND s.track = sent.upload_track
), work AS (
    INSERT INTO stage_work AS work (meeting_id, stage, track, wanted, due_at, trace_id)
    SELECT meeting_id,
        CASE WHEN bool_or(new.live OR coalesce(tracks.live, false)) THEN '{Stage.LIVE.value}'
            ELSE '{Stage.STT.value}' END,
        track, 1, now(), min(trace_id)
    FROM new LEFT JOIN tracks USING (meeting_id, track)
    GROUP BY meeting_id, track ORDER BY meeting_id, track
    {schedule.WANT_AGAIN}
)
UPDATE meetings m SET audio_version = audio_version + accepted.count, last_audio_at = now(),
    text_deleted_at = NULL, origin_at = coalesce(m.origin_at, accepted.origin_at)
FROM (
    SELECT meeting_id, count(*) FILTER (WHERE counts), min(origins.at) AS origin_at
    FROM new LEFT JOIN origins USING (meeting_id) GROUP BY meeting_id
) AS accepted
WHERE m.meeting_id = accepted.meeting_id
RETURNING m.meeting_id, m.finish_requested_at IS NOT NULL AND m.expected_last_seq <> '{{}}'
    AND m.closed_version IS NULL AS promised
"""


async def record(connection: Connection, chunks: Sequence[NewChunk]) -> None:
    """Store new chunks with all that follows from them; the caller has locked their meetings.

    Their tracks become due, their sessions move on, and a meeting is closed that waited for the
    last of them.
    """
    if not chunks:
        return
    rows = [(chunk, track, channel) for chunk in chunks for track, channel in chunk.rows]
    meetings = await connection.fetch(
        _RECORD,
        [chunk.meeting_id for chunk, _, _ in rows],
        [track for _, track, _ in rows],
        [chunk.seq for chunk, _, _ in rows],
        [chunk.sha256 for chunk, _, _ in rows],
        [chunk.size_bytes for chunk, _, _ in rows],
        [chunk.blob_key for chunk, _, _ in rows],
        [chunk.codec for chunk, _, _ in rows],
        [chunk.sample_rate for chunk, _, _ in rows],
        [chunk.channels for chunk, _, _ in rows],
        [channel for _, _, channel in rows],
        [chunk.idempotency_key for chunk, _, _ in rows],
        [chunk.track for chunk, _, _ in rows],
        [chunk.frames[0] if chunk.frames else None for chunk, _, _ in rows],
        [chunk.frames[1] if chunk.frames else None for chunk, _, _ in rows],
        [chunk.live for chunk, _, _ in rows],
        [chunk.speaker_hint for chunk, _, _ in rows],
        [chunk.trace_id for chunk, _, _ in rows],
        JUDGED_BY_EARLIER_PARTS,
        [_seconds_of(chunk) for chunk, _, _ in rows],
    )
    promised = [row["meeting_id"] for row in meetings if row["promised"]]
    if promised:
        await schedule.close_complete(connection, promised, promised_only=True)


def _seconds_of(chunk: NewChunk) -> float:
    """Return how long a chunk lasts; 0 where only a decoder could tell."""
    bytes_per_s = pcm_bytes_per_s(chunk.codec, chunk.sample_rate, chunk.channels)
    return chunk.size_bytes / bytes_per_s if bytes_per_s else 0.0
