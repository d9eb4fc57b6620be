"""Somebody listens while the service works: the whole way, over real HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from event_stream_client import event_stream
from running_agents import KEY

if TYPE_CHECKING:
    from running_agents import Agents

HEADERS = {"X-API-Key": KEY}


async def test_a_listener_sees_the_text_twice_and_then_that_the_meeting_is_done(
    agents: Agents,
) -> None:
    (agent,) = agents.make_apart(["all"], STT_PROVIDER="mock")
    await agent.start()
    await agent.call("POST", "/v1/meetings/start", {"meeting_id": "m1"})
    async with event_stream(agent.address, "m1", HEADERS) as stream:
        await stream.until(lambda it: it.told)
        await agent.send("m1", 0, b"e2e-audio-chunk")
        await stream.until(lambda it: it.events == [1, 2])
        await agent.call("POST", "/v1/meetings/m1/finish")
        await stream.until(lambda it: it.told[-1].message.get("status") == "done")
    raw, enhanced = (each.message for each in stream.told if "raw_text" in each.message)
    assert raw["raw_text"] == raw["enhanced_text"] == "mock_transcript bytes=15 sr=16000"
    assert "quality" not in raw
    assert enhanced["enhanced_text"] == "mock_transcript bytes=15 sr=16000."
    assert enhanced["quality"] == 0.6
    assert enhanced["meta"] == {"applied": ["final_punct"]}
    assert (raw["segment_id"], raw["revision"]) == (enhanced["segment_id"], enhanced["revision"])
    statuses = [each.message["status"] for each in stream.told if "status" in each.message]
    assert (statuses[0], statuses[-1]) == ("queued", "done")
    assert stream.told[-1].message["version"] == 1
    async with event_stream(agent.address, "m1", HEADERS, last_event="0") as again:
        await again.until(lambda it: it.events == [1, 2])
        assert again.told[0].message["status"] == "done"
    assert await agent.stop() == 0


async def test_a_listener_keeps_no_process_from_stopping(agents: Agents) -> None:
    (agent,) = agents.make_apart(["all"], STT_PROVIDER="mock")
    await agent.start()
    await agent.call("POST", "/v1/meetings/start", {"meeting_id": "m1"})
    async with event_stream(agent.address, "m1", HEADERS) as stream:
        await stream.until(lambda it: it.told)
        assert await agent.stop() == 0
        await stream.until(lambda it: it.ended)
