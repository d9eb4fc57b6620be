"""Calling bots back from meetings in which nobody wants them any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from interview_agent.domain.connector import EndReason, SessionState
from interview_agent.domain.errors import ConnectorBusy, ConnectorError, LeaseLost, NotFound
from interview_agent.ports.connector_sessions import SessionUpdate

if TYPE_CHECKING:
    from interview_agent.ports.connector import Connector
    from interview_agent.ports.connector_sessions import ConnectorSessions, Operation

_LOCK_MARGIN_S = 10.0

log = structlog.get_logger(__name__)


class CallBack:
    """Implements `ports.erasure.Bots`; `deadline_s` bounds one try."""

    def __init__(
        self, sessions: ConnectorSessions, connector: Connector, *, deadline_s: float = 10.0
    ) -> None:
        self._sessions = sessions
        self._connector = connector
        self._deadline_s = deadline_s

    async def call_back(self, meeting_id: str) -> bool:
        """Take the bot out of a meeting; False: it may still be there, so try again.

        Others who operate on the session come first: what they began may send a bot.
        """
        session = await self._sessions.get(meeting_id)
        if session is None or not session.may_have_bot:
            return True
        provider = self._connector.provider
        if session.provider != provider:
            log.warning("bot_of_other_provider", meeting_id=meeting_id, provider=session.provider)
            return False
        lock_s = self._deadline_s + _LOCK_MARGIN_S
        try:
            operation = await self._sessions.begin(
                meeting_id, "call_back", provider=provider, lock_s=lock_s
            )
        except NotFound:
            return True
        except ConnectorBusy:
            return False
        try:
            return await self._leave(operation)
        finally:
            await self._sessions.end(operation)

    async def _leave(self, operation: Operation) -> bool:
        try:
            await self._connector.leave(operation.meeting_id, deadline_s=self._deadline_s)
            gone = SessionUpdate(
                state=SessionState.ENDED, reason=EndReason.LEFT, wanted=False, answered=True
            )
            await self._sessions.update(operation, gone)
        except LeaseLost:
            return False
        except ConnectorError as error:
            log.warning("bot_not_called_back", meeting_id=operation.meeting_id, code=error.code)
            return False
        return True
