"""Pulling of sound from the gateway: by loops where the roles sweep, and once for operators."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from interview_agent.adapters.postgres import (
    PostgresArchive,
    PostgresConnectorPulls,
    PostgresIntake,
)
from interview_agent.domain.roles import sweeps
from interview_agent.metrics import (
    LIVE_PULL_DELAY,
    LIVE_PULL_LAST_CONNECTED,
    LIVE_PULL_LAST_FAILED,
    LIVE_PULL_LAST_INGESTED,
    LIVE_PULL_LAST_INVALID,
    LIVE_PULL_LAST_PULLED,
    LIVE_PULL_LAST_SCANNED,
    LIVE_PULL_RUNS,
    Metrics,
)
from interview_agent.pipeline.connector import (
    DrainParts,
    LivePull,
    PullMeters,
    PullSummary,
    PullTimes,
)
from interview_agent.pipeline.ingest import Ingest

if TYPE_CHECKING:
    from interview_agent.compose.servers import Backends
    from interview_agent.ports.connector import Connector
    from interview_agent.runtime.service import Service


def add_pulling(service: Service, parts: Backends, connector: Connector) -> LivePull:
    """Make what pulls from the gateway, and its loop where the roles of the process have one."""
    settings, metrics = service.settings, service.metrics
    drain = DrainParts(
        connector,
        PostgresConnectorPulls(parts.database),
        _ingest(service, parts),
        live=settings.stt_provider != "mock",
        batch_limit=settings.sberjazz_live_pull_batch_limit,
        call_s=settings.sberjazz_timeout_sec,
        on_delay=lambda delay_s: metrics.observe(LIVE_PULL_DELAY, delay_s * 1000),
    )
    pull = LivePull(
        drain,
        owner=parts.worker,
        sessions_limit=settings.sberjazz_live_pull_sessions_limit,
        jitter=random.random,
        meters=_meters(metrics),
        times=PullTimes(
            interval_s=settings.sberjazz_live_pull_interval_ms / 1000,
            retry_s=settings.sberjazz_live_pull_retry_backoff_ms / 1000,
        ),
    )
    if sweeps(service.roles) and settings.sberjazz_live_pull_enabled:
        service.loops["live_pull"] = pull.run
        service.on_drain.append(pull.stop)
        service.leavers.append(pull.left)
    return pull


def _ingest(service: Service, parts: Backends) -> Ingest:
    return Ingest(
        PostgresIntake(parts.database),
        PostgresArchive(parts.database),
        parts.blobs,
        parts.wake,
        clock=lambda: datetime.now(UTC),
        accepting=lambda: not service.draining,
    )


def _meters(metrics: Metrics) -> PullMeters:
    metrics.start_at_zero(
        LIVE_PULL_RUNS,
        (
            {"source": source, "result": result}
            for source in ("job", "admin")
            for result in ("ok", "failed")
        ),
    )

    def last(summary: PullSummary) -> None:
        metrics.set(LIVE_PULL_LAST_SCANNED, summary.scanned)
        metrics.set(LIVE_PULL_LAST_CONNECTED, summary.connected)
        metrics.set(LIVE_PULL_LAST_PULLED, summary.pulled)
        metrics.set(LIVE_PULL_LAST_INGESTED, summary.ingested)
        metrics.set(LIVE_PULL_LAST_FAILED, summary.failed)
        metrics.set(LIVE_PULL_LAST_INVALID, summary.invalid_chunks)

    last(PullSummary(scanned=0, connected=0, pulled=0, ingested=0, failed=0, invalid_chunks=0))
    metrics.start_at_zero(LIVE_PULL_DELAY, [{}])
    return PullMeters(
        run=lambda source, result: metrics.count(LIVE_PULL_RUNS, source=source, result=result),
        last=last,
    )
