"""Reconciliation: bots that are really gone are sent again, and unwanted ones called back."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import structlog

from interview_agent.domain.connector import may_rejoin_now
from interview_agent.domain.errors import (
    AgentError,
    ConnectorBusy,
    ConnectorError,
    LeaseLost,
    NotFound,
)
from interview_agent.ports.connector_sessions import SessionUpdate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from interview_agent.pipeline.connector.operations import ConnectorOperations
    from interview_agent.ports.connector import Connector
    from interview_agent.ports.connector_sessions import ConnectorSession, ConnectorSessions
    from interview_agent.ports.erasure import BotRecall

Source = Literal["job", "admin"]

_AT_ONCE = 4
_FAULTS_IN_A_ROW = 3
"""A gateway that failed so often in a row is not asked about more sessions in this run."""

_PRUNED_AT_ONCE = 500
_NOTE_LOCK_S = 10.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ReconcileTerms:
    """When reconciliation looks at a session, and for how long, in seconds.

    A session silent for `stale_s` is asked after, one silent for `expire_s` given up and later
    forgotten. `pull_failures` pulls that failed in a row make a look due too. A run begins nothing
    new after `run_s`. With `pulled` the loops of pulling note how calls end, after the last sound.
    """

    stale_s: float
    expire_s: float
    pull_failures: int
    pulled: bool
    ask_s: float = 10.0
    run_s: float = 45.0


@dataclass(frozen=True, slots=True)
class ReconcileSummary:
    """What a run did: sessions looked at, those in doubt, sent again, and not set right."""

    scanned: int
    stale: int
    reconnected: int
    failed: int


@dataclass(slots=True)
class _Run:
    """The tally of a run that goes on."""

    ends: float
    scanned: int = 0
    stale: int = 0
    reconnected: int = 0
    failed: int = 0
    faults_in_a_row: int = 0

    @property
    def over(self) -> bool:
        return self.faults_in_a_row >= _FAULTS_IN_A_ROW or time.monotonic() > self.ends


class Reconciliation:
    """Compares what is wanted with what the gateway says; any number of processes may run it.

    `clock` tells the time of day. `on_run` is told of each run who asked for it and what it did,
    None: it failed; `on_pruned` how many sessions were forgotten.
    """

    def __init__(
        self,
        sessions: ConnectorSessions,
        connector: Connector,
        operations: ConnectorOperations,
        bots: BotRecall,
        terms: ReconcileTerms,
        *,
        clock: Callable[[], datetime],
        on_run: Callable[[Source, ReconcileSummary | None], None],
        on_pruned: Callable[[int], None],
    ) -> None:
        self._sessions = sessions
        self._connector = connector
        self._operations = operations
        self._bots = bots
        self._terms = terms
        self._clock = clock
        self._on_run = on_run
        self._on_pruned = on_pruned

    async def run_for_ever(self, *, every_s: float, limit: int) -> None:
        """Run again and again, for ever."""
        while True:
            try:
                await self.run("job", limit=limit)
            except AgentError as error:
                log.warning("reconciliation_failed", cause=str(error))
            await asyncio.sleep(every_s)

    async def run(self, source: Source, *, limit: int) -> ReconcileSummary:
        """Look at `limit` sessions at most, those that waited longest first.

        Raises `DatabaseError`; what a gateway cannot answer is counted as failed.
        """
        try:
            summary = await self._run(limit)
        except AgentError:
            self._on_run(source, None)
            raise
        self._on_run(source, summary)
        return summary

    async def _run(self, limit: int) -> ReconcileSummary:
        terms = self._terms
        run = _Run(ends=time.monotonic() + terms.run_s)
        found = await self._sessions.to_reconcile(
            terms.stale_s, limit, pull_failures=terms.pull_failures
        )
        waiting = iter(found)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(_AT_ONCE):
                    group.create_task(self._look_at_each(waiting, run))
        except* AgentError as errors:
            raise errors.exceptions[0] from None
        self._on_pruned(await self._sessions.prune(terms.expire_s, _PRUNED_AT_ONCE))
        return ReconcileSummary(
            scanned=run.scanned,
            stale=run.stale,
            reconnected=run.reconnected,
            failed=run.failed,
        )

    async def _look_at_each(self, waiting: Iterator[ConnectorSession], run: _Run) -> None:
        for session in waiting:
            if run.over:
                return
            run.scanned += 1
            with structlog.contextvars.bound_contextvars(meeting_id=session.meeting_id):
                await self._look_at(session, run)
            # Also after a failure: a session in trouble must not keep others waiting.
            await self._sessions.looked_at(session.meeting_id)

    async def _look_at(self, session: ConnectorSession, run: _Run) -> None:
        try:
            if session.wanted and not session.deleted:
                run.stale += 1
                await self._compare(session, run)
            else:
                await self._call_back(session, run)
            run.faults_in_a_row = 0
        except (ConnectorBusy, LeaseLost, NotFound):
            # Somebody else is at it.
            return
        except ConnectorError as error:
            run.failed += 1
            run.faults_in_a_row += error.counts_against_gateway
            log.warning("session_not_reconciled", code=error.code)

    async def _compare(self, session: ConnectorSession, run: _Run) -> None:
        if session.silent_s > self._terms.expire_s:
            log.warning("session_expired")
            await self._note(session, SessionUpdate(wanted=False))
            await self._call_back(session, run)
            return
        if session.provider != self._connector.provider:
            return
        answer = await self._connector.session(session.meeting_id, deadline_s=self._terms.ask_s)
        if answer is None:
            # A gateway that cannot tell is believed to have its bot: pulling shows if it has.
            return
        if answer.state.alive:
            await self._note(session, SessionUpdate(state=answer.state, heartbeat=True))
        elif answer.reason is None or answer.reason.may_rejoin:
            await self._send_again(session, run)
        elif not self._terms.pulled:
            await self._note(session, SessionUpdate(state=answer.state, reason=answer.reason))

    async def _call_back(self, session: ConnectorSession, run: _Run) -> None:
        if not await self._bots.call_back(session.meeting_id):
            run.failed += 1

    async def _note(self, session: ConnectorSession, update: SessionUpdate) -> None:
        operation = await self._sessions.begin(
            session.meeting_id,
            "reconcile",
            provider=self._connector.provider,
            lock_s=_NOTE_LOCK_S,
        )
        try:
            same = operation.session.epoch == session.epoch and not operation.session.deleted
            if same and operation.session.wanted:
                await self._sessions.update(operation, update)
        finally:
            await self._sessions.end(operation)

    async def _send_again(self, session: ConnectorSession, run: _Run) -> None:
        if not may_rejoin_now(session.rejoins, self._clock()):
            run.failed += 1
            log.warning("rejoin_held_back", rejoins=len(session.rejoins))
            return
        now = await self._operations.rejoin(session.meeting_id)
        if len(now.rejoins) == len(session.rejoins):
            return
        if now.state.alive:
            run.reconnected += 1
            log.info("bot_sent_again", epoch=now.epoch)
        else:
            run.failed += 1
