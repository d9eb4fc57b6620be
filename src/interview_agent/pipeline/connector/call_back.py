"""Calling bots back from meetings in which nobody wants them any more."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from interview_agent.domain.errors import ConnectorError, LeaseLost

if TYPE_CHECKING:
    from interview_agent.pipeline.connector.operations import ConnectorOperations
    from interview_agent.ports.connector_sessions import ConnectorSessions

log = structlog.get_logger(__name__)


class CallBack:
    """Implements `ports.erasure.BotRecall`; one try takes `patience_s` at most."""

    def __init__(
        self,
        sessions: ConnectorSessions,
        operations: ConnectorOperations,
        *,
        patience_s: float = 10.0,
    ) -> None:
        self._sessions = sessions
        self._operations = operations
        self._patience_s = patience_s

    async def call_back(self, meeting_id: str) -> bool:
        """Take the bot out of a meeting; False: it may still be there, so try again.

        An operation that is under way comes first: it may be sending a bot.
        """
        session = await self._sessions.get(meeting_id)
        if session is None or not session.may_have_bot:
            return True
        if session.provider != self._operations.provider:
            log.warning("bot_of_other_provider", meeting_id=meeting_id, provider=session.provider)
            return False
        try:
            async with asyncio.timeout(self._patience_s):
                await self._operations.leave(meeting_id)
        except (ConnectorError, LeaseLost, TimeoutError) as error:
            code = getattr(error, "code", "timeout")
            log.warning("bot_not_called_back", meeting_id=meeting_id, code=code)
            return False
        return True
