"""Calling bots back from meetings that were erased while their gateway was away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from interview_agent.domain.errors import AgentError, ConnectorError

if TYPE_CHECKING:
    from collections.abc import Callable

    from interview_agent.ports.connector import Connector
    from interview_agent.ports.stray_bots import StrayBots

GIVE_UP_S = 86_400.0
"""A gateway keeps no bot in a meeting for longer than a day."""

_AT_ONCE = 20

log = structlog.get_logger(__name__)


class StrayRecall:
    """Tries again until the gateway answers, a day at most.

    `on_called_back` is told of each bot that has left. One call takes `ask_s` at most.
    """

    def __init__(
        self,
        strays: StrayBots,
        connector: Connector,
        *,
        ask_s: float,
        on_called_back: Callable[[], None],
        give_up_s: float = GIVE_UP_S,
    ) -> None:
        self._strays = strays
        self._connector = connector
        self._ask_s = ask_s
        self._on_called_back = on_called_back
        self._give_up_s = give_up_s

    async def run_for_ever(self, *, every_s: float) -> None:
        """Look again and again, for ever."""
        while True:
            try:
                await self.look()
            except AgentError as error:
                log.warning("stray_bots_not_looked_at", cause=str(error))
            await asyncio.sleep(every_s)

    async def look(self) -> None:
        """Try those that waited longest, up to the first that fails. Raises `DatabaseError`."""
        if given_up := await self._strays.give_up(self._give_up_s):
            log.error("stray_bots_given_up", count=given_up)
        for bot in await self._strays.next(self._connector.provider, _AT_ONCE):
            try:
                await self._connector.leave(bot.meeting_id, deadline_s=self._ask_s)
            except ConnectorError as error:
                log.warning("stray_bot_not_called_back", meeting_id=bot.meeting_id, code=error.code)
                return
            if await self._strays.called_back(bot):
                self._on_called_back()
                log.info("stray_bot_called_back", meeting_id=bot.meeting_id)
