"""The routes of the connector: bots that are sent into meetings, and the gateway behind them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from interview_agent.domain.errors import ConnectorDisabled
from interview_agent.domain.policy import Need
from interview_agent.pipeline.connector import JoinWish
from interview_agent.web.route import Call, Route, Takes
from interview_agent.web.schemas_connector import (
    BreakerAnswer,
    ConnectorHealthAnswer,
    JoinBody,
    LivePullAnswer,
    LivePullQuery,
    ReconcileAnswer,
    ReconcileQuery,
    SessionAnswer,
    SessionsAnswer,
    SessionsQuery,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from interview_agent.ports.audit import AuditEvent
    from interview_agent.web.parts import ConnectorParts


def _parts(call: Call) -> ConnectorParts:
    if call.parts.connector is None:
        raise ConnectorDisabled
    return call.parts.connector


def _event(call: Call) -> Callable[[], AuditEvent]:
    return partial(call.gate.hand_over, call.request)


async def join_meeting(call: Call) -> dict[str, Any]:
    """Send a bot into a meeting."""
    body: JoinBody = call.body
    wish = JoinWish(body.join_url, body.bot_name, body.language)
    return await _parts(call).requests.join(call.caller, call.meeting_id, wish, _event(call))


async def leave_meeting(call: Call) -> dict[str, Any]:
    """Call the bot back."""
    return await _parts(call).requests.leave(call.meeting_id, _event(call))


async def reconnect_meeting(call: Call) -> dict[str, Any]:
    """Call the bot back and send another one."""
    return await _parts(call).requests.reconnect(call.meeting_id, _event(call))


async def connector_status(call: Call) -> dict[str, Any]:
    """Return the session of a meeting."""
    return await _parts(call).requests.status(call.meeting_id)


async def connector_health(call: Call) -> dict[str, Any]:
    """Ask the gateway whether it works."""
    return await _parts(call).requests.health()


async def connector_sessions(call: Call) -> dict[str, Any]:
    """Return the newest sessions."""
    query: SessionsQuery = call.query
    return await _parts(call).requests.newest(query.limit)


async def circuit_breaker(call: Call) -> dict[str, Any]:
    """Return how the circuit breaker stands."""
    return await _parts(call).requests.breaker()


async def reset_circuit_breaker(call: Call) -> dict[str, Any]:
    """Close the circuit breaker."""
    return await _parts(call).requests.reset_breaker(_event(call))


async def reconcile_sessions(call: Call) -> dict[str, Any]:
    """Look at the sessions now."""
    query: ReconcileQuery = call.query
    parts = _parts(call)
    await parts.requests.record("connector_reconcile", _event(call))
    summary = await parts.reconciliation.run("admin", limit=query.limit)
    return {
        "scanned": summary.scanned,
        "stale": summary.stale,
        "reconnected": summary.reconnected,
        "failed": summary.failed,
        "stale_threshold_sec": round(parts.stale_s),
        "updated_at": datetime.now(UTC).isoformat(),
    }


async def pull_live(call: Call) -> dict[str, Any]:
    """Pull sound now."""
    query: LivePullQuery = call.query
    parts = _parts(call)
    await parts.requests.record("connector_live_pull", _event(call))
    summary = await parts.live_pull.pull_once(
        limit_sessions=query.limit_sessions, batch_limit=query.batch_limit
    )
    return {
        "scanned": summary.scanned,
        "connected": summary.connected,
        "pulled": summary.pulled,
        "ingested": summary.ingested,
        "failed": summary.failed,
        "invalid_chunks": summary.invalid_chunks,
        "updated_at": datetime.now(UTC).isoformat(),
    }


_CONNECTOR = "/v1/admin/connectors/sberjazz"

CONNECTOR_ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        f"{_CONNECTOR}/{{meeting_id}}/join",
        join_meeting,
        "Send a bot into a meeting; again, while one is there, changes nothing",
        SessionAnswer,
        takes=Takes.JSON_OR_NOTHING,
        body=JoinBody,
        errors=(409, 413, 415),
        tag="connector",
        need=Need.ADMIN_WRITE,
    ),
    Route(
        "POST",
        f"{_CONNECTOR}/{{meeting_id}}/leave",
        leave_meeting,
        "Call the bot back; fine when there is none",
        SessionAnswer,
        errors=(409,),
        tag="connector",
        need=Need.ADMIN_WRITE,
    ),
    Route(
        "POST",
        f"{_CONNECTOR}/{{meeting_id}}/reconnect",
        reconnect_meeting,
        "Call the bot back and send another one",
        SessionAnswer,
        errors=(404, 409),
        tag="connector",
        need=Need.ADMIN_WRITE,
    ),
    Route(
        "GET",
        f"{_CONNECTOR}/{{meeting_id}}/status",
        connector_status,
        "See how the bot of a meeting is",
        SessionAnswer,
        errors=(409,),
        tag="connector",
        need=Need.ADMIN_READ,
    ),
    Route(
        "GET",
        f"{_CONNECTOR}/health",
        connector_health,
        "Ask the gateway whether it works",
        ConnectorHealthAnswer,
        errors=(409,),
        tag="connector",
        need=Need.ADMIN_READ,
    ),
    Route(
        "GET",
        f"{_CONNECTOR}/circuit-breaker",
        circuit_breaker,
        "See whether the gateway is asked at all",
        BreakerAnswer,
        errors=(409,),
        tag="connector",
        need=Need.ADMIN_READ,
    ),
    Route(
        "POST",
        f"{_CONNECTOR}/circuit-breaker/reset",
        reset_circuit_breaker,
        "Close the circuit breaker",
        BreakerAnswer,
        errors=(409,),
        tag="connector",
        need=Need.ADMIN_WRITE,
    ),
    Route(
        "GET",
        f"{_CONNECTOR}/sessions",
        connector_sessions,
        "List the bots, the newest update first",
        SessionsAnswer,
        query=SessionsQuery,
        errors=(409,),
        tag="connector",
        need=Need.ADMIN_READ,
    ),
    Route(
        "POST",
        f"{_CONNECTOR}/reconcile",
        reconcile_sessions,
        "Look at the bots now: send again those that were lost, call back those nobody wants",
        ReconcileAnswer,
        query=ReconcileQuery,
        errors=(409,),
        tag="connector",
        need=Need.ADMIN_WRITE,
    ),
    Route(
        "POST",
        f"{_CONNECTOR}/live-pull",
        pull_live,
        "Pull the sound that nobody pulls now, and tell what was taken over since the last call",
        LivePullAnswer,
        query=LivePullQuery,
        errors=(409,),
        tag="connector",
        need=Need.ADMIN_WRITE,
    ),
)
"""Every route of the connector."""
