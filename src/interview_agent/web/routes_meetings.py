"""The user routes: meetings, their audio, their words."""

from __future__ import annotations

from typing import Any

from interview_agent.domain.errors import ConnectorDisabled
from interview_agent.domain.meeting import Meeting, Status
from interview_agent.domain.policy import Need
from interview_agent.domain.upload import AudioForm, Upload
from interview_agent.metrics import CHUNKS_ACCEPTED
from interview_agent.pipeline.ingest import Accepted, StartRequest
from interview_agent.pipeline.reader import API_VERSION, absent_meeting
from interview_agent.web.body import decode_audio
from interview_agent.web.route import Call, Reply, Route, Takes, validated
from interview_agent.web.schemas import ChunkBody, FinishBody, ListQuery, RecordingQuery, StartBody
from interview_agent.web.schemas_answers import (
    ChunkAccepted,
    ChunksAnswer,
    MeetingAnswer,
    MeetingPage,
    RecordingAccepted,
    SegmentsAnswer,
    Started,
    StartedWithBot,
)
from interview_agent.web.upload import open_recording

_STEREO = 2


async def _standing(call: Call, meeting: Meeting) -> dict[str, Any]:
    untouched = meeting.audio_version == 0 and meeting.closed_version is None
    status = (
        Status.QUEUED
        if untouched
        else await call.parts.reader.status(call.caller, meeting.meeting_id)
    )
    return {
        "api_version": API_VERSION,
        "meeting_id": meeting.meeting_id,
        "status": status.value,
    }


async def start(call: Call) -> dict[str, Any]:
    """Create a meeting, or return the caller's own one of that id as it is."""
    body: StartBody = call.body
    if body.auto_join_connector and call.parts.connector is None:
        raise ConnectorDisabled
    request = StartRequest(
        meeting_id=body.meeting_id,
        mode=body.mode,
        language=body.language,
        consent=body.consent,
        context=call.parts.policy.context_of(call.caller, body.context),
        recipients=tuple(body.recipients),
    )
    meeting = await call.parts.ingest.start(call.caller, request)
    joined = await _joined_at_start(call, meeting, asked=body.auto_join_connector)
    return {**await _standing(call, meeting), **joined}


async def _joined_at_start(call: Call, meeting: Meeting, *, asked: bool | None) -> dict[str, Any]:
    connector = call.parts.connector
    joins = connector is not None and connector.requests.joins_at_start(meeting, asked=asked)
    if connector is None or not joins:
        return {
            "connector_auto_join": False,
            "connector_provider": None,
            "connector_connected": None,
        }
    return {
        "connector_auto_join": True,
        "connector_provider": connector.requests.provider,
        "connector_connected": await connector.requests.join_started(meeting),
    }


def _accepted(call: Call, upload: Upload, accepted: Accepted) -> dict[str, Any]:
    result = "duplicate" if accepted.receipt.duplicate else "new"
    call.parts.probes.metrics.count(CHUNKS_ACCEPTED, result=result)
    return {
        "accepted": True,
        "meeting_id": upload.meeting_id,
        "seq": upload.seq,
        "idempotency_key": accepted.receipt.idempotency_key,
        "blob_key": accepted.receipt.blob_key,
        "duplicate": accepted.receipt.duplicate,
        "tracks": list(accepted.tracks),
    }


async def take_chunk(call: Call) -> dict[str, Any]:
    """Make one chunk durable."""
    body: ChunkBody = call.body
    limit_bytes = call.parts.limits.chunk_max_bytes
    audio = await decode_audio(body.content_b64, max_bytes=limit_bytes)
    upload = Upload(
        meeting_id=call.meeting_id,
        seq=body.seq,
        track=body.track,
        form=AudioForm(
            codec=body.codec,
            sample_rate=body.sample_rate,
            channels=body.channels,
            split_channels=body.split_channels,
            channel_tracks=tuple(body.channel_tracks),
            speaker_hint=body.speaker_hint,
        ),
        idempotency_key=body.idempotency_key,
        trace_id=call.trace_id,
    )
    return _accepted(call, upload, await call.parts.ingest.chunk(call.caller, upload, audio))


async def take_service_chunk(call: Call) -> dict[str, Any]:
    """Make one chunk durable that a service brings, whoever the meeting belongs to."""
    return await take_chunk(call)


def _recording_upload(call: Call, query: RecordingQuery) -> Upload:
    channels = query.channels
    if channels is None:
        channels = _STEREO if query.split_channels else 1
    return Upload(
        meeting_id=call.meeting_id,
        seq=query.seq,
        track=query.track,
        form=AudioForm(
            codec=query.codec,
            sample_rate=query.sample_rate,
            channels=channels,
            split_channels=query.split_channels,
            channel_tracks=tuple(query.channel_tracks),
            speaker_hint=query.speaker_hint,
        ),
        idempotency_key=query.idempotency_key,
        trace_id=call.trace_id,
    )


