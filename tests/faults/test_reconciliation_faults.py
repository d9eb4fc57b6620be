"""A gateway in trouble, and processes that die or stand still while they deal with it."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING

import aiohttp
import asyncpg
import pytest
import pytest_asyncio

from fake_sberjazz import FakeGateway, Fault, serve
from running_agents import KEY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from running_agents import Agent, Agents

OPERATOR = {"X-API-Key": "operator-key"}
LINK = {"join_url": "https://salutejazz.ru/calls/abc?psw=hunter2"}
FAST_S = 2.0
"""Much less than the gateway takes, on however busy a machine."""


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeGateway]:
    """A gateway that all processes of a test know."""
    async with serve(FakeGateway(token="t0ken")) as serving:
        yield serving


def settings(fake: FakeGateway, **more: str) -> dict[str, str]:
    return {
        "STT_PROVIDER": "mock",
        "MEETING_CONNECTOR_PROVIDER": "sberjazz",
        "SBERJAZZ_API_BASE": fake.address,
        "SBERJAZZ_API_TOKEN": "t0ken",
        "SERVICE_API_KEYS": OPERATOR["X-API-Key"],
        "RECONCILIATION_INTERVAL_SEC": "5",
        **more,
    }


async def join(agent: Agent, meeting_id: str) -> None:
    status, said = await agent.call("POST", "/v1/meetings/start", {"meeting_id": meeting_id})
    assert status == 200, said
    path = f"/v1/admin/connectors/sberjazz/{meeting_id}/join"
    status, said = await agent.call("POST", path, LINK, headers=OPERATOR)
    assert (status, said.get("connected")) == (200, True), said


async def until(dsn: str, condition: str, timeout_s: float = 40.0) -> None:
    """Wait until a condition holds for a session."""
    connection = await asyncpg.connect(dsn)
    query = f"SELECT EXISTS (SELECT FROM connector_sessions WHERE {condition})"  # noqa: S608
    try:
        async with asyncio.timeout(timeout_s):
            while not await connection.fetchval(query):
                await asyncio.sleep(0.05)
    finally:
        await connection.close()


async def turn_back(dsn: str) -> None:
    """Let all sessions be silent for an hour, and the locks of their operations have run out."""
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        "UPDATE connector_sessions SET created_at = now() - interval '1 hour',"
        " joined_at = now() - interval '1 hour', heartbeat_at = now() - interval '1 hour',"
        " op_until = CASE WHEN op_until IS NOT NULL THEN now() - interval '1 second' END,"
        " pull_until = CASE WHEN pull_until IS NOT NULL THEN now() - interval '1 second' END"
    )
    await connection.close()


async def show(agent: Agent, page: str) -> None:
    """Ask for a page that need not be JSON."""
    async with (
        aiohttp.ClientSession(headers={"X-API-Key": KEY}) as http,
        http.get(agent.address + page) as answer,
    ):
        assert answer.status == 200
        await answer.read()


@pytest.mark.parametrize("fate", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_reconciler_that_dies_or_stands_still_while_it_sends_a_bot_leaves_one(
    agents: Agents, dsn: str, fake: FakeGateway, fate: signal.Signals
) -> None:
    """F03, F44: the next one goes on, and the one that wakes up late changes nothing."""
    roles = ["api", "reconciliation", "reconciliation"]
    api, first, second = agents.make_apart(roles, **settings(fake))
    await api.start()
    await join(api, "m1")
    fake.room("m1").put("ended", "lost")
    await turn_back(dsn)
    fake.break_next("join", Fault("slow", delay_s=3.0))
    starting = asyncio.create_task(first.start())
    async with asyncio.timeout(60):
        while len(fake.calls("join")) < 2:
            await asyncio.sleep(0.01)
    first.signal(fate)
    await turn_back(dsn)
    await second.start()
    await until(dsn, "state = 'active' AND epoch = 2 AND op_until IS NULL")
    if fate is signal.SIGSTOP:
        first.signal(signal.SIGCONT)
        await starting
    await asyncio.gather(starting, return_exceptions=True)
    async with asyncio.timeout(20):
        while any(call.status is None for call in fake.calls("join")):
            await asyncio.sleep(0.05)
    # Both look once more, for they do so every five seconds.
    looks = len(fake.calls("session"))
    await turn_back(dsn)
    async with asyncio.timeout(30):
        while len(fake.calls("session")) < looks + 2:
            await asyncio.sleep(0.05)
    (bot,) = fake.active_bots("m1")
    assert (bot.key, bot.epoch) == ("m1:2", 2)


async def test_a_gateway_that_hangs_slows_down_nobody_but_its_own_meetings(
    agents: Agents, dsn: str, fake: FakeGateway
) -> None:
    """F45: pulls, reconciliation, gauges, an operator and a deletion all wait for it at once."""
    (agent,) = agents.make_apart(["all"], **settings(fake))
    await agent.start()
    for meeting_id in ("held-1", "held-2", "deleted"):
        await join(agent, meeting_id)
    fake.break_next("*", Fault("hang", times=0))
    await turn_back(dsn)
    status, said = await agent.call("DELETE", "/v1/meetings/deleted")
    assert status == 202, said
    path = "/v1/admin/connectors/sberjazz/held-1/reconnect"
    operator = asyncio.create_task(agent.call("POST", path, headers=OPERATOR))
    slowest_s = 0.0
    ends_s = time.monotonic() + 12.0
    number = 0
    while time.monotonic() < ends_s:
        number += 1
        meeting_id = f"other-{number}"
        began_s = time.monotonic()
        await agent.send(meeting_id, 0, b"sound")
        for page in ("/health", "/metrics", "/v1/meetings"):
            await show(agent, page)
        slowest_s = max(slowest_s, time.monotonic() - began_s)
        await agent.call("POST", f"/v1/meetings/{meeting_id}/finish")
        await asyncio.sleep(0.3)
    assert slowest_s < FAST_S
    for each in range(1, number + 1):
        await agent.until_done(f"other-{each}", timeout_s=30.0)
    assert {call.call for call in fake.journal if call.status is None} >= {"session", "leave"}
    fake.faults.clear()
    fake.closing.set()
    await operator
    await until(dsn, "meeting_id = 'held-2' AND heartbeat_at > now() - interval '10 seconds'")
    async with asyncio.timeout(60):
        while (await agent.call("DELETE", "/v1/meetings/deleted"))[0] != 200:
            await asyncio.sleep(0.2)
    assert fake.active_bots("deleted") == []
    assert "hunter2" not in agent.log
    assert await agent.stop() == 0
