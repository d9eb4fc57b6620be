"""What waits for the threads that hear: its order, its company, its failures and its end."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import numpy as np
import pytest

from interview_agent.adapters.whisper.engine import MAX_BATCH, SpeechThreads, Urgency
from interview_agent.domain.errors import SttError
from interview_agent.ports.captions import CaptionResult, CaptionWindow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

WAIT_S = 5.0


class Reader:
    """Reads windows by their length, and notes which were read together."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.error: BaseException | None = None

    def __call__(self, windows: Sequence[CaptionWindow]) -> list[CaptionResult]:
        self.batches.append([window.samples.size for window in windows])
        if self.error is not None:
            raise self.error
        return [
            CaptionResult((), str(window.samples.size), None, plausible=True) for window in windows
        ]


class Latch:
    """Work that holds a thread until it is opened."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.opened = threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        assert self.opened.wait(WAIT_S)
        return "held"

    async def has_begun(self) -> None:
        assert await asyncio.to_thread(self.begun.wait, WAIT_S)


def window(size: int = 1000, *, final: bool = False, language: str | None = "en") -> CaptionWindow:
    return CaptionWindow(np.zeros(size, np.float32), language, final=final)


@asynccontextmanager
async def threads(count: int = 1) -> AsyncIterator[tuple[SpeechThreads, Reader]]:
    made, reader = SpeechThreads(count), Reader()
    made.read_captions_with(reader)
    try:
        yield made, reader
    finally:
        async with asyncio.timeout(WAIT_S):
            await made.aclose()


async def waiting(made: SpeechThreads, count: int) -> None:
    """Wait until so many jobs wait for a thread."""
    async with asyncio.timeout(WAIT_S):
        while len(made._jobs) != count:
            await asyncio.sleep(0.001)


async def test_the_most_urgent_is_heard_first_and_then_the_oldest() -> None:
    done: list[str] = []
    latch = Latch()
    async with threads() as (made, _), asyncio.TaskGroup() as group:
        group.create_task(made.run(Urgency.VOICE, latch))
        await latch.has_begun()
        order = [Urgency.RECORDING, Urgency.PARTIAL, Urgency.FINAL, Urgency.PARTIAL, Urgency.VOICE]
        for number, urgency in enumerate(order):
            name = f"{urgency.name}-{number}"
            group.create_task(made.run(urgency, lambda name=name: done.append(name)))  # type: ignore[misc]  # bound early
            await waiting(made, number + 1)
        latch.opened.set()
    assert done == ["VOICE-4", "FINAL-2", "PARTIAL-1", "PARTIAL-3", "RECORDING-0"]


async def test_windows_that_wait_are_recognised_together_finals_first() -> None:
    latch = Latch()
    async with threads() as (made, reader), asyncio.TaskGroup() as group:
        group.create_task(made.run(Urgency.VOICE, latch))
        await latch.has_begun()
        for number in range(MAX_BATCH + 2):
            final = number == MAX_BATCH + 1
            group.create_task(made.caption(window(1000 + number, final=final)))
            await waiting(made, number + 1)
        latch.opened.set()
    last = 1000 + MAX_BATCH + 1
    assert reader.batches == [[last, *range(1000, last - 2)], [last - 2, last - 1]]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(window(3000), id="much longer"),
        pytest.param(window(1000, language="ru"), id="another language"),
        pytest.param(window(1000, language=None), id="language unknown"),
    ],
)
async def test_windows_that_do_not_fit_are_recognised_apart(other: CaptionWindow) -> None:
    latch = Latch()
    async with threads() as (made, reader), asyncio.TaskGroup() as group:
        group.create_task(made.run(Urgency.VOICE, latch))
        await latch.has_begun()
        for number, each in enumerate((window(1000), other)):
            group.create_task(made.caption(each))
            await waiting(made, number + 1)
        latch.opened.set()
    assert [len(batch) for batch in reader.batches] == [1, 1]


async def test_windows_of_unknown_language_are_never_batched() -> None:
    latch = Latch()
    async with threads() as (made, reader), asyncio.TaskGroup() as group:
        group.create_task(made.run(Urgency.VOICE, latch))
        await latch.has_begun()
        for number in range(2):
            group.create_task(made.caption(window(language=None)))
            await waiting(made, number + 1)
        latch.opened.set()
    assert [len(batch) for batch in reader.batches] == [1, 1]


async def test_each_caller_gets_the_answer_to_its_own_window() -> None:
    async with threads(2) as (made, _):
        results = await asyncio.gather(*(made.caption(window(1000 + n)) for n in range(20)))
    assert [result.language for result in results] == [str(1000 + n) for n in range(20)]


async def test_one_thread_is_kept_free_of_recordings_after_live_work() -> None:
    latches = [Latch(), Latch()]
    async with threads(2) as (made, _), asyncio.TaskGroup() as group:
        await made.caption(window())
        for latch in latches:
            group.create_task(made.run(Urgency.RECORDING, latch))
        begun = asyncio.Event()
        for latch in latches:
            group.create_task(latch.has_begun()).add_done_callback(lambda _: begun.set())
        async with asyncio.timeout(WAIT_S):
            await begun.wait()
        # A live window is heard while one recording runs and the other waits.
        await made.caption(window())
        assert sum(latch.begun.is_set() for latch in latches) == 1
        for latch in latches:
            latch.opened.set()


async def test_recordings_take_every_thread_when_nothing_is_live() -> None:
    latches = [Latch(), Latch()]
    async with threads(2) as (made, _), asyncio.TaskGroup() as group:
        for latch in latches:
            group.create_task(made.run(Urgency.RECORDING, latch))
        for latch in latches:
            await latch.has_begun()
        for latch in latches:
            latch.opened.set()


async def test_one_thread_alone_hears_recordings_too() -> None:
    async with threads(1) as (made, _):
        await made.caption(window())
        assert await made.run(Urgency.RECORDING, lambda: "heard") == "heard"


class LibraryError(Exception):
    """What a native library may raise: an error of its own kind."""


@pytest.mark.parametrize("error", [RuntimeError("secret words"), LibraryError(), MemoryError()])
async def test_a_failure_reaches_every_caller_and_harms_no_thread(error: Exception) -> None:
    async with threads(1) as (made, reader):
        reader.error = error
        for _ in range(2):
            with pytest.raises(SttError) as raised:
                await made.caption(window())
            assert raised.value.__cause__ is error
            assert "secret" not in str(raised.value)
        reader.error = None
        assert (await made.caption(window(7))).language == "7"


async def test_work_whose_caller_is_gone_is_not_done() -> None:
    latch, done = Latch(), list[str]()
    async with threads() as (made, reader), asyncio.TaskGroup() as group:
        group.create_task(made.run(Urgency.VOICE, latch))
        await latch.has_begun()
        gone = [
            asyncio.ensure_future(made.run(Urgency.FINAL, lambda: done.append("gone"))),
            asyncio.ensure_future(made.caption(window(5))),
        ]
        await waiting(made, 2)
        for each in gone:
            each.cancel()
        left = group.create_task(made.caption(window(6)))
        await waiting(made, 3)
        latch.opened.set()
        assert (await left).language == "6"
    assert done == []
    assert reader.batches == [[6]]


async def test_closing_waits_for_what_runs_and_refuses_what_waits() -> None:
    made, latch = SpeechThreads(1), Latch()
    running = asyncio.ensure_future(made.run(Urgency.VOICE, latch))
    await latch.has_begun()
    waits = asyncio.ensure_future(made.run(Urgency.VOICE, lambda: None))
    await waiting(made, 1)
    closing = asyncio.ensure_future(made.aclose())
    with pytest.raises(SttError):
        await waits
    assert not closing.done()
    latch.opened.set()
    async with asyncio.timeout(WAIT_S):
        assert await running == "held"
        await closing
    assert not any(thread.is_alive() for thread in made._running)
    with pytest.raises(SttError):
        await made.caption(window())


async def test_the_time_that_live_work_takes_is_counted_and_that_of_recordings_is_not() -> None:
    latch = Latch()
    async with threads() as (made, _):
        await made.run(Urgency.RECORDING, lambda: None)
        assert made.live_busy_s == 0.0
        held = asyncio.ensure_future(made.run(Urgency.VOICE, latch))
        await latch.has_begun()
        with suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await asyncio.shield(held)
        latch.opened.set()
        await held
    assert made.live_busy_s >= 0.05
