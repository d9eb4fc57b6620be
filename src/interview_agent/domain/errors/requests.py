"""What is wrong with what was asked, or with the moment it was asked at."""

from __future__ import annotations

from typing import Self

from interview_agent.domain.errors.agent_error import AgentError, Fault


class ValidationFailed(AgentError):
    """The request is not of the documented form."""

    code = "validation"
    fault = Fault.CALLER

    @classmethod
    def at(cls, *place: str | int, message: str, kind: str) -> Self:
        """Make the error about one place in the request; `kind` is a stable word for the fault."""
        fault = {"loc": list(place), "msg": message, "type": kind}
        return cls(message, details={"errors": [fault]})


class BadAudio(AgentError):
    """The audio cannot be read."""

    code = "bad_audio"
    fault = Fault.CALLER


class NotFound(AgentError):
    """There is no such thing here."""

    code = "not_found"
    fault = Fault.CALLER


class ForeignMeeting(NotFound):
    """There is no such thing here."""

    # The caller is told the same, letter by letter, as of a meeting that does not exist.
    refusal = "meeting_of_another"


class Conflict(AgentError):
    """The request contradicts what is already stored."""

    code = "conflict"
    fault = Fault.CALLER


class MeetingTaken(Conflict):
    """This meeting id is taken."""

    refusal = "meeting_of_another"


class MeetingGone(AgentError):
    """This meeting was deleted, and its id stays taken."""

    code = "meeting_gone"
    fault = Fault.CALLER


class ConsentDenied(AgentError):
    """The participants refused the recording of this meeting."""

    code = "consent_denied"
    fault = Fault.CALLER
    refusal = "consent_denied"


class TooLarge(AgentError):
    """The request is larger than the limit."""

    code = "too_large"
    fault = Fault.CALLER


class UnsupportedMediaType(AgentError):
    """The content type or encoding of the request is not supported."""

    code = "unsupported_media_type"
    fault = Fault.CALLER


class RequestTimeout(AgentError):
    """The request body did not arrive in time."""

    code = "request_timeout"
    fault = Fault.CALLER


class Refused(AgentError):
    """The service refuses this however often it is asked."""

    code = "refused"
    fault = Fault.CALLER
