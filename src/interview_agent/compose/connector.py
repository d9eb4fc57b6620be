"""The gateway of `MEETING_CONNECTOR_PROVIDER`."""

from __future__ import annotations

import base64
import binascii
import ssl
from typing import TYPE_CHECKING

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
from interview_agent.domain.errors import BadAudio, StartupError

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from interview_agent.ports.connector import Connector
    from interview_agent.settings import Settings


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
