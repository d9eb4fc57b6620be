"""Meters of live audio, of sockets and of listeners."""

from __future__ import annotations

from interview_agent.metrics.meter import counter, gauge

LIVE_SESSIONS = gauge(
    "agent_live_sessions", (), "Live sessions that sockets of this process have open."
)
LIVE_FRAMES = counter("agent_live_frames_total", (), "Frames of live audio acknowledged.")
LIVE_FRAMES_REFUSED = counter(
    "agent_live_frames_refused_total", ("code",), "Frames of live audio not taken, by error code."
)
LIVE_AUDIO = counter(
    "agent_live_audio_seconds_total",
    (),
    "Live audio acknowledged, s; only pcm has a known length.",
)
SOCKETS_OPEN = gauge("agent_sockets_open", ("contour",), "WebSockets that are open now.")
SOCKET_MESSAGES = counter(
    "agent_socket_messages_total",
    ("type",),
    "Messages that came on WebSockets: an event type, `frame` of audio, `control`, `unknown`.",
)
SOCKET_ERRORS = counter(
    "agent_socket_errors_total", ("code",), "Errors that were told on WebSockets."
)
SOCKET_CLOSES = counter(
    "agent_socket_closes_total", ("code",), "WebSockets that ended, by close code."
)
BROADCAST_FAILURES = counter(
    "agent_broadcast_failures_total",
    (),
    "Signals to listeners that found no room, and faults of the server; costs partials only.",
)
FEED_LISTENERS = gauge(
    "agent_feed_listeners", (), "Listeners that are kept up to date, on sockets and event streams."
)
FEED_ITEMS = counter(
    "agent_feed_items_total",
    ("kind",),
    "What listeners were told: update, retract, partial, alert, status.",
)
FEED_PARTIALS_DROPPED = counter(
    "agent_feed_partials_dropped_total", (), "Partials that were overtaken before they were told."
)
