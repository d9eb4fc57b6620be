"""What an audit log promises, over rows in memory and in PostgreSQL."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest_asyncio

from interview_agent.adapters.postgres import Database, PostgresAuditStore
from interview_agent.domain.errors import DatabaseError
from interview_agent.pipeline.audit import AuditTrail, FoldLimits, TrailLimits
from interview_agent.ports.audit import AuditBatch, AuditEvent, AuditRow, AuditStore
from memory_audit import MemoryAuditStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest

    from interview_agent.ports.audit import StoredAuditEvent

LIMITS = TrailLimits(folds=FoldLimits(of_one=5, of_all=12))
DENIED = AuditEvent(
    outcome="deny",
    endpoint="/v1/admin/dlq",
    method="GET",
    subject="key:a",
    auth_type="user_api_key",
    reason="not_service_identity",
    status_code=403,
    error_code="forbidden",
    client_ip="10.0.0.1",
)
ALLOWED = AuditEvent("allow", "/v1/meetings/m1/chunks", "POST", "alice", "jwt", "auth_ok", 200)
ODD = {
    "long": "/" + "x" * 299,
    "very long": "/" + "y" * 7_999,
    "nul": "/a\0b",
    "crlf": "/a\r\nset-cookie: b\x85\u2028\u2029",
    "ansi": "/\x1b[31mred\x1b[0m",
    "quote": '/"}{"outcome":"allow',
    "emoji": "/встреча-👩‍💻",
    "surrogate": "/\ud800\udfff\udc80",
    "bidi": "/\u202egnp.exe\u2066",
    "bytes": "/" + "\udcff" * 300,
}


class LateStore:
    """A store whose answers come too late for a while, after the rows were stored."""

    def __init__(self, store: AuditStore) -> None:
        self.store = store
        self.late = True

    async def append(self, batch: AuditBatch) -> None:
        await self.store.append(batch)
        if self.late:
            raise DatabaseError

    async def page(
        self, *, limit: int, outcome: str | None, subject: str | None, before_id: int | None
    ) -> list[StoredAuditEvent]:
        return await self.store.page(
            limit=limit, outcome=outcome, subject=subject, before_id=before_id
        )

    async def forget(self, *, days: int, limit: int) -> int:
        return await self.store.forget(days=days, limit=limit)


class Bench:
    """An audit log whose loop runs, its store, and its clock."""

    def __init__(self, store: AuditStore) -> None:
        self.store = store
        self.now = datetime.now(UTC)
        self.log = AuditTrail(
            store,
            clock=lambda: self.now,
            on_row_lost=self._lose,
            on_failure=lambda: None,
            limits=LIMITS,
        )
        self.lost = 0

    def _lose(self) -> None:
        self.lost += 1

    async def all(self, **filters: Any) -> list[StoredAuditEvent]:
        """Return what is stored once all that waits is."""
        await self.log.flush()
        asked = {"limit": 500, "outcome": None, "subject": None, "before_id": None, **filters}
        return list(await self.log.page(**asked))


@pytest_asyncio.fixture(params=["memory", "postgres"])
async def bench(request: pytest.FixtureRequest, database: Database) -> AsyncIterator[Bench]:
    memory = request.param == "memory"
    made = Bench(MemoryAuditStore() if memory else PostgresAuditStore(database))
    loop = asyncio.create_task(made.log.run())
    yield made
    loop.cancel()
    with suppress(asyncio.CancelledError):
        await loop


async def until_stored(bench: Bench, count: int) -> list[StoredAuditEvent]:
    async with asyncio.timeout(10):
        while True:
            found = await bench.log.page(limit=500, outcome=None, subject=None, before_id=None)
            if len(found) >= count:
                return list(found)
            await asyncio.sleep(0.01)


async def test_an_event_comes_back_as_it_was_noted(bench: Bench) -> None:
    event = replace(DENIED, meeting_id="m1", times=3)
    bench.log.note(event)
    [stored] = await until_stored(bench, 1)
    assert stored.event == event
    assert stored.created_at == bench.now


async def test_what_was_recorded_is_stored_when_the_call_returns(bench: Bench) -> None:
    await bench.log.record(ALLOWED)
    [stored] = await bench.log.page(limit=9, outcome=None, subject=None, before_id=None)
    assert stored.event == ALLOWED


async def test_whatever_a_caller_sends_is_stored_printable_in_every_field(bench: Bench) -> None:
    for case, text in ODD.items():
        odd = replace(
            DENIED,
            endpoint=text,
            method=text,
            subject=text,
            auth_type=text,
            reason=text,
            error_code=text,
            client_ip=text,
            meeting_id=text,
        )
        bench.log.note(odd)
        bench.log.tally(odd)
        await bench.log.record(odd)
        found = await bench.all(subject=text)
        assert len(found) == 3, case
        for stored in found:
            assert stored.event.endpoint.isprintable(), case
            assert len(stored.event.endpoint) <= 256, case
            assert await bench.all(subject=stored.event.subject) == found, case


async def test_long_paths_that_begin_alike_stay_apart(bench: Bench) -> None:
    for ending in "ab":
        bench.log.note(replace(DENIED, endpoint="/" + "x" * 7_000 + ending))
    first, second = await bench.all()
    assert first.event.endpoint != second.event.endpoint


async def test_pages_are_newest_first_and_filters_are_exact(bench: Bench) -> None:
    for number in range(10):
        event = replace(DENIED, subject=f"s{number % 2}", reason=f"r{number}")
        bench.log.note(replace(event, outcome="allow") if number < 4 else event)
    everything = await bench.all()
    assert [each.event.reason for each in everything] == [f"r{n}" for n in reversed(range(10))]
    older = await bench.all(before_id=everything[3].id, limit=3)
    assert older == everything[4:7]
    for filters, count in (
        ({"outcome": "allow"}, 4),
        ({"outcome": "deny"}, 6),
        ({"subject": "s0"}, 5),
        ({"subject": "s"}, 0),
        ({"subject": "s1", "outcome": "allow"}, 2),
    ):
        assert len(await bench.all(**filters)) == count


async def test_refusals_past_the_rate_limit_are_one_row_for_caller_reason_and_minute(
    bench: Bench,
) -> None:
    limited = replace(DENIED, status_code=429, reason="rate_limited", error_code="rate_limited")
    strangers = replace(limited, subject="unknown", auth_type="unknown")
    bench.now = bench.now.replace(second=0)
    for number in range(20):
        bench.log.note(replace(limited, endpoint=f"/{number}", client_ip=f"10.0.0.{number}"))
        bench.log.note(replace(strangers, client_ip=f"10.0.1.{number % 2}"))
        if number == 9:
            await bench.log.flush()
    bench.now += timedelta(minutes=1)
    bench.log.note(limited)
    found = await bench.all()
    assert sorted((each.event.subject, each.event.times) for each in found) == [
        ("key:a", 1),
        ("key:a", 20),
        ("unknown", 10),
        ("unknown", 10),
    ]


async def test_accepted_audio_is_one_row_for_subject_meeting_and_hour(bench: Bench) -> None:
    bench.now = bench.now.replace(minute=59)
    for number in range(30):
        bench.log.tally(replace(ALLOWED, subject="alice" if number % 3 else "bob"))
        bench.log.tally(replace(ALLOWED, meeting_id=f"m{number % 2}"))
        if not number % 10:
            await bench.log.flush()
    bench.now += timedelta(minutes=1)
    bench.log.tally(replace(ALLOWED, meeting_id="m0"))
    events = [stored.event for stored in await bench.all()]
    times = [(event.subject, event.meeting_id, event.times) for event in events]
    assert sorted(times, key=str) == sorted(
        [
            ("alice", None, 20),
            ("bob", None, 10),
            ("alice", "m0", 15),
            ("alice", "m1", 15),
            ("alice", "m0", 1),
        ],
        key=str,
    )


async def test_two_processes_share_a_folded_row(bench: Bench) -> None:
    other = AuditTrail(
        bench.store, clock=lambda: bench.now, on_row_lost=lambda: None, on_failure=lambda: None
    )
    bench.log.tally(ALLOWED)
    other.tally(ALLOWED)
    await other.flush()
    [stored] = await bench.all()
    assert stored.event.times == 2


async def test_old_rows_go_in_batches_and_young_ones_stay(bench: Bench) -> None:
    old = bench.now - timedelta(days=31)
    young = bench.now - timedelta(days=29)
    rows = [*(AuditRow(old, DENIED) for _ in range(5)), AuditRow(young, ALLOWED)]
    await bench.store.append(AuditBatch("b1", rows))
    deleted = [await bench.store.forget(days=30, limit=2) for _ in range(4)]
    assert deleted == [2, 2, 1, 0]
    assert [each.event for each in await bench.all()] == [ALLOWED]


async def test_a_batch_that_is_stored_twice_changes_nothing_the_second_time(bench: Bench) -> None:
    rows = [AuditRow(bench.now, DENIED), AuditRow(bench.now, DENIED)]
    folded = [AuditRow(bench.now, replace(ALLOWED, times=3), fold) for fold in "ab"]
    batch = AuditBatch("b1", [*rows, *folded])
    await asyncio.gather(*(bench.store.append(batch) for _ in range(3)))
    await bench.store.append(AuditBatch("b2", folded[:1]))
    await bench.store.append(batch)
    events = [stored.event for stored in await bench.all()]
    assert sorted(event.times for event in events) == [1, 1, 3, 6]


async def test_rows_whose_answer_came_too_late_are_not_stored_again(bench: Bench) -> None:
    store = LateStore(bench.store)
    trail = AuditTrail(
        store, clock=lambda: bench.now, on_row_lost=lambda: None, on_failure=lambda: None
    )
    for number in range(3):
        trail.note(replace(DENIED, reason=f"r{number}"))
        trail.tally(ALLOWED)
        await trail.flush()
    store.late = False
    await trail.flush()
    events = [stored.event for stored in await bench.all()]
    assert sorted((event.reason, event.times) for event in events) == [
        ("auth_ok", 3),
        ("r0", 1),
        ("r1", 1),
        ("r2", 1),
    ]


async def test_folded_rows_whose_answer_came_too_late_are_not_counted_again(bench: Bench) -> None:
    store = LateStore(bench.store)
    trail = AuditTrail(
        store, clock=lambda: bench.now, on_row_lost=lambda: None, on_failure=lambda: None
    )
    for number in range(4):
        trail.tally(ALLOWED)
        trail.tally(replace(ALLOWED, meeting_id=f"m{number % 2}"))
        await trail.flush()
    store.late = False
    await trail.flush()
    times = [(stored.event.meeting_id, stored.event.times) for stored in await bench.all()]
    assert sorted(times, key=str) == [("m0", 2), ("m1", 2), (None, 4)]


async def test_batches_are_remembered_as_long_as_their_rows(database: Database) -> None:
    store = PostgresAuditStore(database)
    for number in range(4):
        await store.append(AuditBatch(f"b{number}", [AuditRow(datetime.now(UTC), DENIED)]))
    async with database.connection() as connection:
        await connection.execute(
            "UPDATE security_audit_batches SET stored_at = now() - interval '31 days'"
            " WHERE batch_id <> 'b3'"
        )
        assert await store.forget(days=30, limit=1) == 0
        left = await connection.fetch("SELECT batch_id FROM security_audit_batches")
    assert [row["batch_id"] for row in left] == ["b3"]
