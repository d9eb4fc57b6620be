"""Bots in meetings: sent and called back under a lock, heard, and looked after.

`requests` is asked by callers, `operations` does it, `held` is the lock, `guard` the circuit
breaker around a gateway.
"""

from interview_agent.pipeline.connector.guard import GuardedConnector
from interview_agent.pipeline.connector.held import deadline_s
from interview_agent.pipeline.connector.operations import (
    ConnectorOperations,
    JoinWish,
    OperationRules,
)
from interview_agent.pipeline.connector.requests import ConnectorRequests

__all__ = [
    "ConnectorOperations",
    "ConnectorRequests",
    "GuardedConnector",
    "JoinWish",
    "OperationRules",
    "deadline_s",
]
