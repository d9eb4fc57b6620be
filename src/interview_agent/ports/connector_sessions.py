"""Rows of the connector: sessions, the lock of their operations, the breaker of a gateway."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from interview_agent.domain.breaker import Breaker
    from interview_agent.domain.connector import EndReason, SessionState


@dataclass(frozen=True, slots=True)
class ConnectorSession:
    """A meeting that the connector is, or was, asked to be in.

    `wanted`: an operator wants a bot there. `epoch` counts our joins. `heartbeat_at` is when the
    gateway last showed that the bot lives, and `silent_s` the time since then, or since it joined.
    `unanswered`: an order of this epoch may have reached the gateway, and nobody knows what came of
    it. `join_url` is a secret. `rejoins` are the times of those that nobody asked for, within the
    window of the budget, the oldest first.
    """

    meeting_id: str
    provider: str
    state: SessionState
    wanted: bool
    epoch: int
    attempts: int
    reason: EndReason | None
    last_error: str | None
    join_url: str | None = field(repr=False)
    bot_name: str | None
    language: str | None
    heartbeat_at: datetime | None
    joined_at: datetime | None
    updated_at: datetime
    rejoins: Sequence[datetime] = ()
    unanswered: bool = False
    deleted: bool = False
    silent_s: float = 0.0

    @property
    def may_have_bot(self) -> bool:
        """Whether a bot of ours may be in the meeting or on its way."""
        return self.epoch > 0 and self.state.alive


@dataclass(frozen=True, slots=True)
class Operation:
    """The right to operate on one session, until `lock_s` after it was taken or renewed last.

    `fence` is the number of this right: what an overtaken one writes is refused.
    """

    meeting_id: str
    name: str
    fence: int
    session: ConnectorSession


@dataclass(frozen=True, slots=True)
class SessionUpdate:
    """What an operation found out; what is None stays as it was.

    A `state` comes with its `reason`, and what is over no longer holds the meeting open. With
    `heartbeat` the bot was seen alive now, and the meeting is held open for `hold_s`. `answered`:
    it is known what came of the order of this epoch. A `language` is that of the meeting too where
    it has none.
    """

    state: SessionState | None = None
    reason: EndReason | None = None
    last_error: str | None = None
    clear_error: bool = False
    wanted: bool | None = None
    attempts: int | None = None
    heartbeat: bool = False
    hold_s: float = 60.0
    joined: bool = False
    answered: bool = False
    rejoined: bool = False
    join_url: str | None = field(default=None, repr=False)
    bot_name: str | None = None
    language: str | None = None


class ConnectorSessions(Protocol):
    """Sessions and their locks, on the clock of the database. Raises `DatabaseError`."""

    async def begin(self, meeting_id: str, name: str, *, provider: str, lock_s: float) -> Operation:
        """Take the lock of a meeting's session, making the row where there is none.

        Raises `ConnectorBusy` (with who is busy and for how many seconds at most), `NotFound`.
        Deleted meetings are there too, for their bot to be called back: see `deleted`.
        """
        ...

    async def renew(self, operation: Operation, *, lock_s: float) -> None:
        """Keep the lock. Raises `LeaseLost`."""
        ...

    async def update(self, operation: Operation, update: SessionUpdate) -> ConnectorSession:
        """Write under the lock and keep it. Raises `LeaseLost` when it was overtaken."""
        ...

    async def raise_epoch(self, operation: Operation) -> int:
        """Begin another bot, which is `requested` and unanswered from now on: return its number.

        Raises `LeaseLost`.
        """
        ...

    async def end(self, operation: Operation) -> None:
        """Let go of the lock; harmless when it was overtaken."""
        ...

    async def get(self, meeting_id: str) -> ConnectorSession | None:
        """Return the session of a meeting, None where there never was one."""
        ...

    async def newest(self, limit: int) -> Sequence[ConnectorSession]:
        """Return sessions of meetings that are not deleted, the newest update first."""
        ...

    async def to_reconcile(
        self, stale_s: float, limit: int, *, pull_failures: int
    ) -> Sequence[ConnectorSession]:
        """Return sessions that need a look, those that waited longest first.

        These are wanted ones that are silent for `stale_s`, that failed `pull_failures` pulls in a
        row, whose order was not answered, or whose bot went away though it may come again; and
        bots of deleted or unwanted sessions that may still be about.
        """
        ...

    async def looked_at(self, meeting_id: str) -> None:
        """Note that reconciliation looked, so that others are looked at first the next time."""
        ...

    async def prune(self, age_s: float, limit: int) -> int:
        """Forget sessions that are over and were not touched for `age_s`; return how many.

        Also unwanted ones whose bot could not be called back, once they are silent for as long.
        """
        ...

    async def count(self) -> tuple[int, int]:
        """Return how many sessions are connected and how many are not."""
        ...


class Breakers(Protocol):
    """The breaker of each gateway, shared by all processes. Raises `DatabaseError`."""

    async def get(self, gateway: str) -> Breaker:
        """Return how the breaker stands; closed where nothing was ever counted."""
        ...

    async def enter(self, gateway: str, *, open_s: float, probe_s: float) -> Breaker:
        """Ask to pass; in half-open exactly one caller gets the probe, for `probe_s` at most.

        Raises `ConnectorCircuitOpen` with `retry_after_sec`. What it returns is to be handed to
        `succeeded`, `failed` or `withdraw`.
        """
        ...

    async def succeeded(self, gateway: str, entered: Breaker) -> Breaker:
        """Count a call that worked: closes a half-open breaker."""
        ...

    async def failed(
        self, gateway: str, entered: Breaker, error: str, *, threshold: int
    ) -> Breaker:
        """Count a failure of the gateway; opens the breaker at `threshold` in a row."""
        ...

    async def withdraw(self, gateway: str, entered: Breaker) -> None:
        """Give back a probe that said nothing of the gateway."""
        ...

    async def good_probe(self, gateway: str, *, min_age_s: float, wanted: int) -> bool:
        """Count a probe of health that worked; say whether it closed an open breaker.

        It closes one that is older than `min_age_s` after `wanted` of them in a row.
        """
        ...

    async def bad_probe(self, gateway: str) -> None:
        """Forget the good probes so far."""
        ...

    async def reset(self, gateway: str) -> Breaker:
        """Close the breaker."""
        ...
