"""Meters of the connector."""

from __future__ import annotations

from interview_agent.metrics.meter import counter, gauge, histogram

RECONCILE_RUNS = counter(
    "agent_sberjazz_reconcile_runs_total",
    ("source", "result"),
    "Runs of the connector's reconciliation, by who asked (job, admin) and result (ok, failed).",
)
RECONCILE_LAST_STALE = gauge(
    "agent_sberjazz_reconcile_last_stale",
    (),
    "Wanted sessions that the last run of the loop was in doubt about.",
)
RECONCILE_LAST_FAILED = gauge(
    "agent_sberjazz_reconcile_last_failed",
    (),
    "Sessions that the last run of the loop could not set right.",
)
RECONCILE_LAST_RECONNECTED = gauge(
    "agent_sberjazz_reconcile_last_reconnected",
    (),
    "Bots that the last run of the loop sent again.",
)
LIVE_PULL_RUNS = counter(
    "agent_sberjazz_live_pull_runs_total",
    ("source", "result"),
    "Pulls of the sound of one session, by who asked (job, admin) and result (ok, failed).",
)
LIVE_PULL_LAST_SCANNED = gauge(
    "agent_sberjazz_live_pull_last_scanned", (), "Sessions that this process follows."
)
LIVE_PULL_LAST_CONNECTED = gauge(
    "agent_sberjazz_live_pull_last_connected", (), "Those of them whose bot is in the room."
)
LIVE_PULL_LAST_PULLED = gauge(
    "agent_sberjazz_live_pull_last_pulled", (), "Those of them whose last pull succeeded."
)
LIVE_PULL_LAST_INGESTED = gauge(
    "agent_sberjazz_live_pull_last_ingested", (), "New chunks of the last pull of each session."
)
LIVE_PULL_LAST_FAILED = gauge(
    "agent_sberjazz_live_pull_last_failed", (), "Sessions whose last pull failed."
)
LIVE_PULL_LAST_INVALID = gauge(
    "agent_sberjazz_live_pull_last_invalid_chunks",
    (),
    "Chunks of the last pull of each session that were none, or had no place.",
)
LIVE_PULL_DELAY = histogram(
    "agent_sberjazz_live_pull_delay_ms",
    ("service",),
    "Time from the capture of a sound, by the clock of the gateway, to its acceptance, ms.",
)
CONNECTOR_SESSIONS = gauge(
    "agent_sberjazz_sessions_total",
    ("state",),
    "Sessions of the connector: connected, or disconnected.",
)
CONNECTOR_HEALTH = gauge(
    "agent_sberjazz_connector_health", (), "1 when the gateway said last that it works."
)
BREAKER_OPEN = gauge(
    "agent_sberjazz_circuit_breaker_open",
    (),
    "1 while the gateway is left in peace; 0 too while a probe decides.",
)
BREAKER_RESETS = counter(
    "agent_sberjazz_circuit_breaker_resets_total",
    ("source", "reason"),
    "Times that the breaker was closed: by an admin (manual_reset), or by itself"
    " (auto, health_recovered).",
)
