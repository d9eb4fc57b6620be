"""The gauges of the connector, refreshed apart from all others: its gateway may hang."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from interview_agent.domain.breaker import BreakerState
from interview_agent.domain.errors import AgentError, ConnectorError
from interview_agent.metrics import (
    BREAKER_OPEN,
    COLLECTION_ERRORS,
    CONNECTOR_HEALTH,
    CONNECTOR_SESSIONS,
    Metrics,
)

if TYPE_CHECKING:
    from interview_agent.ports.connector import Connector
    from interview_agent.ports.connector_sessions import Breakers, ConnectorSessions

_SOURCE = "connector_metrics"

log = structlog.get_logger(__name__)


async def refresh_connector_gauges(
    metrics: Metrics,
    connector: Connector,
    sessions: ConnectorSessions,
    breakers: Breakers,
    *,
    every_s: float = 10.0,
    probe_s: float = 5.0,
) -> None:
    """Count the sessions, look at the breaker and ask the gateway for `probe_s`, for ever."""
    metrics.start_at_zero(COLLECTION_ERRORS, [{"source": _SOURCE}])
    while True:
        try:
            async with asyncio.timeout(probe_s):
                await _read_rows(metrics, connector.gateway, sessions, breakers)
        except (AgentError, TimeoutError) as error:
            metrics.count(COLLECTION_ERRORS, source=_SOURCE)
            log.warning("gauge_not_refreshed", source=_SOURCE, cause=str(error))
        metrics.set(CONNECTOR_HEALTH, await _works(connector, probe_s))
        await asyncio.sleep(every_s)


async def _read_rows(
    metrics: Metrics, gateway: str, sessions: ConnectorSessions, breakers: Breakers
) -> None:
    connected, disconnected = await sessions.count()
    metrics.set(CONNECTOR_SESSIONS, connected, state="connected")
    metrics.set(CONNECTOR_SESSIONS, disconnected, state="disconnected")
    breaker = await breakers.get(gateway)
    metrics.set(BREAKER_OPEN, breaker.state is BreakerState.OPEN)


async def _works(connector: Connector, probe_s: float) -> bool:
    try:
        async with asyncio.timeout(probe_s):
            return (await connector.health(deadline_s=probe_s)).healthy
    except (ConnectorError, TimeoutError):
        return False
