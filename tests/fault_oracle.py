"""Judges a run from outside: rows, files and answers against the journal of the clients.

The letters are those of the invariants: I1 what was acknowledged is stored, I2 nothing is left
undone, I3 each chunk was heard once, I4 what was refused is not there, I5 one report and one
delivery for each version, I6 tries are bounded and failures have reasons, I7 numbers only grow, I8
nothing is left lying about.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from typing import TYPE_CHECKING, Any

import asyncpg

from fault_driver import Item

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from fault_driver import Journal
    from running_agents import Agent

MAX_TRIES = 5
AT_WORK_S = 4.0


async def settled(agent: Agent, journal: Journal, timeout_s: float = 60.0) -> None:
    """Finish every meeting of a journal and wait until all are done."""
    assert journal.surprises == [], agent.log[-6000:]
    meetings = sorted({item.meeting_id for item in journal.ok})
    assert meetings, "nothing was accepted at all"
    for meeting_id in meetings:
        status, said = await agent.call("POST", f"/v1/meetings/{meeting_id}/finish")
        assert status == 202, said
    async with asyncio.timeout(timeout_s):
        for meeting_id in meetings:
            await agent.until_done(meeting_id, timeout_s)


async def judge(dsn: str, blob_dir: Path, journal: Journal) -> int:
    """Raise `AssertionError` unless every invariant holds; return how many chunks are stored.

    Every meeting must have been finished and done, with `STT_PROVIDER=mock`.
    """
    connection = await asyncpg.connect(dsn)
    try:
        stored = await _check_stored(connection, blob_dir, journal)
        await _check_work(connection)
        for meeting_id in sorted({item.meeting_id for item in stored}):
            await _check_meeting(connection, meeting_id, stored)
    finally:
        await connection.close()
    return len(stored)


async def _check_stored(
    connection: Any, blob_dir: Path, journal: Journal
) -> dict[Item, dict[str, Any]]:
    rows = await connection.fetch(
        "SELECT * FROM chunks WHERE meeting_id = ANY($1)",
        [item.meeting_id for item in journal.ok | journal.unknown | journal.refused],
    )
    stored = {Item(row["meeting_id"], row["seq"]): dict(row) for row in rows}
    assert len(stored) == len(rows)
    lost = journal.ok - stored.keys()
    assert not lost, f"I1: {len(lost)} acknowledged chunks are gone: {sorted(lost)[:5]}"
    false_no = journal.refused & stored.keys()
    assert not false_no, f"I4: {len(false_no)} refused chunks are stored: {sorted(false_no)[:5]}"
    foreign = stored.keys() - journal.ok - journal.unknown
    assert not foreign, f"I4: {sorted(foreign)[:5]} were never sent"
    for item, row in stored.items():
        assert row["sha256"] == item.sha256, f"I1: {item} has other bytes"
        content = (blob_dir / row["blob_key"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == item.sha256, f"I1: file of {item}"
        assert row["state"] == "done", f"I2: {item} is {row['state']}: {row['reason']}"
    return stored


async def _check_work(connection: Any) -> None:
    # Retention waits for its day; whatever else is due now was forgotten. A meeting is done before
    # its delivery is, so what is at work gets a moment, less than a lease that nobody holds lasts.
    ends_s = time.monotonic() + AT_WORK_S
    while undone := await connection.fetch(
        "SELECT * FROM stage_work WHERE lease_until IS NOT NULL"
        " OR due_at < now() - interval '5 s' OR failed OR attempts > $1",
        MAX_TRIES,
    ):
        assert time.monotonic() < ends_s, f"I2, I6: {[dict(row) for row in undone]}"
        await asyncio.sleep(0.05)


async def _check_meeting(connection: Any, meeting_id: str, stored: Iterable[Item]) -> None:
    seqs = sorted(item.seq for item in stored if item.meeting_id == meeting_id)
    segments = await connection.fetch(
        "SELECT * FROM segments WHERE meeting_id = $1 AND NOT retracted ORDER BY ordinal",
        meeting_id,
    )
    heard = [row["raw_text"] for row in segments]
    expected = [f"mock_transcript bytes={1_000 + seq} sr=16000" for seq in seqs]
    assert heard == expected, f"I3: {meeting_id}: {len(heard)} segments of {len(expected)} chunks"
    assert [row["ordinal"] for row in segments] == list(range(len(seqs))), f"I7: {meeting_id}"
    meeting = await connection.fetchrow("SELECT * FROM meetings WHERE meeting_id = $1", meeting_id)
    assert meeting["audio_version"] == len(seqs), f"I2: {meeting_id} counted another number"
    events = [row["event"] for row in segments]
    assert len(set(events)) == len(events), f"I7: {meeting_id} used a number twice"
    assert max(events) <= meeting["event"], f"I7: {meeting_id}"
    reports = await connection.fetch(
        "SELECT r.version, r.audio_version, count(d) AS deliveries FROM reports r"
        " LEFT JOIN deliveries d ON d.meeting_id = r.meeting_id AND d.report_version = r.version"
        " WHERE r.meeting_id = $1 GROUP BY r.version, r.audio_version ORDER BY r.version",
        meeting_id,
    )
    versions = [row["version"] for row in reports]
    assert versions == list(range(1, meeting["version"] + 1)), f"I5: {meeting_id}: {versions}"
    covered = [row["audio_version"] for row in reports]
    assert covered == sorted(set(covered)), f"I5: {meeting_id} has two reports of one version"
    assert covered[-1] == len(seqs), f"I5: {meeting_id} lacks its last report"
    assert reports[-1]["deliveries"] == 1, f"I5: {meeting_id}: {dict(reports[-1])}"


def temporaries(blob_dir: Path) -> list[Path]:
    """Return the half-written files; after a fault that killed nobody there must be none (I8)."""
    return list(blob_dir.rglob(".tmp-*"))
