"""Pulling: which sessions this process follows, and one pull of all for an operator."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

import structlog

from interview_agent.domain.errors import AgentError, DatabaseError, LeaseLost
from interview_agent.pipeline.connector.session_pull import PullTimes, SessionPull

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from interview_agent.pipeline.connector.drain import DrainParts
    from interview_agent.pipeline.connector.session_pull import Result
    from interview_agent.ports.connector_pull import PullClaim

Source = Literal["job", "admin"]

_CLAIMED_AT_ONCE = 4
"""So few that processes which start together share the sessions."""

_ONCE_AT_ONCE = 8
_AFTER_FAULT_S = 5.0
_RELEASE_S = 3.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PullSummary:
    """What pulls found: of `scanned` sessions, `connected` have their bot in the room.

    `pulled` ones were drained and brought `ingested` new chunks and `invalid_chunks`, others
    `failed`.
    """

    scanned: int
    connected: int
    pulled: int
    ingested: int
    failed: int
    invalid_chunks: int


def _untold(*_: object) -> None:
    pass


@dataclass(frozen=True, slots=True)
class PullMeters:
    """Who is told of each drain, and of what the last one of each followed session brought."""

    run: Callable[[Source, Result], None] = _untold
    last: Callable[[PullSummary], None] = _untold


class LivePull:
    """Follows up to `sessions_limit` sessions at once; each is held by one process by lease.

    `owner` names this process in leases, `jitter` gives random numbers from 0 to 1.
    """

    def __init__(
        self,
        parts: DrainParts,
        *,
        owner: str,
        sessions_limit: int,
        jitter: Callable[[], float],
        meters: PullMeters | None = None,
        times: PullTimes | None = None,
    ) -> None:
        self._parts = parts
        self._owner = owner
        self._limit = sessions_limit
        self._jitter = jitter
        self._meters = meters or PullMeters()
        self._times = times or PullTimes()
        self._stopping = asyncio.Event()
        self._held: dict[SessionPull, asyncio.Task[None]] = {}

    @property
    def sessions(self) -> int:
        """How many sessions this process follows now."""
        return len(self._held)

    def stop(self) -> None:
        """Let every session go once its page is stored, for other processes to take."""
        self._stopping.set()

    async def left(self) -> None:
        """Wait until every session was let go."""
        if self._held:
            await asyncio.wait(self._held.values())

    async def run(self) -> None:
        """Pull until `stop`; cancelling lets every session go."""
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(self._keep_leases(self._held))
            while not self._stopping.is_set():
                room = self._limit - len(self._held)
                for claim in await self._claim(min(room, _CLAIMED_AT_ONCE)):
                    pull = self._session(claim, "job")
                    task = group.create_task(self._hold(pull, pull.run))
                    self._held[pull] = task
                    task.add_done_callback(partial(self._forget, pull))
                self._meters.last(_summary(list(self._held)))
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._times.claim_s):
                        await self._stopping.wait()
            if self._held:
                await asyncio.wait(self._held.values())
            keeping.cancel()

    async def pull_once(self, limit_sessions: int, batch_limit: int) -> PullSummary:
        """Drain sessions that nobody pulls now; tell what came of `limit_sessions` at most.

        Loops hold most sessions, so what they took over since the last call is told too. What is
        invalid is told of this call alone. A page has `batch_limit` chunks at most. Raises
        `DatabaseError`.
        """
        parts = replace(self._parts, batch_limit=batch_limit)
        pulls: dict[SessionPull, asyncio.Task[None]] = {}
        places = asyncio.Semaphore(_ONCE_AT_ONCE)

        async def once(pull: SessionPull) -> None:
            async with places:
                await pull.once()

        claims = await self._parts.pulls.claim(
            self._parts.connector.provider,
            self._owner,
            lease_s=self._times.lease_s,
            limit=limit_sessions,
        )
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(self._keep_leases(pulls))
            for claim in claims:
                pull = self._session(claim, "admin", parts)
                pulls[pull] = group.create_task(self._hold(pull, partial(once, pull)))
            if pulls:
                _, late = await asyncio.wait(pulls.values(), timeout=self._times.once_s)
                for each in late:
                    each.cancel()
            keeping.cancel()
        return await self._told(list(pulls), limit_sessions)

    async def _told(self, pulls: Sequence[SessionPull], limit: int) -> PullSummary:
        reports = await self._parts.pulls.report(
            self._parts.connector.provider,
            limit,
            first=[pull.claim.meeting_id for pull in pulls],
        )
        drained = {pull.claim.meeting_id for pull in pulls if pull.last is not None}
        failed = {pull.claim.meeting_id for pull in pulls if pull.failures}
        brought = {each.meeting_id for each in reports if each.chunks}
        failing = {each.meeting_id for each in reports if each.failing}
        return PullSummary(
            scanned=len(reports),
            connected=sum(each.connected for each in reports),
            pulled=len(drained | brought),
            ingested=sum(each.chunks for each in reports),
            failed=len(failed | failing),
            invalid_chunks=_summary(pulls).invalid_chunks,
        )

    async def _claim(self, limit: int) -> Sequence[PullClaim]:
        if limit <= 0:
            return ()
        try:
            return await self._parts.pulls.claim(
                self._parts.connector.provider,
                self._owner,
                lease_s=self._times.lease_s,
                limit=limit,
            )
        except DatabaseError as error:
            log.warning("sessions_not_claimed", cause=str(error))
            return ()

    def _session(
        self, claim: PullClaim, source: Source, parts: DrainParts | None = None
    ) -> SessionPull:
        return SessionPull(
            parts or self._parts,
            claim,
            self._times,
            self._stopping,
            jitter=self._jitter,
            on_drained=partial(self._meters.run, source),
        )

    async def _hold(self, pull: SessionPull, work: Callable[[], Awaitable[None]]) -> None:
        """Do the work of one session, whatever comes of it, and let it go."""
        again_in_s = 0.0
        with structlog.contextvars.bound_contextvars(meeting_id=pull.claim.meeting_id):
            try:
                await work()
            except LeaseLost:
                log.info("pull_overtaken")
                return
            except AgentError as error:
                log.warning("pull_broke_off", cause=str(error))
                again_in_s = _AFTER_FAULT_S
            except Exception:
                log.exception("pull_broke_off")
                again_in_s = _AFTER_FAULT_S
            finally:
                with suppress(AgentError, TimeoutError):
                    async with asyncio.timeout(_RELEASE_S):
                        await self._parts.pulls.release(pull.claim, again_in_s=again_in_s)

    async def _keep_leases(self, held: dict[SessionPull, asyncio.Task[None]]) -> None:
        while True:
            await asyncio.sleep(self._times.renew_s)
            pulls = list(held)
            if not pulls:
                continue
            try:
                standing = await self._parts.pulls.renew(
                    [pull.claim for pull in pulls], lease_s=self._times.lease_s
                )
            except DatabaseError as error:
                # The fence protects the rows; a short outage need not cost the session.
                log.warning("pull_leases_not_renewed", cause=str(error))
                continue
            for pull in pulls:
                found = standing.get(pull.claim.meeting_id)
                if found is not None:
                    pull.stand(found)
                elif pull in held:
                    held[pull].cancel()

    def _forget(self, pull: SessionPull, _: asyncio.Task[None]) -> None:
        self._held.pop(pull, None)


def _summary(pulls: Sequence[SessionPull]) -> PullSummary:
    drained = [pull.last for pull in pulls if pull.last is not None]
    return PullSummary(
        scanned=len(pulls),
        connected=sum(pull.connected for pull in pulls),
        pulled=len(drained),
        ingested=sum(each.ingested for each in drained),
        failed=sum(pull.failures > 0 for pull in pulls),
        invalid_chunks=sum(each.invalid for each in drained),
    )
