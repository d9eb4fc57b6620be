"""Every meter, declared once, and the facade that keeps label names and threads right.

aioprometheus loses counts made outside the event loop's thread and does not escape label values;
both are seen to here.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from aioprometheus.collectors import Counter, Gauge, Histogram, Registry
from aioprometheus.formats import text
from aioprometheus.histogram import Histogram as Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LATENCY_BUCKETS_MS = [5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000]
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Meter:
    """One declared metric: its name, kind, labels and what it says."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str


def _counter(name: str, labels: tuple[str, ...], help_: str) -> Meter:
    return Meter(name, "counter", labels, help_)


def _gauge(name: str, labels: tuple[str, ...], help_: str) -> Meter:
    return Meter(name, "gauge", labels, help_)


def _histogram(name: str, labels: tuple[str, ...], help_: str) -> Meter:
    return Meter(name, "histogram", labels, help_)


REQUESTS = _counter(
    "agent_requests_total",
    ("service", "route", "method", "status"),
    "HTTP requests answered; `route` is the template, never the path.",
)
REQUEST_LATENCY = _histogram(
    "agent_http_request_latency_ms",
    ("service", "route", "method"),
    "Time from the request to its answer, ms.",
)
STAGE_LATENCY = _histogram(
    "agent_pipeline_stage_latency_ms",
    ("service", "stage"),
    "Time that one piece of work of a stage took, ms.",
)
QUEUE_TASKS = _counter(
    "agent_queue_tasks_total",
    ("service", "queue", "result"),
    "Pieces of work done, by verdict: success, retry, error.",
)
QUEUE_DEPTH = _gauge(
    "agent_queue_depth", ("queue",), "Work of a stage that waits or runs; falls back to 0."
)
QUEUE_PENDING = _gauge("agent_queue_pending", ("queue", "group"), "Work of a stage that runs.")
DLQ_DEPTH = _gauge("agent_dlq_depth", ("queue",), "Work of a stage that was given up on.")
DLQ_REASONS = _gauge(
    "agent_dlq_reasons",
    ("queue", "reason"),
    "Work of a stage that was given up on, by the code of its last error.",
)
OLDEST_WORK = _gauge(
    "agent_oldest_undone_work_seconds", ("queue",), "Age of the oldest work that is due, s."
)
OLDEST_DELETION = _gauge(
    "agent_oldest_unfinished_deletion_seconds",
    (),
    "Age of the oldest deletion of which something may be left, s; 0 when all are finished.",
)
COLLECTION_ERRORS = _counter(
    "agent_metrics_collection_errors_total",
    ("source",),
    "Times that a gauge could not be refreshed, by source.",
)
STORAGE_HEALTH = _gauge(
    "agent_storage_health", ("mode",), "1 when the last probe of the audio store succeeded."
)
SYSTEM_READINESS = _gauge(
    "agent_system_readiness", (), "1 when no readiness check of this process finds an error."
)
CHUNKS_ACCEPTED = _counter(
    "agent_chunks_accepted_total", ("result",), "Chunks acknowledged: new or duplicate."
)
LIVE_STREAMS = _gauge("agent_live_streams", (), "Tracks that this process captions now.")
LIVE_CAPACITY = _gauge(
    "agent_live_capacity_streams", (), "Tracks that this process can caption, by its own measure."
)
LIVE_DELAY = _histogram(
    "agent_live_text_delay_ms",
    ("service",),
    "Time from the arrival of a sound to the words of it that stand, ms.",
)
LIVE_SESSIONS = _gauge(
    "agent_live_sessions", (), "Live sessions that sockets of this process have open."
)
LIVE_FRAMES = _counter("agent_live_frames_total", (), "Frames of live audio acknowledged.")
LIVE_FRAMES_REFUSED = _counter(
    "agent_live_frames_refused_total", ("code",), "Frames of live audio not taken, by error code."
)
LIVE_AUDIO = _counter(
    "agent_live_audio_seconds_total",
    (),
    "Live audio acknowledged, s; only pcm has a known length.",
)
KEY_FETCHES = _counter(
    "agent_signing_key_fetches_total",
    ("result",),
    "Fetches of the keys of the token issuer: ok or failed; known keys go on working.",
)
SOCKETS_OPEN = _gauge("agent_sockets_open", ("contour",), "WebSockets that are open now.")
SOCKET_MESSAGES = _counter(
    "agent_socket_messages_total",
    ("type",),
    "Messages that came on WebSockets: an event type, `frame` of audio, `control`, `unknown`.",
)
SOCKET_ERRORS = _counter(
    "agent_socket_errors_total", ("code",), "Errors that were told on WebSockets."
)
SOCKET_CLOSES = _counter(
    "agent_socket_closes_total", ("code",), "WebSockets that ended, by close code."
)
WAKE_FAILURES = _counter(
    "agent_wake_failures_total", (), "Wake-ups that could not be published; polling finds the work."
)
BROADCAST_FAILURES = _counter(
    "agent_broadcast_failures_total",
    (),
    "Signals to listeners that found no room, and faults of the server; costs partials only.",
)
FEED_LISTENERS = _gauge(
    "agent_feed_listeners", (), "Listeners that are kept up to date, on sockets and event streams."
)
FEED_ITEMS = _counter(
    "agent_feed_items_total",
    ("kind",),
    "What listeners were told: update, retract, partial, alert, status.",
)
FEED_PARTIALS_DROPPED = _counter(
    "agent_feed_partials_dropped_total", (), "Partials that were overtaken before they were told."
)
LEASES_LOST = _counter(
    "agent_leases_lost_total",
    ("stage",),
    "Pieces of work that were lost while they ran: overtaken, deleted, or without progress.",
)
FENCED_COMMITS = _counter(
    "agent_fenced_commits_total",
    ("stage",),
    "Of the lost pieces of work, those of which a result was refused at its commit.",
)
AUDIO_HEARD = _counter("agent_audio_heard_seconds_total", (), "Audio of recordings transcribed, s.")
SPEECH_BUSY = _counter(
    "agent_speech_thread_seconds_total",
    ("kind",),
    "Time that the recogniser's threads worked, s: live or recording. For recordings, divided by"
    " the audio transcribed, it is the real-time factor.",
)
MODEL_OK = _gauge(
    "agent_speech_model_ok",
    (),
    "1 while the files of the speech model are those that the next start needs, or none is needed.",
)
MODEL_LOAD = _gauge(
    "agent_speech_model_load_seconds", (), "Time that loading the speech model took, s."
)
LOOP_LAG = _gauge(
    "agent_event_loop_lag_seconds", (), "Longest delay of the event loop in the last 15 s, s."
)
LOOP_TICKED = _gauge(
    "agent_loop_ticked_timestamp_seconds",
    ("loop",),
    "When a loop of this process last turned, s since 1970: each stage, and that of the gauges.",
)
RECONCILE_RUNS = _counter(
    "agent_sberjazz_reconcile_runs_total",
    ("source", "result"),
    "Runs of the connector's reconciliation, by who asked (job, admin) and result (ok, failed).",
)
RECONCILE_LAST_STALE = _gauge(
    "agent_sberjazz_reconcile_last_stale",
    (),
    "Wanted sessions that the last run of the loop was in doubt about.",
)
RECONCILE_LAST_FAILED = _gauge(
    "agent_sberjazz_reconcile_last_failed",
    (),
    "Sessions that the last run of the loop could not set right.",
)
RECONCILE_LAST_RECONNECTED = _gauge(
    "agent_sberjazz_reconcile_last_reconnected",
    (),
    "Bots that the last run of the loop sent again.",
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
SWEPT = _counter(
    "agent_swept_total",
    ("kind",),
    f"What would have been left lying and was seen to, by kind: {', '.join(SWEPT_KINDS)}.",
)
LIVE_PULL_RUNS = _counter(
    "agent_sberjazz_live_pull_runs_total",
    ("source", "result"),
    "Pulls of the sound of one session, by who asked (job, admin) and result (ok, failed).",
)
LIVE_PULL_LAST_SCANNED = _gauge(
    "agent_sberjazz_live_pull_last_scanned", (), "Sessions that this process follows."
)
LIVE_PULL_LAST_CONNECTED = _gauge(
    "agent_sberjazz_live_pull_last_connected", (), "Those of them whose bot is in the room."
)
LIVE_PULL_LAST_PULLED = _gauge(
    "agent_sberjazz_live_pull_last_pulled", (), "Those of them whose last pull succeeded."
)
LIVE_PULL_LAST_INGESTED = _gauge(
    "agent_sberjazz_live_pull_last_ingested", (), "New chunks of the last pull of each session."
)
LIVE_PULL_LAST_FAILED = _gauge(
    "agent_sberjazz_live_pull_last_failed", (), "Sessions whose last pull failed."
)
LIVE_PULL_LAST_INVALID = _gauge(
    "agent_sberjazz_live_pull_last_invalid_chunks",
    (),
    "Chunks of the last pull of each session that were none, or had no place.",
)
LIVE_PULL_DELAY = _histogram(
    "agent_sberjazz_live_pull_delay_ms",
    ("service",),
    "Time from the capture of a sound, by the clock of the gateway, to its acceptance, ms.",
)
CONNECTOR_SESSIONS = _gauge(
    "agent_sberjazz_sessions_total",
    ("state",),
    "Sessions of the connector: connected, or disconnected.",
)
CONNECTOR_HEALTH = _gauge(
    "agent_sberjazz_connector_health", (), "1 when the gateway said last that it works."
)
BREAKER_OPEN = _gauge(
    "agent_sberjazz_circuit_breaker_open",
    (),
    "1 while the gateway is left in peace; 0 too while a probe decides.",
)
BREAKER_RESETS = _counter(
    "agent_sberjazz_circuit_breaker_resets_total",
    ("source", "reason"),
    "Times that the breaker was closed: by an admin (manual_reset), or by itself"
    " (auto, health_recovered).",
)
LOOP_RESTARTS = _counter("agent_loop_restarts_total", ("loop",), "Restarts of a supervised loop.")
EMBEDDED_EXITS = _counter(
    "agent_embedded_exits_total", ("child",), "Unexpected ends of an embedded server."
)
EMBEDDED_UP = _gauge("agent_embedded_up", ("child",), "1 while an embedded server runs.")
AUDIT_FAILURES = _counter(
    "agent_audit_write_failures_total", (), "Times that audit rows could not be written; they wait."
)
AUDIT_ROWS_LOST = _counter(
    "agent_audit_rows_lost_total",
    (),
    "Audit events whose row found no room; their lines stand in the log.",
)
BUILD = _gauge("agent_build_info", ("version",), "Always 1; the version is the label.")

METERS: tuple[Meter, ...] = (
    REQUESTS,
    REQUEST_LATENCY,
    STAGE_LATENCY,
    QUEUE_TASKS,
    QUEUE_DEPTH,
    QUEUE_PENDING,
    DLQ_DEPTH,
    DLQ_REASONS,
    OLDEST_WORK,
    OLDEST_DELETION,
    COLLECTION_ERRORS,
    STORAGE_HEALTH,
    SYSTEM_READINESS,
    CHUNKS_ACCEPTED,
    LIVE_STREAMS,
    LIVE_CAPACITY,
    LIVE_DELAY,
    LIVE_SESSIONS,
    LIVE_FRAMES,
    LIVE_FRAMES_REFUSED,
    LIVE_AUDIO,
    KEY_FETCHES,
    SOCKETS_OPEN,
    SOCKET_MESSAGES,
    SOCKET_ERRORS,
    SOCKET_CLOSES,
    WAKE_FAILURES,
    BROADCAST_FAILURES,
    FEED_LISTENERS,
    FEED_ITEMS,
    FEED_PARTIALS_DROPPED,
    LEASES_LOST,
    RECONCILE_RUNS,
    RECONCILE_LAST_STALE,
    RECONCILE_LAST_FAILED,
    RECONCILE_LAST_RECONNECTED,
    SWEPT,
    LIVE_PULL_RUNS,
    LIVE_PULL_LAST_SCANNED,
    LIVE_PULL_LAST_CONNECTED,
    LIVE_PULL_LAST_PULLED,
    LIVE_PULL_LAST_INGESTED,
    LIVE_PULL_LAST_FAILED,
    LIVE_PULL_LAST_INVALID,
    LIVE_PULL_DELAY,
    CONNECTOR_SESSIONS,
    CONNECTOR_HEALTH,
    BREAKER_OPEN,
    BREAKER_RESETS,
    FENCED_COMMITS,
    AUDIO_HEARD,
    SPEECH_BUSY,
    MODEL_OK,
    MODEL_LOAD,
    LOOP_LAG,
    LOOP_TICKED,
    LOOP_RESTARTS,
    EMBEDDED_EXITS,
    EMBEDDED_UP,
    AUDIT_FAILURES,
    AUDIT_ROWS_LOST,
    BUILD,
)
"""Everything that a scrape can show."""


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


class Metrics:
    """Records values of the declared meters; safe to call from any thread.

    `defer` runs a call on the event loop's thread, such as `loop.call_soon_threadsafe`; without it
    every call must come from the thread that made the object.
    """

    def __init__(self, service: str, defer: Callable[..., object] | None = None) -> None:
        self._service = service
        self._defer = defer
        self._thread = threading.get_ident()
        self._registry = Registry()
        self._collectors: dict[str, Counter | Gauge | Histogram] = {}
        for meter in METERS:
            self._collectors[meter.name] = self._declare(meter)

    def _declare(self, meter: Meter) -> Counter | Gauge | Histogram:
        if meter.kind == "histogram":
            return Histogram(
                meter.name, meter.help, registry=self._registry, buckets=LATENCY_BUCKETS_MS
            )
        kind = Counter if meter.kind == "counter" else Gauge
        return kind(meter.name, meter.help, registry=self._registry)

    def _labels(self, meter: Meter, labels: dict[str, str]) -> dict[str, str]:
        given = {"service": self._service, **labels} if "service" in meter.labels else labels
        if set(given) != set(meter.labels):
            message = f"{meter.name} takes the labels {meter.labels}, not {tuple(given)}"
            raise ValueError(message)
        return {name: _escape(str(given[name])) for name in meter.labels}

    def _record(self, meter: Meter, labels: dict[str, str], value: float) -> None:
        collector = self._collectors[meter.name]
        if isinstance(collector, Histogram):
            collector.observe(labels, value)
        elif isinstance(collector, Counter):
            collector.add(labels, value)
        else:
            # The library would write a boolean as a word, which no scraper can read.
            collector.set(labels, float(value))

    def _here(self, meter: Meter, labels: dict[str, str], value: float) -> None:
        checked = self._labels(meter, labels)
        if self._defer is not None and threading.get_ident() != self._thread:
            self._defer(self._record, meter, checked, value)
        else:
            self._record(meter, checked, value)

    def count(self, meter: Meter, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        self._here(meter, labels, amount)

    def observe(self, meter: Meter, value: float, **labels: str) -> None:
        """Add one value to a histogram."""
        self._here(meter, labels, value)

    def set(self, meter: Meter, value: float, **labels: str) -> None:
        """Set a gauge."""
        self._here(meter, labels, value)

    def start_at_zero(self, meter: Meter, label_sets: Iterable[dict[str, str]] = ({},)) -> None:
        """Show a counter or histogram before its first event, so that rates see it begin.

        Call it on the thread that made the object; what was counted already stays.
        """
        collector = self._collectors[meter.name]
        for labels in label_sets:
            checked = self._labels(meter, labels)
            try:
                collector.get_value(checked)
            except KeyError:
                begins = Tally(*LATENCY_BUCKETS_MS) if isinstance(collector, Histogram) else 0
                collector.set_value(checked, begins)

    def render(self) -> str:
        """Return the exposition text of everything recorded so far."""
        rendered: bytes = text.TextFormatter().marshall(self._registry)
        return rendered.decode()
