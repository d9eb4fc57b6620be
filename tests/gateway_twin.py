"""A gateway in memory that counts its bots and fails as it is told."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from interview_agent.domain.connector import EndReason, SessionState
from interview_agent.domain.errors import ConnectorTimeout
from interview_agent.ports.connector import (
    GatewayHealth,
    GatewaySession,
    JoinOrder,
    LivePage,
)

if TYPE_CHECKING:
    import asyncio

    from interview_agent.domain.errors import ConnectorError


@dataclass
class Bot:
    """A bot that was sent; `reason` once it is over."""

    order: JoinOrder
    state: SessionState = SessionState.ACTIVE
    reason: EndReason | None = None


@dataclass
class GatewayTwin:
    """Implements `ports.connector.Connector`; `calls` lists what it was asked, in order.

    `faults` holds what the next calls of a name raise instead of doing anything; None: they work.
    With `loses_reply` a join works and nobody hears of it; `hangs` is what joins wait for first.
    """

    provider: str = "sberjazz"
    gateway: str = "https://gateway.test"
    calls: list[str] = field(default_factory=list)
    bots: list[Bot] = field(default_factory=list)
    faults: dict[str, deque[ConnectorError | None]] = field(default_factory=dict)
    loses_reply: bool = False
    tells: bool = True
    hangs: asyncio.Event | None = None
    healthy: bool = True

    def fail(self, name: str, *errors: ConnectorError | None) -> None:
        """Let the next calls of a name fail."""
        self.faults.setdefault(name, deque()).extend(errors)

    @property
    def active(self) -> list[Bot]:
        """The bots that are about."""
        return [bot for bot in self.bots if bot.state.alive]

    def _called(self, name: str, deadline_s: float) -> None:
        assert deadline_s > 0
        self.calls.append(name)
        self._fault_of(name)

    def _fault_of(self, name: str) -> None:
        errors = self.faults.get(name)
        if errors and (error := errors.popleft()) is not None:
            raise error

    async def join(self, order: JoinOrder, *, deadline_s: float) -> GatewaySession:
        """Send a bot, one for each key."""
        assert deadline_s > 0
        self.calls.append("join")
        if self.hangs is not None:
            await self.hangs.wait()
        self._fault_of("join")
        known = [bot for bot in self.bots if bot.order.idempotency_key == order.idempotency_key]
        if not known:
            known = [Bot(order)]
            self.bots += known
        if self.loses_reply:
            raise ConnectorTimeout
        # What was answered once is answered again, whatever became of the bot.
        return GatewaySession(SessionState.ACTIVE, epoch=1)

    async def leave(self, meeting_id: str, *, deadline_s: float) -> None:
        """Call all bots back from a meeting."""
        self._called("leave", deadline_s)
        for bot in self.active:
            if bot.order.meeting_id == meeting_id:
                bot.state, bot.reason = SessionState.ENDED, EndReason.LEFT

    async def session(self, meeting_id: str, *, deadline_s: float) -> GatewaySession | None:
        """Say how the newest bot is."""
        self._called("session", deadline_s)
        if not self.tells:
            return None
        found = [bot for bot in self.bots if bot.order.meeting_id == meeting_id]
        if not found:
            return GatewaySession(SessionState.ENDED, EndReason.LOST)
        alive = [bot for bot in found if bot.state.alive]
        bot = (alive or found)[-1]
        return GatewaySession(bot.state, bot.reason)

    async def live_chunks(
        self, meeting_id: str, cursor: str | None, *, limit: int, deadline_s: float
    ) -> LivePage:
        """Return nothing."""
        assert meeting_id
        assert limit
        self._called("live_chunks", deadline_s)
        return LivePage((), cursor)

    async def health(self, *, deadline_s: float) -> GatewayHealth:
        """Say what was set."""
        self._called("health", deadline_s)
        return GatewayHealth(self.healthy)

    async def aclose(self) -> None:
        """Nothing is held."""
