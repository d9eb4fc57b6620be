"""Processes that pull are killed in the middle; the gateway knows what should have come."""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
import signal
from typing import TYPE_CHECKING, Any

import asyncpg

from fake_sberjazz import FakeGateway, serve

if TYPE_CHECKING:
    from running_agents import Agent, Agents

SERVICE = {"X-API-Key": "machine"}
LINK = {"join_url": "https://salutejazz.ru/calls/abc?psw=x"}
CHUNKS = 240
AT_ONCE = 60
"""Chunks between two kills."""
SPEAKERS = ("42", "43")


def body(number: int) -> bytes:
    return random.Random(number).randbytes(2_000 + 2 * number)


async def talk(fake: FakeGateway, numbers: range) -> None:
    """Let two participants speak in turn."""
    for number in numbers:
        fake.room("m1").say(body(number), SPEAKERS[number % 2])
        await asyncio.sleep(0.01)


async def stored_and_cursor(dsn: str, meeting_id: str) -> tuple[int, int]:
    """Return how many chunks are stored, and for how many of them the cursor vouches."""
    connection = await asyncpg.connect(dsn)
    try:
        cursor, stored = await connection.fetchrow(
            "SELECT cursor, (SELECT count(*) FROM chunks c WHERE c.meeting_id = s.meeting_id)"
            " FROM connector_sessions s WHERE meeting_id = $1",
            meeting_id,
        )
    finally:
        await connection.close()
    return stored, int(re.sub(r"^g\d+\.", "", cursor or "g1.0"))


async def heard(agent: Agent, meeting_id: str) -> dict[str, list[str]]:
    """Return the digests of each speaker's chunks in order."""
    tracks: list[Any] = (await agent.get(f"/v1/meetings/{meeting_id}/chunks"))["tracks"]
    return {
        track["track"]: [each["sha256"] for each in sorted(track["chunks"], key=lambda c: c["seq"])]
        for track in tracks
    }


async def test_killed_between_two_pulled_chunks_nothing_is_lost_or_doubled(
    agents: Agents, dsn: str
) -> None:
    chance = random.Random(5)
    async with serve(FakeGateway()) as fake:
        api, *pullers = agents.make_apart(
            ["api", "reconciliation", "reconciliation"],
            STT_PROVIDER="mock",
            SERVICE_API_KEYS="machine",
            MEETING_CONNECTOR_PROVIDER="sberjazz",
            SBERJAZZ_API_BASE=fake.address,
            SBERJAZZ_LIVE_PULL_INTERVAL_MS="100",
            SBERJAZZ_LIVE_PULL_BATCH_LIMIT="7",
        )
        await asyncio.gather(*(each.start() for each in (api, *pullers)))
        await api.call("POST", "/v1/meetings/start", {"meeting_id": "m1"})
        joined = await api.call(
            "POST", "/v1/admin/connectors/sberjazz/m1/join", LINK, headers=SERVICE
        )
        assert joined[0] == 200, joined
        for first in range(0, CHUNKS, AT_ONCE):
            talking = asyncio.create_task(talk(fake, range(first, first + AT_ONCE)))
            enough = first + chance.randrange(1, AT_ONCE - 5)
            async with asyncio.timeout(60):
                while (await stored_and_cursor(dsn, "m1"))[0] < enough:
                    await asyncio.sleep(0.002)
            for each in pullers:
                each.signal(signal.SIGKILL)
            await asyncio.gather(talking, *(each.ended() for each in pullers))
            stored, vouched = await stored_and_cursor(dsn, "m1")
            assert vouched <= stored
            await asyncio.gather(*(each.start() for each in pullers))
        async with asyncio.timeout(60):
            while (await stored_and_cursor(dsn, "m1"))[1] < CHUNKS:
                await asyncio.sleep(0.1)
        expected = [
            [hashlib.sha256(body(number)).hexdigest() for number in range(first, CHUNKS, 2)]
            for first in range(2)
        ]
        assert sorted((await heard(api, "m1")).values()) == sorted(expected)
        assert len(fake.active_bots("m1")) == 1
