"""The one loop of all stages: leases, tries, verdicts, stopping."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from interview_agent.domain.errors import (
    AgentError,
    Backpressure,
    BadAudio,
    DatabaseError,
    LeaseLost,
    StorageError,
    SttError,
)
from interview_agent.domain.retry import MAX_ATTEMPTS, backoff_s
from interview_agent.domain.route import Stage
from interview_agent.ports.work import Claim, Outcome
from stage_loop_bench import TIMES, Bench, failing, succeed

if TYPE_CHECKING:
    from collections.abc import Callable


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
    put_off = ("put_off", "m0", 0.0, error.code)
    assert bench.work.named("put_off") == [put_off] * (2 * MAX_ATTEMPTS)
    assert bench.work.named("retry", "give_up") == []


async def test_work_that_finds_what_it_needs_busy_waits_in_its_row_and_is_never_failed() -> None:
    async def act(claim: Claim, alive: Callable[[], None]) -> Outcome:
        if bench.handler.runs["m0"] <= 2 * MAX_ATTEMPTS:
            raise Backpressure(retry_after_s=5)
        return await succeed(claim, alive)

    bench = Bench(act, times=replace(TIMES, pause_s=60.0))
    with capture_logs() as logged:
        await bench.run_until(lambda: bool(bench.work.named("complete")))
    assert bench.work.named("put_off") == [("put_off", "m0", 60.0, "backpressure")] * 10
    assert bench.work.named("retry", "give_up") == bench.wake.buried == []
    assert [each["event"] for each in logged].count("work_put_off") == 2 * MAX_ATTEMPTS
    counted = bench.counted("agent_work_put_off_total").splitlines()
    assert 'agent_work_put_off_total{reason="backpressure",stage="stt"} 10' in counted
    assert 'agent_work_put_off_total{reason="db_error",stage="stt"} 0' in counted


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
