"""A meeting that is deleted while people speak, and while their recording is heard."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp

from running_agents import KEY
from socket_client import Talk, frame
from traces import files_with, rows_with

if TYPE_CHECKING:
    from running_agents import Agents

SAMPLE = Path(__file__).resolve().parents[2] / "config" / "sample" / "interview_en.stereo.wav"
WAV_HEADER_BYTES = 44
FRAME_BYTES = 3200


async def test_speech_that_is_recognised_when_its_meeting_goes_leaves_nothing(
    agents: Agents, dsn: str
) -> None:
    (agent,) = agents.make_apart(["all"], WHISPER_LANGUAGE="en")
    await agent.start()
    sound = SAMPLE.read_bytes()

    def running(found: Any) -> bool:
        return any(each["state"] == "running" for each in found["stages"])

    await agent.record("recorded", SAMPLE, split_channels="true", channels="2", finish="true")
    await agent.until("recorded", running)
    headers = {"X-API-Key": KEY}
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{agent.address}/v1/ws", headers=headers, max_msg_size=0) as socket,
    ):
        talk = Talk(socket)
        await talk.start("live", sample_rate=16_000, channels=2, language="en")
        for number in range(100):
            start = WAV_HEADER_BYTES + number * FRAME_BYTES
            await socket.send_bytes(frame(number, sound[start : start + FRAME_BYTES]))
        await talk.acked_up_to(90)
        await agent.until("live", running)
        for meeting_id in ("recorded", "live"):
            assert (await agent.call("DELETE", f"/v1/meetings/{meeting_id}"))[0] == 202
        assert await talk.closed() == 1008
    for meeting_id in ("recorded", "live"):
        async with asyncio.timeout(60):
            while (await agent.call("DELETE", f"/v1/meetings/{meeting_id}"))[0] != 200:
                await asyncio.sleep(0.1)
    assert await rows_with(dsn, ["good", "morning"]) == {"good": set(), "morning": set()}
    assert files_with([agents.blob_dir], [b"recorded", b"live", sound[44:1044]]) == []
    faults = [
        each
        for line in agent.log.splitlines()
        if line.startswith("{") and (each := json.loads(line))["level"] in {"error", "critical"}
    ]
    assert faults == []
    assert await agent.stop() == 0
