"""Shows the meters of what is answered before the first request, so that rates see them begin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interview_agent.domain.errors import (
    BadEvent,
    BadFrame,
    BadJson,
    FrameGap,
    FrameRepeated,
    FrameTooLarge,
    NoMeetingId,
    NoSession,
    SessionOpen,
    TooManyMeetings,
)
from interview_agent.metrics import (
    CHUNKS_ACCEPTED,
    LIVE_AUDIO,
    LIVE_FRAMES,
    LIVE_FRAMES_REFUSED,
    LIVE_SESSIONS,
    REQUEST_LATENCY,
    REQUESTS,
    SOCKET_CLOSES,
    SOCKET_ERRORS,
    SOCKET_MESSAGES,
    Metrics,
)
from interview_agent.web.errors import STATUS_BY_CODE
from interview_agent.web.live.parting import KNOWN_CODES
from interview_agent.web.live.protocol import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp import web

_STATUSES = ("200", "500", "503")
_FRAME_ERRORS = tuple(each.code for each in (BadFrame, FrameGap, FrameRepeated, FrameTooLarge))
_MESSAGE_ERRORS = tuple(
    each.code for each in (BadEvent, BadJson, NoMeetingId, NoSession, SessionOpen, TooManyMeetings)
)


def _routes(app: web.Application) -> Iterator[dict[str, str]]:
    for route in app.router.routes():
        if route.resource is not None and route.method != "HEAD":
            yield {"route": route.resource.canonical, "method": route.method}


def show_request_meters(app: web.Application, metrics: Metrics) -> None:
    """Show the requests of every route that `app` has by now."""
    for labels in _routes(app):
        metrics.start_at_zero(REQUEST_LATENCY, [labels])
        metrics.start_at_zero(REQUESTS, ({**labels, "status": each} for each in _STATUSES))


def show_audio_meters(metrics: Metrics) -> None:
    """Show what the API counts of audio and sockets."""
    metrics.start_at_zero(CHUNKS_ACCEPTED, ({"result": each} for each in ("new", "duplicate")))
    metrics.start_at_zero(LIVE_FRAMES)
    metrics.start_at_zero(LIVE_AUDIO)
    metrics.set(LIVE_SESSIONS, 0)
    metrics.start_at_zero(LIVE_FRAMES_REFUSED, ({"code": each} for each in _FRAME_ERRORS))
    told = (*_FRAME_ERRORS, *_MESSAGE_ERRORS, *STATUS_BY_CODE)
    metrics.start_at_zero(SOCKET_ERRORS, ({"code": each} for each in told))
    kinds = (*KINDS, "frame", "control", "unknown")
    metrics.start_at_zero(SOCKET_MESSAGES, ({"type": each} for each in kinds))
    codes = (*map(str, sorted(KNOWN_CODES)), "other")
    metrics.start_at_zero(SOCKET_CLOSES, ({"code": each} for each in codes))
