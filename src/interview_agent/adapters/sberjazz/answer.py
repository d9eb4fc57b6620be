"""What a gateway answers to one call, and what it means when that is no success."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from interview_agent.domain.errors import (
    ConnectorAuthError,
    ConnectorBadRequest,
    ConnectorInvalidResponse,
    ConnectorRateLimited,
    ConnectorTimeout,
    ConnectorUnavailable,
)

if TYPE_CHECKING:
    from interview_agent.domain.errors import ConnectorError

IN_PROGRESS = "in_progress"
"""The error code of a 409 that means: the same call is being carried out, ask again."""

ERROR_MAX_BYTES = 2**16
"""More of an error is not read."""

_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
_UNAUTHENTICATED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body of an answer; `retry_after` is the header of that name."""

    status: int
    body: bytes = field(default=b"", repr=False)
    retry_after: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the gateway did what it was asked to."""
        return 200 <= self.status < 300

    @property
    def error_code(self) -> str | None:
        """The code of an error in the form of our contract; None: it has another form."""
        code = self._error().get("code")
        return code if isinstance(code, str) and _CODE.match(code) else None

    @property
    def in_progress(self) -> bool:
        """Whether the gateway says that it is at it."""
        return self.status == HTTPStatus.CONFLICT and self.error_code == IN_PROGRESS

    @property
    def retry_after_s(self) -> float | None:
        """How long the gateway asks to be left alone; None: it says nothing of that."""
        if self.retry_after is not None:
            return _pause_s(self.retry_after)
        return _seconds(self._error().get("retry_after_sec"))

    def document(self) -> dict[str, Any]:
        """Return the body as a JSON object. Raises `ConnectorInvalidResponse`."""
        try:
            document = json.loads(self.body)
        except (ValueError, RecursionError):
            raise ConnectorInvalidResponse("The gateway answered with no valid JSON.") from None
        if not isinstance(document, dict):
            raise ConnectorInvalidResponse("The gateway answered with no JSON object.")
        return document

    def _error(self) -> dict[str, Any]:
        if self.succeeded or len(self.body) > ERROR_MAX_BYTES:
            return {}
        try:
            error = self.document().get("error")
        except ConnectorInvalidResponse:
            return {}
        return error if isinstance(error, dict) else {}


def failure_of(answer: Answer, operation: str) -> ConnectorError:
    """Return the error that an answer other than a success is.

    Of what the gateway says only its code is kept: a message may repeat the link of the meeting.
    """
    code = answer.error_code
    details = {"operation": operation, "status": answer.status}
    if code is not None:
        details["gateway_code"] = code
    error = _kind_of(answer)
    told = f"{answer.status} {code}" if code else str(answer.status)
    retry_after_s = answer.retry_after_s
    return error(
        f"{error.__doc__} It answered {told} to {operation}.",
        details=details,
        retry_after_s=None if retry_after_s is None else math.ceil(retry_after_s),
    )


def _kind_of(answer: Answer) -> type[ConnectorError]:
    status = answer.status
    if status in _UNAUTHENTICATED:
        return ConnectorAuthError
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return ConnectorRateLimited
    if status == HTTPStatus.REQUEST_TIMEOUT or answer.in_progress:
        return ConnectorTimeout
    if status == HTTPStatus.TOO_EARLY or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ConnectorUnavailable
    if status >= HTTPStatus.BAD_REQUEST:
        return ConnectorBadRequest
    return ConnectorInvalidResponse


def _pause_s(header: str) -> float | None:
    if header.strip().isdecimal():
        return _seconds(int(header[:10]))
    try:
        until = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        # The second: a zone that no clock has.
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max((until - datetime.now(UTC)).total_seconds(), 0.0)


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return max(float(value), 0.0)
