"""The audit trail under floods and outages."""

from __future__ import annotations

import asyncio
import tracemalloc
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from interview_agent.domain.errors import DatabaseError
from interview_agent.pipeline.audit import AuditTrail, FoldLimits, TrailLimits
from interview_agent.ports.audit import AuditEvent
from memory_audit import MemoryAuditStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
QUICK = TrailLimits(fold_s=0.01, pause_s=0.01, farewell_s=0.2)
DENIED = AuditEvent(
    outcome="deny",
    endpoint="/v1/admin/dlq",
    method="GET",
    subject="unknown",
    auth_type="unknown",
    reason="the API key is not known",
    status_code=401,
    error_code="unauthorized",
    client_ip="10.0.0.1",
)
ALLOWED = AuditEvent("allow", "/v1/admin/dlq", "GET", "key:s", "service_api_key", "read", 200)


class Bench:
    """A trail over rows in memory, with a clock that stands."""

    def __init__(self, limits: TrailLimits = QUICK, **options: Any) -> None:
        self.store = MemoryAuditStore()
        self.now = NOON
        self.lost = self.failures = 0
        self.trail = AuditTrail(
            self.store,
            clock=lambda: self.now,
            on_row_lost=self._lose,
            on_failure=self._fail,
            limits=limits,
            **options,
        )

    def _lose(self) -> None:
        self.lost += 1

    def _fail(self) -> None:
        self.failures += 1

    @property
    def events(self) -> list[AuditEvent]:
        return [row.event for row in self.store.rows.values()]

    @property
    def times(self) -> int:
        return sum(event.times for event in self.events)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        loop = asyncio.create_task(self.trail.run())
        try:
            yield
        finally:
            loop.cancel()
            with suppress(asyncio.CancelledError):
                await loop


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not check():
            await asyncio.sleep(0.005)


def lines(logged: list[Any], event: str) -> list[Any]:
    return [line for line in logged if line["event"] == event]


async def test_each_event_is_one_line_and_one_row() -> None:
    bench = Bench()
    with capture_logs() as logged:
        async with bench.running():
            bench.trail.note(DENIED)
            bench.trail.note(DENIED)
            bench.trail.note(ALLOWED)
            await bench.trail.record(ALLOWED)
            await until(lambda: len(bench.events) == 4)
    assert len(lines(logged, "security_audit_deny")) == 2
    assert len(lines(logged, "security_audit_allow")) == 2
    assert lines(logged, "security_audit_deny")[0]["reason"] == DENIED.reason


@pytest.mark.parametrize("varying", ["path", "address"])
async def test_ten_thousand_refusals_at_once_take_bounded_memory_and_rows(varying: str) -> None:
    bench = Bench(TrailLimits())
    tracemalloc.start()
    for number in range(10_000):
        if varying == "path":
            event = replace(DENIED, endpoint=f"/{number}/" + "x" * 8_000)
        else:
            event = replace(DENIED, client_ip=f"10.0.{number // 256}.{number % 256}")
        bench.trail.note(event)
    _, most_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    await bench.trail.flush()
    assert bench.times + bench.lost == 10_000
    assert bench.lost == 0
    assert most_bytes < 20 * 2**20
    if varying == "path":
        assert len(bench.events) == FoldLimits().of_one + 1


async def test_refusals_of_everybody_past_the_limit_of_a_minute_are_folded() -> None:
    bench = Bench(TrailLimits(folds=FoldLimits(of_one=5, of_all=8)))
    for number in range(30):
        bench.trail.note(replace(DENIED, client_ip=f"10.0.0.{number % 3}"))
    bench.now += timedelta(minutes=1)
    bench.trail.note(DENIED)
    await bench.trail.flush()
    assert bench.times == 31
    assert len(bench.events) == 8 + 3 + 1


async def test_admin_actions_are_never_folded() -> None:
    bench = Bench(TrailLimits(folds=FoldLimits(of_one=1, of_all=1)))
    for _ in range(50):
        bench.trail.note(ALLOWED)
    await bench.trail.flush()
    assert [event.times for event in bench.events] == [1] * 50


async def test_while_the_database_is_away_rows_wait_and_then_come_in_order() -> None:
    bench = Bench()
    bench.store.fault = DatabaseError()
    async with bench.running():
        for number in range(20):
            bench.trail.note(replace(DENIED, reason=str(number)))
        bench.trail.tally(ALLOWED)
        await asyncio.sleep(0.05)
        assert bench.events == []
        assert bench.failures > 0
        bench.store.fault = None
        await until(lambda: len(bench.events) == 21)
    assert [event.reason for event in bench.events][:20] == [str(n) for n in range(20)]


async def test_what_finds_no_room_is_counted_and_its_line_stays() -> None:
    bench = Bench(TrailLimits(max_waiting=3))
    with capture_logs() as logged:
        for number in range(5):
            bench.trail.note(DENIED)
            bench.trail.tally(replace(ALLOWED, meeting_id=f"m{number}"))
    assert bench.lost == 4
    assert len(lines(logged, "security_audit_deny")) == 5
    assert len(lines(logged, "security_audit_allow")) == 2
    await bench.trail.flush()
    assert len(bench.events) == 6


async def test_an_action_that_cannot_be_recorded_raises_and_is_noted_as_refused() -> None:
    bench = Bench()
    bench.store.fault = DatabaseError()
    with capture_logs() as logged, pytest.raises(DatabaseError):
        await bench.trail.record(ALLOWED)
    assert lines(logged, "security_audit_allow") == []
    [line] = lines(logged, "security_audit_deny")
    assert bench.failures == 1
    assert (line["status_code"], line["error_code"]) == (503, "db_error")
    bench.store.fault = None
    await bench.trail.flush()
    assert [event.outcome for event in bench.events] == ["deny"]


async def test_without_rows_the_log_alone_is_kept() -> None:
    bench = Bench(keep_rows=False)
    bench.store.fault = DatabaseError()
    with capture_logs() as logged:
        bench.trail.note(DENIED)
        bench.trail.tally(ALLOWED)
        bench.trail.tally(ALLOWED)
        await bench.trail.record(ALLOWED)
        await bench.trail.flush()
    assert len(lines(logged, "security_audit_deny")) == 1
    assert [line["times"] for line in lines(logged, "security_audit_allow")] == [1, 2]
    assert bench.events == []


async def test_a_loop_that_is_cancelled_while_it_writes_loses_nothing() -> None:
    bench = Bench()
    bench.store.gate = asyncio.Event()
    async with bench.running():
        bench.trail.note(DENIED)
        await asyncio.sleep(0.02)
    bench.store.gate.set()
    await bench.trail.flush()
    assert bench.events == [DENIED]


async def test_a_farewell_to_a_database_that_hangs_ends() -> None:
    bench = Bench()
    bench.store.gate = asyncio.Event()
    bench.trail.note(DENIED)
    with capture_logs() as logged:
        async with asyncio.timeout(2):
            await bench.trail.flush()
    assert lines(logged, "audit_rows_left")[0]["left"] == 1


async def test_what_is_counted_while_its_row_is_written_is_not_lost() -> None:
    bench = Bench()
    bench.store.gate = asyncio.Event()
    bench.trail.tally(ALLOWED)
    flush = asyncio.create_task(bench.trail.flush())
    await asyncio.sleep(0.01)
    bench.trail.tally(ALLOWED)
    bench.store.gate.set()
    await flush
    await bench.trail.flush()
    assert [event.times for event in bench.events] == [2]
