"""The service under test: an API and a worker apart, on a PostgreSQL and a Valkey of their own."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
import asyncpg

from captions.process_tree import PERIOD_S, ProcessTree, Usage
from fault_servers import OwnServers
from running_agents import KEY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from running_agents import Agent

LAG_EVERY_S = 0.05
MOST_HELD = 900
"""Sockets that one caller may hold here, who is everybody; the default is 600."""

SETTLE_S = 15.0
"""Longest wait for what the load before has left to be done."""
_SETTLE_EVERY_S = 0.3
_DUE = "SELECT EXISTS (SELECT FROM stage_work WHERE due_at <= now())"

_LAG_GAUGE = re.compile(r"^agent_event_loop_lag_seconds(?:\{\})? (\S+)$", re.MULTILINE)


@dataclass
class Watch:
    """What processes used while a load ran, and how promptly the event loop of the API answered.

    `health_ms` are the round trips of `/health`, which touches nothing but the event loop, asked 20
    times a second: the lag of the loop, one small request, and the wait for a core.
    """

    usage: dict[str, list[Usage]] = field(default_factory=dict)
    health_ms: list[float] = field(default_factory=list)
    gauge_s: float | None = None

    def cpu_s(self, name: str) -> float:
        """Return the CPU seconds of a process and its children."""
        samples = self.usage[name]
        return samples[-1].cpu_s - samples[0].cpu_s

    def resident_mb(self, name: str, from_s: float = 0.0, to_s: float = float("inf")) -> float:
        """Return the most resident memory at once between two moments."""
        return max(
            (each.resident_mb for each in self.usage[name] if from_s <= each.at_s <= to_s),
            default=0.0,
        )


class Service:
    """The running processes and how to reach them."""

    def __init__(self, servers: OwnServers, api: Agent, worker: Agent) -> None:
        self.dsn = servers.postgres.address
        self.address = api.address
        self.key = KEY
        self._api = api
        self._pids = {"api": api.pid, "postgres": servers.postgres.pid, "worker": worker.pid}

    async def settle(self) -> None:
        """Wait until the workers have nothing to do, so that a load is not slowed by the last."""
        connection = await asyncpg.connect(self.dsn)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SETTLE_S):
                    await _until_idle(connection)
        finally:
            await connection.close()

    async def start_meetings(self, names: set[str]) -> None:
        """Start meetings that somebody is to listen to."""
        for name in sorted(names):
            await self._api.call("POST", "/v1/meetings/start", {"meeting_id": name})

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[Watch]:
        """Follow all processes until the block ends."""
        watch = Watch()
        trees = {name: ProcessTree(pid) for name, pid in self._pids.items()}
        watch.usage = {name: [tree.sample()] for name, tree in trees.items()}
        async with aiohttp.ClientSession(self.address) as http:
            following = asyncio.create_task(_follow(watch, trees))
            asking = asyncio.create_task(_ask_health(watch, http))
            try:
                yield watch
            finally:
                for task in (following, asking):
                    task.cancel()
                await asyncio.gather(following, asking, return_exceptions=True)
            for name, tree in trees.items():
                watch.usage[name].append(tree.sample())
            watch.gauge_s = await self._lag_gauge_s()

    async def _lag_gauge_s(self) -> float | None:
        headers = {"X-API-Key": self.key}
        async with (
            aiohttp.ClientSession(self.address, headers=headers) as http,
            http.get("/metrics") as answer,
        ):
            found = _LAG_GAUGE.search(await answer.text())
        return float(found[1]) if found else None


async def _until_idle(connection: Any) -> None:
    while True:
        if not await connection.fetchval(_DUE):
            return
        await asyncio.sleep(_SETTLE_EVERY_S)


async def _follow(watch: Watch, trees: dict[str, ProcessTree]) -> None:
    while True:
        await asyncio.sleep(PERIOD_S)
        for name, tree in trees.items():
            watch.usage[name].append(await asyncio.to_thread(tree.sample))


async def _ask_health(watch: Watch, http: aiohttp.ClientSession) -> None:
    async def ask() -> None:
        asked_s = time.monotonic()
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with http.get("/health") as answer:
                await answer.read()
                watch.health_ms.append((time.monotonic() - asked_s) * 1000)

    # A slow answer must not keep the next question from being asked.
    async with asyncio.TaskGroup() as group:
        while True:
            group.create_task(ask())
            await asyncio.sleep(LAG_EVERY_S)


@contextlib.asynccontextmanager
async def running_service(folder: Path) -> AsyncIterator[Service]:
    """Run everything below `folder` until the block ends, speech to text stubbed."""
    servers = OwnServers(folder)
    settings: dict[str, Any] = {
        "STT_PROVIDER": "mock",
        # No meeting of a load may come to its report in the middle of the next load.
        "MEETING_QUIET_SEC": "3600",
        "MAX_HELD_PER_CALLER": str(MOST_HELD),
        "LOG_LEVEL": "WARNING",
    }
    try:
        await servers.start()
        api, worker = servers.agents.make_apart(["api", "worker"], **settings)
        await api.start()
        await worker.start()
        yield Service(servers, api, worker)
    finally:
        await servers.close()
