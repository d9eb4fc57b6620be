"""An hour of stereo in chunks of 250 ms, and a look at how long somebody holds up the loop."""

from __future__ import annotations

import asyncio
import gc
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from interview_agent.adapters.postgres import Database

CHUNKS_A_TRACK = 14_400
TICK_S = 0.001
TRIES = 4

_TRACKS = "INSERT INTO tracks (meeting_id, track) SELECT $1, unnest($2::text[])"
_CHUNKS = """
INSERT INTO chunks (meeting_id, track, upload_track, seq, sha256, size_bytes, blob_key, codec,
    sample_rate, channels, channel, idempotency_key, state, reason)
SELECT $1, track, 'main', seq, repeat('ab', 32), 8000, 'k/' || seq, 'pcm', 16000, 2,
    (track = 'right')::int, 'key-' || seq,
    CASE WHEN seq IN (70, 71) THEN 'failed' WHEN seq < 9000 THEN 'done' ELSE 'pending' END,
    CASE WHEN seq IN (70, 71) THEN 'undecodable' END
FROM unnest($2::text[]) AS track, generate_series(0, $3 - 1) AS seq
WHERE seq <> 50
"""
_SEGMENTS = """
INSERT INTO segments (meeting_id, segment_id, track, ordinal, start_s, end_s, raw_text, text,
    words, first_seq, last_seq, enhanced_revision)
SELECT $1, track || ordinal, track, ordinal, ordinal * 4, ordinal * 4 + 3,
    'one two three four five six seven eight', 'One two three four five six seven eight.',
    (SELECT jsonb_agg(jsonb_build_object('text', 'word', 'start', n, 'end', n + 0.2,
        'probability', 0.9)) FROM generate_series(1, 8) AS n), ordinal * 16, ordinal * 16 + 12, 1
FROM unnest($2::text[]) AS track, generate_series(0, 899) AS ordinal
"""


async def make_long(database: Database, meeting_id: str = "m1") -> None:
    """Fill a meeting that was started, but for its chunks 50; its chunks 70 and 71 failed."""
    async with database.connection() as connection:
        tracks = ["left", "right"]
        await connection.execute(_TRACKS, meeting_id, tracks)
        await connection.execute(_CHUNKS, meeting_id, tracks, CHUNKS_A_TRACK)
        await connection.execute(_SEGMENTS, meeting_id, tracks)
        await connection.execute("ANALYZE chunks")


async def longest_stall_s(call: Callable[[], Awaitable[Any]]) -> float:
    """Return how long the loop stood still at most during the best of some calls.

    What the machine does beside them may hold up the others. The collector passes over what was
    there before: a run of tests holds more than a service, which does the same at its start.
    """
    gc.collect()
    gc.freeze()
    try:
        return min([await _stall_s(call) for _ in range(TRIES)])
    finally:
        gc.unfreeze()


async def _stall_s(call: Callable[[], Awaitable[Any]]) -> float:
    longest_s = 0.0

    async def tick() -> None:
        nonlocal longest_s
        while True:
            before_s = time.perf_counter()
            await asyncio.sleep(TICK_S)
            longest_s = max(longest_s, time.perf_counter() - before_s - TICK_S)

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(5 * TICK_S)
    await call()
    await asyncio.sleep(5 * TICK_S)
    ticking.cancel()
    with suppress(asyncio.CancelledError):
        await ticking
    return longest_s
