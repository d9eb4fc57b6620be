"""The gauges of the connector, also while its gateway hangs or fails."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from gateway_twin import GatewayTwin
from interview_agent.adapters.postgres import (
    Database,
    PostgresBreakers,
    PostgresConnectorSessions,
    PostgresIntake,
)
from interview_agent.domain.breaker import Breaker
from interview_agent.domain.connector import SessionState
from interview_agent.domain.errors import ConnectorUnavailable
from interview_agent.metrics import Metrics
from interview_agent.ports.connector_sessions import SessionUpdate
from interview_agent.ports.intake import NewMeeting
from interview_agent.runtime.connector_gauges import refresh_connector_gauges

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from interview_agent.ports.connector import Connector, GatewayHealth


class Hanging(GatewayTwin):
    """A gateway that says nothing of its health."""

    async def health(self, *, deadline_s: float) -> GatewayHealth:
        """Hang for longer than anybody waits."""
        await asyncio.sleep(deadline_s + 60)
        raise AssertionError


@asynccontextmanager
async def refreshing(database: Database, gateway: Connector) -> AsyncIterator[Metrics]:
    metrics = Metrics("api")
    task = asyncio.create_task(
        refresh_connector_gauges(
            metrics,
            gateway,
            PostgresConnectorSessions(database),
            PostgresBreakers(database),
            every_s=0.05,
            probe_s=0.5,
        )
    )
    try:
        yield metrics
    finally:
        task.cancel()


async def shown(metrics: Metrics, *lines: str) -> None:
    """Wait until a scrape shows all of the lines."""
    async with asyncio.timeout(10):
        while not set(lines) <= set(metrics.render().splitlines()):
            await asyncio.sleep(0.02)


async def test_sessions_are_counted_and_the_breaker_and_health_are_shown(
    database: Database,
) -> None:
    sessions, gateway = PostgresConnectorSessions(database), GatewayTwin()
    for meeting_id in ("m1", "m2"):
        await PostgresIntake(database).start(NewMeeting(meeting_id, "anna"))
        await sessions.begin(meeting_id, "join", provider="sberjazz", lock_s=60)
    async with refreshing(database, gateway) as metrics:
        await shown(
            metrics,
            'agent_sberjazz_sessions_total{state="connected"} 0.0',
            'agent_sberjazz_sessions_total{state="disconnected"} 2.0',
            "agent_sberjazz_circuit_breaker_open 0.0",
            "agent_sberjazz_connector_health 1.0",
            'agent_metrics_collection_errors_total{source="connector_metrics"} 0',
        )
        await PostgresBreakers(database).failed(
            gateway.gateway, Breaker(), "connector_timeout", threshold=1
        )
        gateway.healthy = False
        await shown(
            metrics,
            "agent_sberjazz_circuit_breaker_open 1.0",
            "agent_sberjazz_connector_health 0.0",
        )


async def test_a_bot_in_the_room_counts_as_connected(database: Database) -> None:
    sessions = PostgresConnectorSessions(database)
    await PostgresIntake(database).start(NewMeeting("m1", "anna"))
    operation = await sessions.begin("m1", "join", provider="sberjazz", lock_s=60)
    await sessions.update(operation, SessionUpdate(state=SessionState.INTERRUPTED))
    async with refreshing(database, GatewayTwin()) as metrics:
        await shown(metrics, 'agent_sberjazz_sessions_total{state="connected"} 1.0')


async def test_a_gateway_that_hangs_or_fails_is_not_healthy_and_keeps_no_gauge_waiting(
    database: Database,
) -> None:
    failing = GatewayTwin()
    failing.fail("health", *[ConnectorUnavailable()] * 1000)
    for gateway in (Hanging(), failing):
        async with refreshing(database, gateway) as metrics:
            await shown(
                metrics,
                "agent_sberjazz_connector_health 0.0",
                'agent_sberjazz_sessions_total{state="connected"} 0.0',
                'agent_metrics_collection_errors_total{source="connector_metrics"} 0',
            )


async def test_without_a_database_the_refresh_is_counted_as_failed(database: Database) -> None:
    await database.close()
    async with refreshing(database, GatewayTwin()) as metrics:
        await shown(metrics, "agent_sberjazz_connector_health 1.0")
        assert 'agent_metrics_collection_errors_total{source="connector_metrics"} 0' not in (
            metrics.render().splitlines()
        )
