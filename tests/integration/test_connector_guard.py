"""A gateway that fails is left in peace; what must always be possible still is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway_twin import GatewayTwin
from interview_agent.adapters.postgres import Database, PostgresBreakers
from interview_agent.domain.breaker import BreakerState
from interview_agent.domain.errors import (
    ConnectorAuthError,
    ConnectorBadRequest,
    ConnectorCircuitOpen,
    ConnectorError,
    ConnectorInvalidResponse,
    ConnectorRateLimited,
    ConnectorTimeout,
    ConnectorUnavailable,
)
from interview_agent.pipeline.connector import GuardedConnector
from interview_agent.ports.connector import JoinOrder

if TYPE_CHECKING:
    from collections.abc import Sequence

TROUBLE = (ConnectorTimeout(), ConnectorUnavailable(), ConnectorRateLimited())
NO_TROUBLE = (ConnectorAuthError(), ConnectorBadRequest(), ConnectorInvalidResponse())
ORDER = JoinOrder("m1", "m1:1")


class Guarded:
    """A gateway behind a breaker that opens after three failures."""

    def __init__(self, database: Database, open_s: float = 60.0) -> None:
        self.gateway = GatewayTwin()
        self.breakers = PostgresBreakers(database)
        self.connector = GuardedConnector(self.gateway, self.breakers, threshold=3, open_s=open_s)

    async def fail(self, name: str, errors: Sequence[ConnectorError]) -> None:
        """Let a call fail with each of the errors."""
        for error in errors:
            self.gateway.fail(name, error)
            with pytest.raises(type(error)):
                await self.ask(name)

    async def ask(self, name: str) -> None:
        """Join, or pull."""
        if name == "join":
            await self.connector.join(ORDER, deadline_s=1)
        else:
            await self.connector.live_chunks("m1", None, limit=1, deadline_s=1)

    async def state(self) -> BreakerState:
        return (await self.breakers.get(self.gateway.gateway)).state


@pytest.mark.parametrize("name", ["join", "live_chunks"])
async def test_trouble_of_the_gateway_opens_the_breaker_and_it_is_asked_no_more(
    database: Database, name: str
) -> None:
    guarded = Guarded(database)
    await guarded.fail(name, TROUBLE)
    assert await guarded.state() is BreakerState.OPEN
    asked = len(guarded.gateway.calls)
    with pytest.raises(ConnectorCircuitOpen) as caught:
        await guarded.connector.join(ORDER, deadline_s=1)
    assert set(caught.value.details) == {"operation", "retry_after_sec", "consecutive_failures"}
    assert len(guarded.gateway.calls) == asked


async def test_what_says_nothing_of_the_gateway_is_not_counted(database: Database) -> None:
    guarded = Guarded(database)
    await guarded.fail("join", NO_TROUBLE * 3)
    assert await guarded.state() is BreakerState.CLOSED


async def test_leaving_asking_and_health_pass_an_open_breaker_and_do_not_count(
    database: Database,
) -> None:
    guarded = Guarded(database)
    await guarded.fail("join", TROUBLE)
    await guarded.connector.leave("m1", deadline_s=1)
    await guarded.connector.session("m1", deadline_s=1)
    assert (await guarded.connector.health(deadline_s=1)).healthy
    for name in ("leave", "session", "health"):
        guarded.gateway.fail(name, *TROUBLE)
    for _ in range(3):
        with pytest.raises(ConnectorError):
            await guarded.connector.leave("m1", deadline_s=1)
    assert (await guarded.breakers.get(guarded.gateway.gateway)).consecutive_failures == 3


async def test_a_probe_that_works_closes_the_breaker_and_one_in_trouble_opens_it_anew(
    database: Database,
) -> None:
    guarded = Guarded(database, open_s=0.0)
    await guarded.fail("join", TROUBLE)
    await guarded.fail("join", [ConnectorTimeout()])
    assert await guarded.state() is BreakerState.OPEN
    await guarded.connector.join(ORDER, deadline_s=1)
    assert await guarded.state() is BreakerState.CLOSED


async def test_a_probe_that_says_nothing_of_the_gateway_goes_to_the_next_caller(
    database: Database,
) -> None:
    guarded = Guarded(database, open_s=0.0)
    await guarded.fail("join", TROUBLE)
    await guarded.fail("join", [ConnectorBadRequest()])
    assert await guarded.state() is BreakerState.HALF_OPEN
    await guarded.connector.join(ORDER, deadline_s=1)
    assert await guarded.state() is BreakerState.CLOSED
