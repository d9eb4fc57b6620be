"""Forms of the answers about meetings, and of every error."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

from interview_agent.domain.meeting import ChunkState, Consent, Mode, StageState, Status
from interview_agent.domain.route import Stage


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
    """A track and who speaks on it; it began `offset_s` after the first one."""

    track: str
    speaker: str | None
    role: Literal["interviewer", "candidate"] | None
    language: str | None
    heard_s: float
    offset_s: float


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
    """One word, in seconds from the start of the meeting."""

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
    """A stretch of transcript, in seconds from the start of the meeting."""

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
