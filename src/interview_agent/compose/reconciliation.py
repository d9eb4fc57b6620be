"""What looks after the bots in meetings: reconciliation, and the recovery of the breaker."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

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
    Reconciliation,
    ReconcileTerms,
    RecoveryTerms,
)

if TYPE_CHECKING:
    from interview_agent.compose.connector import Bots
    from interview_agent.metrics import Metrics
    from interview_agent.pipeline.connector import ReconcileSummary
    from interview_agent.runtime.service import Service
    from interview_agent.settings import Settings

_PULL_FAILURES = 3


def call_back(bots: Bots) -> CallBack:
    """Return what takes bots out of meetings."""
    return CallBack(bots.sessions, bots.operations)


def add_reconciliation(service: Service, bots: Bots) -> Reconciliation:
    """Make reconciliation, and run it where the roles of the process sweep."""
    settings, metrics = service.settings, service.metrics
    reconciliation = Reconciliation(
        bots.sessions,
        bots.connector,
        bots.operations,
        call_back(bots),
        _terms(settings),
        clock=lambda: datetime.now(UTC),
        on_run=partial(_count_run, metrics),
        on_pruned=lambda count: metrics.count(SWEPT, count, kind="connector_session"),
    )
    if not sweeps(service.roles):
        return reconciliation
    if settings.reconciliation_enabled:
        service.loops["reconciliation"] = partial(
            reconciliation.run_for_ever,
            every_s=settings.reconciliation_interval_sec,
            limit=settings.reconciliation_limit,
        )
    if settings.sberjazz_cb_auto_reset_enabled:
        recovery = BreakerRecovery(
            bots.breakers,
            bots.connector,
            RecoveryTerms(min_age_s=settings.sberjazz_cb_auto_reset_min_age_sec),
            on_closed=partial(
                metrics.count, BREAKER_RESETS, 1, source="auto", reason="health_recovered"
            ),
        )
        service.loops["breaker_recovery"] = recovery.run
    return reconciliation


def _terms(settings: Settings) -> ReconcileTerms:
    return ReconcileTerms(
        stale_s=settings.sberjazz_reconcile_stale_sec,
        expire_s=settings.sberjazz_session_ttl_sec,
        pull_failures=_PULL_FAILURES,
        pulled=True,
        ask_s=settings.sberjazz_timeout_sec,
    )


def _count_run(metrics: Metrics, source: str, summary: ReconcileSummary | None) -> None:
    result = "failed" if summary is None else "ok"
    metrics.count(RECONCILE_RUNS, source=source, result=result)
    if summary is not None:
        metrics.set(RECONCILE_LAST_STALE, summary.stale)
        metrics.set(RECONCILE_LAST_FAILED, summary.failed)
        metrics.set(RECONCILE_LAST_RECONNECTED, summary.reconnected)
