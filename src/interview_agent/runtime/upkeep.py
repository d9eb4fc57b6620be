"""Loops that look after the whole: quiet meetings, capacity, orphans, old rows."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from interview_agent.domain.errors import AgentError
from interview_agent.domain.route import Stage
from interview_agent.metrics import SWEPT, Metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

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
