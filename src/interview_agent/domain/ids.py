"""Names of meetings, tracks and traces: what is valid, and how new ones are made."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from interview_agent.domain.errors import ValidationFailed

if TYPE_CHECKING:
    from datetime import datetime

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
ADDRESS_PATTERN = r"^[^\s@,<>]+@[^\s@,<>]+$"
"""What can be an e-mail address: a part on either side of one `@`, nothing that ends a header."""
DEFAULT_TRACK = "main"
MAX_SEQ = 2**31 - 1

_NAME = re.compile(NAME_PATTERN.replace("$", r"\Z"))
_ADDRESS = re.compile(ADDRESS_PATTERN.replace("$", r"\Z"))
_TRACE = re.compile(r"^(?!0{32})[0-9a-f]{32}\Z")
_TRACEPARENT = re.compile(
    r"^[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-((?!0{16})[0-9a-f]{16})-([0-9a-f]{2})\Z"
)


class CallerSpan(NamedTuple):
    """The span of a caller: 16 hex digits, and whether the caller records it."""

    span_id: str
    sampled: bool


def is_name(value: str) -> bool:
    """Whether `value` can name a meeting, a track or a tenant."""
    return _NAME.match(value) is not None


def check_name(value: str, field: str) -> str:
    """Return `value` if it can name a meeting or a track, else raise `ValidationFailed`."""
    if not is_name(value):
        message = f"{field} must match {NAME_PATTERN}"
        raise ValidationFailed.at(field, message=message, kind="name")
    return value


def is_address(text: str) -> bool:
    """Whether mail could be sent there."""
    return _ADDRESS.match(text) is not None and text.isprintable()


def new_meeting_id(now: datetime, random_hex: str) -> str:
    """Make `mtg_<UTC yyyymmddHHMMSS>_<10 hex>` from the time and at least 10 random hex digits."""
    return f"mtg_{now:%Y%m%d%H%M%S}_{random_hex[:10]}"


def trace_id_of(headers_trace: str | None, traceparent: str | None) -> str | None:
    """Return the caller's trace id (32 hex digits), W3C `traceparent` first, or None if invalid."""
    if traceparent and (match := _TRACEPARENT.match(traceparent.strip())):
        return match.group(1)
    if headers_trace and _TRACE.match(headers_trace.strip().lower()):
        return headers_trace.strip().lower()
    return None


def caller_span_of(traceparent: str | None) -> CallerSpan | None:
    """Return the span that a W3C `traceparent` names, or None if it is absent or invalid."""
    match = _TRACEPARENT.match(traceparent.strip()) if traceparent else None
    return CallerSpan(match.group(2), bool(int(match.group(3), 16) & 1)) if match else None
