"""From exceptions to answers: the only place that chooses HTTP statuses."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import structlog
from aiohttp import web

from interview_agent.domain.errors import AgentError, RequestTimeout

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.typedefs import Handler

STATUS_BY_CODE: Mapping[str, int] = {
    "bad_audio": 400,
    "bad_request": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "consent_denied": 403,
    "not_found": 404,
    "request_timeout": 408,
    "conflict": 409,
    "meeting_gone": 409,
    "session_taken": 409,
    "connector_busy": 409,
    "connector_disabled": 409,
    "too_large": 413,
    "unsupported_media_type": 415,
    "validation": 422,
    "rate_limited": 429,
    "backlog_full": 429,
    "meeting_quota": 429,
    "backpressure": 503,
    "storage_error": 503,
    "db_error": 503,
    "redis_error": 503,
    "stt_provider_error": 503,
    "delivery_provider_error": 503,
    "connector_provider_error": 503,
    "connector_timeout": 503,
    "connector_unavailable": 503,
    "connector_rate_limit": 503,
    "connector_auth_error": 503,
    "connector_bad_request": 503,
    "connector_invalid_response": 503,
    "connector_circuit_open": 503,
    "lease_lost": 503,
}
"""HTTP status of each error code; any other code is a fault of ours: 500 `internal`."""

_CODE_BY_STATUS = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "too_large",
    415: "unsupported_media_type",
    417: "expectation_failed",
    426: "upgrade_required",
}
_KEPT_HEADERS = ("Allow", "Upgrade")
_ASK_AGAIN = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_UNREAD_BODY = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)

_log = structlog.get_logger(__name__)


def envelope(code: str, message: str, details: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the body of every error."""
    return {"detail": {"code": code, "message": message, "details": dict(details or {})}}


def _answer(
    status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> web.Response:
    text = json.dumps(body, ensure_ascii=False, default=str)
    response = web.Response(
        status=status, text=text, content_type="application/json", headers=headers
    )
    if status in _UNREAD_BODY:
        response.force_close()
    return response


def internal_answer() -> web.Response:
    """Return the answer to a fault of ours; what happened stands in the log alone."""
    return _answer(500, envelope("internal", "The service failed to answer this request."))


def error_answer(error: AgentError, beside: Mapping[str, Any] | None = None) -> web.Response:
    """Return the answer to an error; `beside` adds fields next to the envelope."""
    status = STATUS_BY_CODE.get(error.code)
    if status is None:
        _log.error("request_failed", code=error.code, exc_info=error)
        return internal_answer()
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.warning("request_refused", code=error.code, message=error.message)
    headers: dict[str, str] = {}
    if error.retry_after_s is not None or status in _ASK_AGAIN:
        headers["Retry-After"] = str(error.retry_after_s or 1)
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    body = {**envelope(error.code, error.message, error.details), **(beside or {})}
    return _answer(status, body, headers)


def _http_answer(error: web.HTTPException) -> web.StreamResponse:
    if error.status < HTTPStatus.BAD_REQUEST:
        return error
    code = _CODE_BY_STATUS.get(error.status, "unknown")
    headers = {name: error.headers[name] for name in _KEPT_HEADERS if name in error.headers}
    message = error.reason or HTTPStatus(error.status).phrase
    answer = _answer(error.status, envelope(code, message), headers)
    if error.status == HTTPStatus.BAD_REQUEST:
        answer.force_close()
    return answer


async def _hang_up(request: web.Request, answer: web.Response) -> web.Response:
    # The framework would go on reading the rest of the body for a while, which is just what this
    # sender has failed to send.
    await answer.prepare(request)
    await answer.write_eof()
    if request.transport is not None:
        request.transport.close()
    return answer


@web.middleware
async def error_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every exception with the envelope."""
    try:
        return await handler(request)
    except RequestTimeout as error:
        return await _hang_up(request, error_answer(error))
    except AgentError as error:
        return error_answer(error)
    except web.HTTPException as error:
        return _http_answer(error)
    except Exception:  # noqa: BLE001 - the last line of defence: a 500, logged in full
        _log.exception("request_failed", method=request.method)
        return internal_answer()
