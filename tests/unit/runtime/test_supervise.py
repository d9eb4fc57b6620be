"""Loops that die are started again, and one that keeps dying ends all of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from interview_agent.metrics import Metrics
from interview_agent.runtime.supervise import MAX_DEATHS, LoopDiedError, supervise

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def restarts_of(metrics: Metrics, name: str) -> float:
    prefix = "agent_loop_restarts_total{"
    lines = [line for line in metrics.render().splitlines() if line.startswith(prefix)]
    (line,) = [line for line in lines if f'loop="{name}"' in line]
    return float(line.split()[-1])


async def test_all_ends_when_every_loop_has_returned() -> None:
    ended: list[str] = []

    async def first() -> None:
        ended.append("first")

    async def second() -> None:
        await asyncio.sleep(0.01)
        ended.append("second")

    metrics = Metrics("test")
    await asyncio.wait_for(supervise({"first": first, "second": second}, metrics), 5)
    assert ended == ["first", "second"]
    assert restarts_of(metrics, "first") == restarts_of(metrics, "second") == 0


async def test_a_loop_that_dies_is_started_again_while_others_go_on() -> None:
    lives = 0
    done = asyncio.Event()

    async def shaky() -> None:
        nonlocal lives
        lives += 1
        if lives == 1:
            message = "first life"
            raise RuntimeError(message)
        done.set()

    async def steady() -> None:
        await done.wait()

    metrics = Metrics("test")
    await asyncio.wait_for(
        supervise({"shaky": shaky, "steady": steady}, metrics, backoff_s=0.001), 5
    )
    assert lives == 2
    assert restarts_of(metrics, "shaky") == 1
    assert restarts_of(metrics, "steady") == 0


async def test_cancelling_ends_every_loop_and_restarts_none() -> None:
    started: list[str] = []

    def endless(name: str) -> Callable[[], Awaitable[None]]:
        async def loop() -> None:
            started.append(name)
            await asyncio.Event().wait()

        return loop

    loops = {name: endless(name) for name in ("a", "b")}
    task = asyncio.create_task(supervise(loops, Metrics("test")))
    async with asyncio.timeout(5):
        while len(started) < 2:
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert sorted(started) == ["a", "b"]


async def test_a_loop_that_keeps_dying_is_given_up_and_the_others_are_cancelled() -> None:
    cancelled = asyncio.Event()

    async def doomed() -> None:
        message = "again"
        raise RuntimeError(message)

    async def steady() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    metrics = Metrics("test")
    loops = {"doomed": doomed, "steady": steady}
    with pytest.raises(LoopDiedError, match=f"doomed died {MAX_DEATHS} times"):
        await asyncio.wait_for(supervise(loops, metrics, backoff_s=0.001), 5)
    assert cancelled.is_set()
    assert restarts_of(metrics, "doomed") == MAX_DEATHS
