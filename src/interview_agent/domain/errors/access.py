"""Who is turned away: for the credential, for the rights, for asking too much."""

from __future__ import annotations

from interview_agent.domain.errors.agent_error import AgentError, Fault


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
