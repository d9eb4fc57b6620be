"""Forms of requests and answers; the API description is generated from them."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from interview_agent.domain.ids import ADDRESS_PATTERN, DEFAULT_TRACK, MAX_SEQ, NAME_PATTERN
from interview_agent.domain.meeting import ChunkState, Consent, Mode, StageState, Status
from interview_agent.domain.route import Stage
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


def _empty_is_absent(value: object) -> object:
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
Hint = Annotated[Annotated[str, Field(max_length=200)] | None, BeforeValidator(_empty_is_absent)]
Key = Annotated[Annotated[str, Field(max_length=200)] | None, BeforeValidator(_empty_is_absent)]
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
        BeforeValidator(_empty_is_absent),
        Field(description="Null or empty: one is made."),
    ] = None
    mode: Mode = Mode.REALTIME
    language: Annotated[
        Language, Field(description="Language of the speech, `auto` detects it; null: the default.")
    ] = None
    consent: Consent = Consent.UNKNOWN
    context: dict[str, Any] = Field(
        default_factory=dict,
        description="Free facts; `participants`: [{track, name, role}], `plan`, `scheduled_at`.",
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
        Channels | None, BeforeValidator(_empty_is_absent, json_schema_input_type=int)
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
        Annotated[str, Field(max_length=400)] | None, BeforeValidator(_empty_is_absent)
    ] = None


class EventsQuery(Form):
    """Where to begin, and what to be told beside the numbered events."""

    last_event: Annotated[Annotated[int, Field(ge=0)] | None, BeforeValidator(_empty_is_absent)] = (
        Field(None, description="Tell all that came after this event; absent: from now on.")
    )
    partials: bool = Field(False, description="Tell also what growing segments may become.")


class EventsHeaders(Form):
    """What a client says that was connected before."""

    last_event_id: Annotated[
        Annotated[int, Field(ge=0)] | None, BeforeValidator(_empty_is_absent)
    ] = Field(None, alias="Last-Event-ID", description="As `last_event`, and before it.")


class Started(BaseModel):
    """A meeting that takes audio."""

    api_version: Literal["v1"]
    meeting_id: str
    status: Status


class StartedWithBot(Started):
    """A meeting that takes audio, and what came of sending a bot; null where none was sent."""

    connector_auto_join: bool
    connector_provider: str | None
    connector_connected: bool | None


class ChunkAccepted(BaseModel):
    """Audio that is durable now; `duplicate`: it already was."""

    accepted: Literal[True]
    meeting_id: str
    seq: int
    idempotency_key: str
    blob_key: str
    duplicate: bool
    tracks: list[str]


class RecordingAccepted(ChunkAccepted):
    """A whole file that is durable now."""

    sha256: str
    size_bytes: int
    finished: bool


class MeetingFacts(BaseModel):
    """A meeting without its words."""

    meeting_id: str
    status: Status
    version: int
    language: str | None
    mode: Mode
    consent: Consent
    created_at: datetime
    last_audio_at: datetime | None
    closed: bool


class MeetingPage(BaseModel):
    """A page of meetings, newest first."""

    meetings: list[MeetingFacts]
    next_cursor: str | None


class TrackFacts(BaseModel):
    """A track and who speaks on it."""

    track: str
    speaker: str | None
    role: Literal["interviewer", "candidate"] | None
    language: str | None
    heard_s: float


class ChunkCounts(BaseModel):
    """Chunks by state."""

    pending: int
    processing: int
    done: int
    failed: int


class GapFacts(BaseModel):
    """Numbers of a track that no chunk came for."""

    track: str
    first_seq: int
    last_seq: int


class FailedChunk(BaseModel):
    """A chunk that could not be heard."""

    track: str
    seq: int
    reason: str | None


class StageFacts(BaseModel):
    """How far a stage is."""

    stage: Stage
    track: str | None
    state: StageState
    attempts: int
    reason: str | None
    updated_at: datetime


class DeliveryFacts(BaseModel):
    """What became of a report version on one channel."""

    report_version: int
    channel: str
    state: str
    reason: str | None
    updated_at: datetime


class MeetingAnswer(MeetingFacts):
    """A meeting with its transcript and report."""

    api_version: Literal["v1"]
    raw_transcript: str
    enhanced_transcript: str
    report: dict[str, Any] | None
    report_version: int | None
    tracks: list[TrackFacts]
    chunks: ChunkCounts
    gaps: list[GapFacts]
    failed_chunks: list[FailedChunk]
    stages: list[StageFacts]
    delivery: list[DeliveryFacts]


class ChunkFacts(BaseModel):
    """One chunk."""

    seq: int
    state: ChunkState
    size_bytes: int
    sha256: str
    reason: str | None


class TrackChunks(BaseModel):
    """What came of one track: closed ranges of numbers, holes, and the number to go on with.

    `upload_track` is the name it was sent under; channels heard apart have tracks of their own.
    """

    track: str
    upload_track: str
    received: list[tuple[int, int]]
    gaps: list[tuple[int, int]]
    next_seq: int
    chunks: list[ChunkFacts]


class ChunksAnswer(BaseModel):
    """All that an uploader needs to resume."""

    meeting_id: str
    tracks: list[TrackChunks]


class WordFacts(BaseModel):
    """One word, in seconds from the start of its track."""

    text: str
    start: float
    end: float
    probability: float | None


class ChangeFacts(BaseModel):
    """One change of the enhancer; `start` is its offset in the raw text."""

    rule: str
    before: str
    after: str
    start: int


class SegmentFacts(BaseModel):
    """A stretch of transcript, in seconds from the start of its track."""

    segment_id: str
    revision: int
    track: str
    speaker: str | None
    start: float
    end: float
    raw_text: str
    text: str
    confidence: float | None
    language: str | None
    words: list[WordFacts]
    changes: list[ChangeFacts]
    first_seq: int
    last_seq: int
    event: int


class SegmentsAnswer(BaseModel):
    """The current transcript by start time."""

    meeting_id: str
    version: int
    segments: list[SegmentFacts]


class Alive(BaseModel):
    """The event loop answers."""

    ok: Literal[True]


class ReadyAnswer(BaseModel):
    """Whether this process can do its work now, and codes of what is in its way."""

    ready: bool
    issues: list[str]


class ErrorDetail(BaseModel):
    """What went wrong: a stable code, a message in English."""

    code: str
    message: str
    details: dict[str, Any]


class ErrorAnswer(BaseModel):
    """The form of every error."""

    detail: ErrorDetail
