"""Closing the breaker of a gateway that works again, without anybody having to."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from interview_agent.domain.breaker import BreakerState
from interview_agent.domain.errors import AgentError, ConnectorError

if TYPE_CHECKING:
    from collections.abc import Callable

    from interview_agent.ports.connector import Connector
    from interview_agent.ports.connector_sessions import Breakers

GOOD_PROBES = 2
"""So many in a row close a breaker: one may be luck."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RecoveryTerms:
    """A breaker that is open for `min_age_s` is closed by `good_probes` in a row, in seconds."""

    min_age_s: float
    good_probes: int = GOOD_PROBES
    every_s: float = 5.0
    probe_s: float = 5.0


class BreakerRecovery:
    """Probes a gateway whose breaker is not closed; `on_closed` is told when that closed it."""

    def __init__(
        self,
        breakers: Breakers,
        connector: Connector,
        terms: RecoveryTerms,
        *,
        on_closed: Callable[[], None],
    ) -> None:
        self._breakers = breakers
        self._connector = connector
        self._terms = terms
        self._on_closed = on_closed

    async def run(self) -> None:
        """Look again and again, for ever."""
        while True:
            try:
                await self.look()
            except AgentError as error:
                log.warning("breaker_not_probed", cause=str(error))
            await asyncio.sleep(self._terms.every_s)

    async def look(self) -> None:
        """Probe once if the breaker is not closed. Raises `DatabaseError`."""
        gateway = self._connector.gateway
        if (await self._breakers.get(gateway)).state is BreakerState.CLOSED:
            return
        if not await self._healthy():
            await self._breakers.bad_probe(gateway)
        elif await self._breakers.good_probe(
            gateway, min_age_s=self._terms.min_age_s, wanted=self._terms.good_probes
        ):
            self._on_closed()
            log.info("breaker_closed", reason="health_recovered")

    async def _healthy(self) -> bool:
        try:
            health = await self._connector.health(deadline_s=self._terms.probe_s)
        except ConnectorError:
            return False
        return health.healthy
