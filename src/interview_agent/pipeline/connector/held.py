"""One session under the lock of an operation, which is renewed as long as that works."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from interview_agent.domain.errors import AgentError, ConnectorTimeout, DatabaseError, LeaseLost

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from interview_agent.ports.connector_sessions import (
        ConnectorSession,
        ConnectorSessions,
        Operation,
        SessionUpdate,
    )

_DEADLINE_SHARE = 0.8
"""Of the lock: even if it is never renewed, the operation is over before it."""

_SLACK_S = 1.0

log = structlog.get_logger(__name__)


def deadline_s(lock_s: float) -> float:
    """Return how long the calls of one operation may take, all together."""
    return lock_s * _DEADLINE_SHARE


class HeldSession:
    """A session that this operation alone may change; `session` is what was written last.

    Every write raises `LeaseLost` once somebody else has taken over.
    """

    def __init__(self, sessions: ConnectorSessions, operation: Operation, lock_s: float) -> None:
        self._sessions = sessions
        self._operation = operation
        self._lock_s = lock_s
        self._ends_s = time.monotonic() + deadline_s(lock_s)
        self.session: ConnectorSession = operation.session
        self.epoch = operation.session.epoch
        self.name = operation.name
        self.ordered = False
        """Whether the gateway was, or is about to be, asked for a bot."""
        self.lost = False
        """Whether somebody else was found to have taken over."""

    @property
    def left_s(self) -> float:
        """The time that is left for calls, in seconds."""
        return max(self._ends_s - time.monotonic(), 0.0)

    async def check(self) -> None:
        """Make sure of the lock, and have all of it before us."""
        await self._sessions.renew(self._operation, lock_s=self._lock_s)

    async def update(self, update: SessionUpdate) -> ConnectorSession:
        """Write, and return what is written now."""
        self.session = await self._sessions.update(self._operation, update)
        return self.session

    async def raise_epoch(self) -> None:
        """Begin another bot."""
        self.epoch = await self._sessions.raise_epoch(self._operation)

    async def keep(self, scope: asyncio.Timeout) -> None:
        """Renew the lock until it is lost, which ends `scope`."""
        while True:
            await asyncio.sleep(self._lock_s / 4)
            try:
                await self.check()
            except LeaseLost:
                self.lost = True
                scope.reschedule(asyncio.get_running_loop().time())
                return
            except DatabaseError as error:
                # The fence protects what comes of it; the next try is soon.
                log.warning("operation_lock_not_renewed", cause=str(error))

    async def let_go(self) -> None:
        """Free the lock; one that cannot be freed runs out."""
        try:
            await self._sessions.end(self._operation)
        except AgentError as error:
            log.warning("operation_lock_not_freed", cause=str(error))


@asynccontextmanager
async def holding(
    sessions: ConnectorSessions, meeting_id: str, name: str, *, provider: str, lock_s: float
) -> AsyncIterator[HeldSession]:
    """Hold the lock of a meeting's session for the block.

    Raises `ConnectorBusy` and `NotFound` as `begin` does, `LeaseLost` into the block's end when the
    lock is taken away, and `ConnectorTimeout` when the block overruns its deadline.
    """
    operation = await sessions.begin(meeting_id, name, provider=provider, lock_s=lock_s)
    held = HeldSession(sessions, operation, lock_s)
    keeper: asyncio.Task[None] | None = None
    try:
        async with asyncio.timeout(deadline_s(lock_s) + _SLACK_S) as scope:
            keeper = asyncio.create_task(held.keep(scope))
            yield held
    except TimeoutError:
        if held.lost:
            raise LeaseLost from None
        raise ConnectorTimeout(details={"meeting_id": meeting_id, "operation": name}) from None
    finally:
        if keeper is not None:
            keeper.cancel()
            await asyncio.wait({keeper})
        await held.let_go()
