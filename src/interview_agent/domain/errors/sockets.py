"""What is wrong with a message, a frame or a session on a WebSocket."""

from __future__ import annotations

from interview_agent.domain.errors.agent_error import AgentError, Fault


class SessionTaken(AgentError):
    """Another connection sends this track now."""

    code = "session_taken"
    fault = Fault.CALLER


class FrameRefused(AgentError):
    """This frame is not taken; the session goes on."""

    code = "frame_refused"
    fault = Fault.CALLER


class BadFrame(FrameRefused):
    """The frame has no audio or no valid number."""

    code = "bad_frame"


class FrameTooLarge(FrameRefused):
    """The frame is larger than the limit."""

    code = "frame_too_large"


class FrameGap(FrameRefused):
    """A frame before this one is missing."""

    code = "frame_gap"


class FrameRepeated(FrameRefused):
    """This frame is here already."""

    code = "frame_repeated"


class BadJson(AgentError):
    """The message is not valid JSON, or nested too deeply."""

    code = "bad_json"
    fault = Fault.CALLER


class BadEvent(AgentError):
    """The message is of no kind that is known here."""

    code = "bad_event"
    fault = Fault.CALLER


class NoMeetingId(AgentError):
    """The message must name a meeting."""

    code = "no_meeting_id"
    fault = Fault.CALLER


class NoSession(AgentError):
    """No audio session is open on this connection."""

    code = "no_session"
    fault = Fault.CALLER


class SessionOpen(AgentError):
    """An audio session is already open on this connection."""

    code = "session_open"
    fault = Fault.CALLER


class TooManyMeetings(AgentError):
    """This connection follows as many meetings as it may."""

    code = "too_many_meetings"
    fault = Fault.CALLER


class ConnectionLost(AgentError):
    """The connection to the service broke; another one may go on from there."""

    code = "connection_lost"
    fault = Fault.TRANSIENT
