"""Gateways to SberJazz meetings: one over HTTP, and one of our own in the process."""

from interview_agent.adapters.sberjazz.calls import GatewayAddress, GatewayCalls
from interview_agent.adapters.sberjazz.gateway import AnswerLimits, SberjazzGateway
from interview_agent.adapters.sberjazz.mock import MockGateway
from interview_agent.adapters.sberjazz.mock_sound import MockVoice, open_voices
from interview_agent.adapters.sberjazz.retries import Retries, RetryRules

__all__ = [
    "AnswerLimits",
    "GatewayAddress",
    "GatewayCalls",
    "MockGateway",
    "MockVoice",
    "Retries",
    "RetryRules",
    "SberjazzGateway",
    "open_voices",
]
