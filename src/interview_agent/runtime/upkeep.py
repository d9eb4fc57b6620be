"""Loops that look after the whole: quiet meetings, gauges, event-loop lag, orphans, old rows."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING

import structlog

from interview_agent.domain.errors import AgentError
from interview_agent.domain.readiness import errors_in
from interview_agent.domain.route import Stage
from interview_agent.metrics import (
    COLLECTION_ERRORS,
    DLQ_DEPTH,
    LOOP_LAG,
    OLDEST_DELETION,
    OLDEST_WORK,
    QUEUE_DEPTH,
    QUEUE_PENDING,
    STORAGE_HEALTH,
    SWEPT,
    SYSTEM_READINESS,
    Metrics,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from interview_agent.domain.readiness import Issue
    from interview_agent.ports.archive import Archive
    from interview_agent.ports.audit import AuditStore
    from interview_agent.ports.blob_store import BlobStore
    from interview_agent.ports.erasure import Deletions
    from interview_agent.ports.live_records import LiveRecords
    from interview_agent.ports.wake_queue import WakeQueue
    from interview_agent.ports.work import WorkStore

ORPHAN_AGE_S = 3_600.0
"""A file that no chunk names may be an accept under way; past this age it is not."""

RETENTION_AT_ONCE = 200
"""Meetings that retention is made due for in one go."""

_QUIET_EVERY_S = 1.0
_CAPACITY_EVERY_S = 2.0
_LAG_EVERY_S = 0.5
_GAUGES_EVERY_S = 5.0
_GAUGE_TIMEOUT_S = 10.0
_BREATH_S = 0.1

log = structlog.get_logger(__name__)


async def close_quiet_meetings(work: WorkStore, wake: WakeQueue, *, quiet_s: float) -> None:
    """Close transcripts that no audio came to for `quiet_s`, for ever."""
    while True:
        await asyncio.sleep(_QUIET_EVERY_S)
        try:
            closed = await work.close_quiet(quiet_s)
        except AgentError as error:
            log.warning("close_quiet_failed", cause=str(error))
            continue
        if closed:
            for stage in (Stage.LIVE, Stage.STT):
                wake.notify(stage, "")


async def report_capacity(
    records: LiveRecords,
    worker: str,
    measure: Callable[[float], tuple[float, int]],
) -> None:
    """Tell how many live streams this worker can caption and how many it does, for ever.

    `measure` is given the seconds since it was last called and returns both.
    """
    measured_at = time.monotonic()
    while True:
        await asyncio.sleep(_CAPACITY_EVERY_S)
        now = time.monotonic()
        capacity, streams = measure(now - measured_at)
        measured_at = now
        try:
            await records.report_capacity(worker, capacity, streams)
        except AgentError as error:
            log.warning("capacity_not_reported", cause=str(error))


async def measure_loop_lag(metrics: Metrics) -> None:
    """Record how much later than asked the event loop wakes us, for ever."""
    while True:
        asked = time.monotonic() + _LAG_EVERY_S
        await asyncio.sleep(_LAG_EVERY_S)
        metrics.set(LOOP_LAG, max(time.monotonic() - asked, 0.0))


async def _refresh_queue_gauges(work: WorkStore, metrics: Metrics) -> None:
    for depth in await work.depths():
        stream = depth.stage.stream
        metrics.set(QUEUE_DEPTH, depth.waiting + depth.running, queue=stream)
        metrics.set(QUEUE_PENDING, depth.running, queue=stream, group=depth.stage.group)
        metrics.set(DLQ_DEPTH, depth.failed, queue=stream)
        metrics.set(OLDEST_WORK, depth.oldest_age_s, queue=stream)


async def refresh_gauges(
    metrics: Metrics,
    work: WorkStore,
    deletions: Deletions,
    blobs: BlobStore,
    issues: Callable[[], Awaitable[Sequence[Issue]]],
    *,
    storage_mode: str,
) -> None:
    """Refresh every gauge in turn, for ever; what hangs is cut off and counted."""

    async def storage() -> None:
        try:
            await blobs.check()
        except AgentError:
            metrics.set(STORAGE_HEALTH, 0, mode=storage_mode)
            raise
        metrics.set(STORAGE_HEALTH, 1, mode=storage_mode)

    async def ready() -> None:
        metrics.set(SYSTEM_READINESS, not errors_in(await issues()))

    async def erasure() -> None:
        metrics.set(OLDEST_DELETION, await deletions.oldest_unfinished_s())

    sources: dict[str, Callable[[], Awaitable[None]]] = {
        "queue_metrics": partial(_refresh_queue_gauges, work, metrics),
        "deletion_metrics": erasure,
        "storage_metrics": storage,
        "readiness_metrics": ready,
    }
    metrics.start_at_zero(COLLECTION_ERRORS, ({"source": source} for source in sources))
    while True:
        for source, refresh in sources.items():
            try:
                async with asyncio.timeout(_GAUGE_TIMEOUT_S):
                    await refresh()
            except (AgentError, TimeoutError) as error:
                metrics.count(COLLECTION_ERRORS, source=source)
                log.warning("gauge_not_refreshed", source=source, cause=str(error))
        await asyncio.sleep(_GAUGES_EVERY_S)


async def sweep_audit(
    store: AuditStore,
    metrics: Metrics,
    *,
    days: int,
    batch: int = 1_000,
    every_s: float = 3_600.0,
) -> None:
    """Delete audit rows older than `days`, `batch` at once, for ever."""
    while True:
        try:
            deleted = await store.forget(days=days, limit=batch)
        except AgentError as error:
            log.warning("audit_sweep_failed", cause=str(error))
            deleted = 0
        metrics.count(SWEPT, deleted, kind="audit_row")
        # Between batches too: others write to this table all the time.
        await asyncio.sleep(_BREATH_S if deleted == batch else every_s)


async def schedule_retention(
    deletions: Deletions,
    wake: WakeQueue,
    metrics: Metrics,
    *,
    days: int,
    every_s: float = 60.0,
) -> None:
    """Make retention due for meetings older than `days` whose pipeline never came to it, for ever.

    A bounded number at once; more the next time.
    """
    while True:
        try:
            if due := await deletions.schedule_retention(days, RETENTION_AT_ONCE):
                metrics.count(SWEPT, due, kind="retention_due")
                wake.notify(Stage.RETENTION, "")
        except AgentError as error:
            log.warning("retention_not_scheduled", cause=str(error))
        await asyncio.sleep(every_s)


async def forget_deleted(
    deletions: Deletions,
    held: Callable[[], Collection[str]],
    forget: Callable[[Collection[str]], Awaitable[None]],
    *,
    every_s: float = 5.0,
) -> None:
    """Let this process forget what it holds of meetings that were deleted, for ever.

    `held` says of which meetings it holds anything.
    """
    while True:
        await asyncio.sleep(every_s)
        meeting_ids = sorted(held())
        try:
            if meeting_ids and (gone := await deletions.deleted(meeting_ids)):
                await forget(gone)
        except AgentError as error:
            log.warning("deleted_not_forgotten", cause=str(error))


async def sweep_orphans(
    archive: Archive, blobs: BlobStore, metrics: Metrics, *, every_s: float = 600.0
) -> None:
    """Delete files that no chunk names and that are too old for an accept under way, for ever."""
    while True:
        try:
            await _sweep_once(archive, blobs, metrics)
        except AgentError as error:
            log.warning("orphan_sweep_failed", cause=str(error))
        await asyncio.sleep(every_s)


async def _sweep_once(archive: Archive, blobs: BlobStore, metrics: Metrics) -> None:
    batch: list[str] = []

    async def flush() -> None:
        orphans = await archive.unreferenced(batch)
        if orphans:
            count = await blobs.delete(orphans, older_than_s=ORPHAN_AGE_S)
            metrics.count(SWEPT, count, kind="orphan_file")
            log.info("orphans_deleted", count=count)
        batch.clear()

    async for key, age_s in blobs.scan():
        if age_s > ORPHAN_AGE_S:
            batch.append(key)
        if len(batch) >= 500:
            await flush()
    if batch:
        await flush()
