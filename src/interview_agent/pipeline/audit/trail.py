"""Lines now, rows as fast as the database takes them, memory bounded."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING

import structlog

from interview_agent.domain.errors import DatabaseError
from interview_agent.domain.escaping import escaped
from interview_agent.pipeline.audit.folding import Folding, FoldLimits
from interview_agent.ports.audit import AuditBatch, AuditEvent, AuditRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from interview_agent.ports.audit import AuditStore, StoredAuditEvent

_ENDPOINT_CHARS = 256
_SUBJECT_CHARS = 256
_REASON_CHARS = 256
_METHOD_CHARS = 40
_NAME_CHARS = 64
_UNAVAILABLE = 503

log = structlog.get_logger("interview_agent.audit")


@dataclass(frozen=True, slots=True)
class TrailLimits:
    """Bounds of what waits for the database.

    At most `max_waiting` rows of each kind wait, and `batch` are written at once. Folded rows
    are written every `fold_s`: a process that is killed loses what it counted since. After a
    failure the next try comes `pause_s` later; on a stop the last ones may take `farewell_s`.
    """

    max_waiting: int = 10_000
    batch: int = 500
    fold_s: float = 5.0
    pause_s: float = 1.0
    farewell_s: float = 5.0
    folds: FoldLimits = field(default_factory=FoldLimits)


class AuditTrail:
    """Implements `ports.audit.AuditLog`; `run` is its loop.

    Without `keep_rows` the log is all that is kept. `clock` gives the time in UTC; `on_row_lost`
    is called for each event whose row found no room, and whose line stays; `on_failure` each time
    that rows could not be written.
    """

    def __init__(
        self,
        store: AuditStore,
        *,
        clock: Callable[[], datetime],
        on_row_lost: Callable[[], None],
        on_failure: Callable[[], None],
        keep_rows: bool = True,
        limits: TrailLimits | None = None,
        random_hex: Callable[[int], str] = secrets.token_hex,
    ) -> None:
        self._store = store
        self._clock = clock
        self._on_row_lost = on_row_lost
        self._on_failure = on_failure
        self._keep_rows = keep_rows
        self._limits = limits or TrailLimits()
        self._folding = Folding(self._limits.folds)
        self._rows: deque[AuditRow] = deque()
        self._folded: dict[str, AuditRow] = {}
        self._random_hex = random_hex
        # What was sent and is not known to be stored: sent again it must be the same.
        self._sent_rows: AuditBatch | None = None
        self._sent_folded: AuditBatch | None = None
        self._due = asyncio.Event()
        self._writing = asyncio.Lock()

    def note(self, event: AuditEvent) -> None:
        """Write the line of an event, and leave its row."""
        safe, now = _made_safe(event), self._clock()
        fold = self._folding.key(safe, now)
        if fold is not None:
            self._fold(AuditRow(now, safe, fold))
            return
        _write_line(safe)
        if not self._keep_rows:
            return
        if len(self._rows) >= self._limits.max_waiting:
            self._on_row_lost()
            return
        self._rows.append(AuditRow(now, safe))
        self._due.set()

    def tally(self, event: AuditEvent) -> None:
        """Count an event into the row of its subject, meeting and hour."""
        safe, now = _made_safe(event), self._clock()
        self._fold(AuditRow(now, safe, Folding.hourly(safe, now)))

    async def record(self, event: AuditEvent) -> None:
        """Write the row of an event, then its line. Raises `DatabaseError` when there is no row.

        What is refused for want of a row is noted as such.
        """
        safe = _made_safe(event)
        try:
            if self._keep_rows:
                await self._store.append(self._batch([AuditRow(self._clock(), safe)]))
        except DatabaseError as error:
            self._on_failure()
            self.note(
                replace(safe, outcome="deny", status_code=_UNAVAILABLE, error_code=error.code)
            )
            raise
        _write_line(safe)

    async def page(
        self, *, limit: int, outcome: str | None, subject: str | None, before_id: int | None
    ) -> Sequence[StoredAuditEvent]:
        """Return events, newest first; a subject is asked for as its caller is called."""
        wanted = None if subject is None else escaped(subject, _SUBJECT_CHARS)
        return await self._store.page(
            limit=limit, outcome=outcome, subject=wanted, before_id=before_id
        )

    async def run(self) -> None:
        """Write rows as they come and folded ones every `fold_s`, for ever."""
        folded_at = time.monotonic()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._limits.fold_s):
                    await self._due.wait()
            self._due.clear()
            try:
                while self._rows:
                    await self._write_rows()
                if time.monotonic() - folded_at >= self._limits.fold_s:
                    folded_at = time.monotonic()
                    await self._write_folded()
            except DatabaseError as error:
                self._on_failure()
                log.warning("audit_rows_wait", waiting=len(self._rows), cause=str(error))
                await asyncio.sleep(self._limits.pause_s)
                self._due.set()

    async def flush(self) -> None:
        """Write all that waits, as a process does before it ends."""
        try:
            async with asyncio.timeout(self._limits.farewell_s):
                while self._rows:
                    await self._write_rows()
                await self._write_folded()
        except (DatabaseError, TimeoutError) as error:
            left = len(self._rows) + len(self._folded)
            log.error("audit_rows_left", left=left, cause=type(error).__name__)

    def _fold(self, row: AuditRow) -> None:
        fold = row.fold or ""
        if known := self._folded.get(fold):
            times = known.event.times + row.event.times
            self._folded[fold] = replace(known, event=replace(known.event, times=times))
        elif len(self._folded) < self._limits.max_waiting:
            self._folded[fold] = row
        else:
            _write_line(row.event)
            self._on_row_lost()

    async def _write_rows(self) -> None:
        async with self._writing:
            if not self._rows:
                return
            batch = self._sent_rows or self._batch(islice(self._rows, self._limits.batch))
            self._sent_rows = batch
            await self._store.append(batch)
            self._sent_rows = None
            # Only now, so that a failure or a cancellation loses none; newer ones stand behind.
            for _ in batch.rows:
                self._rows.popleft()

    async def _write_folded(self) -> None:
        async with self._writing:
            if self._sent_folded is not None:
                await self._store_folded(self._sent_folded)
            # What is counted meanwhile waits for the next time.
            waiting = list(self._folded)
            for start in range(0, len(waiting), self._limits.batch):
                folds = waiting[start : start + self._limits.batch]
                await self._store_folded(self._batch(self._folded[fold] for fold in folds))

    async def _store_folded(self, batch: AuditBatch) -> None:
        self._sent_folded = batch
        if self._keep_rows:
            await self._store.append(batch)
        self._sent_folded = None
        for row in batch.rows:
            _write_line(row.event)
            self._take_away(row)

    def _batch(self, rows: Iterable[AuditRow]) -> AuditBatch:
        return AuditBatch(self._random_hex(16), tuple(rows))

    def _take_away(self, written: AuditRow) -> None:
        fold = written.fold or ""
        # More may have been counted while the row was written.
        more = self._folded[fold].event.times - written.event.times
        if more:
            self._folded[fold] = replace(written, event=replace(written.event, times=more))
        else:
            del self._folded[fold]


def _made_safe(event: AuditEvent) -> AuditEvent:
    return replace(
        event,
        endpoint=escaped(event.endpoint, _ENDPOINT_CHARS),
        method=escaped(event.method, _METHOD_CHARS),
        subject=escaped(event.subject, _SUBJECT_CHARS),
        auth_type=escaped(event.auth_type, _NAME_CHARS),
        reason=escaped(event.reason, _REASON_CHARS),
        error_code=event.error_code and escaped(event.error_code, _NAME_CHARS),
        client_ip=event.client_ip and escaped(event.client_ip, _NAME_CHARS),
        meeting_id=event.meeting_id and escaped(event.meeting_id, _NAME_CHARS),
    )


def _write_line(event: AuditEvent) -> None:
    write = log.info if event.outcome == "allow" else log.warning
    write(
        f"security_audit_{event.outcome}",
        endpoint=event.endpoint,
        method=event.method,
        subject=event.subject,
        auth_type=event.auth_type,
        reason=event.reason,
        error_code=event.error_code,
        status_code=event.status_code,
        client_ip=event.client_ip,
        meeting_id=event.meeting_id,
        times=event.times,
    )
