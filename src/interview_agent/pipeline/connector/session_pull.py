"""One session as long as its bot is about: how it is, and what it hears."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import structlog

from interview_agent.domain.connector import EndReason
from interview_agent.domain.errors import (
    AgentError,
    ConnectorCircuitOpen,
    ConnectorError,
    ConsentDenied,
    LeaseLost,
    MeetingGone,
    NotFound,
)
from interview_agent.domain.retry import backoff_s
from interview_agent.pipeline.connector.drain import OURSELVES, Drained, SessionDrain
from interview_agent.ports.connector_pull import PullNote

if TYPE_CHECKING:
    from collections.abc import Callable

    from interview_agent.pipeline.connector.drain import DrainParts
    from interview_agent.ports.connector import AudioWay, GatewaySession
    from interview_agent.ports.connector_pull import PullClaim, PullStanding

Result = Literal["ok", "failed"]

_FINISHES_MEETING = (EndReason.CALL_ENDED, EndReason.REMOVED_BY_HOST)
_LAST_TRIES = 3
"""Failures in a row of the gateway of a session that is over; what it still has then is lost."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PullTimes:
    """How long things last, in seconds.

    Sound is asked for every `interval_s`, how the bot is every `look_s`, and every `entry_look_s`
    until it is in the room. Leases of `lease_s` are kept every `renew_s`; sessions that nobody
    pulls are looked for every `claim_s`. Pauses after failures begin at `retry_s` and end at
    `retry_most_s`. A heartbeat holds the meeting open for `hold_s`. A pull for an operator takes
    `once_s` at most.
    """

    interval_s: float = 1.0
    look_s: float = 5.0
    entry_look_s: float = 1.0
    lease_s: float = 8.0
    renew_s: float = 2.5
    claim_s: float = 0.5
    retry_s: float = 0.2
    retry_most_s: float = 15.0
    turned_s: float = 2.0
    hold_s: float = 60.0
    once_s: float = 30.0


