"""A client written for the reference implementation works against ours."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from machine_pace import Pace
    from running_agents import Agents


async def test_one_tiny_chunk_and_no_finish_lead_to_a_report_within_20_s(
    agents: Agents, pace: Pace
) -> None:
    (agent,) = agents.make_apart(["all"], STT_PROVIDER="mock")
    await agent.start()
    status, started = await agent.call(
        "POST",
        "/v1/meetings/start",
        {
            "meeting_id": "e2e-1",
            "mode": "postmeeting",
            "language": "ru",
            "consent": "unknown",
            "context": {"source": "e2e"},
            "recipients": [],
        },
    )
    assert (status, started["status"]) == (200, "queued")
    sent_at = time.monotonic()
    answer = await agent.send(
        "e2e-1", 1, b"e2e-audio-chunk", codec="pcm", sample_rate=16000, channels=1
    )
    assert answer["accepted"] is True
    found = await agent.until(
        "e2e-1", lambda seen: bool(seen["enhanced_transcript"]) and seen["report"] is not None
    )
    assert time.monotonic() - sent_at < pace.slowed(20)
    assert found["status"] == "done"
    assert found["enhanced_transcript"] == "UNKNOWN: mock_transcript bytes=15 sr=16000."
    assert {"summary", "bullets", "risk_flags", "recommendation"} <= set(found["report"])
    assert await agent.stop() == 0


async def test_an_unknown_meeting_still_has_the_fields_that_a_poller_reads(agents: Agents) -> None:
    (agent,) = agents.make_apart(["all"], STT_PROVIDER="mock")
    await agent.start()
    status, found = await agent.call("GET", "/v1/meetings/nobody-knows")
    assert status == 404
    assert found["detail"]["code"] == "not_found"
    assert (found["status"], found["enhanced_transcript"], found["report"]) == (
        "not_found",
        "",
        None,
    )
