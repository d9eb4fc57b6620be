"""Which pages of other origins may read our answers (CORS)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import hdrs, web

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler, Middleware

    from interview_agent.web.origins import Origins

_REQUEST_HEADERS = "Authorization, Content-Type, Last-Event-ID, traceparent, X-API-Key, X-Trace-Id"
_READABLE_HEADERS = "Retry-After, WWW-Authenticate, X-Trace-Id"
_REMEMBER_S = 600


def cors_middleware(origins: Origins) -> Middleware:
    """Make the middleware that answers preflights: which methods and headers a page may use."""

    @web.middleware
    async def preflight(request: web.Request, handler: Handler) -> web.StreamResponse:
        unserved = request.match_info.http_exception
        is_preflight = (
            request.method == hdrs.METH_OPTIONS
            and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
            and isinstance(unserved, web.HTTPMethodNotAllowed)
            and _is_welcome(request, origins)
        )
        if not is_preflight:
            return await handler(request)
        allowed = getattr(unserved, "allowed_methods", ())
        return web.Response(
            status=web.HTTPNoContent.status_code,
            headers={
                hdrs.ACCESS_CONTROL_ALLOW_METHODS: ", ".join(sorted(allowed)),
                hdrs.ACCESS_CONTROL_ALLOW_HEADERS: _REQUEST_HEADERS,
                hdrs.ACCESS_CONTROL_MAX_AGE: str(_REMEMBER_S),
            },
        )

    return preflight


async def set_cors_headers(
    origins: Origins, request: web.Request, response: web.StreamResponse
) -> None:
    """Let pages of welcome origins read an answer, errors included."""
    # The answer depends on who asks, so no cache may give it to a page of another origin.
    response.headers.add(hdrs.VARY, hdrs.ORIGIN)
    if not _is_welcome(request, origins):
        return
    response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = request.headers[hdrs.ORIGIN]
    response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _READABLE_HEADERS
    if origins.credentials:
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS] = "true"


def _is_welcome(request: web.BaseRequest, origins: Origins) -> bool:
    given = request.headers.getall(hdrs.ORIGIN, [])
    return len(given) == 1 and origins.welcomes(given[0], request.host)
