"""The connector of `MEETING_CONNECTOR_PROVIDER`: its gateway, and all that works with it."""

from __future__ import annotations

import base64
import binascii
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import structlog

from interview_agent.adapters.postgres import (
    PostgresArchive,
    PostgresBreakers,
    PostgresConnectorSessions,
    PostgresIntake,
    PostgresStrayBots,
)
from interview_agent.adapters.sberjazz import (
    AnswerLimits,
    GatewayAddress,
    GatewayCalls,
    MockGateway,
    Retries,
    RetryRules,
    SberjazzGateway,
    open_voices,
)
from interview_agent.compose.pulling import add_pulling
from interview_agent.domain.errors import BadAudio, ConnectorError, StartupError
from interview_agent.domain.readiness import findings
from interview_agent.domain.roles import sweeps
from interview_agent.metrics import (
    BREAKER_RESETS,
    RECONCILE_LAST_FAILED,
    RECONCILE_LAST_RECONNECTED,
    RECONCILE_LAST_STALE,
    RECONCILE_RUNS,
    SWEPT,
)
from interview_agent.pipeline.connector import (
    BreakerRecovery,
    CallBack,
    ConnectorOperations,
    ConnectorRequests,
    GuardedConnector,
    OperationRules,
    ReconcileTerms,
    Reconciliation,
    RecoveryTerms,
    StrayRecall,
)
from interview_agent.runtime.connector_gauges import refresh_connector_gauges
from interview_agent.web.parts import ConnectorParts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AsyncExitStack

    from interview_agent.compose.servers import Backends
    from interview_agent.domain.readiness import Issue
    from interview_agent.pipeline.connector import LivePull
    from interview_agent.pipeline.connector.reconcile import ReconcileSummary, Source
    from interview_agent.ports.audit import AuditLog
    from interview_agent.ports.connector import Connector
    from interview_agent.runtime.readiness import Check
    from interview_agent.runtime.service import Service
    from interview_agent.settings import Settings

_PROBE_S = 5.0
_BY_ADMIN = {"source": "admin", "reason": "manual_reset"}
_BY_ITSELF = {"source": "auto", "reason": "health_recovered"}

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Bots:
    """What every part of a process that works with the connector shares."""

    connector: Connector
    sessions: PostgresConnectorSessions
    breakers: PostgresBreakers
    operations: ConnectorOperations
    call_back: CallBack
    reconciliation: Reconciliation
    pull: LivePull


def open_bots(service: Service, parts: Backends, stack: AsyncExitStack) -> Bots | None:
    """Join the gateway with its rows, None where there is no gateway. Raises `StartupError`."""
    settings = service.settings
    gateway = open_connector(settings, stack)
    if gateway is None:
        return None
    _warn_of_ignored(settings)
    sessions, breakers = (
        PostgresConnectorSessions(parts.database),
        PostgresBreakers(parts.database),
    )
    connector = GuardedConnector(
        gateway,
        breakers,
        threshold=settings.sberjazz_cb_failure_threshold,
        open_s=settings.sberjazz_cb_open_sec,
    )
    rules = OperationRules(
        lock_s=settings.sberjazz_op_lock_ttl_sec,
        fresh_s=settings.sberjazz_join_idempotent_ttl_sec,
        link_hosts=settings.sberjazz_join_hosts,
        needs_link=settings.meeting_connector_provider != "sberjazz_mock",
    )
    operations = ConnectorOperations(connector, sessions, rules, clock=_now)
    service.loops["connector_gauges"] = partial(
        refresh_connector_gauges, service.metrics, connector, sessions, breakers
    )
    call_back = CallBack(sessions, operations)
    bots = Bots(
        connector,
        sessions,
        breakers,
        operations,
        call_back,
        _reconciliation(service, connector, sessions, operations, call_back),
        add_pulling(service, parts, connector),
    )
    if sweeps(service.roles):
        _look_after(service, parts, bots)
    return bots


