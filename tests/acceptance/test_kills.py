"""What was acknowledged survives kill -9 of any process."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from running_agents import Agent, Agents

CHUNKS = 200
SAMPLE = Path(__file__).resolve().parents[2] / "config" / "sample" / "interview_en.stereo.wav"


def body(seq: int) -> bytes:
    return random.Random(seq).randbytes(2_000 + seq)


async def feed(agent: Agent, meeting_id: str, acked: dict[int, str], todo: list[int]) -> None:
    """Send chunks until the process is gone; what was answered for is noted."""
    while todo:
        seq = todo[0]
        try:
            await agent.send(meeting_id, seq, body(seq))
        except (aiohttp.ClientError, OSError, TimeoutError):
            return
        acked[seq] = hashlib.sha256(body(seq)).hexdigest()
        todo.pop(0)


async def check_all(agent: Agent, meeting_id: str, acked: dict[int, str]) -> Any:
    assert len(acked) == CHUNKS
    await agent.call("POST", f"/v1/meetings/{meeting_id}/finish")
    done = await agent.until_done(meeting_id)
    (track,) = (await agent.get(f"/v1/meetings/{meeting_id}/chunks"))["tracks"]
    assert {each["seq"]: each["sha256"] for each in track["chunks"]} == acked
    assert {each["state"] for each in track["chunks"]} == {"done"}
    expected = [f"mock_transcript bytes={2_000 + seq} sr=16000" for seq in range(CHUNKS)]
    segments = (await agent.get(f"/v1/meetings/{meeting_id}/segments"))["segments"]
    assert [each["raw_text"] for each in segments] == expected
    assert len({each["segment_id"] for each in segments}) == CHUNKS
    return done


async def test_everything_in_one_process_is_killed_again_and_again(agents: Agents) -> None:
    agent = agents.make(STT_PROVIDER="mock", MEETING_QUIET_SEC="60")
    acked: dict[int, str] = {}
    todo = list(range(CHUNKS))
    chance = random.Random(11)
    kills = 0
    while todo:
        await agent.start()
        feeding = asyncio.create_task(feed(agent, "m", acked, todo))
        if kills < 4:
            target = len(acked) + chance.randrange(10, 45)
            while len(acked) < target and not feeding.done():
                await asyncio.sleep(0.002)
            await agent.kill()
            kills += 1
        await feeding
    assert kills == 4
    await check_all(agent, "m", acked)
    for seq, digest in acked.items():
        (file,) = Path(agent.environment["DATA_DIR"]).glob(f"chunks/meetings/m/main/{seq:010d}-*")
        assert hashlib.sha256(file.read_bytes()).hexdigest() == digest
    assert await agent.stop() == 0


async def test_workers_killed_in_the_middle_lose_and_double_nothing(agents: Agents) -> None:
    api, first, second = agents.make_apart(
        ["api", "worker", "stt,analytics"], STT_PROVIDER="mock", MEETING_QUIET_SEC="60"
    )
    for agent in (api, first, second):
        await agent.start()
    acked: dict[int, str] = {}
    feeding = asyncio.create_task(feed(api, "m", acked, list(range(CHUNKS))))
    for victim, at in ((first, 60), (second, 130)):
        while len(acked) < at:
            await asyncio.sleep(0.002)
        await victim.kill()
        await victim.start()
    await feeding
    done = await check_all(api, "m", acked)
    assert done["version"] == 1
    for agent in (first, second, api):
        assert await agent.stop() == 0


async def test_a_worker_killed_while_it_recognises_speech_hands_its_track_over(
    agents: Agents,
) -> None:
    api, first, second = agents.make_apart(["api", "worker", "worker"], WHISPER_LANGUAGE="en")
    await asyncio.gather(api.start(), first.start())
    await api.record("m", SAMPLE, split_channels="true", channels="2", finish="true")

    def running(found: Any) -> bool:
        return any(s["stage"] == "stt" and s["state"] == "running" for s in found["stages"])

    await api.until("m", running)
    await first.kill()
    await second.start()
    done = await api.until_done("m", 240)
    heard = done["raw_transcript"].lower()
    for phrase in ("good morning", "compared", "refunds", "staging copy", "speech recognition"):
        assert heard.count(phrase) == 1
    assert done["gaps"] == done["failed_chunks"] == []
    assert await second.stop() == 0
    assert await api.stop() == 0


async def test_children_die_with_a_killed_process(agents: Agents) -> None:
    agent = agents.make(STT_PROVIDER="mock")
    await agent.start()
    tree = Path(f"/proc/{agent.pid}/task/{agent.pid}/children").read_text().split()
    assert len(tree) >= 2
    await agent.kill()
    async with asyncio.timeout(10):
        while any(_alive(int(pid)) for pid in tree):
            await asyncio.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