async def take_recording(call: Call) -> Reply:
    """Make a whole file durable as one chunk, straight from the socket to the disk."""
    limits = call.parts.limits
    recording = await open_recording(call.request, limits)
    query: RecordingQuery = call.query
    if recording.fields:
        said = {**call.request.query, **recording.fields}
        query = validated(RecordingQuery, said, "body")
    upload = _recording_upload(call, query)
    accepted = await call.parts.ingest.recording(
        call.caller, upload, recording.stream, max_bytes=limits.recording_max_bytes
    )
    if query.finish:
        await call.parts.ingest.finish(call.caller, upload.meeting_id, {})
    content = {
        **_accepted(call, upload, accepted),
        "sha256": accepted.sha256,
        "size_bytes": accepted.size_bytes,
        "finished": query.finish,
    }
    return Reply(content, status=200 if accepted.receipt.duplicate else 202)


async def finish(call: Call) -> dict[str, Any]:
    """Say that the meeting is over."""
    body: FinishBody = call.body
    expected = {track: end.last_seq for track, end in body.tracks.items()}
    meeting = await call.parts.ingest.finish(call.caller, call.meeting_id, expected)
    return await _standing(call, meeting)


async def show_meeting(call: Call) -> dict[str, Any]:
    """Return a meeting with its transcript and report."""
    return await call.parts.reader.meeting(call.caller, call.meeting_id)


async def list_meetings(call: Call) -> dict[str, Any]:
    """Return a page of meetings."""
    query: ListQuery = call.query
    return await call.parts.reader.meetings(call.caller, query.limit, query.cursor)


async def show_chunks(call: Call) -> dict[str, Any]:
    """Return what came of each track."""
    return await call.parts.reader.chunks(call.caller, call.meeting_id)


async def show_segments(call: Call) -> dict[str, Any]:
    """Return the transcript with its words."""
    return await call.parts.reader.segments(call.caller, call.meeting_id)


_MEETING = "/v1/meetings/{meeting_id}"

MEETING_ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        "/v1/meetings/start",
        start,
        "Start a meeting, or get one's own of that id as it is",
        StartedWithBot,
        takes=Takes.JSON,
        body=StartBody,
        errors=(403, 409, 413, 415),
        need=Need.MEETING_WRITE,
    ),
    Route(
        "GET",
        "/v1/meetings",
        list_meetings,
        "List one's meetings, newest first",
        MeetingPage,
        query=ListQuery,
        need=Need.MEETING_READ,
    ),
    Route(
        "GET",
        _MEETING,
        show_meeting,
        "Read a meeting: status, transcript, report",
        MeetingAnswer,
        errors=(404,),
        absent=absent_meeting,
        may_be_long=True,
        need=Need.MEETING_READ,
    ),
    Route(
        "POST",
        f"{_MEETING}/chunks",
        take_chunk,
        "Send one chunk of audio; the answer means that it is durable",
        ChunkAccepted,
        takes=Takes.CHUNK_JSON,
        body=ChunkBody,
        errors=(400, 403, 408, 409, 413, 415),
        need=Need.MEETING_WRITE,
    ),
    Route(
        "POST",
        "/v1/internal/meetings/{meeting_id}/chunks",
        take_service_chunk,
        "Send one chunk of audio as a service, for anybody's meeting",
        ChunkAccepted,
        takes=Takes.CHUNK_JSON,
        body=ChunkBody,
        errors=(400, 403, 408, 409, 413, 415),
        need=Need.INGEST_INTERNAL,
    ),
    Route(
        "GET",
        f"{_MEETING}/chunks",
        show_chunks,
        "See which chunks came, to resume an upload",
        ChunksAnswer,
        errors=(404,),
        may_be_long=True,
        need=Need.MEETING_READ,
    ),
    Route(
        "POST",
        f"{_MEETING}/recording",
        take_recording,
        "Send a whole recording as a file",
        RecordingAccepted,
        status=202,
        also=(200,),
        takes=Takes.AUDIO_STREAM,
        query=RecordingQuery,
        errors=(400, 403, 408, 409, 413, 415),
        need=Need.MEETING_WRITE,
    ),
    Route(
        "POST",
        f"{_MEETING}/finish",
        finish,
        "Say that a meeting is over; asking again changes nothing",
        Started,
        status=202,
        takes=Takes.JSON_OR_NOTHING,
        body=FinishBody,
        errors=(404, 413, 415),
        need=Need.MEETING_WRITE,
    ),
    Route(
        "GET",
        f"{_MEETING}/segments",
        show_segments,
        "Read the transcript: segments, words, both texts, every change",
        SegmentsAnswer,
        errors=(404,),
        may_be_long=True,
        need=Need.MEETING_READ,
    ),
)
"""Every route of meetings."""
