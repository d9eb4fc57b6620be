"""The one error tree: a stable code, a default message, and who has to act."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar, Self


class Fault(StrEnum):
    """Whose fault an error is, which decides whether a retry can help."""

    CALLER = "caller"
    TRANSIENT = "transient"
    PERMANENT = "permanent"


class AgentError(Exception):
    """Something went wrong inside the service."""

    code: ClassVar[str] = "unknown"
    fault: ClassVar[Fault] = Fault.PERMANENT
    refusal: str | None = None
    """Why somebody was turned away, as the audit trail keeps it; None: nobody was."""

    def __init__(
        self,
        message: str | None = None,
        *,
        details: dict[str, Any] | None = None,
        retry_after_s: int | None = None,
        refusal: str | None = None,
    ) -> None:
        self.message = message or (type(self).__doc__ or self.code).strip()
        self.details = details or {}
        self.retry_after_s = retry_after_s
        self.refusal = refusal or self.refusal
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


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


class ConsentDenied(AgentError):
    """The participants refused the recording of this meeting."""

    code = "consent_denied"
    fault = Fault.CALLER
    refusal = "consent_denied"


class Unauthorized(AgentError):
    """No valid credential was given."""

    code = "unauthorized"
    fault = Fault.CALLER
    refusal = "unauthorized"


class InvalidToken(Unauthorized):
    """The token is not valid.

    `refusal` says why in a word, for the log; who sent the token is not told it.
    """

    refusal: str

    def __init__(self, refusal: str, message: str = "The token is not valid.") -> None:
        super().__init__(message)
        self.refusal = refusal


class TokenUnchecked(InvalidToken):
    """The token cannot be checked now: its key is not known, and the provider gives none."""

    def __init__(self) -> None:
        super().__init__("signing_keys_unavailable", "The token cannot be checked now.")


class CredentialsAmbiguous(AgentError):
    """More than one credential was given."""

    code = "bad_request"
    fault = Fault.CALLER
    refusal = "credentials_ambiguous"


class Forbidden(AgentError):
    """This identity may not do that."""

    code = "forbidden"
    fault = Fault.CALLER
    refusal = "forbidden"


class RateLimited(AgentError):
    """Too much was asked in a short time; try again later."""

    code = "rate_limited"
    fault = Fault.TRANSIENT
    refusal = "rate_limited"


class MeetingQuotaReached(AgentError):
    """As many meetings were opened in the last hour as may be; try again later."""

    code = "meeting_quota"
    fault = Fault.TRANSIENT
    refusal = "meeting_quota"


class BacklogFull(AgentError):
    """As much audio of this tenant waits as may wait; try again later."""

    code = "backlog_full"
    fault = Fault.TRANSIENT


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


class Backpressure(AgentError):
    """The service has as much work as it can hold; try again later."""

    code = "backpressure"
    fault = Fault.TRANSIENT


class Stopping(Backpressure):
    """This process is stopping; try again in a moment."""

    def __init__(self) -> None:
        super().__init__(retry_after_s=5)


class StorageError(AgentError):
    """The audio could not be made durable."""

    code = "storage_error"
    fault = Fault.TRANSIENT


class DatabaseError(AgentError):
    """The database cannot be used now."""

    code = "db_error"
    fault = Fault.TRANSIENT


class QueueError(AgentError):
    """The wake-up queue cannot be used now."""

    code = "redis_error"
    fault = Fault.TRANSIENT


class SttError(AgentError):
    """Speech recognition failed."""

    code = "stt_provider_error"
    fault = Fault.TRANSIENT


class ConnectorError(AgentError):
    """The connector could not do this."""

    code = "connector_provider_error"
    fault = Fault.TRANSIENT
    counts_against_gateway: ClassVar[bool] = False
    """Whether it speaks of a gateway in trouble, which is what circuit breakers count."""


class ConnectorTimeout(ConnectorError):
    """The gateway did not answer in time."""

    code = "connector_timeout"
    counts_against_gateway = True


class ConnectorUnavailable(ConnectorError):
    """The gateway cannot be reached or fails."""

    code = "connector_unavailable"
    counts_against_gateway = True


class ConnectorRateLimited(ConnectorError):
    """The gateway asks for fewer requests."""

    code = "connector_rate_limit"
    counts_against_gateway = True


class ConnectorAuthError(ConnectorError):
    """The gateway does not accept our credentials."""

    code = "connector_auth_error"
    fault = Fault.PERMANENT


class ConnectorBadRequest(ConnectorError):
    """The gateway refuses this request."""

    code = "connector_bad_request"
    fault = Fault.PERMANENT


class ConnectorInvalidResponse(ConnectorError):
    """The gateway answered with something that is not its protocol."""

    code = "connector_invalid_response"
    fault = Fault.PERMANENT


class ConnectorBusy(ConnectorError):
    """Another operation on this meeting is under way."""

    code = "connector_busy"


class ConnectorCircuitOpen(ConnectorError):
    """The gateway failed too often of late and is left in peace for a while."""

    code = "connector_circuit_open"


class ConnectorDisabled(ConnectorError):
    """No connector is configured."""

    code = "connector_disabled"
    fault = Fault.PERMANENT


class DeliveryError(AgentError):
    """The report could not be delivered."""

    code = "delivery_provider_error"
    fault = Fault.TRANSIENT


class LeaseLost(AgentError):
    """Another worker has taken this work over."""

    code = "lease_lost"
    fault = Fault.TRANSIENT


class ConnectionLost(AgentError):
    """The connection to the service broke; another one may go on from there."""

    code = "connection_lost"
    fault = Fault.TRANSIENT


class Refused(AgentError):
    """The service refuses this however often it is asked."""

    code = "refused"
    fault = Fault.CALLER


class StartupError(AgentError):
    """The service cannot start as it is configured."""

    code = "startup_failed"
    fault = Fault.PERMANENT