class SessionPull:
    """Follows one session under a claim that somebody else renews.

    `on_drained` is told of each drain. `jitter` gives random numbers from 0 to 1.
    """

    def __init__(
        self,
        parts: DrainParts,
        claim: PullClaim,
        times: PullTimes,
        stopping: asyncio.Event,
        *,
        jitter: Callable[[], float],
        on_drained: Callable[[Result], None],
    ) -> None:
        self.claim = claim
        self.state = claim.state
        self.last: Drained | None = None
        """What came of the last drain; None: it failed, or there was none."""
        self.failures = 0
        """Drains that failed in a row."""
        self._parts = parts
        self._times = times
        self._stopping = stopping
        self._jitter = jitter
        self._on_drained = on_drained
        self._drain = SessionDrain(parts, claim)
        self._standing: PullStanding | None = None
        self._audio: AudioWay = "pull"
        self._tells = True
        self._ended: GatewaySession | None = None
        self._fault: AgentError | None = None
        self._last_tries = 0
        self._heartbeat: object = None
        self._noted_s = float("-inf")
        self._recovered = False
        self._over = False

    @property
    def connected(self) -> bool:
        """Whether the bot is in the room."""
        return self.state.connected

    def stand(self, standing: PullStanding) -> None:
        """Take note of how the session stands in the rows."""
        if standing.epoch != self.claim.epoch:
            # What was seen of the bot before says nothing of this one.
            self.claim, self.state = replace(self.claim, epoch=standing.epoch), standing.state
            self._ended = None
        self._standing = standing

    async def run(self) -> None:
        """Follow the session until it is over or not wanted, or the process stops.

        Raises `LeaseLost`.
        """
        await self._look()
        try:
            # Side by side: a gateway that hangs over one question still answers the other.
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(self._watch())
                await self._pull()
                watching.cancel()
        except* LeaseLost as errors:
            raise errors.exceptions[0] from None

    async def once(self) -> None:
        """Look and drain once. Raises `LeaseLost`."""
        await self._look()
        if self._ended is not None:
            await self._end(self._ended)
        elif self._hears:
            await self._drain_once()

    async def _watch(self) -> None:
        while not self._over:
            in_room = self.connected or not self._tells
            await self._pause(self._times.look_s if in_room else self._times.entry_look_s)
            if self._stopping.is_set():
                return
            await self._look()

    async def _pull(self) -> None:
        while not (self._over or self._stopping.is_set()):
            pause_s = self._times.interval_s
            if self._standing is not None and not self._standing.wanted:
                await self._say_goodbye()
                return
            if self._ended is not None:
                if await self._end(self._ended):
                    return
            elif self._hears:
                pause_s = await self._drain_once()
            await self._pause(pause_s)

    @property
    def _hears(self) -> bool:
        return self._audio == "pull" and (self.connected or not self._tells)

    async def _look(self) -> None:
        """Ask the gateway how the bot is and write it down."""
        claim = self.claim
        try:
            told = await self._parts.connector.session(
                claim.meeting_id, deadline_s=self._parts.call_s
            )
        except ConnectorError as error:
            log.warning("session_not_seen", meeting_id=claim.meeting_id, code=error.code)
            return
        self._tells = told is not None
        if told is None or claim.epoch != self.claim.epoch:
            return
        self._audio = told.audio
        if not told.state.alive:
            self._ended = told
            return
        self._ended, self.state = None, told.state
        # By change, not by age: the clock of the gateway may be another one.
        beats = told.heartbeat_at is None or told.heartbeat_at != self._heartbeat
        self._heartbeat = told.heartbeat_at
        await self._note(
            PullNote(
                state=told.state,
                heartbeat=beats,
                participants=told.participants,
                hold_s=self._times.hold_s,
            )
        )

    async def _drain_once(self) -> float:
        """Drain and return the pause after it, in seconds."""
        try:
            drained = await self._drain.drain()
        except (ConsentDenied, MeetingGone) as error:
            log.info("pull_refused", meeting_id=self.claim.meeting_id, code=error.code)
            await self._call_back(error)
            return 0.0
        except LeaseLost:
            raise
        except AgentError as error:
            return await self._failed(error)
        self.last, self._fault = drained, None
        self._on_drained("ok")
        await self._pulled()
        if drained.turned and not drained.ingested:
            return max(self._times.turned_s, self._times.interval_s)
        return self._times.interval_s

    async def _failed(self, error: AgentError) -> float:
        self.last, self._fault = None, error
        self.failures += 1
        self._on_drained("failed")
        log.warning("pull_failed", meeting_id=self.claim.meeting_id, code=error.code)
        times = self._times
        backed_off_s = backoff_s(
            self.failures, self._jitter(), base_s=times.retry_s, most_s=times.retry_most_s
        )
        pause_s = max(backed_off_s, times.interval_s)
        if isinstance(error, ConnectorCircuitOpen):
            # It may close before its time, and to ask costs the gateway nothing.
            return pause_s
        # Our own faults say nothing of this session.
        if isinstance(error, ConnectorError):
            with suppress(AgentError):
                await self._parts.pulls.failed(self.claim, error.code)
        return max(pause_s, min(error.retry_after_s or 0, 4 * times.retry_most_s))

    async def _pulled(self) -> None:
        """Write down that the gateway hands over sound; from an old one it is a sign of life."""
        # Refused while another bot takes over: then the failures would stand in the row for ever.
        self._recovered = self._recovered or self.failures > 0
        self.failures = self._last_tries = 0
        due_s = self._times.look_s if not self._tells else float("inf")
        if self._recovered or time.monotonic() - self._noted_s >= due_s:
            self._noted_s = time.monotonic()
            note = PullNote(pulled=True, heartbeat=not self._tells, hold_s=self._times.hold_s)
            self._recovered = not await self._note(note)

    async def _note(self, note: PullNote) -> bool:
        try:
            return await self._parts.pulls.note(self.claim, note)
        except LeaseLost:
            raise
        except AgentError as error:
            log.warning("session_not_noted", meeting_id=self.claim.meeting_id, cause=str(error))
            return False

    async def _end(self, told: GatewaySession) -> bool:
        """Take what is left, write down that the session is over, and finish the meeting.

        False when it cannot be done now: there is more than is taken at once, it can be neither
        asked for nor stored, the rows are away, or an operation is under way.
        """
        if self._standing is not None and self._standing.operated:
            self._ended = None
            return False
        if self._audio == "pull" and not await self._took_what_is_left():
            return False
        meeting_id, reason = self.claim.meeting_id, told.reason or EndReason.UNKNOWN
        try:
            # First: whoever takes over a session that is noted as ended does nothing more.
            if reason in _FINISHES_MEETING:
                with suppress(NotFound):
                    await self._parts.door.finish(OURSELVES, meeting_id, {})
            ended = PullNote(state=told.state, reason=reason)
            self._over = await self._parts.pulls.note(self.claim, ended)
        except LeaseLost:
            raise
        except AgentError as error:
            log.warning("session_not_ended", meeting_id=meeting_id, cause=str(error))
            return False
        self._ended = None
        if self._over:
            self.state = told.state
            log.info("session_ended", meeting_id=meeting_id, reason=reason.value)
        return self._over

    async def _took_what_is_left(self) -> bool:
        """Drain; false when it is to be gone on with later.

        Only a gateway that fails again and again is given up.
        """
        while True:
            pause_s = await self._drain_once()
            if self._over:
                return True
            if self.last is not None:
                return not self.last.more
            if self._stopping.is_set() or not _is_of_gateway(self._fault):
                return False
            self._last_tries += 1
            if self._last_tries >= _LAST_TRIES:
                return True
            await self._pause(min(pause_s, self._times.interval_s))

    async def _say_goodbye(self) -> None:
        """Take what was said before the bot was called back, where it can still be had."""
        self._over = True
        if self._audio != "pull":
            return
        with suppress(AgentError):
            self.last = await self._drain.drain()
            while self.last.more and not self._stopping.is_set():
                await self._pause(self._times.interval_s)
                self.last = await self._drain.drain()

    async def _call_back(self, error: AgentError) -> None:
        self._over = True
        try:
            await self._parts.pulls.unwanted(self.claim, error.code)
        except LeaseLost:
            raise
        except AgentError as fault:
            # Whoever takes the session next finds the same.
            log.warning("bot_not_called_back", meeting_id=self.claim.meeting_id, cause=str(fault))

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()


def _is_of_gateway(fault: AgentError | None) -> bool:
    # Of an open breaker the gateway knows nothing: it was not asked.
    return isinstance(fault, ConnectorError) and not isinstance(fault, ConnectorCircuitOpen)
