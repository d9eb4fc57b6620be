"""A breaker is closed once its gateway works again, and not a moment before."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest_asyncio

from fake_sberjazz import Fault
from gateway_stand import Stand, gateway_stand
from interview_agent.adapters.postgres import Database, PostgresBreakers
from interview_agent.domain.breaker import Breaker, BreakerState
from interview_agent.pipeline.connector import BreakerRecovery, RecoveryTerms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TERMS = RecoveryTerms(min_age_s=30.0, every_s=0.01, probe_s=0.5)


class Watch:
    """A recovery, what it watches, and how often it closed that."""

    def __init__(self, database: Database, stand: Stand) -> None:
        self.database = database
        self.fake = stand.fake
        self.gateway = stand.connector.gateway
        self.breakers = PostgresBreakers(database)
        self.closed = 0
        self.recovery = BreakerRecovery(self.breakers, stand.connector, TERMS, on_closed=self._note)

    def _note(self) -> None:
        self.closed += 1

    async def open(self, *, age_s: float) -> None:
        await self.breakers.failed(self.gateway, Breaker(), "connector_timeout", threshold=1)
        async with self.database.connection() as connection:
            await connection.execute(
                "UPDATE connector_breakers SET opened_at = now() - make_interval(secs => $1)", age_s
            )

    async def state(self) -> BreakerState:
        return (await self.breakers.get(self.gateway)).state


@pytest_asyncio.fixture
async def watch(database: Database) -> AsyncIterator[Watch]:
    """A recovery with a gateway that works."""
    async with gateway_stand() as stand:
        yield Watch(database, stand)


async def test_two_good_probes_in_a_row_close_it(watch: Watch) -> None:
    await watch.open(age_s=31.0)
    await watch.recovery.look()
    watch.fake.break_next("health", Fault("status"))
    await watch.recovery.look()
    await watch.recovery.look()
    assert (await watch.state(), watch.closed) == (BreakerState.OPEN, 0), "one was bad"
    await watch.recovery.look()
    assert (await watch.state(), watch.closed) == (BreakerState.CLOSED, 1)
    await watch.recovery.look()
    assert len(watch.fake.calls("health")) == 4, "a closed one is not probed"


async def test_a_young_one_stays_open_however_good_the_gateway_is(watch: Watch) -> None:
    await watch.open(age_s=20.0)
    for _ in range(4):
        await watch.recovery.look()
    assert (await watch.state(), watch.closed) == (BreakerState.OPEN, 0)


async def test_a_gateway_that_says_it_is_not_well_does_not_close_it(watch: Watch) -> None:
    watch.fake.health_status = "down"
    await watch.open(age_s=31.0)
    for _ in range(3):
        await watch.recovery.look()
    assert await watch.state() is BreakerState.OPEN


async def test_two_processes_close_it_once(watch: Watch) -> None:
    await watch.open(age_s=31.0)
    loops = [asyncio.create_task(watch.recovery.run()) for _ in range(2)]
    async with asyncio.timeout(10):
        while not watch.closed:
            await asyncio.sleep(0.01)
    for loop in loops:
        loop.cancel()
    await asyncio.gather(*loops, return_exceptions=True)
    await watch.recovery.look()
    assert (await watch.state(), watch.closed) == (BreakerState.CLOSED, 1)
