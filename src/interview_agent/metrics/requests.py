"""Meters of what is asked over HTTP and of who asks."""

from __future__ import annotations

from interview_agent.metrics.meter import counter, histogram

REQUESTS = counter(
    "agent_requests_total",
    ("service", "route", "method", "status"),
    "HTTP requests answered; `route` is the template, never the path.",
)
REQUEST_LATENCY = histogram(
    "agent_http_request_latency_ms",
    ("service", "route", "method"),
    "Time from the request to its answer, ms.",
)
CHUNKS_ACCEPTED = counter(
    "agent_chunks_accepted_total", ("result",), "Chunks acknowledged: new or duplicate."
)
KEY_FETCHES = counter(
    "agent_signing_key_fetches_total",
    ("result",),
    "Fetches of the keys of the token issuer: ok or failed; known keys go on working.",
)
AUDIT_FAILURES = counter(
    "agent_audit_write_failures_total", (), "Times that audit rows could not be written; they wait."
)
AUDIT_ROWS_LOST = counter(
    "agent_audit_rows_lost_total",
    (),
    "Audit events whose row found no room; their lines stand in the log.",
)