def _reconciliation(
    service: Service,
    connector: Connector,
    sessions: PostgresConnectorSessions,
    operations: ConnectorOperations,
    call_back: CallBack,
) -> Reconciliation:
    settings, metrics = service.settings, service.metrics
    metrics.start_at_zero(
        RECONCILE_RUNS,
        (
            {"source": source, "result": result}
            for source in ("job", "admin")
            for result in ("ok", "failed")
        ),
    )
    for gauge in (RECONCILE_LAST_STALE, RECONCILE_LAST_FAILED, RECONCILE_LAST_RECONNECTED):
        metrics.set(gauge, 0)

    def on_run(source: Source, summary: ReconcileSummary | None) -> None:
        metrics.count(RECONCILE_RUNS, source=source, result="failed" if summary is None else "ok")
        # An operator has the answer; in a process without the loop it would stand here for ever.
        if summary is not None and source == "job":
            metrics.set(RECONCILE_LAST_STALE, summary.stale)
            metrics.set(RECONCILE_LAST_FAILED, summary.failed)
            metrics.set(RECONCILE_LAST_RECONNECTED, summary.reconnected)

    return Reconciliation(
        sessions,
        connector,
        operations,
        call_back,
        ReconcileTerms(
            stale_s=settings.sberjazz_reconcile_stale_sec,
            expire_s=settings.sberjazz_session_ttl_sec,
            pull_failures=settings.sberjazz_live_pull_fail_reconnect_threshold,
            pulled=settings.sberjazz_live_pull_enabled,
            ask_s=settings.sberjazz_timeout_sec,
        ),
        clock=_now,
        on_run=on_run,
        on_pruned=partial(metrics.count, SWEPT, kind="connector_session"),
    )


def _look_after(service: Service, parts: Backends, bots: Bots) -> None:
    """Let this process reconcile, call stray bots back, and close a breaker in time."""
    settings = service.settings
    if settings.reconciliation_enabled:
        service.loops["connector_reconcile"] = partial(
            bots.reconciliation.run_for_ever,
            every_s=settings.reconciliation_interval_sec,
            limit=settings.reconciliation_limit,
        )
        strays = StrayRecall(
            PostgresStrayBots(parts.database),
            bots.connector,
            ask_s=settings.sberjazz_timeout_sec,
            on_called_back=partial(service.metrics.count, SWEPT, 1, kind="stray_bot"),
        )
        service.loops["stray_bots"] = partial(
            strays.run_for_ever, every_s=settings.reconciliation_interval_sec
        )
    if settings.sberjazz_cb_auto_reset_enabled:
        service.metrics.start_at_zero(BREAKER_RESETS, (_BY_ITSELF,))
        recovery = BreakerRecovery(
            bots.breakers,
            bots.connector,
            RecoveryTerms(min_age_s=settings.sberjazz_cb_auto_reset_min_age_sec),
            on_closed=partial(service.metrics.count, BREAKER_RESETS, 1, **_BY_ITSELF),
        )
        service.loops["breaker_recovery"] = recovery.run


def _now() -> datetime:
    return datetime.now(UTC)


def _warn_of_ignored(settings: Settings) -> None:
    unused = {"sberjazz_retries", "sberjazz_retry_backoff_ms", "sberjazz_live_pull_retries"}
    ignored = unused & settings.model_fields_set
    if ignored:
        names = sorted(name.upper() for name in ignored)
        log.warning("settings_ignored", names=names, instead="SBERJAZZ_HTTP_RETRIES")


