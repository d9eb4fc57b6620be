"""The one loop of all stages: leases, tries, verdicts, stopping."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import pytest
from structlog.testing import capture_logs

from interview_agent.domain.errors import (
    AgentError,
    BadAudio,
    DatabaseError,
    LeaseLost,
    StorageError,
    SttError,
)
from interview_agent.domain.retry import MAX_ATTEMPTS, backoff_s
from interview_agent.domain.route import Stage
from interview_agent.metrics import Metrics
from interview_agent.ports.work import Claim, Outcome, QueueDepth
from interview_agent.runtime.loop import LoopTimes, StageLoop

TIMES = LoopTimes(lease_s=8.0, renew_s=0.01, poll_s=0.01, stuck_s=5.0, pause_s=0.01, return_s=1.0)


@dataclass
class Piece:
    """One piece of work as the store keeps it."""

    claim: Claim
    due: bool = True
    leased: bool = False
    failed: bool = False


@dataclass
class WorkTwin:
    """A work store in memory: one stage, leases that end only when told, a fence by epoch."""

    pieces: dict[str, Piece] = field(default_factory=dict)
    events: list[tuple[object, ...]] = field(default_factory=list)
    down: int = 0
    taken_over: bool = False

    def add(self, meeting_id: str, attempts: int = 0) -> None:
        claim = Claim(Stage.STT, meeting_id, "main", 0, 1, attempts, None)
        self.pieces[meeting_id] = Piece(claim)

    def _mine(self, claim: Claim) -> Piece:
        if self.down:
            self.down -= 1
            raise DatabaseError
        piece = self.pieces[claim.meeting_id]
        if not piece.leased or piece.claim.epoch != claim.epoch or self.taken_over:
            raise LeaseLost
        return piece

    async def claim(self, stage: Stage, owner: str, lease_s: float) -> Claim | None:
        assert (stage, owner, lease_s) == (Stage.STT, "loop-test", TIMES.lease_s)
        for piece in self.pieces.values():
            if piece.due and not piece.leased and not piece.failed:
                claim = piece.claim
                piece.claim = replace(claim, epoch=claim.epoch + 1, attempts=claim.attempts + 1)
                piece.leased = True
                return piece.claim
        return None

    async def renew(self, claim: Claim, lease_s: float) -> None:
        self._mine(claim)
        self.events.append(("renew", claim.meeting_id, lease_s))

    async def complete(self, claim: Claim, again_in_s: float | None = None) -> tuple[Stage, ...]:
        piece = self._mine(claim)
        piece.due = piece.leased = False
        piece.claim = replace(piece.claim, attempts=0)
        self.events.append(("complete", claim.meeting_id, again_in_s))
        return (Stage.ENHANCER,)

    async def retry_later(self, claim: Claim, delay_s: float, reason: str) -> None:
        piece = self._mine(claim)
        piece.leased = False
        self.events.append(("retry", claim.meeting_id, delay_s, reason))

    async def hand_back(self, claim: Claim) -> None:
        piece = self._mine(claim)
        piece.leased = False
        piece.claim = replace(piece.claim, attempts=piece.claim.attempts - 1)
        self.events.append(("hand_back", claim.meeting_id))

    async def give_up(self, claim: Claim, reason: str) -> tuple[Stage, ...]:
        piece = self._mine(claim)
        piece.leased, piece.failed = False, True
        self.events.append(("give_up", claim.meeting_id, reason))
        return (Stage.ENHANCER,)

    async def close_quiet(self, quiet_s: float) -> int:
        raise NotImplementedError

    async def depths(self) -> list[QueueDepth]:
        raise NotImplementedError

    def named(self, *kinds: str) -> list[tuple[object, ...]]:
        return [event for event in self.events if event[0] in kinds]


@dataclass
class WakeTwin:
    """A wake queue that never wakes: the loop has to live by polling."""

    hints: list[tuple[Stage, str]] = field(default_factory=list)
    buried: list[tuple[str, str]] = field(default_factory=list)
    waits: int = 0

    def notify(self, stage: Stage, meeting_id: str, track: str = "") -> None:
        assert isinstance(track, str)
        self.hints.append((stage, meeting_id))

    def bury(self, stage: Stage, meeting_id: str, track: str, reason: str) -> None:
        assert (stage, track) == (Stage.STT, "main")
        self.buried.append((meeting_id, reason))

    async def wait(self, stage: Stage, timeout_s: float) -> bool:
        assert stage is Stage.STT
        await asyncio.sleep(timeout_s)
        self.waits += 1
        return False


Act = Callable[[Claim, Callable[[], None]], Awaitable[Outcome]]


class Handler:
    """Does what a test says and counts how often."""

    stage = Stage.STT

    def __init__(self, act: Act, *, can_go_on: bool = False) -> None:
        self._act = act
        self._can_go_on = can_go_on
        self.runs: dict[str, int] = defaultdict(int)
        self.running = asyncio.Event()

    async def run(self, claim: Claim, alive: Callable[[], None]) -> Outcome:
        self.runs[claim.meeting_id] += 1
        self.running.set()
        return await self._act(claim, alive)

    async def give_up(self, claim: Claim, reason: str) -> bool:
        assert claim
        assert reason
        return self._can_go_on


class Bench:
    """A loop with its twins."""

    def __init__(
        self, act: Act, *, can_go_on: bool = False, times: LoopTimes = TIMES, pieces: int = 1
    ) -> None:
        self.work, self.wake = WorkTwin(), WakeTwin()
        self.handler = Handler(act, can_go_on=can_go_on)
        self.metrics = Metrics("test")
        self.loop = StageLoop(
            self.handler,
            self.work,
            self.wake,
            self.metrics,
            owner="loop-test",
            concurrency=pieces,
            jitter=lambda: 1.0,
            times=times,
        )
        for number in range(pieces):
            self.work.add(f"m{number}")

    async def run_until(self, condition: Callable[[], bool]) -> None:
        """Run the loop until the condition holds, stop it, and let it end by itself."""
        task = asyncio.create_task(self.loop.run())
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.005)
            self.loop.stop()
            await task
        assert self.loop.ended.is_set()

    def count_of(self, name: str) -> float:
        """Return what a counter of the stage shows."""
        line = self.counted(f'{name}{{stage="stt"}}')
        return float(line.split()[-1])

    def counted(self, name: str) -> str:
        lines = self.metrics.render().splitlines()
        return "\n".join(line for line in lines if line.startswith(name))


def failing(error: Exception) -> Act:
    async def act(claim: Claim, alive: Callable[[], None]) -> Outcome:
        alive()
        raise error

    return act


async def succeed(claim: Claim, alive: Callable[[], None]) -> Outcome:
    assert claim.target == 1
    alive()
    return Outcome(again_in_s=7.0)


async def test_work_is_done_once_recorded_and_passed_on() -> None:
    bench = Bench(succeed)
    await bench.run_until(lambda: bool(bench.work.named("complete")))
    assert bench.work.events == [("complete", "m0", 7.0)]
    assert bench.wake.hints == [(Stage.ENHANCER, "m0")]
    assert bench.handler.runs == {"m0": 1}
    assert 'result="success"' in bench.counted("agent_queue_tasks_total")


@pytest.mark.parametrize(
    ("facts", "counted"),
    [
        ({}, "lost_wake_up"),
        ({"scheduled": True}, None),
        ({"taken_over": True, "scheduled": True}, "expired_lease"),
    ],
)
async def test_work_that_no_wake_up_brought_is_counted_unless_it_waited_for_its_time(
    facts: dict[str, bool], counted: str | None
) -> None:
    bench = Bench(succeed)
    (piece,) = bench.work.pieces.values()
    piece.claim = replace(piece.claim, **facts)
    piece.due = False

    def done_after_a_while() -> bool:
        piece.due = piece.due or bench.wake.waits > 1
        return bool(bench.work.named("complete"))

    await bench.run_until(done_after_a_while)
    expected = f'agent_swept_total{{kind="{counted}"}} 1' if counted else ""
    assert bench.counted("agent_swept_total") == expected


async def test_a_transient_fault_is_tried_again_with_a_growing_pause_and_then_given_up() -> None:
    bench = Bench(failing(SttError("the model is busy")))
    await bench.run_until(lambda: bool(bench.work.named("give_up")))
    reason = "stt_provider_error: stt_provider_error: the model is busy"
    pauses = [event[2] for event in bench.work.named("retry")]
    assert pauses == [backoff_s(attempt, 1.0) for attempt in range(1, MAX_ATTEMPTS)]
    assert pauses == sorted(pauses)
    assert bench.work.named("give_up") == [("give_up", "m0", reason)]
    assert bench.wake.buried == [("m0", reason)]
    assert bench.handler.runs == {"m0": MAX_ATTEMPTS}
    assert bench.wake.hints == [(Stage.ENHANCER, "m0")], "what was heard goes on"


async def test_an_unforeseen_fault_is_tried_again_too_and_its_text_is_kept_out() -> None:
    bench = Bench(failing(RuntimeError("password=hunter2")))
    with capture_logs() as logged:
        await bench.run_until(lambda: bool(bench.work.named("give_up")))
    assert [each["event"] for each in logged].count("stage_failed") == MAX_ATTEMPTS
    assert bench.handler.runs == {"m0": MAX_ATTEMPTS}
    assert bench.work.named("give_up") == [("give_up", "m0", "internal: RuntimeError")]


class Broken(AgentError):
    """It can never work."""

    code = "broken"


@pytest.mark.parametrize("error", [Broken(), BadAudio()])
async def test_a_fault_that_no_retry_can_cure_is_given_up_at_once(error: AgentError) -> None:
    bench = Bench(failing(error))
    await bench.run_until(lambda: bool(bench.work.named("give_up")))
    assert bench.handler.runs == {"m0": 1}
    assert bench.work.named("retry") == []


async def test_work_that_its_handler_can_go_on_with_is_not_failed() -> None:
    bench = Bench(failing(Broken()), can_go_on=True)
    await bench.run_until(lambda: bool(bench.wake.hints))
    assert bench.wake.hints == [(Stage.STT, "m0")]
    assert bench.work.named("give_up") == []
    assert len(bench.wake.buried) == 1


async def test_work_that_killed_every_process_that_took_it_is_not_even_started() -> None:
    bench = Bench(succeed)
    bench.work.add("m0", attempts=MAX_ATTEMPTS)
    await bench.run_until(lambda: bool(bench.work.named("give_up")))
    assert bench.handler.runs == {}
    assert bench.work.named("give_up") == [("give_up", "m0", "crashed")]


@pytest.mark.parametrize("error", [DatabaseError(), StorageError()])
async def test_what_everybody_needs_being_away_never_counts_as_a_try(error: AgentError) -> None:
    faults = [error] * (2 * MAX_ATTEMPTS)

    async def act(claim: Claim, alive: Callable[[], None]) -> Outcome:
        if faults:
            raise faults.pop()
        return await succeed(claim, alive)

    bench = Bench(act)
    await bench.run_until(lambda: bool(bench.work.named("complete")))
    assert len(bench.work.named("hand_back")) == 2 * MAX_ATTEMPTS
    assert bench.work.named("retry", "give_up") == []


async def test_a_verdict_that_could_not_be_recorded_hands_the_work_back() -> None:
    async def act(claim: Claim, alive: Callable[[], None]) -> Outcome:
        bench.work.down = 2 if bench.handler.runs["m0"] == 1 else 0
        return await succeed(claim, alive)

    bench = Bench(act)
    await bench.run_until(lambda: bool(bench.work.named("complete")))
    assert bench.work.named("hand_back", "complete") == [
        ("hand_back", "m0"),
        ("complete", "m0", 7.0),
    ]
    assert bench.handler.runs == {"m0": 2}


async def test_a_lease_is_renewed_while_work_runs() -> None:
    async def act(claim: Claim, alive: Callable[[], None]) -> Outcome:
        while len(bench.work.named("renew")) < 3:
            await asyncio.sleep(0.005)
        return await succeed(claim, alive)

    bench = Bench(act)
    await bench.run_until(lambda: bool(bench.work.named("complete")))
    assert bench.work.named("renew")[:3] == [("renew", "m0", TIMES.lease_s)] * 3


async def test_a_database_away_for_a_moment_does_not_cost_the_running_work() -> None:
    async def act(claim: Claim, alive: Callable[[], None]) -> Outcome:
        bench.work.down = 2
        while not bench.work.named("renew"):
            await asyncio.sleep(0.005)
        return await succeed(claim, alive)

    bench = Bench(act)
    await bench.run_until(lambda: bool(bench.work.named("complete")))
    assert bench.handler.runs == {"m0": 1}


async def wait_for_ever(claim: Claim, alive: Callable[[], None]) -> Outcome:
    alive()
    await asyncio.Event().wait()
    return await succeed(claim, alive)


async def test_work_taken_over_by_another_is_cancelled_and_says_nothing() -> None:
    bench = Bench(wait_for_ever)

    def lost() -> bool:
        bench.work.taken_over = bench.handler.running.is_set()
        return bench.count_of("agent_leases_lost_total") == 1

    await bench.run_until(lost)
    assert bench.count_of("agent_fenced_commits_total") == 0, "nothing was to be written yet"
    assert bench.work.named("complete", "retry", "give_up", "hand_back") == []
    assert bench.wake.hints == bench.wake.buried == []


async def test_a_result_that_comes_too_late_is_counted_as_fenced() -> None:
    bench = Bench(failing(LeaseLost()))
    await bench.run_until(lambda: bench.count_of("agent_fenced_commits_total") == 1)
    assert bench.count_of("agent_leases_lost_total") == 1
    assert 'result="retry",service="test"} 1' in bench.counted("agent_queue_tasks_total")


async def test_every_meter_of_a_stage_is_there_before_its_first_work() -> None:
    bench = Bench(succeed)
    shown = bench.metrics.render()
    for result in ("success", "retry", "error"):
        assert (
            f'agent_queue_tasks_total{{queue="q:stt",result="{result}",service="test"}} 0' in shown
        )
    assert 'agent_pipeline_stage_latency_ms_count{service="test",stage="stt"} 0' in shown
    assert bench.counted('agent_loop_ticked_timestamp_seconds{loop="stt"}')


async def test_work_without_progress_loses_its_lease() -> None:
    bench = Bench(wait_for_ever, times=replace(TIMES, stuck_s=0.05))
    await bench.run_until(lambda: bench.count_of("agent_leases_lost_total") == 1)
    assert bench.count_of("agent_fenced_commits_total") == 0
    assert bench.work.pieces["m0"].leased, "nobody renews it, so it runs out"
    assert bench.handler.runs == {"m0": 1}


async def test_stopping_finishes_what_runs_and_claims_nothing_more() -> None:
    release = asyncio.Event()

    async def act(claim: Claim, alive: Callable[[], None]) -> Outcome:
        await release.wait()
        return await succeed(claim, alive)

    bench = Bench(act)
    task = asyncio.create_task(bench.loop.run())
    await bench.handler.running.wait()
    bench.work.add("later")
    bench.loop.stop()
    await asyncio.sleep(0.05)
    assert not task.done()
    release.set()
    await asyncio.wait_for(task, 5)
    assert bench.work.named("complete") == [("complete", "m0", 7.0)]
    assert bench.handler.runs == {"m0": 1}


async def test_unfinished_work_is_handed_back_and_others_are_told_at_once() -> None:
    async def act(claim: Claim, alive: Callable[[], None]) -> Outcome:
        done = len(bench.work.named("hand_back")) == 2
        return Outcome() if done else Outcome(unfinished=True)

    bench = Bench(act)
    await bench.run_until(lambda: bool(bench.work.named("complete")))
    assert [event[0] for event in bench.work.named("hand_back", "complete")] == [
        "hand_back",
        "hand_back",
        "complete",
    ]
    assert bench.wake.hints == [(Stage.STT, "m0")] * 2 + [(Stage.ENHANCER, "m0")]


async def test_cancelling_hands_back_everything_that_runs() -> None:
    bench = Bench(wait_for_ever, pieces=3)
    task = asyncio.create_task(bench.loop.run())
    async with asyncio.timeout(5):
        while len(bench.handler.runs) < 3:
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    handed_back = sorted(str(event[1]) for event in bench.work.named("hand_back"))
    assert handed_back == ["m0", "m1", "m2"]
    assert all(piece.claim.attempts == 0 for piece in bench.work.pieces.values())
    assert not bench.loop.ended.is_set()


async def test_no_more_pieces_run_at_once_than_allowed() -> None:
    now = most = 0

    async def act(claim: Claim, alive: Callable[[], None]) -> Outcome:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1
        return await succeed(claim, alive)

    bench = Bench(act, pieces=2)
    for number in range(2, 6):
        bench.work.add(f"m{number}")
    await bench.run_until(lambda: len(bench.work.named("complete")) == 6)
    assert most == 2
    assert set(bench.handler.runs.values()) == {1}


def test_a_pause_doubles_up_to_a_minute_and_half_of_it_is_chance() -> None:
    assert [backoff_s(attempt, 1.0) for attempt in (1, 2, 3, 7, 50)] == [1, 2, 4, 60, 60]
    assert backoff_s(3, 0.0) == 2.0
