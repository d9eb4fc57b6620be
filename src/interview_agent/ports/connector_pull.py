"""Rows of the pulling of sound: who pulls a session, how far, and onto which tracks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from interview_agent.domain.connector import EndReason, SessionState
    from interview_agent.domain.pulled_audio import GatewayNumber
    from interview_agent.ports.connector import Participant


@dataclass(frozen=True, slots=True)
class PullClaim:
    """The right to pull one session, until a lease runs out.

    `fence` is the number of this right: what an overtaken one writes is refused. `epoch` counts
    our joins, and `state` is how far the bot was in that one. `cursor` is how far the sound was
    taken over.
    """

    meeting_id: str
    fence: int
    epoch: int
    state: SessionState
    cursor: str | None


@dataclass(frozen=True, slots=True)
class PullStanding:
    """How a claimed session stands now.

    `wanted` is false too once its meeting is deleted. While it is `operated` somebody joins or
    leaves, and what the gateway says may be over in a moment.
    """

    epoch: int
    state: SessionState
    wanted: bool
    operated: bool


@dataclass(frozen=True, slots=True)
class PullNote:
    """What was seen of a session; what is None stays as it was.

    With `heartbeat` the bot was seen alive now, and the meeting is held open for `hold_s`. With
    `pulled` the failures so far are forgotten. An end lets the meeting go, unless a bot may be
    sent again after its `reason`.
    """

    state: SessionState | None = None
    reason: EndReason | None = None
    heartbeat: bool = False
    pulled: bool = False
    participants: Sequence[Participant] = ()
    hold_s: float = 60.0


@dataclass(frozen=True, slots=True)
class PullReport:
    """What became of one session since it was reported last, whoever pulled it.

    `chunks` are new. `failing`: the last pull of it failed.
    """

    meeting_id: str
    connected: bool
    chunks: int
    failing: bool


@dataclass(frozen=True, slots=True)
class PulledChunk:
    """A chunk that wants a place; `participant_id` is empty for the whole room."""

    participant_id: str
    name: str | None
    number: GatewayNumber


@dataclass(frozen=True, slots=True)
class PulledPlace:
    """Where a pulled chunk belongs, and the name of who speaks there as far as it is known."""

    track: str
    seq: int
    name: str | None


class ConnectorPulls(Protocol):
    """Leases of pulling, on the clock of the database. Raises `DatabaseError`.

    Whatever takes a claim raises `LeaseLost` when that was overtaken.
    """

    async def claim(
        self, provider: str, owner: str, *, lease_s: float, limit: int
    ) -> Sequence[PullClaim]:
        """Take sessions that a bot is in and that nobody pulls, those first that wait longest."""
        ...

    async def report(
        self, provider: str, limit: int, *, first: Sequence[str]
    ) -> Sequence[PullReport]:
        """Return what was pulled since the last report, `limit` sessions at most.

        These are the `first` ones, those that brought something, and those with a bot. Each chunk
        is reported once, also after a restart.
        """
        ...

    async def renew(
        self, claims: Sequence[PullClaim], *, lease_s: float
    ) -> Mapping[str, PullStanding]:
        """Keep many leases; return how their sessions stand.

        Those that were overtaken or let go are not among them.
        """
        ...

    async def release(self, claim: PullClaim, *, again_in_s: float = 0.0) -> None:
        """Let others take the session after `again_in_s`; harmless when it was overtaken."""
        ...

    async def place(
        self, claim: PullClaim, chunks: Sequence[PulledChunk]
    ) -> Sequence[PulledPlace | None]:
        """Give chunks their places, the same ones each time; None: there is none for it any more.

        They are numbered in this order where the gateway does not number them.
        """
        ...

    async def move_cursor(self, claim: PullClaim, cursor: str) -> None:
        """Note how far the sound was taken over, where no accepted chunk says so."""
        ...

    async def note(self, claim: PullClaim, note: PullNote) -> bool:
        """Write down what was seen; false when an operation has changed the session since.

        Nothing is written then. That a bot is gone is not written while the session is operated.
        """
        ...

    async def failed(self, claim: PullClaim, error: str) -> int:
        """Count a pull that failed; return how many failed in a row."""
        ...

    async def unwanted(self, claim: PullClaim, error: str) -> None:
        """Say that the bot is to be called back, since its meeting takes no sound."""
        ...
