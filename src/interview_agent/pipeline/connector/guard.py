"""The circuit breaker around a gateway: one that fails is left in peace for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import structlog

from interview_agent.domain.errors import ConnectorCircuitOpen, ConnectorError, DatabaseError

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from interview_agent.domain.breaker import Breaker
    from interview_agent.ports.connector import (
        Connector,
        GatewayHealth,
        GatewaySession,
        JoinOrder,
        LivePage,
    )
    from interview_agent.ports.connector_sessions import Breakers

_PROBE_SLACK_S = 5.0

_T = TypeVar("_T")

log = structlog.get_logger(__name__)


class GuardedConnector:
    """Implements `ports.connector.Connector`: joins and sound pass the breaker of their gateway.

    It opens after `threshold` failures in a row that speak of a gateway in trouble, for `open_s`,
    and raises `ConnectorCircuitOpen` while it is open. To call a bot back and to ask how things
    are is always allowed.
    """

    def __init__(
        self, connector: Connector, breakers: Breakers, *, threshold: int, open_s: float
    ) -> None:
        self._connector = connector
        self._breakers = breakers
        self._threshold = threshold
        self._open_s = open_s
        self.provider = connector.provider
        self.gateway = connector.gateway

    async def join(self, order: JoinOrder, *, deadline_s: float) -> GatewaySession:
        entered = await self._enter("join", deadline_s)
        return await self._watch(entered, self._connector.join(order, deadline_s=deadline_s))

    async def live_chunks(
        self, meeting_id: str, cursor: str | None, *, limit: int, deadline_s: float
    ) -> LivePage:
        entered = await self._enter("live_chunks", deadline_s)
        call = self._connector.live_chunks(meeting_id, cursor, limit=limit, deadline_s=deadline_s)
        return await self._watch(entered, call)

    async def leave(self, meeting_id: str, *, deadline_s: float) -> None:
        await self._connector.leave(meeting_id, deadline_s=deadline_s)

    async def session(self, meeting_id: str, *, deadline_s: float) -> GatewaySession | None:
        return await self._connector.session(meeting_id, deadline_s=deadline_s)

    async def health(self, *, deadline_s: float) -> GatewayHealth:
        return await self._connector.health(deadline_s=deadline_s)

    async def aclose(self) -> None:
        await self._connector.aclose()

    async def _enter(self, operation: str, deadline_s: float) -> Breaker:
        try:
            return await self._breakers.enter(
                self.gateway, open_s=self._open_s, probe_s=deadline_s + _PROBE_SLACK_S
            )
        except ConnectorCircuitOpen as error:
            error.details["operation"] = operation
            raise

    async def _watch(self, entered: Breaker, call: Coroutine[Any, Any, _T]) -> _T:
        try:
            result = await call
        except ConnectorError as error:
            await self._count(entered, error)
            raise
        await self._count(entered, None)
        return result

    async def _count(self, entered: Breaker, error: ConnectorError | None) -> None:
        breakers = self._breakers
        try:
            if error is None:
                await breakers.succeeded(self.gateway, entered)
            elif error.counts_against_gateway:
                await breakers.failed(self.gateway, entered, error.code, threshold=self._threshold)
            else:
                await breakers.withdraw(self.gateway, entered)
        except DatabaseError as fault:
            # What came of the call matters more than that it was counted.
            log.warning("breaker_not_counted", cause=str(fault))
