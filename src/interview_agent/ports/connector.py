"""A gateway that sends bots into meetings of a platform and hands over what they hear."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from interview_agent.domain.connector import EndReason, SessionState

AudioWay = Literal["pull", "push", "none"]
"""How sound comes: we ask for it, the gateway sends it to `/v1/ws/internal`, or not at all."""


@dataclass(frozen=True, slots=True)
class JoinOrder:
    """A wish for one bot in one meeting; the same `idempotency_key` never means a second bot.

    `join_url` is a secret: it may hold the password of the room.
    """

    meeting_id: str
    idempotency_key: str
    join_url: str | None = field(default=None, repr=False)
    bot_name: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Participant:
    """Somebody in the room; `participant_id` is stable as long as they stay."""

    participant_id: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class GatewaySession:
    """What a gateway says of its bot.

    `epoch` counts the bots that the gateway sent into this meeting. A gateway of the original
    paths names neither state nor epoch: `state` is then `active` after a join.
    """

    state: SessionState
    reason: EndReason | None = None
    session_id: str | None = None
    epoch: int = 0
    participants: Sequence[Participant] = ()
    audio: AudioWay = "pull"
    heartbeat_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class LiveChunk:
    """A piece of sound of one participant, or of the whole room where there is no `participant`.

    `chunk_id` names it for ever. `seq` counts the chunks of one participant (or of the room) in
    one `epoch`; it is None where the gateway does not count. `sha256` was compared already.
    """

    chunk_id: str
    body: bytes = field(repr=False)
    seq: int | None = None
    epoch: int = 0
    codec: str = "pcm"
    sample_rate: int = 16_000
    channels: int = 1
    participant: Participant | None = None
    captured_at_ms: int | None = None
    duration_ms: int | None = None


@dataclass(frozen=True, slots=True)
class LivePage:
    """Chunks after a cursor and the cursor after them; `invalid` counts those that were no chunks.

    An empty page with the cursor it was asked for means: nothing more for now. A gateway that names
    no next cursor leaves us at the one it was asked for.
    """

    chunks: Sequence[LiveChunk]
    next_cursor: str | None
    invalid: int = 0


@dataclass(frozen=True, slots=True)
class GatewayHealth:
    """Whether the gateway works, and what it tells of itself for people to read."""

    healthy: bool
    details: Mapping[str, str] = field(default_factory=dict)


class Connector(Protocol):
    """One gateway. `deadline_s` bounds an operation with all its retries, in seconds.

    Every method raises a `ConnectorError`: `ConnectorTimeout`, `ConnectorUnavailable`,
    `ConnectorRateLimited`, `ConnectorAuthError`, `ConnectorBadRequest` or
    `ConnectorInvalidResponse`.
    """

    @property
    def provider(self) -> str:
        """The name under which operators know it, such as `sberjazz`."""
        ...

    @property
    def gateway(self) -> str:
        """What failures are counted by: the address without secrets."""
        ...

    async def join(self, order: JoinOrder, *, deadline_s: float) -> GatewaySession:
        """Send a bot, or find the one that was sent for the same order.

        A refusal for a reason of the meeting is a session that `failed` with it.
        """
        ...

    async def leave(self, meeting_id: str, *, deadline_s: float) -> None:
        """Call the bot back; fine when it is gone already."""
        ...

    async def session(self, meeting_id: str, *, deadline_s: float) -> GatewaySession | None:
        """Return how the bot is; None: the gateway cannot tell (it has no such path).

        A gateway that knows of no bot answers `ended` with reason `lost`.
        """
        ...

    async def live_chunks(
        self, meeting_id: str, cursor: str | None, *, limit: int, deadline_s: float
    ) -> LivePage:
        """Return sound after a cursor, oldest first; None: from the beginning."""
        ...

    async def health(self, *, deadline_s: float) -> GatewayHealth:
        """Ask whether the gateway works, once; what it answers instead is an error."""
        ...

    async def aclose(self) -> None:
        """Let go of all connections."""
        ...
