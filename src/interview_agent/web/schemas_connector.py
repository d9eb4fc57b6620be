"""Forms of requests and answers of the connector's routes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from interview_agent.domain.breaker import BreakerState
from interview_agent.domain.connector import EndReason, SessionState
from interview_agent.domain.join_link import MAX_LINK_CHARS
from interview_agent.web.schemas import Form, Language, empty_is_absent


def _printable(name: str) -> str:
    if not name.isprintable():
        message = "must be printable"
        raise ValueError(message)
    return name


def _up_to(most: int) -> AfterValidator:
    return AfterValidator(lambda limit: min(max(limit, 1), most))


BotName = Annotated[str, Field(max_length=100), AfterValidator(_printable)]
_LINK = Annotated[str, Field(max_length=MAX_LINK_CHARS)]


class JoinBody(Form):
    """How to join; what is absent is taken from the meeting."""

    join_url: Annotated[_LINK | None, BeforeValidator(empty_is_absent)] = Field(
        None,
        description="The link into the meeting, a secret; default: that of the last join, or"
        " `context.join_url` of the meeting.",
    )
    bot_name: Annotated[BotName | None, BeforeValidator(empty_is_absent)] = Field(
        None, description="The name that the participants see."
    )
    language: Annotated[
        Language,
        Field(
            description="Language of the speech; default: that of the meeting. A meeting that has"
            " none takes this one; one that has keeps its own, whatever the bot is told."
        ),
    ] = None


class SessionsQuery(Form):
    """How many sessions."""

    limit: Annotated[int, _up_to(500)] = Field(100, description="1 to 500.")


class ReconcileQuery(Form):
    """How many sessions to look at."""

    limit: Annotated[int, _up_to(500)] = Field(200, description="1 to 500.")


class LivePullQuery(Form):
    """How much to pull."""

    limit_sessions: Annotated[int, _up_to(1000)] = Field(100, description="1 to 1000.")
    batch_limit: Annotated[int, _up_to(500)] = Field(20, description="Chunks a page, 1 to 500.")


class SessionAnswer(BaseModel):
    """A bot in a meeting. `connected`: it is in the room; `wanted`: somebody wants it there.

    `state` is null where there never was one. `epoch` counts the bots that were asked for,
    `attempts` the tries that the last one took. `join_link` shows no more than the host.
    """

    meeting_id: str
    provider: str
    connected: bool
    attempts: int
    last_error: str | None
    updated_at: datetime
    state: SessionState | None
    reason: EndReason | None
    wanted: bool
    epoch: int
    join_link: str | None
    bot_name: str | None
    language: str | None
    joined_at: datetime | None
    heartbeat_at: datetime | None


class SessionsAnswer(BaseModel):
    """Sessions, the newest update first."""

    sessions: list[SessionAnswer]


class ConnectorHealthAnswer(BaseModel):
    """Whether the gateway works, and what it tells of itself."""

    provider: str
    configured: bool
    healthy: bool
    details: dict[str, str]
    updated_at: datetime


class BreakerAnswer(BaseModel):
    """The circuit breaker of the gateway, which all processes share."""

    state: BreakerState
    consecutive_failures: int
    opened_at: datetime | None
    last_error: str | None
    updated_at: datetime


class ReconcileAnswer(BaseModel):
    """What a look at the sessions found and did."""

    scanned: int
    stale: int
    reconnected: int
    failed: int
    stale_threshold_sec: int
    updated_at: datetime


class LivePullAnswer(BaseModel):
    """What was pulled since the last call, by whichever process.

    Of `scanned` sessions, `connected` have a bot in the room, `pulled` brought sound or were asked
    for it now, and `failed` could not be pulled the last time. `ingested` chunks are new;
    `invalid_chunks` are those of this call alone.
    """

    scanned: int
    connected: int
    pulled: int
    ingested: int
    failed: int
    invalid_chunks: int
    updated_at: datetime
