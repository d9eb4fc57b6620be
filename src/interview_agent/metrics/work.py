"""Meters of stages, of their queues, and of what is swept up behind them."""

from __future__ import annotations

from interview_agent.metrics.meter import counter, gauge, histogram

STAGE_LATENCY = histogram(
    "agent_pipeline_stage_latency_ms",
    ("service", "stage"),
    "Time that one piece of work of a stage took, ms.",
)
QUEUE_TASKS = counter(
    "agent_queue_tasks_total",
    ("service", "queue", "result"),
    "Pieces of work done, by verdict: success, retry, error.",
)
WORK_PUT_OFF = counter(
    "agent_work_put_off_total",
    ("stage", "reason"),
    "Pieces of work handed back without counting the try: what they need was busy or away.",
)
QUEUE_DEPTH = gauge(
    "agent_queue_depth", ("queue",), "Work of a stage that waits or runs; falls back to 0."
)
QUEUE_PENDING = gauge("agent_queue_pending", ("queue", "group"), "Work of a stage that runs.")
DLQ_DEPTH = gauge("agent_dlq_depth", ("queue",), "Work of a stage that was given up on.")
DLQ_REASONS = gauge(
    "agent_dlq_reasons",
    ("queue", "reason"),
    "Work of a stage that was given up on, by the code of its last error.",
)
OLDEST_WORK = gauge(
    "agent_oldest_undone_work_seconds", ("queue",), "Age of the oldest work that is due, s."
)
OLDEST_DELETION = gauge(
    "agent_oldest_unfinished_deletion_seconds",
    (),
    "Age of the oldest deletion of which something may be left, s; 0 when all are finished.",
)
WAKE_FAILURES = counter(
    "agent_wake_failures_total", (), "Wake-ups that could not be published; polling finds the work."
)
LEASES_LOST = counter(
    "agent_leases_lost_total",
    ("stage",),
    "Pieces of work that were lost while they ran: overtaken, deleted, or without progress.",
)
FENCED_COMMITS = counter(
    "agent_fenced_commits_total",
    ("stage",),
    "Of the lost pieces of work, those of which a result was refused at its commit.",
)
SWEPT_KINDS = (
    "orphan_file",
    "audit_row",
    "retention_due",
    "expired_lease",
    "lost_wake_up",
    "connector_session",
    "stray_bot",
)
SWEPT = counter(
    "agent_swept_total",
    ("kind",),
    f"What would have been left lying and was seen to, by kind: {', '.join(SWEPT_KINDS)}.",
)
