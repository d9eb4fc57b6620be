"""What a socket says by itself; the messages of a feed are made in `messages`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from interview_agent.domain.errors import Fault
from interview_agent.web.live.messages import SCHEMA_VERSION, Message

if TYPE_CHECKING:
    from interview_agent.domain.errors import AgentError
    from interview_agent.pipeline.live_ingest import AudioAck, LiveLimits, LiveTrack


def _message(event_type: str, **fields: Any) -> Message:
    return {"schema_version": SCHEMA_VERSION, "event_type": event_type, **fields}


def session_ready(track: LiveTrack, limits: LiveLimits, last_event: int) -> Message:
    """The track may be sent from `next_frame` on; `last_event` is the newest of the meeting."""
    return _message(
        "session.ready",
        meeting_id=track.meeting_id,
        track=track.track,
        max_frame_bytes=limits.frame_max_bytes,
        max_in_flight=limits.max_in_flight,
        next_frame=track.next_frame,
        last_event=last_event,
    )


def session_stopped(track: LiveTrack) -> Message:
    """Every frame of the track below `next_frame` is durable, and its session is over."""
    return _message(
        "session.stopped",
        meeting_id=track.meeting_id,
        track=track.track,
        next_frame=track.next_frame,
    )


def audio_ack(meeting_id: str, ack: AudioAck) -> Message:
    """Frames are durable, each in exactly one acknowledgement."""
    return _message(
        "audio.ack",
        meeting_id=meeting_id,
        track=ack.track,
        first_frame=ack.first_frame,
        frame=ack.frame,
        committed_s=ack.committed_s,
    )


def pong() -> Message:
    """The answer to `ping`."""
    return _message("pong")


def error(fault: AgentError, **details: Any) -> Message:
    """A message was refused, or something is wrong for now."""
    told: Message = {**fault.details, **details}
    if fault.retry_after_s is not None:
        told["retry_after_s"] = fault.retry_after_s
    fields = {"details": told} if told else {}
    return _message(
        "error",
        code=fault.code,
        message=fault.message,
        retryable=fault.fault is Fault.TRANSIENT,
        **fields,
    )
