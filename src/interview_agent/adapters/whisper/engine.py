"""The threads that hear, and the order in which what waits for them is heard."""

from __future__ import annotations

import asyncio
import heapq
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from interview_agent.domain.errors import SttError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from interview_agent.ports.captions import CaptionResult, CaptionWindow

MAX_BATCH = 4
"""Windows recognised together; a step of the decoder costs hardly more for four than for two."""

_RESERVED_S = 10.0
"""So long after live work one thread is kept free of recordings."""
_UNEVEN = 2.0
"""Windows are recognised together if the longest is no longer than so many times the shortest."""

T = TypeVar("T")


class Urgency(IntEnum):
    """What is heard first."""

    VOICE = 0
    FINAL = 1
    PARTIAL = 2
    RECORDING = 3


@dataclass(order=True, slots=True)
class _Job:
    urgency: Urgency
    number: int
    answer: asyncio.Future[Any] = field(compare=False)
    work: Callable[[], Any] | None = field(compare=False, default=None)
    window: CaptionWindow | None = field(compare=False, default=None)


ReadCaptions = Callable[["Sequence[CaptionWindow]"], "list[CaptionResult]"]


class SpeechThreads:
    """Runs work in `count` threads, the most urgent first and then the oldest.

    Windows of captions that wait at the same time are recognised together, `MAX_BATCH` at most.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.live_busy_s = 0.0
        """Seconds that the threads have spent on live work, all together."""
        self.recording_busy_s = 0.0
        """The same of recordings."""
        self._numbers = count()
        self._jobs: list[_Job] = []
        self._changed = threading.Condition()
        self._closed = False
        self._recordings = 0
        self._live_at = float("-inf")
        self._read: ReadCaptions | None = None
        self._loop = asyncio.get_running_loop()
        self._running = [
            threading.Thread(target=self._serve, name=f"speech-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._running:
            thread.start()

    def read_captions_with(self, read: ReadCaptions) -> None:
        """Name the function that recognises windows together."""
        self._read = read

    async def run(self, urgency: Urgency, work: Callable[[], T]) -> T:
        """Return what `work` returns. Raises `SttError` when it fails."""
        answer: asyncio.Future[T] = self._loop.create_future()
        self._add(_Job(urgency, next(self._numbers), answer, work=work))
        return await answer

    async def caption(self, window: CaptionWindow) -> CaptionResult:
        """Recognise a window, together with others where some wait. Raises `SttError`."""
        urgency = Urgency.FINAL if window.final else Urgency.PARTIAL
        answer: asyncio.Future[CaptionResult] = self._loop.create_future()
        self._add(_Job(urgency, next(self._numbers), answer, window=window))
        return await answer

    async def aclose(self) -> None:
        """Drop what waits, wait for what runs, and let the threads go."""
        with self._changed:
            self._closed = True
            for job in self._jobs:
                self._settle(job, SttError("The recogniser is closed."))
            self._jobs.clear()
            self._changed.notify_all()
        for thread in self._running:
            await asyncio.to_thread(thread.join)

    def _add(self, job: _Job) -> None:
        with self._changed:
            if self._closed:
                message = "The recogniser is closed."
                raise SttError(message)
            heapq.heappush(self._jobs, job)
            self._changed.notify()

    def _serve(self) -> None:
        while jobs := self._next():
            started = time.monotonic()
            try:
                self._do(jobs)
            finally:
                with self._changed:
                    ended = time.monotonic()
                    if jobs[0].urgency is Urgency.RECORDING:
                        self._recordings -= 1
                        self.recording_busy_s += ended - started
                        self._changed.notify()
                    else:
                        self._live_at = ended
                        self.live_busy_s += ended - started

    def _next(self) -> list[_Job]:
        """Wait for work and take it; nothing once the threads are to end."""
        with self._changed:
            while True:
                while self._jobs and self._jobs[0].answer.cancelled():
                    heapq.heappop(self._jobs)
                if self._closed:
                    return []
                if self._jobs and self._may_run(self._jobs[0]):
                    break
                # A reserved thread has to look again when the reservation is over.
                self._changed.wait(1.0 if self._jobs else None)
            first = heapq.heappop(self._jobs)
            if first.urgency is Urgency.RECORDING:
                self._recordings += 1
            return [first, *self._companions(first)]

    def _may_run(self, job: _Job) -> bool:
        if job.urgency is not Urgency.RECORDING:
            return True
        reserved = self.threads > 1 and time.monotonic() - self._live_at < _RESERVED_S
        return self._recordings < self.threads - reserved

    def _companions(self, first: _Job) -> list[_Job]:
        """Take the windows that wait and can be recognised together with the first one."""
        if first.window is None:
            return []
        found: list[_Job] = []
        shortest = longest = first.window.samples.size
        for job in sorted(self._jobs):
            window = job.window
            if len(found) == MAX_BATCH - 1:
                break
            if window is None or window.language != first.window.language or not window.language:
                continue
            low, high = min(shortest, window.samples.size), max(longest, window.samples.size)
            if high > _UNEVEN * low or job.answer.cancelled():
                continue
            shortest, longest = low, high
            found.append(job)
        if found:
            self._jobs = [job for job in self._jobs if job not in found]
            heapq.heapify(self._jobs)
        return found

    def _do(self, jobs: list[_Job]) -> None:
        try:
            answers = self._answers(jobs)
        except Exception as error:  # noqa: BLE001 - the native libraries have errors of their own
            for job in jobs:
                failed = SttError(f"The recogniser failed: {type(error).__name__}")
                failed.__cause__ = error
                self._post(job, failed)
        else:
            for job, answer in zip(jobs, answers, strict=True):
                self._post(job, answer)

    def _answers(self, jobs: list[_Job]) -> Sequence[Any]:
        windows = [job.window for job in jobs if job.window is not None]
        if windows and self._read is not None:
            return self._read(windows)
        return [job.work() if job.work else None for job in jobs]

    def _post(self, job: _Job, answer: Any) -> None:
        self._loop.call_soon_threadsafe(self._settle, job, answer)

    @staticmethod
    def _settle(job: _Job, answer: Any) -> None:
        if job.answer.done():
            return
        if isinstance(answer, SttError):
            job.answer.set_exception(answer)
        else:
            job.answer.set_result(answer)
