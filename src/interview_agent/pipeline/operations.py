"""What operators read and do, as JSON-ready values; what they do is recorded before it is done."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import structlog

from interview_agent.domain.cursor import read_cursor, unknown_cursor, write_cursor
from interview_agent.domain.errors import (
    AgentError,
    NotFound,
    QueueError,
    StorageError,
    ValidationFailed,
)
from interview_agent.domain.ids import check_name
from interview_agent.domain.route import Stage
from interview_agent.ports.operations import GivenUp, WorkPlace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from interview_agent.ports.audit import AuditEvent, AuditLog, StoredAuditEvent
    from interview_agent.ports.blob_store import BlobStore
    from interview_agent.ports.operations import (
        Handled,
        HintCounter,
        OperationRows,
        StageReport,
    )
    from interview_agent.ports.wake_queue import WakeQueue
    from interview_agent.ports.work import QueueDepth, WorkStore

Body = dict[str, Any]

_HINTS_PATIENCE_S = 2.0

# Clients of the reference know its five queues by their places, so ours stand behind them.
_QUEUES = sorted(Stage, key=lambda stage: stage in (Stage.LIVE, Stage.ERASURE))

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StoragePlace:
    """Where audio lies, in the words of the configuration."""

    mode: str
    base_dir: str


class Operations:
    """The machine room, for service identities."""

    def __init__(
        self,
        rows: OperationRows,
        work: WorkStore,
        wake: WakeQueue,
        hints: HintCounter,
        blobs: BlobStore,
        audit: AuditLog,
        *,
        storage: StoragePlace,
        probe_patience_s: float = 3.0,
    ) -> None:
        self._rows = rows
        self._work = work
        self._wake = wake
        self._hints = hints
        self._audit = audit
        self._storage = storage
        self._probe = _Probe(blobs.check)
        self._probe_patience_s = probe_patience_s

    async def queues(self) -> Body:
        """Return how much work of each stage waits, runs, and was given up on.

        Raises `DatabaseError`; a queue whose hints cannot be counted says so itself.
        """
        depths = {depth.stage: depth for depth in await self._work.depths()}
        async with asyncio.TaskGroup() as group:
            counts = {stage: group.create_task(self._count_hints(stage)) for stage in Stage}
        bodies = (_queue_body(depths[stage], *counts[stage].result()) for stage in _QUEUES)
        return {"queues": list(bodies)}

    async def _count_hints(self, stage: Stage) -> tuple[int | None, str | None]:
        try:
            async with asyncio.timeout(_HINTS_PATIENCE_S):
                return await self._hints.count_hints(stage), None
        except (QueueError, TimeoutError):
            return None, QueueError.code

    async def storage(self) -> Body:
        """Write, read back and delete a probe, and say how that went."""
        error = await self._probe.fault(self._probe_patience_s)
        return {
            "mode": self._storage.mode,
            "base_dir": self._storage.base_dir,
            "healthy": error is None,
            "error": error,
        }

    async def given_up(self, limit: int, cursor: str | None) -> Body:
        """Return a page of the work and chunks that were given up on, newest first."""
        before = None if cursor is None else _read_position(cursor)
        found = await self._rows.given_up(limit + 1, before)
        page = found[:limit]
        return {
            "items": [_given_up_body(item) for item in page],
            "next_cursor": _write_position(page[-1]) if len(found) > limit else None,
        }

    async def redrive(self, place: WorkPlace, event: Callable[[], AuditEvent]) -> Body:
        """Try again what was given up on. Raises `NotFound`, `Conflict`, `DatabaseError`.

        `event` is asked for what to record once it is known that there is something to be done.
        """
        handled = await self._act("dlq_redrive", place, event, self._rows.redrive)
        await self._unbury(place)
        self._wake.notify(place.stage, place.meeting_id, place.track)
        return _handled_body(place, handled)

    async def discard(self, place: WorkPlace, event: Callable[[], AuditEvent]) -> Body:
        """Take what was given up on off the list. Raises `NotFound`, `DatabaseError`."""
        handled = await self._act("dlq_discard", place, event, self._rows.discard)
        await self._unbury(place)
        return _handled_body(place, handled)

    async def _unbury(self, place: WorkPlace) -> None:
        # The rows are what counts: a mirror that cannot be cleaned now undoes nothing.
        try:
            async with asyncio.timeout(_HINTS_PATIENCE_S):
                await self._wake.unbury(place.stage, place.meeting_id, place.track)
        except (QueueError, TimeoutError):
            log.warning("dead_letters_left", stage=place.stage.value, meeting_id=place.meeting_id)

    async def _act(
        self,
        action: str,
        place: WorkPlace,
        event: Callable[[], AuditEvent],
        act: Callable[[WorkPlace], Awaitable[Handled]],
    ) -> Handled:
        _check(place)
        if not await self._rows.is_given_up(place):
            raise NotFound
        # Before the act: what cannot be recorded must not be done.
        await self._audit.record(_named(event(), action, place))
        handled = await act(place)
        log.info(action, stage=place.stage.value, meeting_id=place.meeting_id, track=place.track)
        return handled

    async def stages(self, meeting_id: str) -> Body:
        """Return the stages of a meeting. Raises `NotFound`."""
        check_name(meeting_id, "meeting_id")
        reports = await self._rows.stages(meeting_id)
        return {"meeting_id": meeting_id, "stages": [_stage_body(each) for each in reports]}

    async def audit_events(
        self, *, limit: int, outcome: str | None, subject: str | None, before_id: int | None
    ) -> Body:
        """Return a page of the audit trail, newest first."""
        found = await self._audit.page(
            limit=limit, outcome=outcome, subject=subject, before_id=before_id
        )
        return {
            "events": [_event_body(stored) for stored in found],
            "next_before": found[-1].id if len(found) == limit else None,
        }


class _Probe:
    """One probe at a time: a store that hangs must not hold a thread for each who asks."""

    def __init__(self, check: Callable[[], Awaitable[None]]) -> None:
        self._check = check
        self._running: asyncio.Task[None] | None = None

    async def fault(self, patience_s: float) -> str | None:
        """Return a code of what is wrong, None when all is well."""
        if self._running is None or self._running.done():
            self._running = asyncio.ensure_future(self._checked())
        probe = self._running
        await asyncio.wait({probe}, timeout=patience_s)
        if not probe.done():
            return "storage_timeout"
        error = probe.exception()
        if isinstance(error, StorageError):
            cause = error.details.get("cause")
            return f"{error.code}: {cause}" if cause else error.code
        if isinstance(error, AgentError):
            return error.code
        return None if error is None else "internal"

    async def _checked(self) -> None:
        await self._check()


def _named(event: AuditEvent, action: str, place: WorkPlace) -> AuditEvent:
    target = f"{place.stage.value}:{place.track}" if place.track else place.stage.value
    return replace(event, reason=f"{event.reason}:{action}:{target}", meeting_id=place.meeting_id)


def _check(place: WorkPlace) -> None:
    check_name(place.meeting_id, "meeting_id")
    if place.stage.per_track:
        check_name(place.track, "track")
    elif place.track:
        message = "this stage is one of the whole meeting and has no track"
        raise ValidationFailed.at("track", message=message, kind="track")


def _write_position(item: GivenUp) -> str:
    place, seq = item.place, -1 if item.seq is None else item.seq
    failed_at = item.failed_at.isoformat()
    return write_cursor((failed_at, place.meeting_id, place.stage.value, place.track, seq))


def _read_position(cursor: str) -> GivenUp:
    failed_at, meeting_id, stage, track, seq = read_cursor(cursor, (str, str, str, str, int))
    try:
        moment = datetime.fromisoformat(failed_at)
        place = WorkPlace(Stage(stage), meeting_id, track)
        _check(place)
    except (ValueError, ValidationFailed):
        raise unknown_cursor() from None
    if moment.tzinfo is None or not -1 <= seq < 2**31:
        raise unknown_cursor()
    return GivenUp(place, None if seq < 0 else seq, None, None, moment)


def _queue_body(depth: QueueDepth, hints: int | None, error: str | None) -> Body:
    return {
        "queue": depth.stage.stream,
        "group": depth.stage.group,
        "depth": depth.waiting + depth.running,
        "pending": depth.running,
        "waiting": depth.waiting,
        "dlq_depth": depth.failed,
        "oldest_undone_age_s": round(depth.oldest_age_s, 3),
        "hints": hints,
        "error": error,
    }


def _place_body(place: WorkPlace) -> Body:
    return {
        "stage": place.stage.value,
        "meeting_id": place.meeting_id,
        "track": place.track or None,
    }


def _given_up_body(item: GivenUp) -> Body:
    return {
        **_place_body(item.place),
        "seq": item.seq,
        "reason": item.reason,
        "attempts": item.attempts,
        "failed_at": item.failed_at.isoformat(),
    }


def _handled_body(place: WorkPlace, handled: Handled) -> Body:
    return {**_place_body(place), "work": handled.stage, "chunks": handled.chunks}


def _stage_body(report: StageReport) -> Body:
    view = report.view
    age_s = report.lease_age_s
    return {
        "stage": view.stage.value,
        "track": view.track,
        "state": view.state.value,
        "reason": view.reason,
        "attempts": view.attempts,
        "wanted": report.wanted,
        "reached": report.reached,
        "due_at": report.due_at.isoformat() if report.due_at else None,
        "lease_owner": report.lease_owner,
        "lease_age_s": None if age_s is None else round(age_s, 3),
        "updated_at": view.updated_at.isoformat(),
    }


def _event_body(stored: StoredAuditEvent) -> Body:
    event = stored.event
    return {
        "id": stored.id,
        "created_at": stored.created_at.isoformat(),
        "outcome": event.outcome,
        "endpoint": event.endpoint,
        "method": event.method,
        "subject": event.subject,
        "auth_type": event.auth_type,
        "reason": event.reason,
        "error_code": event.error_code,
        "status_code": event.status_code,
        "client_ip": event.client_ip,
        "meeting_id": event.meeting_id,
        "times": event.times,
    }
