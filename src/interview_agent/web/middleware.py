"""Around every request: its trace id, its metrics, the headers of its answer."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from interview_agent.domain.ids import caller_span_of, trace_id_of
from interview_agent.metrics import REQUEST_LATENCY, REQUESTS, Metrics
from interview_agent.web.parts import GATE
from interview_agent.web.route import TRACE_ID

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler, Middleware

    from interview_agent.ports.spans import Spans

UNMATCHED = "unmatched"
_NEVER_LIMITED = frozenset({"/health", "/ready"})
_NEVER_TRACED = _NEVER_LIMITED | {"/metrics"}
_NOTHING_IS_LOADED = "default-src 'none'; frame-ancestors 'none'"
_TLS_FOR_A_YEAR = "max-age=31536000"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})


def route_template(request: web.Request) -> str:
    """Return the template of the route that matched, never the path that was asked for."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else UNMATCHED


def _known_method(request: web.Request) -> str:
    """Return the method; those from outside that nobody knows share one name."""
    return request.method if request.method in _METHODS else "other"


def trace_middleware(spans: Spans) -> Middleware:
    """Make the middleware that adopts the caller's trace id or makes one, for log and spans."""

    @web.middleware
    async def trace(request: web.Request, handler: Handler) -> web.StreamResponse:
        traceparent = request.headers.get("traceparent")
        given = trace_id_of(request.headers.get("X-Trace-Id"), traceparent)
        request[TRACE_ID] = trace_id = given or secrets.token_hex(16)
        with structlog.contextvars.bound_contextvars(trace_id=trace_id):
            route = route_template(request)
            if route in _NEVER_TRACED:
                return await handler(request)
            name = f"{_known_method(request)} {route}"
            with spans.span(name, trace_id, caller_span_of(traceparent)) as span:
                response = await handler(request)
                span.note("http.response.status_code", response.status)
                return response

    return trace


def metrics_middleware(metrics: Metrics) -> Middleware:
    """Make the middleware that counts and times every request."""

    @web.middleware
    async def measure(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        status, streamed = 500, False
        try:
            response = await handler(request)
            # How long somebody listens says nothing about us.
            status, streamed = response.status, not isinstance(response, web.Response)
            return response
        finally:
            route = route_template(request)
            method = _known_method(request)
            took_ms = (time.perf_counter() - started) * 1000
            metrics.count(REQUESTS, route=route, method=method, status=str(status))
            if not streamed:
                metrics.observe(REQUEST_LATENCY, took_ms, route=route, method=method)

    return measure


@web.middleware
async def gate_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count a request, whatever it asks for; only whoever watches over us may ask at will."""
    if route_template(request) not in _NEVER_LIMITED:
        request.app[GATE].knock(request)
    return await handler(request)


async def set_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Set the headers of every answer, and take away the one that names our versions."""
    response.headers.pop("Server", None)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers.setdefault("Content-Security-Policy", _NOTHING_IS_LOADED)
    if gate := request.app.get(GATE):
        if gate.came_by_tls(request):
            response.headers["Strict-Transport-Security"] = _TLS_FOR_A_YEAR
        gate.answered(request, response.status)
    if trace_id := request.get(TRACE_ID):
        response.headers["X-Trace-Id"] = trace_id
