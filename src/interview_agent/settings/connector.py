"""Settings of the connector."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, FilePath, SecretStr

from interview_agent.settings.group import Group
from interview_agent.settings.kinds import Csv, Hosts, Statuses, Url


class Connector(Group):
    """Where bots join meetings."""

    heading = "Connector"

    meeting_connector_provider: Literal["none", "sberjazz", "sberjazz_mock"] = Field(
        "sberjazz_mock",
        description="Whose bots join meetings: of a gateway at SBERJAZZ_API_BASE, of one inside"
        " this process that plays files (`sberjazz_mock`), or nobody's.",
    )
    meeting_auto_join_on_start: bool = Field(
        False,
        description="Send a bot into each meeting in real time at its start, unless that says"
        " otherwise, its consent is denied, or it names no link.",
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
    sberjazz_require_https_in_prod: bool = Field(
        True,
        description="In production, take a gateway without TLS for an error"
        " (`sberjazz_api_base_not_https`).",
    )
    sberjazz_startup_probe_enabled: bool = Field(
        True, description="In production, ask the gateway at the start whether it works."
    )
    sberjazz_startup_probe_fail_fast_in_prod: bool = Field(
        True, description="Take a probe that failed for an error; `false`: for a warning."
    )
    sberjazz_join_hosts: Hosts = Field(
        ("salutejazz.ru", "*.salutejazz.ru", "jazz.sber.ru"),
        description="Hosts that links into meetings may lead to, comma-separated; `*.` before a"
        " name: all below it.",
    )
    sberjazz_join_idempotent_ttl_sec: float = Field(
        30.0,
        ge=0,
        description="Joining a meeting again asks the gateway only if its bot was not seen for so"
        " long, in seconds.",
    )
    sberjazz_session_ttl_sec: float = Field(
        86_400.0, ge=60, description="Sessions that are over are forgotten after so many seconds."
    )
    sberjazz_op_lock_ttl_sec: float = Field(
        60.0,
        ge=10,
        description="Longest time that an operation on a meeting whose process died holds up the"
        " next, in seconds; four fifths of it bound the calls of one operation.",
    )
    sberjazz_cb_failure_threshold: int = Field(
        5,
        ge=1,
        description="Failures of the gateway in a row after which it is left in peace: timeouts,"
        " no connection, 5xx and 429.",
    )
    sberjazz_cb_open_sec: float = Field(
        60.0, ge=5, description="Seconds for which it is; then one call is let through as a probe."
    )
    sberjazz_retries: int = Field(
        2, ge=0, description="Ignored, with a warning: SBERJAZZ_HTTP_RETRIES are all there are."
    )
    sberjazz_retry_backoff_ms: int = Field(
        300, ge=0, description="Ignored, with a warning, as SBERJAZZ_RETRIES is."
    )
    sberjazz_live_pull_enabled: bool = Field(
        True, description="Ask gateways for the sound of connected meetings."
    )
    sberjazz_live_pull_interval_ms: int = Field(
        1_000,
        ge=100,
        le=60_000,
        description="Pause between two pulls of a meeting, in ms; captions are later by that.",
    )
    sberjazz_live_pull_batch_limit: int = Field(
        20, ge=1, le=500, description="Most chunks in one answer of the gateway."
    )
    sberjazz_live_pull_sessions_limit: int = Field(
        100, ge=1, le=1_000, description="Most meetings that one process pulls at once."
    )
    sberjazz_live_pull_fail_reconnect_threshold: int = Field(
        3,
        ge=1,
        description="Failed pulls in a row after which reconciliation looks whether the bot is"
        " gone.",
    )
    sberjazz_live_pull_retry_backoff_ms: int = Field(
        200,
        ge=0,
        le=60_000,
        description="Least pause after a failed pull, in ms; doubles each time, up to 15 s.",
    )
    sberjazz_live_pull_retries: int = Field(
        1, ge=0, description="Ignored, with a warning, as SBERJAZZ_RETRIES is."
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
    sberjazz_reconcile_stale_sec: float = Field(
        900.0,
        ge=30,
        description="Seconds without a sign of life after which a gateway is asked what became of"
        " its bot; silence in the meeting is no reason.",
    )
    sberjazz_cb_auto_reset_enabled: bool = Field(
        True, description="Close the circuit breaker once the gateway is healthy again."
    )
    sberjazz_cb_auto_reset_min_age_sec: float = Field(
        30.0,
        ge=0,
        description="Least age of an open circuit breaker before two good probes of health in a"
        " row close it, in seconds.",
    )
    reconciliation_enabled: bool = Field(
        True,
        description="Look after sessions of the connector: send bots again that are gone, call"
        " unwanted ones back. Other sweeps go on without it.",
    )
    reconciliation_interval_sec: float = Field(
        60.0, ge=5, description="Pause between two looks at the sessions, in seconds."
    )
    reconciliation_limit: int = Field(
        200, ge=1, le=500, description="Sessions that are looked at in one go."
    )
