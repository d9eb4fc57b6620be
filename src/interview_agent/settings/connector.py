"""Settings of the connector."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, FilePath, SecretStr

from interview_agent.settings.group import Group
from interview_agent.settings.kinds import Csv, Statuses, Url


class Connector(Group):
    """Where bots join meetings."""

    heading = "Connector"

    meeting_connector_provider: Literal["none", "sberjazz", "sberjazz_mock"] = Field(
        "none",
        description="Where bots join meetings. This release joins none: the others are only checked"
        " by readiness.",
    )
    sberjazz_api_base: Url | None = Field(
        None, description="Address of the SberJazz gateway, which speaks its published contract."
    )
    sberjazz_api_token: SecretStr | None = Field(
        None, description="Bearer token for the SberJazz gateway."
    )
    sberjazz_timeout_sec: float = Field(
        10.0, gt=0, le=120, description="Longest time of one call to the gateway, in seconds."
    )
    sberjazz_http_retries: int = Field(
        2,
        ge=0,
        le=10,
        description="Calls after a first one that failed; the only layer of retries.",
    )
    sberjazz_http_retry_backoff_ms: int = Field(
        300,
        ge=0,
        le=60_000,
        description="Longest pause before the first retry, in ms; doubles each time. A longer"
        " `Retry-After` is honoured.",
    )
    sberjazz_http_retry_statuses: Statuses = Field(
        (408, 409, 425, 429, 500, 502, 503, 504),
        description="Statuses that are retried, comma-separated; 409 only while the gateway says"
        " that it is at it.",
    )
    sberjazz_force_ipv4: bool = Field(
        False, description="Reach the gateway by IPv4 alone; nothing else is changed."
    )
    sberjazz_ca_bundle: FilePath | None = Field(
        None,
        description="File of the only authorities that may sign the gateway's certificate, as PEM;"
        " unset: those of the system.",
    )
    sberjazz_mock_audio_paths: Csv = Field(
        (),
        description="What is heard in meetings of `sberjazz_mock`: a wav file in 16 bits, or"
        " `name=file` for each participant, comma-separated.",
    )
    sberjazz_mock_live_chunks_b64: str | None = Field(
        None,
        description="One chunk of sound, in base64, that every meeting of `sberjazz_mock` has"
        " besides.",
    )
