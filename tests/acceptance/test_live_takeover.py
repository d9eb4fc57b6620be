"""Live captions of real speech by real processes, one of which is killed in mid-speech."""

from __future__ import annotations

import asyncio
import json
import re
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from aiohttp import ClientSession, WSMsgType

from captions.words import edits
from real_speech import recording, silence
from running_agents import KEY
from socket_client import chunk, frame

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aiohttp import ClientWebSocketResponse

    from running_agents import Agent, Agents

PIECE_S = 0.1
SENSE = (
    "and mister john dashwood had then leisure to consider how much there might be prudently in his"
    " power to do for them"
)
LIBRI = (
    "if the reader will excuse me i will say nothing of my antecedents nor of the circumstances"
    " which led me to leave my native country the narrative would be tedious to him and painful to"
    " myself"
)
SOUND = b"".join(
    each.tobytes()
    for each in (
        recording("libri_2412_0.wav"),
        silence(0.4),
        recording("0870_sense.wav"),
        silence(1.0),
    )
)
SAID = f"{LIBRI} {SENSE}".split()


@dataclass
class Heard:
    """Every message of a socket with the second at which it came."""

    socket: ClientWebSocketResponse
    messages: list[tuple[float, dict[str, Any]]] = field(default_factory=list)

    async def listen(self) -> None:
        """Take in what comes until the socket is closed."""
        while (message := await self.socket.receive()).type is WSMsgType.TEXT:
            self.messages.append((time.monotonic(), json.loads(message.data)))

    async def say(self, event_type: str, **fields: Any) -> None:
        await self.socket.send_str(json.dumps({"event_type": event_type, **fields}))

    def of_type(self, *kinds: str) -> list[dict[str, Any]]:
        return [each for _, each in self.messages if each["event_type"] in kinds]

    async def until(self, check: Callable[[], bool], timeout_s: float) -> None:
        async with asyncio.timeout(timeout_s):
            while not check():
                await asyncio.sleep(0.02)

    def events(self) -> list[dict[str, Any]]:
        return self.of_type("transcript.update", "transcript.retract")

    def words(self) -> list[str]:
        """Return the words that stand by what was told so far."""
        stands: dict[str, dict[str, Any]] = {}
        for event in self.events():
            stands.pop(event["segment_id"], None)
            if event["event_type"] == "transcript.update":
                stands[event["segment_id"]] = event
        in_order = sorted(stands.values(), key=lambda each: float(each["start"]))
        return plain(" ".join(each["raw_text"] for each in in_order))


def plain(text: str) -> list[str]:
    return re.sub(r"[^\w\s]", "", text.lower()).replace("mr ", "mister ").split()


@asynccontextmanager
async def connected(agent: Agent) -> AsyncIterator[Heard]:
    """Open a socket and listen to it."""
    async with (
        ClientSession(headers={"X-API-Key": KEY}) as http,
        http.ws_connect(f"{agent.address}/v1/ws") as socket,
    ):
        heard = Heard(socket)
        listening = asyncio.ensure_future(heard.listen())
        try:
            yield heard
        finally:
            await socket.close()
            await listening


async def owner_of(dsn: str) -> int:
    """Return the process that captions."""
    connection = await asyncpg.connect(dsn)
    try:
        owner: str = await connection.fetchval(
            "SELECT lease_owner FROM stage_work WHERE stage = 'live'"
        )
    finally:
        await connection.close()
    return int(owner.split(":")[1])


@pytest.mark.slow
async def test_a_worker_killed_in_mid_speech_leaves_no_hole_and_no_double(
    agents: Agents, dsn: str
) -> None:
    """Captions go on within 15 s. Of 58 words 6 may be wrong while it is live, 4 in the end."""
    api, *workers = agents.make_apart(
        ["api", "worker", "worker"], WHISPER_LANGUAGE="en", MEETING_QUIET_SEC="60"
    )
    await asyncio.gather(*(agent.start() for agent in (api, *workers)))
    async with connected(api) as heard:
        await heard.say("session.start", meeting_id="m", track="main", language="en")
        await heard.until(lambda: bool(heard.of_type("session.ready")), 10)
        killed_at, known = 0.0, 0
        step = int(PIECE_S * 16_000) * 2
        begun = time.monotonic()
        for number, at in enumerate(range(0, len(SOUND), step)):
            await heard.socket.send_bytes(frame(number, SOUND[at : at + step]))
            if not killed_at and number * PIECE_S > 5 and heard.of_type("transcript.partial"):
                pid = await owner_of(dsn)
                await next(worker for worker in workers if worker.pid == pid).kill()
                killed_at, known = time.monotonic(), len(heard.words())
            await asyncio.sleep(max(begun + (number + 1) * PIECE_S - time.monotonic(), 0))
        assert killed_at
        await heard.until(lambda: len(heard.words()) > known, 15)
        await heard.say("session.stop")
        await heard.until(lambda: len(heard.words()) >= len(SAID) - 3, 30)
        gone_on = next(
            at
            for at, each in heard.messages
            if each["event_type"] == "transcript.update" and at > killed_at
        )
        assert gone_on - killed_at < 15
        assert edits(heard.words(), SAID) <= 6, heard.words()
        await heard.say("meeting.finish", meeting_id="m")
        await api.until_done("m")
        done = await api.get("/v1/meetings/m/segments")
        newest = max(each["event"] for each in done["segments"])
        await heard.until(lambda: heard.events()[-1]["event"] >= newest, 10)
        numbers = [each["event"] for each in heard.events()]
        assert numbers == list(range(1, len(numbers) + 1))
        final = plain(" ".join(each["raw_text"] for each in done["segments"]))
        assert edits(final, SAID) <= 4, final
        assert heard.words() == final


@pytest.mark.slow
async def test_a_reference_client_hears_final_segments_alone_and_gets_its_report(
    agents: Agents,
) -> None:
    (agent,) = agents.make_apart(["all"], WHISPER_LANGUAGE="en", MEETING_QUIET_SEC="3")
    await agent.start()
    sound = recording("0870_sense.wav").tobytes() + silence(1.5).tobytes()
    async with connected(agent) as heard:
        for seq, at in enumerate(range(0, len(sound), 32_000)):
            await heard.socket.send_str(json.dumps(chunk("ref", seq, sound[at : at + 32_000])))
        await heard.until(lambda: bool(heard.of_type("transcript.update")), 30)
        done = await agent.until_done("ref")
        assert {each["event_type"] for _, each in heard.messages} == {"transcript.update"}
        assert all(each.get("is_final", True) for each in heard.of_type("transcript.update"))
    assert edits(plain(done["raw_transcript"].rpartition(": ")[2]), SENSE.split()) <= 4
    assert {"summary", "bullets", "risk_flags", "recommendation"} <= set(done["report"])
