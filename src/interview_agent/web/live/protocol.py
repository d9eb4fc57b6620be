"""What clients say: the messages that a socket understands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from interview_agent.domain.errors import BadEvent, BadJson, NoMeetingId, ValidationFailed
from interview_agent.domain.ids import DEFAULT_TRACK, MAX_SEQ
from interview_agent.domain.upload import MAX_CHANNELS, MAX_LIVE_CHANNELS
from interview_agent.web.body import load_json
from interview_agent.web.route import validated
from interview_agent.web.schemas import (
    FinishBody,
    Form,
    Hint,
    Key,
    Language,
    Name,
    SampleRate,
    Track,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


def _null_is_zero(value: object) -> object:
    return 0 if value is None else value


def _text_or_nothing(value: object) -> object:
    return value if isinstance(value, str) else None


EventNumber = Annotated[int, Field(strict=True, ge=0)]


class AudioChunk(Form):
    """A numbered chunk in base64, as clients of the reference implementation send it."""

    event_type: Literal["audio.chunk"]
    meeting_id: Name
    seq: Annotated[int, Field(ge=0, le=MAX_SEQ), BeforeValidator(_null_is_zero)] = 0
    track: Track = DEFAULT_TRACK
    codec: Annotated[str, Field(max_length=100)] = "pcm"
    sample_rate: SampleRate = 16_000
    channels: Annotated[int, Field(ge=1, le=MAX_CHANNELS)] = 1
    content_b64: str = ""
    speaker_hint: Hint = None
    idempotency_key: Key = None
    trace_id: Annotated[str | None, BeforeValidator(_text_or_nothing)] = None


class SessionStart(Form):
    """Opens a track for frames; `last_event` asks for what came after that event."""

    event_type: Literal["session.start"]
    meeting_id: Name
    track: Track = DEFAULT_TRACK
    codec: Annotated[str, Field(max_length=100)] = "pcm_s16le"
    sample_rate: SampleRate = 16_000
    channels: Annotated[int, Field(ge=1, le=MAX_LIVE_CHANNELS)] = 1
    language: Language = None
    speaker_hint: Hint = None
    partials: bool = True
    last_event: EventNumber | None = None


class SessionResume(Form):
    """Opens a track again as it was."""

    event_type: Literal["session.resume"]
    meeting_id: Name
    track: Track = DEFAULT_TRACK
    partials: bool = True
    last_event: EventNumber | None = None


class SessionSubscribe(Form):
    """Follows a meeting without sending."""

    event_type: Literal["session.subscribe"]
    meeting_id: Name
    partials: bool = True
    last_event: EventNumber | None = None


class SessionStop(Form):
    """Ends the session of the track, not the meeting."""

    event_type: Literal["session.stop"]


class MeetingFinish(FinishBody):
    """Says that the meeting is over."""

    event_type: Literal["meeting.finish"]
    meeting_id: Name


class Ping(Form):
    """Asks for a pong."""

    event_type: Literal["ping"]


Said: TypeAlias = (
    AudioChunk
    | SessionStart
    | SessionResume
    | SessionSubscribe
    | SessionStop
    | MeetingFinish
    | Ping
)

_FORMS: Mapping[str, type[Said]] = {
    "audio.chunk": AudioChunk,
    "session.start": SessionStart,
    "session.resume": SessionResume,
    "session.subscribe": SessionSubscribe,
    "session.stop": SessionStop,
    "meeting.finish": MeetingFinish,
    "ping": Ping,
}

KINDS = tuple(_FORMS)
"""Every `event_type` that clients may send."""


async def read_message(text: str) -> Said:
    """Return what a text message says.

    Raises `BadJson`, `BadEvent`, `NoMeetingId`, and `ValidationFailed` with what is wrong.
    """
    try:
        value = await load_json(text.encode())
    except ValidationFailed:
        raise BadJson from None
    if not isinstance(value, dict):
        message = "the message is not a JSON object"
        raise BadJson(message)
    form = _form_of(value)
    if "meeting_id" in form.model_fields and not _names_meeting(value):
        raise NoMeetingId
    said: Said = validated(form, value, "message")
    return said


def _form_of(value: dict[str, Any]) -> type[Said]:
    kind = value.get("event_type")
    form = _FORMS.get(kind) if isinstance(kind, str) else None
    if form is None:
        raise BadEvent(details={"known": list(KINDS)})
    return form


def _names_meeting(value: dict[str, Any]) -> bool:
    meeting_id = value.get("meeting_id")
    return isinstance(meeting_id, str) and bool(meeting_id)
