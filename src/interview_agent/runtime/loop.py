"""The one worker loop: claim, run the stage, record the verdict."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from interview_agent.domain.errors import (
    AgentError,
    Backpressure,
    DatabaseError,
    Fault,
    LeaseLost,
    StorageError,
)
from interview_agent.domain.retry import MAX_ATTEMPTS, backoff_s
from interview_agent.metrics import (
    FENCED_COMMITS,
    LEASES_LOST,
    LOOP_TICKED,
    QUEUE_TASKS,
    STAGE_LATENCY,
    SWEPT,
    WORK_PUT_OFF,
    Metrics,
)
from interview_agent.ports.spans import NoSpans

if TYPE_CHECKING:
    from collections.abc import Callable

    from interview_agent.ports.spans import Spans
    from interview_agent.ports.wake_queue import WakeQueue
    from interview_agent.ports.work import Claim, Outcome, StageHandler, WorkStore

_NOBODYS_FAULT = (DatabaseError, StorageError, Backpressure)
"""What everybody needs is away or busy: no piece of work is to blame for that."""

log = structlog.get_logger(__name__)


class _LostWhileRunning(LeaseLost):
    """The lease was found lost before anything was written."""


@dataclass(frozen=True, slots=True)
class LoopTimes:
    """How long things may take, in seconds.

    A lease is renewed every `renew_s` as long as there was progress within `stuck_s`. Work whose
    verdict could not be recorded is handed back as soon as that can be, within `return_s`.
    """

    lease_s: float = 8.0
    renew_s: float = 2.5
    poll_s: float = 2.0
    stuck_s: float = 600.0
    pause_s: float = 1.0
    return_s: float = 60.0


class StageLoop:
    """Does the work of one stage, up to `concurrency` pieces at once.

    `owner` names this process in leases, `jitter` gives random numbers from 0 to 1.
    """

    def __init__(
        self,
        handler: StageHandler,
        work: WorkStore,
        wake: WakeQueue,
        metrics: Metrics,
        *,
        owner: str,
        concurrency: int,
        jitter: Callable[[], float],
        times: LoopTimes | None = None,
        spans: Spans | None = None,
    ) -> None:
        self._handler = handler
        self._stage = handler.stage
        self._work = work
        self._wake = wake
        self._metrics = metrics
        self._owner = owner
        self._concurrency = concurrency
        self._jitter = jitter
        self._times = times or LoopTimes()
        self._spans = spans or NoSpans()
        self._stopping = asyncio.Event()
        self._unwoken = False
        self.ended = asyncio.Event()
        self._show_meters()
        self._tick()

    def _show_meters(self) -> None:
        metrics, stage, queue = self._metrics, self._stage.value, self._stage.stream
        metrics.start_at_zero(STAGE_LATENCY, [{"stage": stage}])
        metrics.start_at_zero(LEASES_LOST, [{"stage": stage}])
        metrics.start_at_zero(FENCED_COMMITS, [{"stage": stage}])
        metrics.start_at_zero(
            QUEUE_TASKS,
            ({"queue": queue, "result": result} for result in ("success", "retry", "error")),
        )
        metrics.start_at_zero(
            WORK_PUT_OFF,
            ({"stage": stage, "reason": each.code} for each in _NOBODYS_FAULT),
        )

    def _tick(self) -> None:
        self.ticked_at = time.monotonic()
        self._metrics.set(LOOP_TICKED, time.time(), loop=self._stage.value)

    def stop(self) -> None:
        """Claim nothing more; `run` returns when what runs has ended."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until `stop`; cancelling hands back what runs."""
        places = asyncio.Semaphore(self._concurrency)

        async def fill_place(claim: Claim) -> None:
            try:
                await self._handle(claim)
            finally:
                places.release()

        async with asyncio.TaskGroup() as group:
            while not self._stopping.is_set():
                # Whoever waits for work is one, however many places are free: a wake-up costs one
                # look at the rows.
                await places.acquire()
                claim = await self._claim()
                if claim is None:
                    places.release()
                else:
                    group.create_task(fill_place(claim))
        self.ended.set()

    async def _claim(self) -> Claim | None:
        """Take the next piece of work, or wait a while for a hint that there is one."""
        self._tick()
        if self._stopping.is_set():
            return None
        try:
            claim = await self._work.claim(self._stage, self._owner, self._times.lease_s)
        except DatabaseError as error:
            log.warning("claim_failed", stage=self._stage.value, cause=str(error))
            await self._pause(self._times.pause_s)
            return None
        if claim is None:
            await self._idle()
            return None
        self._count_found(claim)
        return claim

    def _count_found(self, claim: Claim) -> None:
        """Count work that another worker, or a wake-up, should have brought here."""
        if claim.taken_over:
            self._metrics.count(SWEPT, kind="expired_lease")
        elif self._unwoken and not claim.scheduled:
            self._metrics.count(SWEPT, kind="lost_wake_up")
        self._unwoken = False

    async def _idle(self) -> None:
        waits = (
            asyncio.ensure_future(self._wake.wait(self._stage, self._times.poll_s)),
            asyncio.ensure_future(self._stopping.wait()),
        )
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
            hinted, _ = await asyncio.gather(*waits, return_exceptions=True)
        self._unwoken = hinted is False

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    async def _handle(self, claim: Claim) -> None:
        with (
            structlog.contextvars.bound_contextvars(
                stage=claim.stage.value,
                meeting_id=claim.meeting_id,
                track=claim.track or None,
                trace_id=claim.trace_id,
            ),
            self._spans.span(f"stage {claim.stage.value}", claim.trace_id) as span,
        ):
            started = time.monotonic()
            result = "error"
            try:
                result = await self._attempt(claim)
            except LeaseLost as error:
                self._metrics.count(LEASES_LOST, stage=claim.stage.value)
                if not isinstance(error, _LostWhileRunning):
                    self._metrics.count(FENCED_COMMITS, stage=claim.stage.value)
                log.warning("lease_lost")
                result = "retry"
            except DatabaseError as error:
                log.warning("verdict_not_recorded", cause=str(error))
                result = "retry"
                await self._return_late(claim)
            except Exception:
                log.exception("verdict_refused")
            finally:
                elapsed_ms = (time.monotonic() - started) * 1000
                self._metrics.observe(STAGE_LATENCY, elapsed_ms, stage=claim.stage.value)
                self._metrics.count(QUEUE_TASKS, queue=claim.stage.stream, result=result)
                span.note("meeting.id", claim.meeting_id)
                span.note("stage.result", result)
                log.info("stage_ended", result=result, took_ms=round(elapsed_ms))

    async def _attempt(self, claim: Claim) -> str:
        if claim.attempts > MAX_ATTEMPTS:
            # Every earlier claim ended without a verdict: its process died.
            return await self._give_up(claim, "crashed")
        try:
            outcome = await self._run_leased(claim)
        except asyncio.CancelledError:
            await asyncio.shield(self._hand_back(claim))
            raise
        except LeaseLost:
            raise
        except _NOBODYS_FAULT as error:
            return await self._put_off(claim, error)
        except AgentError as error:
            return await self._judge(claim, error.code, str(error), error.fault)
        except Exception as error:
            log.exception("stage_failed")
            reason = type(error).__name__
            return await self._judge(claim, "internal", reason, Fault.TRANSIENT)
        if outcome.unfinished:
            await self._work.hand_back(claim)
            self._wake.notify(claim.stage, claim.meeting_id, claim.track)
            return "retry"
        if outcome.reached is not None:
            claim = replace(claim, target=outcome.reached)
        following = await self._work.complete(claim, outcome.again_in_s)
        for stage in following:
            track = claim.track if stage.per_track else ""
            self._wake.notify(stage, claim.meeting_id, track)
        return "success"

    async def _put_off(self, claim: Claim, error: AgentError) -> str:
        pause_s, delay_s = self._times.pause_s, 0.0
        if isinstance(error, Backpressure):
            # Other work may need nothing that is scarce, so that the place is free meanwhile.
            delay_s = backoff_s(1, self._jitter(), base_s=max(error.retry_after_s or 0.0, pause_s))
            log.warning("work_put_off", cause=str(error), delay_s=round(delay_s, 2))
        else:
            # All work would find the same: a place that waits asks less often.
            log.warning("dependency_down", cause=str(error))
            await self._pause(pause_s)
        self._metrics.count(WORK_PUT_OFF, stage=claim.stage.value, reason=error.code)
        await self._work.put_off(claim, delay_s, error.code)
        return "retry"

    async def _judge(self, claim: Claim, code: str, reason: str, fault: Fault) -> str:
        if fault is not Fault.TRANSIENT or claim.attempts >= MAX_ATTEMPTS:
            return await self._give_up(claim, f"{code}: {reason}"[:500])
        delay_s = backoff_s(claim.attempts, self._jitter())
        log.warning("stage_retry", code=code, reason=reason, delay_s=round(delay_s, 2))
        await self._work.retry_later(claim, delay_s, f"{code}: {reason}"[:500])
        return "retry"

    async def _give_up(self, claim: Claim, reason: str) -> str:
        log.error("stage_gave_up", reason=reason, attempts=claim.attempts)
        goes_on = await self._handler.give_up(claim, reason)
        following = () if goes_on else await self._work.give_up(claim, reason)
        # Buried behind the fence: of a deleted meeting nothing is to be left anywhere.
        self._wake.bury(claim.stage, claim.meeting_id, claim.track, reason)
        if goes_on:
            self._wake.notify(claim.stage, claim.meeting_id, claim.track)
        for stage in following:
            self._wake.notify(stage, claim.meeting_id)
        return "error"

    async def _return_late(self, claim: Claim) -> None:
        # An outage must not count as a try. Whoever claims the work once the lease has run out
        # makes this a lost lease.
        ends = time.monotonic() + self._times.return_s
        while not self._stopping.is_set() and time.monotonic() < ends:
            await self._pause(self._times.pause_s)
            try:
                await self._work.hand_back(claim)
            except DatabaseError:
                continue
            except LeaseLost:
                return
            return

    async def _hand_back(self, claim: Claim) -> None:
        try:
            await self._work.hand_back(claim)
        except (LeaseLost, DatabaseError) as error:
            log.warning("hand_back_failed", cause=str(error))

    async def _run_leased(self, claim: Claim) -> Outcome:
        progress_at = time.monotonic()

        def alive() -> None:
            nonlocal progress_at
            progress_at = time.monotonic()

        async def keep_lease() -> None:
            while time.monotonic() - progress_at < self._times.stuck_s:
                await asyncio.sleep(self._times.renew_s)
                self._tick()
                try:
                    await self._work.renew(claim, self._times.lease_s)
                except LeaseLost:
                    raise _LostWhileRunning from None
                except DatabaseError as error:
                    # The fence protects the results; a short outage need not cost the work.
                    log.warning("lease_not_renewed", cause=str(error))
            message = "no progress for too long"
            raise _LostWhileRunning(message)

        work = asyncio.ensure_future(self._handler.run(claim, alive))
        keeper = asyncio.ensure_future(keep_lease())
        try:
            await asyncio.wait({work, keeper}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            keeper.result()
            raise _LostWhileRunning
        finally:
            work.cancel()
            keeper.cancel()
            await asyncio.gather(work, keeper, return_exceptions=True)
