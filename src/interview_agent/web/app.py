"""The two applications: the API, and the probes of a process without it."""

from __future__ import annotations

from aiohttp import web

from interview_agent.web.body import ByteBudget
from interview_agent.web.docs import register_docs
from interview_agent.web.errors import error_middleware
from interview_agent.web.event_stream import end_streams_on_shutdown
from interview_agent.web.live.routes import register_sockets
from interview_agent.web.live.sockets import SOCKETS, LiveSockets
from interview_agent.web.middleware import metrics_middleware, set_headers, trace_middleware
from interview_agent.web.openapi import Document, describe
from interview_agent.web.parts import BUDGET, PARTS, PROBES, ProbeParts, WebParts
from interview_agent.web.route import register, register_open
from interview_agent.web.routes_erasure import ERASURE_ROUTES
from interview_agent.web.routes_events import EVENT_ROUTES
from interview_agent.web.routes_meetings import MEETING_ROUTES
from interview_agent.web.routes_service import SERVICE_ROUTES


def api_description(version: str) -> Document:
    """Return the OpenAPI document of everything that `build_app` serves."""
    return describe((*MEETING_ROUTES, *EVENT_ROUTES, *ERASURE_ROUTES), SERVICE_ROUTES, version)


def build_probe_app(probes: ProbeParts) -> web.Application:
    """Make the application with `/health`, `/ready` and `/metrics` alone."""
    app = web.Application(
        middlewares=[trace_middleware, metrics_middleware(probes.metrics), error_middleware]
    )
    app[PROBES] = probes
    app.on_response_prepare.append(set_headers)
    register_open(app, SERVICE_ROUTES)
    return app


def build_app(parts: WebParts) -> web.Application:
    """Make the API."""
    app = build_probe_app(parts.probes)
    app[PARTS] = parts
    app[BUDGET] = ByteBudget(parts.limits.inflight_max_bytes)
    app[SOCKETS] = LiveSockets(parts.sockets.max_sockets, parts.probes.metrics)
    register(app, MEETING_ROUTES)
    register(app, EVENT_ROUTES)
    register(app, ERASURE_ROUTES)
    end_streams_on_shutdown(app)
    register_sockets(app)
    register_docs(app, api_description(parts.version))
    return app
