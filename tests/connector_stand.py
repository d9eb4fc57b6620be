"""What the routes of the connector need, over a real database and any gateway."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from interview_agent.adapters.postgres import (
    Database,
    PostgresArchive,
    PostgresBreakers,
    PostgresConnectorPulls,
    PostgresConnectorSessions,
    PostgresIntake,
)
from interview_agent.pipeline.connector import (
    CallBack,
    ConnectorOperations,
    ConnectorRequests,
    DrainParts,
    GuardedConnector,
    LivePull,
    OperationRules,
    ReconcileTerms,
    Reconciliation,
)
from interview_agent.web.parts import ConnectorParts

if TYPE_CHECKING:
    from interview_agent.ports.audit import AuditLog
    from interview_agent.ports.connector import Connector

STALE_S = 900.0


def connector_parts(
    database: Database,
    gateway: Connector,
    audit: AuditLog,
    *,
    auto_join: bool = False,
    needs_link: bool = True,
    fresh_s: float = 30.0,
) -> ConnectorParts:
    """Join the connector's side of the API; its breaker opens after two failures.

    Sound that is pulled has nowhere to go: a gateway behind it must be silent.
    """

    def clock() -> datetime:
        return datetime.now(UTC)

    sessions, breakers = PostgresConnectorSessions(database), PostgresBreakers(database)
    guarded = GuardedConnector(gateway, breakers, threshold=2, open_s=60)
    rules = OperationRules(fresh_s=fresh_s, link_hosts=("salutejazz.ru",), needs_link=needs_link)
    operations = ConnectorOperations(guarded, sessions, rules, clock=clock)
    requests = ConnectorRequests(
        operations,
        guarded,
        breakers,
        sessions,
        archive=PostgresArchive(database),
        intake=PostgresIntake(database),
        audit=audit,
        clock=clock,
        auto_join=auto_join,
    )
    reconciliation = Reconciliation(
        sessions,
        guarded,
        operations,
        CallBack(sessions, operations),
        ReconcileTerms(stale_s=STALE_S, expire_s=86_400.0, pull_failures=3, pulled=False),
        clock=clock,
        on_run=lambda *_: None,
        on_pruned=lambda *_: None,
    )
    door: Any = None
    drain = DrainParts(guarded, PostgresConnectorPulls(database), door)
    pull = LivePull(drain, owner="api", sessions_limit=10, jitter=lambda: 0.0)
    return ConnectorParts(requests, reconciliation, pull, STALE_S)
