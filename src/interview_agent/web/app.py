"""The two applications: the API, and the probes of a process without it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from aiohttp import web

from interview_agent.web.body import ByteBudget
from interview_agent.web.cors import cors_middleware, set_cors_headers
from interview_agent.web.docs import docs_routes
from interview_agent.web.errors import error_middleware
from interview_agent.web.event_stream import end_streams_on_shutdown
from interview_agent.web.gate import Gate
from interview_agent.web.live.routes import register_sockets
from interview_agent.web.live.sockets import SOCKETS, LiveSockets
from interview_agent.web.meters import show_audio_meters, show_request_meters
from interview_agent.web.middleware import (
    gate_middleware,
    metrics_middleware,
    set_headers,
    trace_middleware,
)
from interview_agent.web.openapi import Document, describe
from interview_agent.web.parts import BUDGET, GATE, PARTS, PROBES, ProbeParts, WebParts
from interview_agent.web.rates import Rates
from interview_agent.web.route import Route, register, register_open
from interview_agent.web.routes_admin import ADMIN_ROUTES
from interview_agent.web.routes_connector import CONNECTOR_ROUTES
from interview_agent.web.routes_erasure import ERASURE_ROUTES
from interview_agent.web.routes_events import EVENT_ROUTES
from interview_agent.web.routes_meetings import MEETING_ROUTES
from interview_agent.web.routes_service import SERVICE_ROUTES

if TYPE_CHECKING:
    from aiohttp.typedefs import Middleware

API_ROUTES: tuple[Route, ...] = (
    *MEETING_ROUTES,
    *EVENT_ROUTES,
    *ERASURE_ROUTES,
    *ADMIN_ROUTES,
    *CONNECTOR_ROUTES,
)
"""Every route that needs an identity."""


def api_description(version: str) -> Document:
    """Return the OpenAPI document of everything that `build_app` serves."""
    return describe(API_ROUTES, SERVICE_ROUTES, version)


def build_probe_app(probes: ProbeParts) -> web.Application:
    """Make the application with `/health`, `/ready` and `/metrics` alone."""
    app = _application(probes)
    show_request_meters(app, probes.metrics)
    return app


def _application(probes: ProbeParts, *inner: Middleware) -> web.Application:
    middlewares = (
        trace_middleware(probes.spans),
        metrics_middleware(probes.metrics),
        error_middleware,
        *inner,
    )
    app = web.Application(middlewares=middlewares)
    app[PROBES] = probes
    app.on_response_prepare.append(set_headers)
    register_open(app, SERVICE_ROUTES)
    return app


def build_app(parts: WebParts) -> web.Application:
    """Make the API."""
    app = _application(parts.probes, gate_middleware, cors_middleware(parts.origins))
    app[PARTS] = parts
    app[GATE] = Gate(
        parts.authenticator,
        parts.policy,
        parts.audit,
        rates=Rates(parts.rates),
        proxies=parts.proxies,
    )
    app[BUDGET] = ByteBudget(parts.limits.inflight_max_bytes)
    app[SOCKETS] = LiveSockets(parts.sockets.max_sockets, parts.probes.metrics)
    app.on_response_prepare.append(partial(set_cors_headers, parts.origins))
    register(app, API_ROUTES)
    register_open(app, docs_routes(api_description(parts.version)))
    end_streams_on_shutdown(app)
    register_sockets(app)
    show_request_meters(app, parts.probes.metrics)
    show_audio_meters(parts.probes.metrics)
    return app
