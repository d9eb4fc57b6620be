"""What operators and the start of a meeting ask of the connector, as JSON-ready values."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from interview_agent.domain.errors import ConnectorError, MeetingGone, MeetingTaken, NotFound
from interview_agent.domain.ids import check_name
from interview_agent.domain.join_link import masked_link
from interview_agent.domain.meeting import Consent, Mode
from interview_agent.pipeline.connector.operations import JoinWish
from interview_agent.ports.intake import NewMeeting

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from interview_agent.domain.breaker import Breaker
    from interview_agent.domain.identity import Identity
    from interview_agent.domain.meeting import Meeting
    from interview_agent.pipeline.connector.operations import ConnectorOperations
    from interview_agent.ports.archive import Archive
    from interview_agent.ports.audit import AuditEvent, AuditLog
    from interview_agent.ports.connector import Connector
    from interview_agent.ports.connector_sessions import (
        Breakers,
        ConnectorSession,
        ConnectorSessions,
    )
    from interview_agent.ports.intake import Intake

Body = dict[str, Any]

_HEALTH_DEADLINE_S = 5.0


class ConnectorRequests:
    """The connector as callers see it; what operators do is recorded before it is done.

    `auto_join`: meetings in real time are joined at their start unless that says otherwise.
    `on_reset` is told of each reset of the breaker. Operations raise as `ConnectorOperations` do.
    """

    def __init__(
        self,
        operations: ConnectorOperations,
        connector: Connector,
        breakers: Breakers,
        sessions: ConnectorSessions,
        *,
        archive: Archive,
        intake: Intake,
        audit: AuditLog,
        clock: Callable[[], datetime],
        auto_join: bool = False,
        on_reset: Callable[[], None] = lambda: None,
    ) -> None:
        self._operations = operations
        self._connector = connector
        self._breakers = breakers
        self._sessions = sessions
        self._archive = archive
        self._intake = intake
        self._audit = audit
        self._clock = clock
        self._auto_join = auto_join
        self._on_reset = on_reset

    @property
    def provider(self) -> str:
        """The name of the gateway's kind."""
        return self._connector.provider

    async def join(
        self, caller: Identity, meeting_id: str, wish: JoinWish, event: Callable[[], AuditEvent]
    ) -> Body:
        """Send a bot; a meeting that nobody started is opened for the caller."""
        check_name(meeting_id, "meeting_id")
        await self.record("connector_join", event)
        meeting = await self._opened(caller, meeting_id, wish.language)
        return self._session_body(meeting_id, await self._operations.join(meeting, wish))

    async def leave(self, meeting_id: str, event: Callable[[], AuditEvent]) -> Body:
        """Call the bot back; fine when there is none."""
        check_name(meeting_id, "meeting_id")
        await self.record("connector_leave", event)
        return self._session_body(meeting_id, await self._operations.leave(meeting_id))

    async def reconnect(self, meeting_id: str, event: Callable[[], AuditEvent]) -> Body:
        """Call the bot back and send another one. Raises `NotFound` without a meeting."""
        check_name(meeting_id, "meeting_id")
        await self.record("connector_reconnect", event)
        meeting = (await self._archive.meeting(meeting_id)).meeting
        return self._session_body(meeting_id, await self._operations.reconnect(meeting))

    async def record(self, action: str, event: Callable[[], AuditEvent]) -> None:
        """Record what is about to be done. Raises `DatabaseError`: then it must not be."""
        asked = event()
        await self._audit.record(replace(asked, reason=f"{asked.reason}:{action}"))

    def joins_at_start(self, meeting: Meeting, *, asked: bool | None) -> bool:
        """Whether a meeting that was started now is to be joined.

        Where nobody asked, only what can be: a denied consent or a missing link is no error then.
        """
        if asked is not None:
            return asked
        if not self._auto_join or meeting.mode is not Mode.REALTIME:
            return False
        return meeting.consent is not Consent.DENIED and self._operations.may_join(meeting)

    async def join_started(self, meeting: Meeting) -> bool:
        """Send a bot into a meeting that was started now; return whether it is in the room."""
        return (await self._operations.join(meeting, JoinWish())).state.connected

    async def status(self, meeting_id: str) -> Body:
        """Return the session of a meeting; where there is none, that of nobody."""
        check_name(meeting_id, "meeting_id")
        return self._session_body(meeting_id, await self._sessions.get(meeting_id))

    async def newest(self, limit: int) -> Body:
        """Return sessions, the newest update first."""
        found = await self._sessions.newest(limit)
        return {"sessions": [self._session_body(each.meeting_id, each) for each in found]}

    async def health(self) -> Body:
        """Ask the gateway whether it works, and say what it tells."""
        breaker = await self._breakers.get(self._connector.gateway)
        try:
            health = await self._connector.health(deadline_s=_HEALTH_DEADLINE_S)
            healthy, details = health.healthy, dict(health.details)
        except ConnectorError as error:
            healthy, details = False, {"error": error.code}
        return {
            "provider": self.provider,
            "configured": True,
            "healthy": healthy,
            "details": {**details, "circuit_breaker": breaker.state.value},
            "updated_at": self._now(),
        }

    async def breaker(self) -> Body:
        """Return how the circuit breaker stands."""
        return self._breaker_body(await self._breakers.get(self._connector.gateway))

    async def reset_breaker(self, event: Callable[[], AuditEvent]) -> Body:
        """Close the circuit breaker."""
        await self.record("connector_breaker_reset", event)
        closed = await self._breakers.reset(self._connector.gateway)
        self._on_reset()
        return self._breaker_body(closed)

    async def _opened(self, caller: Identity, meeting_id: str, language: str | None) -> Meeting:
        try:
            return (await self._archive.meeting(meeting_id)).meeting
        except NotFound:
            pass
        try:
            new = NewMeeting(meeting_id, caller.owner, language=language)
            return await self._intake.start(new)
        except MeetingTaken:
            # For an operator no meeting is that of others: it began just now, or was deleted.
            return await self._begun_meanwhile(meeting_id)

    async def _begun_meanwhile(self, meeting_id: str) -> Meeting:
        try:
            return (await self._archive.meeting(meeting_id)).meeting
        except NotFound:
            raise MeetingGone from None

    def _now(self) -> str:
        return self._clock().isoformat()

    def _session_body(self, meeting_id: str, session: ConnectorSession | None) -> Body:
        if session is None or session.deleted:
            return _absent_body(meeting_id, self.provider, self._now())
        return {
            "meeting_id": session.meeting_id,
            "provider": session.provider,
            "connected": session.state.connected,
            "attempts": session.attempts,
            "last_error": session.last_error,
            "updated_at": session.updated_at.isoformat(),
            "state": session.state.value,
            "reason": session.reason and session.reason.value,
            "wanted": session.wanted,
            "epoch": session.epoch,
            "join_link": session.join_url and masked_link(session.join_url),
            "bot_name": session.bot_name,
            "language": session.language,
            "joined_at": session.joined_at and session.joined_at.isoformat(),
            "heartbeat_at": session.heartbeat_at and session.heartbeat_at.isoformat(),
        }

    def _breaker_body(self, breaker: Breaker) -> Body:
        return {
            "state": breaker.state.value,
            "consecutive_failures": breaker.consecutive_failures,
            "opened_at": breaker.opened_at and breaker.opened_at.isoformat(),
            "last_error": breaker.last_error,
            "updated_at": breaker.updated_at.isoformat() if breaker.updated_at else self._now(),
        }


def _absent_body(meeting_id: str, provider: str, now: str) -> Body:
    return {
        "meeting_id": meeting_id,
        "provider": provider,
        "connected": False,
        "attempts": 0,
        "last_error": None,
        "updated_at": now,
        "state": None,
        "reason": None,
        "wanted": False,
        "epoch": 0,
        "join_link": None,
        "bot_name": None,
        "language": None,
        "joined_at": None,
        "heartbeat_at": None,
    }
