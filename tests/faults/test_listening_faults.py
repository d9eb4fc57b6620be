"""What listeners get while servers and processes break: every change, once, in order."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import TYPE_CHECKING

from redis.asyncio import Redis

from event_stream_client import EventStream, event_stream
from fault_servers import frozen
from running_agents import KEY

if TYPE_CHECKING:
    from fault_servers import OwnServers
    from machine_pace import Pace
    from running_agents import Agent

HEADERS = {"X-API-Key": KEY}
MOCK = {"STT_PROVIDER": "mock", "MEETING_QUIET_SEC": "600"}


async def say(api: Agent, stream: EventStream, seq: int) -> None:
    """Send a chunk and wait until the listener has both of its updates."""
    await api.send("m1", seq, b"x" * (16 + 2 * seq))
    await stream.until(lambda it: _texts(it) >= seq + 1, 30)


def _texts(stream: EventStream) -> int:
    finished = (each.message for each in stream.told if "quality" in each.message)
    return len({message["segment_id"] for message in finished})


async def test_a_listener_misses_nothing_while_valkey_is_emptied_killed_and_frozen(
    own: OwnServers,
) -> None:
    api, worker = own.agents.make_apart(["api", "worker"], **MOCK)
    await asyncio.gather(api.start(), worker.start())
    await api.call("POST", "/v1/meetings/start", {"meeting_id": "m1"})
    async with event_stream(api.address, "m1", HEADERS, last_event="0") as stream:
        await say(api, stream, 0)
        valkey = Redis.from_url(own.valkey.address)
        await valkey.flushall()
        await valkey.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await valkey.aclose()
        await say(api, stream, 1)
        os.kill(own.valkey.pid, signal.SIGKILL)
        await own.valkey.stop()
        await say(api, stream, 2)
        await own.valkey.start()
        await say(api, stream, 3)
        with frozen([own.valkey.pid]):
            await say(api, stream, 4)
        await say(api, stream, 5)
        assert stream.events == list(range(1, len(stream.events) + 1))
    assert (await api.stop(), await worker.stop()) == (0, 0)


async def test_a_listener_stays_connected_while_postgresql_restarts(
    own: OwnServers, pace: Pace
) -> None:
    api, worker = own.agents.make_apart(["api", "worker"], **MOCK)
    await asyncio.gather(api.start(), worker.start())
    await api.call("POST", "/v1/meetings/start", {"meeting_id": "m1"})
    async with event_stream(api.address, "m1", HEADERS, last_event="0") as stream:
        await say(api, stream, 0)
        os.kill(own.postgres.pid, signal.SIGKILL)
        await own.postgres.stop()
        await own.postgres.start()
        asked_s = time.monotonic()
        while (await api.call("GET", "/ready"))[0] != 200:
            assert time.monotonic() - asked_s < pace.slowed(30)
            await asyncio.sleep(0.1)
        await say(api, stream, 1)
        assert not stream.ended
        assert stream.events == list(range(1, len(stream.events) + 1))


async def test_a_listener_goes_on_at_another_process_where_the_first_was_killed(
    own: OwnServers,
) -> None:
    first, second, worker = own.agents.make_apart(["api", "api", "worker"], **MOCK)
    await asyncio.gather(first.start(), second.start(), worker.start())
    await first.call("POST", "/v1/meetings/start", {"meeting_id": "m1"})
    async with event_stream(first.address, "m1", HEADERS, last_event="0") as stream:
        await say(first, stream, 0)
        await first.kill()
        await stream.until(lambda it: it.ended)
    told = stream.events
    await second.send("m1", 1, b"x" * 18)
    headers = HEADERS | {"Last-Event-ID": str(stream.last_event_id)}
    async with event_stream(second.address, "m1", headers) as again:
        await again.until(lambda it: _texts(it) >= 1)
        told += again.events
    assert told == list(range(1, len(told) + 1))
