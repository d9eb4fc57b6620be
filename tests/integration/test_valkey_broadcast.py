"""Signals when the server misbehaves, and when others write to its channels."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from fault_servers import OwnServer, frozen
from interview_agent.adapters.valkey import ValkeyBroadcast
from interview_agent.domain.live import Alert, AlertCode, Nudge, Signal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from interview_agent.adapters.embedded import EmbeddedAddresses
    from machine_pace import Pace


class Running:
    """A broadcast whose loops run, with what was heard of one meeting and counted as failed."""

    def __init__(self, url: str) -> None:
        self.heard: list[Signal] = []
        self.failures = 0
        self.broadcast = ValkeyBroadcast(url, on_failure=self._fail)
        self.broadcast.listen("m1", self.heard.append)
        self._loops = [
            asyncio.create_task(self.broadcast.run_publisher()),
            asyncio.create_task(self.broadcast.run_listener()),
        ]

    def _fail(self) -> None:
        self.failures += 1

    async def hears_again(self, timeout_s: float = 20.0) -> None:
        """Return once what is published is heard."""
        self.heard.clear()
        async with asyncio.timeout(timeout_s):
            while not self.heard:
                self.broadcast.publish("m1", Nudge())
                await asyncio.sleep(0.05)

    async def close(self) -> None:
        assert not any(loop.done() for loop in self._loops), "a loop died"
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        await self.broadcast.aclose()


@pytest_asyncio.fixture
async def running(servers: EmbeddedAddresses) -> AsyncIterator[Running]:
    assert servers.redis_url is not None
    made = Running(servers.redis_url)
    yield made
    await made.close()


@pytest_asyncio.fixture
async def own(tmp_path: Path) -> AsyncIterator[OwnServer]:
    server = OwnServer(tmp_path / "vk", "valkey")
    await server.start()
    yield server
    await server.stop()


async def until(check: Callable[[], bool], timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not check():
            await asyncio.sleep(0.01)


def wire(**fields: Any) -> str:
    """Return the text of a partial, some of whose fields are not what they should be."""
    partial = {"kind": "partial", "track": "t", "segment_id": "s", "revision": 1, "words": []}
    return json.dumps(partial | {"committed": 0, "last_seq": 0, "language": None} | fields)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        b"\xff\xfe",
        "[" * 100_000,
        "[]",
        "null",
        '"nudge"',
        '{"event_type":"transcript.update","raw_text":"another implementation"}',
        '{"kind":"partial"}',
        wire(track=1),
        wire(revision=True),
        wire(committed="0"),
        wire(words=[["a"]]),
        wire(words=[{"text": "a", "start_s": 0, "end_s": None, "probability": None}]),
        wire(segment_id="\ud800"),
        '{"kind":"alert","track":"t","code":"no_such_code","since_s":1}',
        '{"kind":"alert","track":"t","code":"no_audio","since_s":NaN}',
        '{"kind":"alert","track":"t","code":"no_audio","since_s":1' + "0" * 400 + "}",
        '{"kind":"nudge","padding":"' + "x" * 300_000 + '"}',
    ],
    ids=range(19),
)
async def test_what_we_did_not_write_is_ignored(
    running: Running, servers: EmbeddedAddresses, text: str | bytes
) -> None:
    await running.hears_again()
    client = Redis.from_url(servers.redis_url or "")
    await client.publish("ws:m1", text)
    await client.aclose()
    marker = Alert("main", AlertCode.CLIPPING, 1.0)
    running.broadcast.publish("m1", marker)
    await until(lambda: marker in running.heard)
    assert set(running.heard) == {Nudge(), marker}


async def test_connections_cut_by_the_server_are_made_again_with_every_subscription(
    running: Running, servers: EmbeddedAddresses
) -> None:
    others: list[list[Signal]] = [[] for _ in range(20)]
    for number, heard in enumerate(others):
        running.broadcast.listen(f"other-{number}", heard.append)
    await running.hears_again()
    client = Redis.from_url(servers.redis_url or "")
    await client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    await client.aclose()
    await running.hears_again()
    async with asyncio.timeout(10):
        while not all(others):
            for number in range(20):
                running.broadcast.publish(f"other-{number}", Nudge())
            await asyncio.sleep(0.05)


async def test_one_connection_listens_however_many_meetings_there_are(
    running: Running, servers: EmbeddedAddresses
) -> None:
    stops = [running.broadcast.listen(f"many-{n}", lambda _: None) for n in range(300)]
    await running.hears_again()
    client = Redis.from_url(servers.redis_url or "", decode_responses=True)

    async def channels() -> int:
        return len(await client.pubsub_channels("ws:many-*"))

    async with asyncio.timeout(10):
        while await channels() != 300:
            await asyncio.sleep(0.02)
    assert len(await client.client_list(_type="pubsub")) == 1
    for stop in stops:
        stop()
    async with asyncio.timeout(10):
        while await channels():
            await asyncio.sleep(0.02)
    await client.aclose()


async def test_a_killed_server_costs_what_was_on_its_way_and_nothing_later(own: OwnServer) -> None:
    running = Running(own.address)
    await running.hears_again()
    os.kill(own.pid, signal.SIGKILL)
    await own.stop()
    await until(lambda: running.failures > 0)
    for _ in range(5_000):
        running.broadcast.publish("m1", Nudge())
    assert running.failures > 3_000, "what finds no room is counted, not kept"
    await own.start()
    await running.hears_again()
    await running.close()


@pytest.mark.slow
async def test_a_frozen_server_keeps_nobody_waiting_and_is_left_when_it_stays_silent(
    own: OwnServer, pace: Pace
) -> None:
    running = Running(own.address)
    await running.hears_again()
    with frozen([own.pid]):
        worst_s = 0.0
        ends_s = time.monotonic() + 20
        failures = running.failures
        while time.monotonic() < ends_s:
            asked_s = time.monotonic()
            running.broadcast.publish("m1", Nudge())
            await asyncio.sleep(0.01)
            worst_s = max(worst_s, time.monotonic() - asked_s)
        assert worst_s < pace.slowed(1.0)
        assert running.failures > failures
    await running.hears_again()
    await running.close()
