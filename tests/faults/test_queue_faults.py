"""Valkey is emptied, killed and frozen: it only carries hints, so nothing but time may be lost."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import TYPE_CHECKING

from redis.asyncio import Redis

from fault_driver import Driver
from fault_oracle import judge, settled, temporaries
from fault_servers import frozen

if TYPE_CHECKING:
    from fault_servers import OwnServers
    from machine_pace import Pace

MOCK = {"STT_PROVIDER": "mock", "MEETING_QUIET_SEC": "60"}


async def test_hints_that_are_lost_cost_seconds_and_nothing_else(
    own: OwnServers, pace: Pace
) -> None:
    """F07, F08, F10: flushed, restarted empty and frozen, under ingest and work."""
    api, worker = own.agents.make_apart(["api", "worker"], **MOCK)
    await asyncio.gather(api.start(), worker.start())
    async with Driver(lambda: api.address, ["a", "b"], pace_s=0.02) as driver:
        await driver.until_ok(20)
        valkey = Redis.from_url(own.valkey.address)
        for _ in range(10):
            await valkey.flushall()
            await driver.until_ok(5)
        await valkey.aclose()
        os.kill(own.valkey.pid, signal.SIGKILL)
        await own.valkey.stop()
        await driver.until_ok(20)
        await own.valkey.start()
        await driver.until_ok(20)
        with frozen([own.valkey.pid]):
            await driver.until_ok(40)
            assert (await api.call("GET", "/ready"))[0] == 503
            sent_s = time.monotonic()
            await api.send("alone", 0, b"x" * 16)
            await api.call("POST", "/v1/meetings/alone/finish")
            await api.until_done("alone")
            assert time.monotonic() - sent_s < pace.slowed(15), "five stages, each found by polling"
    assert driver.journal.refusals == []
    assert driver.journal.unknown == set()
    assert max(driver.journal.ok_took_s) < pace.slowed(2)
    await settled(api, driver.journal)
    assert await judge(own.postgres.address, own.blob_dir, driver.journal)
    assert temporaries(own.blob_dir) == []


async def test_a_stop_is_graceful_while_the_queue_is_frozen(own: OwnServers, pace: Pace) -> None:
    """F10, F40: exit code 0 well within the grace."""
    api, worker = own.agents.make_apart(["api", "worker"], **MOCK)
    await asyncio.gather(api.start(), worker.start())
    async with Driver(lambda: api.address, ["a"]) as driver:
        await driver.until_ok(20)
    await settled(api, driver.journal)
    assert await judge(own.postgres.address, own.blob_dir, driver.journal)
    with frozen([own.valkey.pid]):
        await asyncio.sleep(1)
        asked_s = time.monotonic()
        codes = await asyncio.gather(api.stop(), worker.stop())
        assert codes == [0, 0]
        assert time.monotonic() - asked_s < pace.slowed(12)
