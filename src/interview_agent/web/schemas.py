"""Forms of the requests about meetings, and what all requests are made of.

The API description is generated from these and from the forms of answers.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from interview_agent.domain.ids import ADDRESS_PATTERN, DEFAULT_TRACK, MAX_SEQ, NAME_PATTERN
from interview_agent.domain.meeting import Consent, Mode
from interview_agent.domain.upload import MAX_CHANNELS, MAX_SAMPLE_RATE, MIN_SAMPLE_RATE

_LANGUAGE = re.compile(r"[a-z]{2,3}\Z")


def _plain_language(value: object) -> object:
    if not isinstance(value, str):
        return value
    primary = re.split(r"[-_]", value.strip().lower(), maxsplit=1)[0]
    if primary in {"", "auto"}:
        return primary or None
    if not _LANGUAGE.match(primary):
        message = "must be a language code such as `ru` or `en`, or `auto`"
        raise ValueError(message)
    return primary


def empty_is_absent(value: object) -> object:
    """Read an empty text as nothing."""
    return None if value == "" else value


def _null_is_default_track(value: object) -> object:
    return DEFAULT_TRACK if value is None or value == "" else value


def _null_is_empty(value: object) -> object:
    return [] if value is None else value


def _names(value: object) -> object:
    if isinstance(value, str):
        return [name for name in (part.strip() for part in value.split(",")) if name]
    return _null_is_empty(value)


Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=64)]
Seq = Annotated[int, Field(strict=True, ge=0, le=MAX_SEQ)]
SampleRate = Annotated[int, Field(ge=MIN_SAMPLE_RATE, le=MAX_SAMPLE_RATE)]
Channels = Annotated[int, Field(ge=1, le=MAX_CHANNELS)]
Track = Annotated[Name, BeforeValidator(_null_is_default_track)]
Hint = Annotated[Annotated[str, Field(max_length=200)] | None, BeforeValidator(empty_is_absent)]
Key = Annotated[Annotated[str, Field(max_length=200)] | None, BeforeValidator(empty_is_absent)]
Language = Annotated[str | None, BeforeValidator(_plain_language)]
Address = Annotated[str, Field(pattern=ADDRESS_PATTERN, max_length=320)]


class Form(BaseModel):
    """A request; fields that are not known are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class StartBody(Form):
    """What a caller says about a meeting."""

    api_version: str = "v1"
    meeting_id: Annotated[
        Name | None,
        BeforeValidator(empty_is_absent),
        Field(description="Null or empty: one is made."),
    ] = None
    mode: Mode = Mode.REALTIME
    language: Annotated[
        Language,
        Field(
            description="Language of the speech, `auto` detects it. Null: that of the first live"
            " session or bot that names one, else the default. Once named it stays."
        ),
    ] = None
    consent: Consent = Consent.UNKNOWN
    context: dict[str, Any] = Field(
        default_factory=dict,
        description="Free facts; `participants`: [{track, name, role}], `plan`, `scheduled_at`."
        " Without `track` a participant of a connected meeting is known by `name`.",
        examples=[{"participants": [{"track": "main", "name": "Anna", "role": "interviewer"}]}],
    )
    recipients: Annotated[list[Address], Field(max_length=100)] = Field(
        default_factory=list,
        description="E-mail addresses that the report is sent to.",
        examples=[["hr@example.com"]],
    )
    auto_join_connector: bool | None = Field(
        None,
        description="Send a bot at once; null: as MEETING_AUTO_JOIN_ON_START says, in real time"
        " and where `context.join_url` or the connector's kind makes it possible. When that fails"
        " the answer is its error, the meeting is started all the same, and starting it again"
        " tries again.",
    )


class ChunkBody(Form):
    """One chunk of audio in base64."""

    seq: Seq
    content_b64: str = Field(
        description="Standard, padded base64 of the bytes.",
        examples=["AAAAAAAAAAAAAAAA"],
        json_schema_extra={"contentEncoding": "base64", "minLength": 4},
    )
    codec: Annotated[str, Field(max_length=100)] = Field(
        "pcm", description="`pcm` is s16le; any container is recognised from its bytes."
    )
    sample_rate: SampleRate = 16_000
    channels: Channels = 1
    idempotency_key: Key = None
    track: Track = DEFAULT_TRACK
    speaker_hint: Hint = None
    split_channels: bool = Field(False, description="Hear each channel as a track of its own.")
    channel_tracks: Annotated[
        list[Name], BeforeValidator(_null_is_empty), Field(max_length=MAX_CHANNELS)
    ] = Field(
        default_factory=list, description="Names of those tracks, in the order of the channels."
    )


class TrackEnd(Form):
    """Where a track ends."""

    last_seq: Seq


class FinishBody(Form):
    """What was sent in all, so that nothing still on its way is missed."""

    tracks: Annotated[
        dict[Name, TrackEnd],
        Field(
            max_length=100,
            description="By the track named when sending; for split channels, by theirs as well.",
            examples=[{"main": {"last_seq": 41}}],
            json_schema_extra={"additionalProperties": False},
        ),
    ] = Field(default_factory=dict)


class RecordingQuery(Form):
    """How a whole file is to be heard; the same names are fields of a multipart body."""

    track: Track = DEFAULT_TRACK
    seq: Annotated[int, Field(ge=0, le=MAX_SEQ)] = 0
    codec: Annotated[str, Field(max_length=100)] = "auto"
    sample_rate: SampleRate = 16_000
    channels: Annotated[
        Channels | None, BeforeValidator(empty_is_absent, json_schema_input_type=int)
    ] = Field(None, description="Default: 2 with `split_channels`, else 1.")
    split_channels: bool = False
    channel_tracks: Annotated[
        list[Name],
        BeforeValidator(_names, json_schema_input_type=str),
        Field(max_length=MAX_CHANNELS),
    ] = Field(default_factory=list, description="Comma-separated.")
    speaker_hint: Hint = None
    idempotency_key: Key = None
    finish: bool = Field(False, description="The meeting is over with this file.")


class ListQuery(Form):
    """Which page of the list."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[
        Annotated[str, Field(max_length=400)] | None, BeforeValidator(empty_is_absent)
    ] = None


class EventsQuery(Form):
    """Where to begin, and what to be told beside the numbered events."""

    last_event: Annotated[Annotated[int, Field(ge=0)] | None, BeforeValidator(empty_is_absent)] = (
        Field(None, description="Tell all that came after this event; absent: from now on.")
    )
    partials: bool = Field(False, description="Tell also what growing segments may become.")


class EventsHeaders(Form):
    """What a client says that was connected before."""

    last_event_id: Annotated[
        Annotated[int, Field(ge=0)] | None, BeforeValidator(empty_is_absent)
    ] = Field(None, alias="Last-Event-ID", description="As `last_event`, and before it.")
