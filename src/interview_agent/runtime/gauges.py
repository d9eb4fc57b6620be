"""Loops that keep the gauges of a process true, so that no scrape asks anybody anything."""

from __future__ import annotations

import asyncio
import re
import time
from collections import defaultdict, deque
from typing import TYPE_CHECKING

import structlog

from interview_agent.domain.errors import AgentError
from interview_agent.domain.readiness import errors_in
from interview_agent.metrics import (
    COLLECTION_ERRORS,
    DLQ_DEPTH,
    DLQ_REASONS,
    EMBEDDED_UP,
    LOOP_LAG,
    LOOP_TICKED,
    MODEL_OK,
    OLDEST_DELETION,
    OLDEST_WORK,
    QUEUE_DEPTH,
    QUEUE_PENDING,
    STORAGE_HEALTH,
    SYSTEM_READINESS,
    Metrics,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from interview_agent.domain.readiness import Issue
    from interview_agent.ports.blob_store import BlobStore
    from interview_agent.ports.erasure import Deletions
    from interview_agent.ports.work import WorkStore

_LAG_EVERY_S = 0.5
_LAG_WINDOW_S = 15.0
_EVERY_S = 5.0
_TIMEOUT_S = 10.0
_ALWAYS_SHOWN_REASONS = ("crashed", "internal")
_CODE = re.compile(r"[a-z][a-z0-9_]{0,39}")

log = structlog.get_logger(__name__)


async def measure_loop_lag(metrics: Metrics) -> None:
    """Record how much later than asked the event loop wakes us, for ever."""
    # The worst of a while, so that no delay falls between two scrapes.
    recent: deque[float] = deque(maxlen=round(_LAG_WINDOW_S / _LAG_EVERY_S))
    while True:
        asked = time.monotonic() + _LAG_EVERY_S
        await asyncio.sleep(_LAG_EVERY_S)
        recent.append(max(time.monotonic() - asked, 0.0))
        metrics.set(LOOP_LAG, max(recent))


async def watch_model(
    metrics: Metrics, is_usable: Callable[[], bool], *, every_s: float = 300.0
) -> None:
    """Record whether the files of the speech model are as they should be, for ever."""
    while True:
        metrics.set(MODEL_OK, await asyncio.to_thread(is_usable))
        await asyncio.sleep(every_s)


async def watch_embedded(
    metrics: Metrics, alive: Callable[[], Mapping[str, bool]], *, every_s: float = 2.0
) -> None:
    """Record which embedded servers run, for ever."""
    while True:
        for child, runs in alive().items():
            metrics.set(EMBEDDED_UP, runs, child=child)
        await asyncio.sleep(every_s)


class QueueGauges:
    """What the rows of work say, as gauges."""

    def __init__(self, work: WorkStore, metrics: Metrics) -> None:
        self._work = work
        self._metrics = metrics
        self._reasons: dict[str, set[str]] = defaultdict(lambda: set(_ALWAYS_SHOWN_REASONS))

    async def refresh(self) -> None:
        """Read the depth of every queue once. Raises `DatabaseError`."""
        metrics = self._metrics
        for depth in await self._work.depths():
            stream = depth.stage.stream
            metrics.set(QUEUE_DEPTH, depth.waiting + depth.running, queue=stream)
            metrics.set(QUEUE_PENDING, depth.running, queue=stream, group=depth.stage.group)
            metrics.set(DLQ_DEPTH, depth.failed, queue=stream)
            metrics.set(OLDEST_WORK, depth.oldest_age_s, queue=stream)
            self._show_reasons(stream, depth.reasons)

    def _show_reasons(self, stream: str, reasons: Mapping[str, int]) -> None:
        counts = dict.fromkeys(self._reasons[stream], 0)
        for reason, number in reasons.items():
            # A label is a code; whatever else stands there must not become one.
            code = reason if _CODE.fullmatch(reason) else "other"
            counts[code] = counts.get(code, 0) + number
        # What was redriven falls back to 0.
        self._reasons[stream].update(counts)
        for code, number in counts.items():
            self._metrics.set(DLQ_REASONS, number, queue=stream, reason=code)


async def refresh_gauges(
    metrics: Metrics,
    work: WorkStore,
    deletions: Deletions,
    blobs: BlobStore,
    issues: Callable[[], Awaitable[Sequence[Issue]]],
    *,
    storage_mode: str,
) -> None:
    """Refresh the gauges of queues, deletions, storage and readiness side by side, for ever.

    What hangs is cut off and counted; until then no other is refreshed again.
    """

    async def storage() -> None:
        healthy = False
        try:
            await blobs.check()
            healthy = True
        finally:
            # One that hangs is cut off here, and is no healthier than one that fails.
            metrics.set(STORAGE_HEALTH, healthy, mode=storage_mode)

    async def ready() -> None:
        metrics.set(SYSTEM_READINESS, not errors_in(await issues()))

    async def erasure() -> None:
        metrics.set(OLDEST_DELETION, await deletions.oldest_unfinished_s())

    sources: dict[str, Callable[[], Awaitable[None]]] = {
        "queue_metrics": QueueGauges(work, metrics).refresh,
        "deletion_metrics": erasure,
        "storage_metrics": storage,
        "readiness_metrics": ready,
    }
    metrics.start_at_zero(COLLECTION_ERRORS, ({"source": source} for source in sources))
    while True:
        metrics.set(LOOP_TICKED, time.time(), loop="gauges")
        async with asyncio.TaskGroup() as group:
            for source, refresh in sources.items():
                group.create_task(refresh_within(_TIMEOUT_S, metrics, source, refresh))
        await asyncio.sleep(_EVERY_S)


async def refresh_within(
    timeout_s: float, metrics: Metrics, source: str, refresh: Callable[[], Awaitable[None]]
) -> None:
    """Refresh gauges once; a failure, or taking longer than `timeout_s`, is counted and logged."""
    try:
        async with asyncio.timeout(timeout_s):
            await refresh()
    except (AgentError, TimeoutError) as error:
        metrics.count(COLLECTION_ERRORS, source=source)
        log.warning("gauge_not_refreshed", source=source, cause=str(error))
