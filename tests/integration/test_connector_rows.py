"""Rows of the connector on a real database, written by two processes at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from interview_agent.adapters.postgres import (
    Database,
    PostgresBreakers,
    PostgresConnectorSessions,
    PostgresDeletions,
    PostgresIntake,
    open_database,
)
from interview_agent.domain.breaker import Breaker, BreakerState
from interview_agent.domain.connector import EndReason, SessionState
from interview_agent.domain.errors import (
    ConnectorBusy,
    ConnectorCircuitOpen,
    LeaseLost,
    NotFound,
)
from interview_agent.ports.connector_sessions import Operation, SessionUpdate
from interview_agent.ports.intake import NewMeeting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_GATEWAY = "https://gateway.test"


@pytest_asyncio.fixture
async def other(dsn: str) -> AsyncIterator[Database]:
    """The pool of another process."""
    opened = await open_database(dsn, size=4, name="other", connect_timeout_s=10)
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def sessions(database: Database) -> PostgresConnectorSessions:
    for meeting_id in ("m1", "m2", "m3"):
        await PostgresIntake(database).start(NewMeeting(meeting_id, "anna"))
    return PostgresConnectorSessions(database)


async def begin(
    sessions: PostgresConnectorSessions, meeting_id: str = "m1", lock_s: float = 60.0
) -> Operation:
    return await sessions.begin(meeting_id, "join", provider="sberjazz", lock_s=lock_s)


async def joined(
    sessions: PostgresConnectorSessions, meeting_id: str, **changes: object
) -> Operation:
    """Leave a session behind that is in the room, changed as told; the lock is let go of."""
    operation = await begin(sessions, meeting_id)
    await sessions.raise_epoch(operation)
    facts = {"state": SessionState.ACTIVE, "wanted": True, "joined": True, "answered": True}
    await sessions.update(operation, SessionUpdate(**{**facts, **changes}))  # type: ignore[arg-type]
    await sessions.end(operation)
    return operation


async def age(database: Database, meeting_id: str, seconds: float) -> None:
    """Make a session look as if nothing had been heard of it for so long."""
    async with database.connection() as connection:
        await connection.execute(
            "UPDATE connector_sessions SET created_at = created_at - make_interval(secs => $2),"
            " updated_at = updated_at - make_interval(secs => $2),"
            " heartbeat_at = heartbeat_at - make_interval(secs => $2),"
            " joined_at = joined_at - make_interval(secs => $2) WHERE meeting_id = $1",
            meeting_id,
            seconds,
        )


async def test_two_processes_that_race_for_a_lock_get_it_once_and_the_other_is_told_who_has_it(
    sessions: PostgresConnectorSessions, other: Database
) -> None:
    rival = PostgresConnectorSessions(other)
    results = await asyncio.gather(
        *(begin(each) for each in (sessions, rival) for _ in range(3)), return_exceptions=True
    )
    refused = [each for each in results if isinstance(each, ConnectorBusy)]
    assert len([each for each in results if isinstance(each, Operation)]) == 1
    assert len(refused) == 5
    assert refused[0].details == {"meeting_id": "m1", "operation": "join"}
    assert refused[0].retry_after_s is not None
    assert 0 < refused[0].retry_after_s <= 60


async def test_a_lock_that_ran_out_is_taken_over_and_its_holder_is_fenced_off(
    sessions: PostgresConnectorSessions, other: Database
) -> None:
    slow = await begin(sessions, lock_s=0.0)
    heir = await begin(PostgresConnectorSessions(other))
    assert heir.fence == slow.fence + 1
    for write in (
        sessions.renew(slow, lock_s=60.0),
        sessions.raise_epoch(slow),
        sessions.update(slow, SessionUpdate(state=SessionState.ACTIVE)),
    ):
        with pytest.raises(LeaseLost):
            await write
    await sessions.end(slow)
    with pytest.raises(ConnectorBusy):
        await begin(sessions)


async def test_a_renewed_lock_is_kept_and_one_that_was_let_go_of_is_free(
    sessions: PostgresConnectorSessions,
) -> None:
    operation = await begin(sessions, lock_s=0.0)
    await sessions.renew(operation, lock_s=60.0)
    with pytest.raises(ConnectorBusy):
        await begin(sessions)
    await sessions.end(operation)
    assert (await begin(sessions)).fence == operation.fence + 1


async def test_a_session_needs_a_meeting_and_of_a_deleted_one_only_what_was_there_is_found(
    database: Database, sessions: PostgresConnectorSessions
) -> None:
    await joined(sessions, "m1")
    for meeting_id in ("m1", "m2"):
        await PostgresDeletions(database).request(meeting_id, "anna")
    for meeting_id in ("m2", "unknown"):
        with pytest.raises(NotFound):
            await begin(sessions, meeting_id)
    assert (await begin(sessions, "m1")).session.deleted
    assert await sessions.newest(10) == []
    assert await sessions.get("unknown") is None


async def test_an_order_stays_unanswered_until_it_is_known_what_came_of_it(
    sessions: PostgresConnectorSessions,
) -> None:
    operation = await begin(sessions)
    assert await sessions.raise_epoch(operation) == 1
    asked = await sessions.update(operation, SessionUpdate(last_error="connector_timeout"))
    assert (asked.state, asked.unanswered, asked.epoch) == (SessionState.REQUESTED, True, 1)
    known = await sessions.update(
        operation, SessionUpdate(state=SessionState.ACTIVE, answered=True, clear_error=True)
    )
    assert (known.unanswered, known.last_error) == (False, None)


async def test_a_heartbeat_holds_the_meeting_open_and_an_end_lets_it_close(
    database: Database, sessions: PostgresConnectorSessions
) -> None:
    operation = await begin(sessions)
    held = SessionUpdate(state=SessionState.ACTIVE, heartbeat=True, hold_s=60.0)
    assert (await sessions.update(operation, held)).heartbeat_at is not None

    async def open_for() -> float | None:
        async with database.connection() as connection:
            found: float | None = await connection.fetchval(
                "SELECT extract(epoch FROM open_until - now())::float8 FROM connector_sessions"
            )
        return found

    assert 50 < (await open_for() or 0) <= 60
    ended = SessionUpdate(state=SessionState.ENDED, reason=EndReason.CALL_ENDED)
    assert (await sessions.update(operation, ended)).reason is EndReason.CALL_ENDED
    assert await open_for() is None


async def test_rejoins_are_remembered_for_the_window_of_their_budget(
    database: Database, sessions: PostgresConnectorSessions
) -> None:
    operation = await begin(sessions)
    for _ in range(2):
        await sessions.update(operation, SessionUpdate(rejoined=True))
    async with database.connection() as connection:
        await connection.execute(
            "UPDATE connector_sessions SET rejoins[1] = now() - interval '11 minutes'"
        )
    assert len((await sessions.update(operation, SessionUpdate(rejoined=True))).rejoins) == 2


async def test_only_stale_wanted_sessions_and_unwanted_bots_are_looked_at(
    database: Database, sessions: PostgresConnectorSessions
) -> None:
    kicked = {"state": SessionState.ENDED, "reason": EndReason.REMOVED_BY_HOST}
    await joined(sessions, "m1")
    await joined(sessions, "m2", wanted=False)
    await joined(sessions, "m3", **kicked)
    await age(database, "m3", 1000)
    assert [each.meeting_id for each in await sessions.to_reconcile(900, 10, pull_failures=3)] == [
        "m2"
    ]
    await age(database, "m1", 1000)
    assert {each.meeting_id for each in await sessions.to_reconcile(900, 10, pull_failures=3)} == {
        "m1",
        "m2",
    }
    await begin(sessions, "m2")
    assert [each.meeting_id for each in await sessions.to_reconcile(900, 10, pull_failures=3)] == [
        "m1"
    ]


async def test_a_session_whose_bot_shows_signs_of_life_is_left_in_peace(
    database: Database, sessions: PostgresConnectorSessions
) -> None:
    await joined(sessions, "m1")
    await age(database, "m1", 1000)
    operation = await begin(sessions)
    await sessions.update(operation, SessionUpdate(heartbeat=True))
    await sessions.end(operation)
    assert await sessions.to_reconcile(900, 10, pull_failures=3) == []


async def test_those_who_waited_longest_for_a_look_come_first(
    database: Database, sessions: PostgresConnectorSessions
) -> None:
    for meeting_id in ("m1", "m2", "m3"):
        await joined(sessions, meeting_id)
        await age(database, meeting_id, 1000)
    seen = []
    for _ in range(3):
        found = (await sessions.to_reconcile(900, 1, pull_failures=3))[0].meeting_id
        seen.append(found)
        await sessions.looked_at(found)
    assert sorted(seen) == ["m1", "m2", "m3"]
    assert (await sessions.to_reconcile(900, 1, pull_failures=3))[0].meeting_id == seen[0]


async def test_old_sessions_that_are_over_are_pruned_and_living_ones_never(
    database: Database, sessions: PostgresConnectorSessions
) -> None:
    await joined(sessions, "m1", state=SessionState.ENDED, reason=EndReason.LEFT)
    await joined(sessions, "m2")
    await joined(sessions, "m3", state=SessionState.ENDED, reason=EndReason.LEFT)
    for meeting_id in ("m1", "m2"):
        await age(database, meeting_id, 90_000)
    assert await sessions.prune(86_400, 10) == 1
    assert {each.meeting_id for each in await sessions.newest(10)} == {"m2", "m3"}


async def test_the_newest_come_first_and_sessions_are_counted_by_whether_they_are_connected(
    database: Database, sessions: PostgresConnectorSessions
) -> None:
    await joined(sessions, "m1")
    await joined(sessions, "m2", state=SessionState.LOBBY)
    await joined(sessions, "m3")
    await age(database, "m3", 10)
    assert [each.meeting_id for each in await sessions.newest(2)] == ["m2", "m1"]
    assert await sessions.count() == (2, 1)


@pytest.fixture
def breakers(database: Database) -> PostgresBreakers:
    return PostgresBreakers(database)


async def fail(breakers: PostgresBreakers, times: int) -> Breaker:
    """Let so many calls fail of a breaker that opens at the third."""
    breaker = Breaker()
    for _ in range(times):
        entered = await breakers.enter(_GATEWAY, open_s=60, probe_s=30)
        breaker = await breakers.failed(_GATEWAY, entered, "connector_timeout", threshold=3)
    return breaker


async def test_a_breaker_opens_for_all_processes_at_the_threshold(
    breakers: PostgresBreakers, other: Database
) -> None:
    assert (await fail(breakers, 2)).state is BreakerState.CLOSED
    opened = await fail(breakers, 1)
    assert (opened.state, opened.consecutive_failures) == (BreakerState.OPEN, 3)
    with pytest.raises(ConnectorCircuitOpen) as caught:
        await PostgresBreakers(other).enter(_GATEWAY, open_s=60, probe_s=30)
    assert caught.value.details["consecutive_failures"] == 3
    assert 0 < caught.value.details["retry_after_sec"] <= 60
    await breakers.enter("https://another.test", open_s=60, probe_s=30)


async def test_a_success_in_between_begins_the_count_anew(breakers: PostgresBreakers) -> None:
    await fail(breakers, 2)
    entered = await breakers.enter(_GATEWAY, open_s=60, probe_s=30)
    await breakers.succeeded(_GATEWAY, entered)
    assert (await fail(breakers, 2)).state is BreakerState.CLOSED


async def test_calls_of_two_processes_that_fail_at_once_are_all_counted(
    breakers: PostgresBreakers, other: Database
) -> None:
    await asyncio.gather(
        *(
            each.failed(_GATEWAY, Breaker(), "connector_timeout", threshold=100)
            for each in (breakers, PostgresBreakers(other))
            for _ in range(10)
        )
    )
    assert (await breakers.get(_GATEWAY)).consecutive_failures == 20


async def test_one_caller_of_two_processes_gets_the_probe_of_a_half_open_breaker(
    breakers: PostgresBreakers, other: Database
) -> None:
    await fail(breakers, 3)
    results = await asyncio.gather(
        *(
            each.enter(_GATEWAY, open_s=0, probe_s=30)
            for each in (breakers, PostgresBreakers(other))
            for _ in range(5)
        ),
        return_exceptions=True,
    )
    probes = [each for each in results if isinstance(each, Breaker)]
    assert len(probes) == 1
    assert probes[0].state is BreakerState.HALF_OPEN
    closed = await breakers.succeeded(_GATEWAY, probes[0])
    assert (closed.state, closed.consecutive_failures) == (BreakerState.CLOSED, 0)


async def test_a_probe_that_fails_opens_the_breaker_anew(breakers: PostgresBreakers) -> None:
    await fail(breakers, 3)
    probe = await breakers.enter(_GATEWAY, open_s=0, probe_s=30)
    opened = await breakers.failed(_GATEWAY, probe, "connector_unavailable", threshold=3)
    assert (opened.state, opened.last_error) == (BreakerState.OPEN, "connector_unavailable")
    with pytest.raises(ConnectorCircuitOpen):
        await breakers.enter(_GATEWAY, open_s=60, probe_s=30)


async def test_a_probe_that_is_given_back_or_ran_out_goes_to_the_next_and_the_late_one_is_ignored(
    breakers: PostgresBreakers,
) -> None:
    await fail(breakers, 3)
    given_back = await breakers.enter(_GATEWAY, open_s=0, probe_s=30)
    await breakers.withdraw(_GATEWAY, given_back)
    late = await breakers.enter(_GATEWAY, open_s=0, probe_s=0)
    probe = await breakers.enter(_GATEWAY, open_s=0, probe_s=30)
    assert (await breakers.succeeded(_GATEWAY, late)).state is BreakerState.HALF_OPEN
    assert (await breakers.succeeded(_GATEWAY, probe)).state is BreakerState.CLOSED


async def test_good_probes_of_health_in_a_row_close_an_open_breaker_past_its_age(
    breakers: PostgresBreakers,
) -> None:
    assert not await breakers.good_probe(_GATEWAY, min_age_s=0, wanted=1)
    await fail(breakers, 3)
    assert not await breakers.good_probe(_GATEWAY, min_age_s=0, wanted=2)
    await breakers.bad_probe(_GATEWAY)
    assert not await breakers.good_probe(_GATEWAY, min_age_s=0, wanted=2)
    assert not await breakers.good_probe(_GATEWAY, min_age_s=60, wanted=2)
    assert await breakers.good_probe(_GATEWAY, min_age_s=0, wanted=2)
    assert (await breakers.get(_GATEWAY)).state is BreakerState.CLOSED


async def test_a_reset_closes_the_breaker(breakers: PostgresBreakers) -> None:
    await fail(breakers, 3)
    assert (await breakers.reset(_GATEWAY)).state is BreakerState.CLOSED
    assert (await breakers.reset("https://another.test")).state is BreakerState.CLOSED
    await breakers.enter(_GATEWAY, open_s=60, probe_s=30)