def connector_parts(
    service: Service, parts: Backends, bots: Bots, audit: AuditLog
) -> ConnectorParts:
    """Join what the routes of the connector need."""
    settings, metrics = service.settings, service.metrics
    metrics.start_at_zero(BREAKER_RESETS, (_BY_ADMIN, _BY_ITSELF))
    requests = ConnectorRequests(
        bots.operations,
        bots.connector,
        bots.breakers,
        bots.sessions,
        archive=PostgresArchive(parts.database),
        intake=PostgresIntake(parts.database),
        audit=audit,
        clock=_now,
        auto_join=settings.meeting_auto_join_on_start,
        on_reset=partial(metrics.count, BREAKER_RESETS, 1, **_BY_ADMIN),
    )
    return ConnectorParts(
        requests, bots.reconciliation, bots.pull, settings.sberjazz_reconcile_stale_sec
    )


def startup_probes(settings: Settings, bots: Bots | None) -> Sequence[Check]:
    """Return the probe of the gateway that is made once, at the start of a production."""
    if bots is None or not _probes(settings) or settings.meeting_connector_provider != "sberjazz":
        return ()
    return (partial(probe_gateway, settings, bots.connector),)


def _probes(settings: Settings) -> bool:
    return settings.is_prod and settings.sberjazz_startup_probe_enabled


async def probe_gateway(settings: Settings, connector: Connector) -> Sequence[Issue]:
    """Ask the gateway once how it is, within seconds; an error is what would end a start."""
    fatal = _probes(settings) and settings.sberjazz_startup_probe_fail_fast_in_prod
    try:
        health = await connector.health(deadline_s=_PROBE_S)
    except ConnectorError as error:
        return [findings.SBERJAZZ_STARTUP_PROBE_ERROR.found(prod=fatal, about=error.code)]
    if health.healthy:
        return []
    return [findings.SBERJAZZ_STARTUP_PROBE_FAILED.found(prod=fatal)]


def open_connector(settings: Settings, stack: AsyncExitStack) -> Connector | None:
    """Make the connector of this deployment, None where none is wanted.

    None too without an address of the gateway, which readiness finds. Raises `StartupError`.
    """
    connector: Connector
    if settings.meeting_connector_provider == "sberjazz_mock":
        connector = _mock(settings)
    elif settings.meeting_connector_provider == "sberjazz" and settings.sberjazz_api_base:
        connector = _gateway(settings, settings.sberjazz_api_base)
    else:
        return None
    stack.push_async_callback(connector.aclose)
    return connector


def _mock(settings: Settings) -> MockGateway:
    try:
        voices = open_voices(settings.sberjazz_mock_audio_paths)
        lone_chunk = base64.b64decode(settings.sberjazz_mock_live_chunks_b64 or "", validate=True)
    except BadAudio as error:
        message = f"SBERJAZZ_MOCK_AUDIO_PATHS cannot be used: {error.message}"
        raise StartupError(message) from error
    except (binascii.Error, ValueError) as error:
        message = "SBERJAZZ_MOCK_LIVE_CHUNKS_B64 is no base64"
        raise StartupError(message) from error
    return MockGateway(voices, lone_chunk=lone_chunk or None)


def _gateway(settings: Settings, base: str) -> SberjazzGateway:
    token = settings.sberjazz_api_token
    address = GatewayAddress(
        base,
        token=token.get_secret_value() if token else None,
        force_ipv4=settings.sberjazz_force_ipv4,
        ca_bundle=settings.sberjazz_ca_bundle,
    )
    try:
        calls = GatewayCalls(address)
    except (OSError, ssl.SSLError) as error:
        message = f"SBERJAZZ_CA_BUNDLE cannot be used: {type(error).__name__}"
        raise StartupError(message) from error
    rules = RetryRules(
        timeout_s=settings.sberjazz_timeout_sec,
        retries=settings.sberjazz_http_retries,
        backoff_s=settings.sberjazz_http_retry_backoff_ms / 1000,
        statuses=frozenset(settings.sberjazz_http_retry_statuses),
    )
    return SberjazzGateway(
        calls,
        Retries(calls.send, rules),
        limits=AnswerLimits(chunk_bytes=settings.chunk_max_bytes),
    )
