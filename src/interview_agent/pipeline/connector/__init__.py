"""Bots in meetings: sent and called back under a lock, heard, and looked after.

`requests` is asked by callers, `operations` does it, `held` is the lock, `guard` the circuit
breaker around a gateway, `recovery` what closes it. `reconcile` compares what is wanted with what
is, `call_back` ends what is not.
"""

from interview_agent.pipeline.connector.call_back import CallBack
from interview_agent.pipeline.connector.guard import GuardedConnector
from interview_agent.pipeline.connector.held import deadline_s
from interview_agent.pipeline.connector.operations import (
    ConnectorOperations,
    JoinWish,
    OperationRules,
)
from interview_agent.pipeline.connector.reconcile import ReconcileTerms, Reconciliation
from interview_agent.pipeline.connector.recovery import BreakerRecovery, RecoveryTerms
from interview_agent.pipeline.connector.requests import ConnectorRequests

__all__ = [
    "BreakerRecovery",
    "CallBack",
    "ConnectorOperations",
    "ConnectorRequests",
    "GuardedConnector",
    "JoinWish",
    "OperationRules",
    "ReconcileTerms",
    "Reconciliation",
    "RecoveryTerms",
    "deadline_s",
]
