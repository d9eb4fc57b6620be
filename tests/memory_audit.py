"""A twin in memory of the store of the audit trail."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from interview_agent.ports.audit import AuditBatch, AuditRow, StoredAuditEvent

if TYPE_CHECKING:
    import asyncio


class MemoryAuditStore:
    """Implements `ports.audit.AuditStore`.

    `fault` is raised by everything as long as it is set; while there is a `gate`, `append` waits
    for it first.
    """

    def __init__(self) -> None:
        self.rows: dict[int, AuditRow] = {}
        self.fault: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.batches: deque[int] = deque(maxlen=1_000)
        self._stored: set[str] = set()
        self._folds: dict[str, int] = {}
        self._last_id = 0

    async def append(self, batch: AuditBatch) -> None:
        if self.gate is not None:
            await self.gate.wait()
        self._check()
        self.batches.append(len(batch.rows))
        if batch.batch_id in self._stored:
            return
        self._stored.add(batch.batch_id)
        for row in batch.rows:
            known = self._folds.get(row.fold or "")
            if known is None:
                self._last_id += 1
                self.rows[self._last_id] = row
                if row.fold is not None:
                    self._folds[row.fold] = self._last_id
                continue
            event = self.rows[known].event
            times = event.times + row.event.times
            self.rows[known] = replace(self.rows[known], event=replace(event, times=times))

    async def page(
        self, *, limit: int, outcome: str | None, subject: str | None, before_id: int | None
    ) -> list[StoredAuditEvent]:
        self._check()
        found = [
            StoredAuditEvent(id_, row.created_at, row.event)
            for id_, row in reversed(self.rows.items())
            if outcome in (None, row.event.outcome)
            and subject in (None, row.event.subject)
            and (before_id is None or id_ < before_id)
        ]
        return found[:limit]

    async def forget(self, *, days: int, limit: int) -> int:
        self._check()
        oldest = datetime.now(UTC) - timedelta(days=days)
        old = [id_ for id_, row in self.rows.items() if row.created_at < oldest][:limit]
        for id_ in old:
            self._folds.pop(self.rows.pop(id_).fold or "", None)
        return len(old)

    def _check(self) -> None:
        if self.fault is not None:
            raise self.fault
