"""The gauges of the connector, refreshed apart from all others: its gateway may hang."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from interview_agent.domain.breaker import BreakerState
from interview_agent.domain.errors import ConnectorError
from interview_agent.metrics import (
    BREAKER_OPEN,
    COLLECTION_ERRORS,
    CONNECTOR_HEALTH,
    CONNECTOR_SESSIONS,
    Metrics,
)
from interview_agent.runtime.gauges import refresh_within

if TYPE_CHECKING:
    from interview_agent.ports.connector import Connector
    from interview_agent.ports.connector_sessions import Breakers, ConnectorSessions

_SOURCE = "connector_metrics"


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
    read_rows = partial(_read_rows, metrics, connector.gateway, sessions, breakers)
    metrics.start_at_zero(COLLECTION_ERRORS, [{"source": _SOURCE}])
    while True:
        await refresh_within(probe_s, metrics, _SOURCE, read_rows)
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
