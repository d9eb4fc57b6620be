"""Old audit rows go by and by, and the sweep outlives the database."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from interview_agent.domain.errors import DatabaseError
from interview_agent.metrics import Metrics
from interview_agent.ports.audit import AuditBatch, AuditEvent, AuditRow
from interview_agent.runtime.upkeep import sweep_audit
from memory_audit import MemoryAuditStore

EVENT = AuditEvent("deny", "/", "GET", "a", "jwt", "r", 403)


async def test_rows_past_their_days_are_swept_in_batches_also_after_an_outage() -> None:
    store = MemoryAuditStore()
    now = datetime.now(UTC)
    ages = [40] * 7 + [20] * 3
    rows = [AuditRow(now - timedelta(days=days), EVENT) for days in ages]
    await store.append(AuditBatch("b1", rows))
    store.fault = DatabaseError()
    metrics = Metrics("test")
    sweep = asyncio.create_task(sweep_audit(store, metrics, days=30, batch=3, every_s=0.02))
    await asyncio.sleep(0.05)
    assert len(store.rows) == 10
    store.fault = None
    async with asyncio.timeout(5):
        while len(store.rows) > 3:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.15)
    sweep.cancel()
    assert len(store.rows) == 3
    assert 'agent_swept_total{kind="audit_row"} 7' in metrics.render()
