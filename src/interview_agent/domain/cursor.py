"""Opaque texts that name a position in a list, for the next page."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

from interview_agent.domain.errors import ValidationFailed

if TYPE_CHECKING:
    from collections.abc import Sequence


def write_cursor(position: Sequence[str | int]) -> str:
    """Make the text that names a position."""
    text = json.dumps(list(position), separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(text: str, forms: Sequence[type]) -> list[Any]:
    """Return the position that `write_cursor` named, of values of these types.

    Raises `ValidationFailed`.
    """
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        position = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError):
        raise unknown_cursor() from None
    if not isinstance(position, list) or [type(each) for each in position] != list(forms):
        raise unknown_cursor()
    return position


def unknown_cursor() -> ValidationFailed:
    """Return the error about a cursor that is not one of ours."""
    message = "cursor is not one that this service gave"
    return ValidationFailed.at("cursor", message=message, kind="cursor")
