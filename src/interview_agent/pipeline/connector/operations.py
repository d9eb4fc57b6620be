"""Operations on bots: each under the lock of its meeting, so that there is never more than one."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from interview_agent.domain.connector import EndReason, SessionState, may_rejoin_now
from interview_agent.domain.errors import (
    AgentError,
    Conflict,
    ConnectorBadRequest,
    ConnectorCircuitOpen,
    ConnectorError,
    ConsentDenied,
    LeaseLost,
    MeetingGone,
    NotFound,
)
from interview_agent.domain.join_link import check_join_link
from interview_agent.domain.meeting import Consent
from interview_agent.pipeline.connector.held import deadline_s, holding
from interview_agent.ports.connector import GatewaySession, JoinOrder
from interview_agent.ports.connector_sessions import SessionUpdate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import datetime

    from interview_agent.domain.meeting import Meeting
    from interview_agent.pipeline.connector.held import HeldSession
    from interview_agent.ports.connector import Connector
    from interview_agent.ports.connector_sessions import ConnectorSession, ConnectorSessions

_REJOIN = "rejoin"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class JoinWish:
    """What somebody wants of a bot, its link a secret; what is None is taken from the meeting."""

    join_url: str | None = field(default=None, repr=False)
    bot_name: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationRules:
    """How operations behave.

    `lock_s`: how long the lock of a process that died holds others up; the calls of one operation
    take less. A session that showed itself within `fresh_s` is not joined again. Links lead to
    `link_hosts`; `needs_link`: without one there is nothing to join.
    """

    lock_s: float = 60.0
    fresh_s: float = 30.0
    link_hosts: tuple[str, ...] = ()
    needs_link: bool = True


class ConnectorOperations:
    """Sends bots into meetings and calls them back. `clock` gives the time in UTC.

    Every operation raises `ConnectorBusy` while another one works on the meeting, `LeaseLost` when
    it took so long that another one has taken over, a `ConnectorError` for what the gateway makes
    of it, and `DatabaseError`. What is known of the bot then stands in its session.
    """

    def __init__(
        self,
        connector: Connector,
        sessions: ConnectorSessions,
        rules: OperationRules,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._connector = connector
        self._sessions = sessions
        self._rules = rules
        self._clock = clock

    @property
    def provider(self) -> str:
        """The name of the gateway's kind."""
        return self._connector.provider

    def link_for(
        self, meeting: Meeting, wish: JoinWish, known: ConnectorSession | None = None
    ) -> str | None:
        """Return the link to join by: of the wish, of the session before, or of the meeting.

        Raises `ConsentDenied`, `ValidationFailed` for a link that is not allowed, and `Conflict`
        where one is needed and there is none.
        """
        if meeting.consent is Consent.DENIED:
            raise ConsentDenied
        link = wish.join_url or (known and known.join_url) or _link_of(meeting)
        if link is not None:
            return check_join_link(link, self._rules.link_hosts)
        if self._rules.needs_link:
            message = "there is no link to join by: give join_url, or context.join_url at the start"
            raise Conflict(message, details={"meeting_id": meeting.meeting_id})
        return None

    def may_join(self, meeting: Meeting) -> bool:
        """Whether the facts of a meeting suffice to join it."""
        return not self._rules.needs_link or _link_of(meeting) is not None

    async def join(self, meeting: Meeting, wish: JoinWish) -> ConnectorSession:
        """See to it that a bot is in the meeting, or on its way.

        Raises as `link_for` does, and `MeetingGone`.
        """
        known = await self._sessions.get(meeting.meeting_id)
        link = self.link_for(meeting, wish, known)
        async with self._holding(meeting.meeting_id, "join") as held:
            before = held.session
            moved = link != before.join_url
            if self._is_fresh(before) and not moved:
                if wish.language in {None, before.language}:
                    return before
                return await held.update(SessionUpdate(language=wish.language))
            await self._want(held, meeting, wish, link)
            if moved and _may_be_about(before):
                await self._call_back(held)
            elif before.state.alive and before.epoch and not before.unanswered:
                found = await self._ask(held)
                if found is None:
                    # It cannot tell, but under the same key it sends no second one.
                    return await self._order(held)
                if found.state.alive:
                    return await self._note(held, found)
            return await self._send(held)

    async def reconnect(self, meeting: Meeting) -> ConnectorSession:
        """Call the bot back and send another one. Raises as `join` does."""
        known = await self._sessions.get(meeting.meeting_id)
        wish = JoinWish()
        link = self.link_for(meeting, wish, known)
        async with self._holding(meeting.meeting_id, "reconnect") as held:
            before = held.session
            await self._want(held, meeting, wish, link)
            if _may_be_about(before):
                await self._call_back(held)
            return await self._send(held)

    async def leave(self, meeting_id: str) -> ConnectorSession | None:
        """Call the bot back, also of a deleted meeting; no bot is wanted there from now on.

        None: there is no session, and the gateway was told all the same.
        """
        if await self._sessions.get(meeting_id) is None:
            await self._connector.leave(meeting_id, deadline_s=deadline_s(self._rules.lock_s))
            return None
        async with self._holding(meeting_id, "leave") as held:
            before = await held.update(SessionUpdate(wanted=False))
            await self._call_back(held, all_of_it=True)
            reason = EndReason.LEFT if before.state.alive else before.reason
            return await held.update(
                SessionUpdate(state=SessionState.ENDED, reason=reason, clear_error=True)
            )

    async def rejoin(self, meeting_id: str) -> ConnectorSession:
        """Send another bot where the one that is wanted is really gone, within the budget.

        A gateway that cannot tell is believed to have it. Raises `NotFound` without a session.
        """
        async with self._holding(meeting_id, _REJOIN) as held:
            before = held.session
            if before.deleted or not before.wanted:
                return before
            found = await self._ask(held)
            if found is None:
                return before
            gone = not found.state.alive and (found.reason or EndReason.LOST).may_rejoin
            if not gone or not may_rejoin_now(before.rejoins, self._clock()):
                return await self._note(held, found)
            return await self._send(held)

    def _is_fresh(self, session: ConnectorSession) -> bool:
        seen = [at for at in (session.joined_at, session.heartbeat_at) if at is not None]
        if not seen or session.unanswered or not (session.wanted and session.state.alive):
            return False
        return (self._clock() - max(seen)).total_seconds() < self._rules.fresh_s

    async def _want(
        self, held: HeldSession, meeting: Meeting, wish: JoinWish, link: str | None
    ) -> None:
        if held.session.deleted:
            raise MeetingGone
        await held.update(
            SessionUpdate(
                wanted=True,
                join_url=link,
                bot_name=wish.bot_name,
                language=wish.language or held.session.language or meeting.language,
            )
        )

    async def _send(self, held: HeldSession) -> ConnectorSession:
        """Order a bot, where none is about that we know of.

        As long as nobody knows what came of an order its key is used again: somebody who was
        overtaken may send it yet, and two keys could be two bots.
        """
        if held.session.unanswered:
            session = await self._order(held)
            if not session.state.alive and not _may_follow(held, session):
                return session
            if session.state.alive and await self._is_about(held):
                return session
        await held.raise_epoch()
        return await self._order(held)

    async def _is_about(self, held: HeldSession) -> bool:
        """Whether the bot of a repeated order is more than a repeated answer."""
        found = await self._ask(held)
        return found is None or found.state.alive

    async def _order(self, held: HeldSession) -> ConnectorSession:
        session, held.ordered = held.session, True
        await held.check()
        tries = session.attempts + 1 if session.last_error else 1
        try:
            answer = await self._connector.join(
                JoinOrder(
                    meeting_id=session.meeting_id,
                    idempotency_key=f"{session.meeting_id}:{held.epoch}",
                    join_url=session.join_url,
                    bot_name=session.bot_name,
                    language=session.language,
                ),
                deadline_s=held.left_s,
            )
        except ConnectorError as error:
            await held.update(self._failure(held, error, tries))
            raise
        return await self._note(held, answer, tries=tries)

    @staticmethod
    def _failure(held: HeldSession, error: ConnectorError, tries: int) -> SessionUpdate:
        refused = isinstance(error, ConnectorBadRequest)
        asked = not isinstance(error, ConnectorCircuitOpen)
        return SessionUpdate(
            # A refusal is an answer: asking the same again is of no use to anybody.
            state=SessionState.FAILED if refused else None,
            wanted=False if refused else None,
            answered=refused,
            last_error=error.code,
            attempts=tries,
            rejoined=asked and held.name == _REJOIN,
        )

    async def _note(
        self, held: HeldSession, found: GatewaySession, *, tries: int | None = None
    ) -> ConnectorSession:
        """Write down what the gateway says; with `tries` it is the answer to an order."""
        return await held.update(
            SessionUpdate(
                state=found.state,
                reason=found.reason,
                clear_error=True,
                answered=tries is not None,
                joined=tries is not None,
                attempts=tries,
                heartbeat=found.state.alive,
                rejoined=tries is not None and held.name == _REJOIN,
            )
        )

    async def _ask(self, held: HeldSession) -> GatewaySession | None:
        try:
            return await self._connector.session(
                held.session.meeting_id, deadline_s=held.left_s / 2
            )
        except ConnectorError as error:
            await held.update(SessionUpdate(last_error=error.code))
            raise

    async def _call_back(self, held: HeldSession, *, all_of_it: bool = False) -> None:
        """Let the bot leave, in half of the time unless that is `all_of_it`."""
        await held.check()
        try:
            await self._connector.leave(
                held.session.meeting_id, deadline_s=held.left_s if all_of_it else held.left_s / 2
            )
        except ConnectorError as error:
            await held.update(SessionUpdate(last_error=error.code))
            raise

    @asynccontextmanager
    async def _holding(self, meeting_id: str, name: str) -> AsyncIterator[HeldSession]:
        held: HeldSession | None = None
        try:
            async with holding(
                self._sessions,
                meeting_id,
                name,
                provider=self.provider,
                lock_s=self._rules.lock_s,
            ) as held:
                yield held
        except LeaseLost:
            if held is not None and held.ordered:
                await self._undo(meeting_id)
            raise

    async def _undo(self, meeting_id: str) -> None:
        """Call back the bot of an overtaken order where nobody wants one any more."""
        try:
            async with self._holding(meeting_id, "undo") as held:
                if held.session.wanted and not held.session.deleted:
                    return
                # Until it was called back, it may be there: reconciliation tries again.
                await held.update(SessionUpdate(state=SessionState.JOINING))
                await self._call_back(held, all_of_it=True)
                await held.update(SessionUpdate(state=SessionState.ENDED, reason=EndReason.LEFT))
        except NotFound:
            await self._connector.leave(meeting_id, deadline_s=deadline_s(self._rules.lock_s))
        except AgentError as error:
            log.warning("overtaken_order_not_undone", meeting_id=meeting_id, cause=error.code)


def _link_of(meeting: Meeting) -> str | None:
    link = meeting.context.get("join_url")
    return link if isinstance(link, str) and link else None


def _may_be_about(session: ConnectorSession) -> bool:
    return session.epoch > 0 and (session.unanswered or session.state.alive)


def _may_follow(held: HeldSession, session: ConnectorSession) -> bool:
    """Whether another bot may follow one that is over."""
    return held.name != _REJOIN or (session.reason or EndReason.LOST).may_rejoin
