"""Meters of a process: its health, its loops, its embedded servers."""

from __future__ import annotations

from interview_agent.metrics.meter import counter, gauge

STORAGE_HEALTH = gauge(
    "agent_storage_health", ("mode",), "1 when the last probe of the audio store succeeded."
)
SYSTEM_READINESS = gauge(
    "agent_system_readiness", (), "1 when no readiness check of this process finds an error."
)
COLLECTION_ERRORS = counter(
    "agent_metrics_collection_errors_total",
    ("source",),
    "Times that a gauge could not be refreshed, by source.",
)
LOOP_LAG = gauge(
    "agent_event_loop_lag_seconds", (), "Longest delay of the event loop in the last 15 s, s."
)
LOOP_TICKED = gauge(
    "agent_loop_ticked_timestamp_seconds",
    ("loop",),
    "When a loop of this process last turned, s since 1970: each stage, and that of the gauges.",
)
LOOP_RESTARTS = counter("agent_loop_restarts_total", ("loop",), "Restarts of a supervised loop.")
EMBEDDED_EXITS = counter(
    "agent_embedded_exits_total", ("child",), "Unexpected ends of an embedded server."
)
EMBEDDED_UP = gauge("agent_embedded_up", ("child",), "1 while an embedded server runs.")
BUILD = gauge("agent_build_info", ("version",), "Always 1; the version is the label.")
