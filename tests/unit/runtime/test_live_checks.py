"""How often what is asked, and which silence is taken for what."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from interview_agent.domain.errors import DatabaseError
from interview_agent.domain.readiness import Issue, errors_in
from interview_agent.domain.readiness.findings import (
    DATABASE_FAILED,
    REDIS_EVICTS,
    REDIS_FAILED,
    STORAGE_FAILED,
)
from interview_agent.domain.route import Stage
from interview_agent.ports.work import QueueDepth
from interview_agent.runtime.readiness import LiveChecks, ProgressWatch

if TYPE_CHECKING:
    from collections.abc import Sequence


async def fine() -> Sequence[Issue]:
    return []


async def broken() -> Sequence[Issue]:
    raise DatabaseError


async def silent() -> Sequence[Issue]:
    await asyncio.Event().wait()
    return []


async def evicting() -> Sequence[Issue]:
    return [REDIS_EVICTS.warning()]


async def test_each_fault_is_named_and_hides_no_other() -> None:
    checks = LiveChecks()
    for check, failure in (
        (fine, STORAGE_FAILED),
        (broken, DATABASE_FAILED),
        (broken, DATABASE_FAILED),
        (silent, REDIS_FAILED),
        (evicting, REDIS_FAILED),
    ):
        checks.add(check, failure)
    found = await checks.issues(patience_s=0.05)
    assert [issue.code for issue in found] == ["database_failed", "redis_failed", "redis_evicts"]
    assert errors_in(found) == ("database_failed", "redis_failed")


async def test_however_many_ask_a_check_runs_once_at_a_time() -> None:
    runs, gate = 0, asyncio.Event()

    async def slow() -> Sequence[Issue]:
        nonlocal runs
        runs += 1
        await gate.wait()
        return []

    checks = LiveChecks()
    checks.add(slow, STORAGE_FAILED)
    asking = [asyncio.create_task(checks.issues(patience_s=30)) for _ in range(50)]
    while runs == 0:
        await asyncio.sleep(0)
    asking[0].cancel()
    gate.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == [[]] * 49
    assert runs == 1
    await checks.issues()
    assert runs == 2


async def test_closing_ends_what_is_still_being_asked() -> None:
    checks = LiveChecks()
    checks.add(silent, REDIS_FAILED)
    asking = asyncio.create_task(checks.issues(patience_s=30))
    await asyncio.sleep(0)
    await checks.aclose()
    assert isinstance((await asyncio.gather(asking, return_exceptions=True))[0], BaseException)
    await LiveChecks().aclose()


def depth(*, waiting: int, running: int, oldest_age_s: float) -> QueueDepth:
    return QueueDepth(Stage.STT, waiting, running, 0, oldest_age_s)


def stalled(looks: list[tuple[float, QueueDepth]]) -> list[bool]:
    watch = ProgressWatch(stalled_after_s=60)
    return [bool(watch.look([each], now_s)) for now_s, each in looks]


def test_work_that_only_grows_older_is_noticed() -> None:
    ages = [0.0, 30.0, 60.0, 90.0]
    looks = [(age, depth(waiting=3, running=0, oldest_age_s=age)) for age in ages]
    assert stalled(looks) == [False, False, True, True]


def test_a_long_backlog_that_moves_is_progress() -> None:
    looks = [(now, depth(waiting=900, running=0, oldest_age_s=300.0)) for now in range(0, 200, 5)]
    assert not any(stalled(looks))


def test_work_that_somebody_holds_is_progress_however_long_it_takes() -> None:
    held = depth(waiting=1, running=1, oldest_age_s=500.0)
    left = depth(waiting=1, running=0, oldest_age_s=500.0)
    assert not any(stalled([(0.0, left), (59.0, held), (90.0, left)]))


def test_nothing_to_do_is_nothing_stalled() -> None:
    idle = depth(waiting=0, running=0, oldest_age_s=0.0)
    assert not any(stalled([(0.0, idle), (100.0, idle)]))
