"""Bots in meetings: sent and called back under a lock, heard, and looked after.

`requests` is asked by callers, `operations` does it, `held` is the lock, `guard` the circuit
breaker around a gateway, `recovery` what closes it. `reconcile` compares what is wanted with what
is, `call_back` ends what is not. `pull` follows sessions, each with a `session_pull`, and `drain`
takes over their sound.
"""

from interview_agent.pipeline.connector.call_back import CallBack
from interview_agent.pipeline.connector.drain import DrainParts
from interview_agent.pipeline.connector.guard import GuardedConnector
from interview_agent.pipeline.connector.held import deadline_s
from interview_agent.pipeline.connector.operations import (
    ConnectorOperations,
    JoinWish,
    OperationRules,
)
from interview_agent.pipeline.connector.pull import LivePull, PullMeters, PullSummary
from interview_agent.pipeline.connector.reconcile import (
    ReconcileSummary,
    ReconcileTerms,
    Reconciliation,
)
from interview_agent.pipeline.connector.recovery import BreakerRecovery, RecoveryTerms
from interview_agent.pipeline.connector.requests import ConnectorRequests
from interview_agent.pipeline.connector.session_pull import PullTimes
from interview_agent.pipeline.connector.strays import StrayRecall

__all__ = [
    "BreakerRecovery",
    "CallBack",
    "ConnectorOperations",
    "ConnectorRequests",
    "DrainParts",
    "GuardedConnector",
    "JoinWish",
    "LivePull",
    "OperationRules",
    "PullMeters",
    "PullSummary",
    "PullTimes",
    "ReconcileSummary",
    "ReconcileTerms",
    "Reconciliation",
    "RecoveryTerms",
    "StrayRecall",
    "deadline_s",
]
