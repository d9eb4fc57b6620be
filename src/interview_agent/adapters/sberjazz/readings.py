"""From the JSON of a gateway to our words: strict about what matters, silent about the rest."""

from __future__ import annotations

import base64
import binascii
import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from interview_agent.domain.audio_format import normalise_codec
from interview_agent.domain.connector import EndReason, SessionState
from interview_agent.domain.errors import ConnectorInvalidResponse
from interview_agent.domain.ids import MAX_SEQ
from interview_agent.domain.upload import MAX_CHANNELS, MAX_SAMPLE_RATE, MIN_SAMPLE_RATE
from interview_agent.ports.connector import (
    GatewayHealth,
    GatewaySession,
    LiveChunk,
    LivePage,
    Participant,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from interview_agent.ports.connector import AudioWay

MAX_PAGE_CHUNKS = 1_000
MAX_PARTICIPANTS = 500
MAX_ID_CHARS = 256
MAX_CURSOR_CHARS = 1_024
MAX_NAME_CHARS = 120

_MAX_NUMBER = 2**63 - 1
_MAX_WORD_CHARS = 64
_SICK = ("down", "error", "fail", "failed", "unhealthy")


def read_session(document: Mapping[str, Any], *, default: SessionState | None) -> GatewaySession:
    """Read how a bot is; `default` is the state of a gateway that names none.

    Raises `ConnectorInvalidResponse` for a state that is not of the contract.
    """
    state = _state(document.get("state"), default)
    audio = document.get("audio")
    return GatewaySession(
        state=state,
        reason=None if state.alive else _reason(document.get("reason")),
        session_id=_identifier(document.get("session_id")),
        epoch=_number(document.get("epoch")) or 0,
        participants=_participants(document.get("participants")),
        audio=_way(audio.get("delivery") if isinstance(audio, dict) else None),
        heartbeat_at=_moment(document.get("heartbeat_at")),
    )


def read_page(document: Mapping[str, Any], *, asked: str | None, chunk_max_bytes: int) -> LivePage:
    """Read a page of sound; a gateway that names no next cursor leaves us where we are.

    Raises `ConnectorInvalidResponse` for what is no page; what is no chunk in it is counted.
    """
    items = document.get("chunks")
    if not isinstance(items, list):
        raise ConnectorInvalidResponse("The gateway's page of sound has no list of chunks.")
    if len(items) > MAX_PAGE_CHUNKS:
        message = f"The gateway's page of sound has more than {MAX_PAGE_CHUNKS} chunks."
        raise ConnectorInvalidResponse(message)
    cursor = _cursor(document.get("next_cursor"))
    chunks = [chunk for item in items if (chunk := _chunk(item, chunk_max_bytes)) is not None]
    return LivePage(chunks, cursor or asked, invalid=len(items) - len(chunks))


def read_health(document: Mapping[str, Any]) -> GatewayHealth:
    """Read whether a gateway works; one that only answers does."""
    capacity = document.get("capacity")
    told = {"mode": document.get("mode"), "version": document.get("version")}
    told["status"] = status = document.get("status")
    if isinstance(capacity, dict):
        told["capacity_used"] = _number(capacity.get("used"))
        told["capacity_max"] = _number(capacity.get("max"))
    details = {name: _text(str(value)) for name, value in told.items() if _tells(value)}
    is_sick = isinstance(status, str) and status.lower() in _SICK
    return GatewayHealth(healthy=not is_sick, details=details)


def refusal_in(code: str | None) -> EndReason | None:
    """Return why a meeting cannot be joined, by the code of an error; None: another code."""
    reason = _reason(code)
    return None if reason in (EndReason.UNKNOWN, EndReason.LOST, EndReason.LEFT) else reason


def _state(value: object, default: SessionState | None) -> SessionState:
    if value is None and default is not None:
        return default
    if isinstance(value, str) and value != SessionState.REQUESTED and value in list(SessionState):
        return SessionState(value)
    raise ConnectorInvalidResponse("The gateway names no state of the contract.")


def _reason(value: object) -> EndReason:
    if isinstance(value, str) and value in list(EndReason):
        return EndReason(value)
    return EndReason.UNKNOWN


def _way(value: object) -> AudioWay:
    if value == "push":
        return "push"
    return "none" if value == "none" else "pull"


def _participants(value: object) -> tuple[Participant, ...]:
    items = value[:MAX_PARTICIPANTS] if isinstance(value, list) else []
    return tuple(read for item in items if (read := _participant(item)) is not None)


def _participant(value: object) -> Participant | None:
    if not isinstance(value, dict):
        return None
    participant_id = _identifier(value.get("id"))
    if participant_id is None:
        return None
    name = value.get("name")
    return Participant(participant_id, (_text(name) or None) if isinstance(name, str) else None)


def _chunk(item: object, max_bytes: int) -> LiveChunk | None:
    if not isinstance(item, dict):
        return None
    chunk_id = _identifier(item.get("id")) or _identifier(item.get("chunk_id"))
    body = _audio(item.get("content_b64"), max_bytes)
    codec = item.get("codec", "pcm")
    rate, channels = item.get("sample_rate", 16_000), item.get("channels", 1)
    if (
        chunk_id is None
        or body is None
        or not _is_form(codec, rate, channels)
        or not _is_whole(body, item.get("sha256"))
    ):
        return None
    participant = _participant(item.get("participant"))
    if participant is None and item.get("participant") is not None:
        return None
    seq = _seq(item.get("seq"))
    return LiveChunk(
        chunk_id=chunk_id,
        body=body,
        seq=seq,
        epoch=_number(item.get("epoch")) or 0,
        codec=codec,
        sample_rate=rate,
        channels=channels,
        participant=participant,
        captured_at_ms=_number(item.get("captured_at_ms")),
        duration_ms=_number(item.get("duration_ms")),
    )


def _audio(value: object, max_bytes: int) -> bytes | None:
    """Return the decoded bytes; None where there are none, too many, or no base64."""
    if not isinstance(value, str) or len(value) > (max_bytes + 2) // 3 * 4:
        return None
    try:
        body = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None
    return body if 0 < len(body) <= max_bytes else None


def _is_form(codec: object, sample_rate: object, channels: object) -> bool:
    return (
        isinstance(codec, str)
        and len(codec) <= _MAX_WORD_CHARS
        and normalise_codec(codec) is not None
        and type(sample_rate) is int
        and MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE
        and type(channels) is int
        and 1 <= channels <= MAX_CHANNELS
    )


def _is_whole(body: bytes, digest: object) -> bool:
    if digest is None:
        return True
    return isinstance(digest, str) and hashlib.sha256(body).hexdigest() == digest.lower()


def _seq(value: object) -> int | None:
    """Return a number or digits as a number; None where the gateway does not count."""
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        value = int(value[:20])
    return value if type(value) is int and 0 <= value <= MAX_SEQ else None


def _number(value: object) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= _MAX_NUMBER else None


def _identifier(value: object) -> str | None:
    """Return what can name something for ever, None where it cannot."""
    if type(value) is int:
        value = str(value)
    is_good = isinstance(value, str) and 0 < len(value) <= MAX_ID_CHARS and value.isprintable()
    return value if is_good and isinstance(value, str) else None


def _cursor(value: object) -> str | None:
    if value is None or value == "":
        return None
    if type(value) is int:
        value = str(value)
    if isinstance(value, str) and len(value) <= MAX_CURSOR_CHARS and value.isprintable():
        return value
    raise ConnectorInvalidResponse("The gateway's next cursor cannot be used.")


def _moment(value: object) -> datetime | None:
    if not isinstance(value, str) or len(value) > _MAX_WORD_CHARS:
        return None
    try:
        moment = datetime.fromisoformat(value)
        return None if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _tells(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _text(value: str) -> str:
    return "".join(filter(str.isprintable, value[:MAX_NAME_CHARS])).strip()
