"""Reconciliation: what is really gone is sent again, within a budget; all else is left in peace."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from fake_sberjazz import Fault
from gateway_stand import Stand, gateway_stand
from interview_agent.adapters.postgres import (
    Database,
    PostgresConnectorSessions,
    PostgresDeletions,
    PostgresIntake,
    open_database,
)
from interview_agent.adapters.sberjazz import RetryRules
from interview_agent.domain.connector import REJOIN_BUDGET, EndReason, SessionState
from interview_agent.domain.errors import ConnectorError
from interview_agent.pipeline.connector import (
    CallBack,
    ConnectorOperations,
    JoinWish,
    OperationRules,
    ReconcileTerms,
    Reconciliation,
)
from interview_agent.ports.intake import NewMeeting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from interview_agent.pipeline.connector.reconcile import ReconcileSummary
    from interview_agent.ports.connector import Connector
    from interview_agent.ports.connector_sessions import ConnectorSession, Operation

STALE_S = 900.0
EXPIRE_S = 86_400.0
RULES = RetryRules(timeout_s=0.5, retries=0, backoff_s=0.001, most_s=0.01)
LOST = "lost"


class Reconciler:
    """One process that reconciles; its clock is so far ahead that no pause holds it back."""

    def __init__(
        self,
        database: Database,
        connector: Connector,
        *,
        sessions: PostgresConnectorSessions | None = None,
        lock_s: float = 20.0,
        ahead_s: float = 3600.0,
        pulled: bool = True,
    ) -> None:
        self.database = database
        self.sessions = sessions or PostgresConnectorSessions(database)
        rules = OperationRules(lock_s=lock_s, needs_link=False)

        def clock() -> datetime:
            return datetime.now(UTC) + timedelta(seconds=ahead_s)

        self.operations = ConnectorOperations(connector, self.sessions, rules, clock=clock)
        self.runs: list[tuple[str, ReconcileSummary | None]] = []
        self.pruned = 0
        self.reconciliation = Reconciliation(
            self.sessions,
            connector,
            self.operations,
            CallBack(self.sessions, self.operations, patience_s=2.0),
            ReconcileTerms(
                stale_s=STALE_S, expire_s=EXPIRE_S, pull_failures=3, pulled=pulled, ask_s=0.5
            ),
            clock=clock,
            on_run=lambda source, summary: self.runs.append((source, summary)),
            on_pruned=self._prune,
        )

    def _prune(self, count: int) -> None:
        self.pruned += count

    async def run(self, limit: int = 200) -> ReconcileSummary:
        return await self.reconciliation.run("job", limit=limit)

    async def join(self, meeting_id: str) -> None:
        meeting = await PostgresIntake(self.database).start(NewMeeting(meeting_id, "anna"))
        await self.operations.join(meeting, JoinWish())

    async def session(self, meeting_id: str = "m1") -> ConnectorSession:
        found = await self.sessions.get(meeting_id)
        assert found is not None
        return found

    async def age(self, seconds: float, *, heartbeat: bool = True) -> None:
        """Let all sessions have begun so much earlier, and with `heartbeat` been last seen then."""
        async with self.database.connection() as connection:
            await connection.execute(
                "UPDATE connector_sessions SET open_until = NULL,"
                " created_at = created_at - make_interval(secs => $1),"
                " updated_at = updated_at - make_interval(secs => $1),"
                " joined_at = joined_at - make_interval(secs => $1),"
                " heartbeat_at = heartbeat_at - make_interval(secs => $2)",
                seconds,
                seconds if heartbeat else 0.0,
            )


@pytest_asyncio.fixture
async def stand() -> AsyncIterator[Stand]:
    """A gateway that forgets nothing unless it is told to."""
    async with gateway_stand(rules=RULES) as made:
        yield made


@pytest.fixture
def reconciler(database: Database, stand: Stand) -> Reconciler:
    """A process that reconciles with that gateway."""
    return Reconciler(database, stand.connector)


def tally(summary: ReconcileSummary) -> tuple[int, int, int, int]:
    return summary.scanned, summary.stale, summary.reconnected, summary.failed


async def test_twenty_silent_minutes_are_no_reason_to_ask_as_long_as_the_bot_shows_itself(
    reconciler: Reconciler, stand: Stand
) -> None:
    await reconciler.join("m1")
    await reconciler.age(1200, heartbeat=False)
    assert tally(await reconciler.run()) == (0, 0, 0, 0)
    assert stand.fake.calls("session") == []


async def test_a_bot_that_nobody_looked_after_is_asked_for_and_left_where_it_is(
    reconciler: Reconciler, stand: Stand, database: Database
) -> None:
    await reconciler.join("m1")
    await reconciler.age(1200)
    assert tally(await reconciler.run()) == (1, 1, 0, 0)
    assert tally(await reconciler.run()) == (0, 0, 0, 0), "it showed itself"
    assert len(stand.fake.calls("session")) == 1
    assert len(stand.fake.calls("join")) == 1
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT open_until > now() FROM connector_sessions")


async def test_a_bot_that_is_gone_is_sent_again_once(reconciler: Reconciler, stand: Stand) -> None:
    await reconciler.join("m1")
    stand.fake.room("m1").put("ended", LOST)
    await reconciler.age(1200)
    assert tally(await reconciler.run()) == (1, 1, 1, 0)
    assert tally(await reconciler.run()) == (0, 0, 0, 0)
    assert [bot.epoch for bot in stand.fake.active_bots("m1")] == [2]
    session = await reconciler.session()
    assert (session.state, session.epoch, len(session.rejoins)) == (SessionState.ACTIVE, 2, 1)
    assert [source for source, _ in reconciler.runs] == ["job", "job"]


@pytest.mark.parametrize("pulled", [True, False])
@pytest.mark.parametrize(
    "reason", [each.value for each in EndReason if not each.may_rejoin], ids=str
)
async def test_what_the_meeting_wanted_to_end_is_never_begun_again(
    database: Database, stand: Stand, reason: str, pulled: bool
) -> None:
    reconciler = Reconciler(database, stand.connector, pulled=pulled)
    await reconciler.join("m1")
    stand.fake.room("m1").put("failed", reason)
    await reconciler.age(1200)
    await reconciler.run()
    await reconciler.run()
    assert len(stand.fake.calls("join")) == 1
    session = await reconciler.session()
    assert (session.reason == reason) is (not pulled), "else pulling notes it, after the last sound"
    assert len(stand.fake.calls("session")) == (2 if pulled else 1)


async def test_a_gateway_that_cannot_tell_is_believed_to_have_its_bot(
    reconciler: Reconciler, stand: Stand
) -> None:
    stand.fake.old = True
    await reconciler.join("m1")
    await reconciler.age(1200)
    assert tally(await reconciler.run()) == (1, 1, 0, 0)
    assert len(stand.fake.calls("join")) == 1


async def test_an_order_without_an_answer_is_cleared_up_at_once_and_sends_no_second_bot(
    reconciler: Reconciler, stand: Stand
) -> None:
    stand.fake.break_next("join", Fault("lost_reply"))
    with pytest.raises(ConnectorError):
        await reconciler.join("m1")
    assert (await reconciler.session()).state is SessionState.REQUESTED
    assert tally(await reconciler.run()) == (1, 1, 0, 0)
    assert (await reconciler.session()).state is SessionState.ACTIVE
    assert len(stand.fake.bots("m1")) == 1


async def test_the_budget_bounds_rejoins_and_fills_again(
    reconciler: Reconciler, stand: Stand, database: Database
) -> None:
    await reconciler.join("m1")
    results = []
    for _ in range(REJOIN_BUDGET + 2):
        stand.fake.room("m1").put("ended", LOST)
        await reconciler.age(1200)
        results.append(tally(await reconciler.run()))
    assert results == [(1, 1, 1, 0)] * REJOIN_BUDGET + [(1, 1, 0, 1)] * 2
    async with database.connection() as connection:
        await connection.execute(
            "UPDATE connector_sessions SET rejoins ="
            " ARRAY(SELECT at - interval '10 minutes' FROM unnest(rejoins) AS at)"
        )
    assert tally(await reconciler.run()) == (1, 1, 1, 0)


async def test_a_rejoin_is_followed_by_a_pause(database: Database, stand: Stand) -> None:
    reconciler = Reconciler(database, stand.connector, ahead_s=0.0)
    await reconciler.join("m1")
    results = []
    for _ in range(2):
        stand.fake.room("m1").put("ended", LOST)
        await reconciler.age(1200)
        results.append(tally(await reconciler.run()))
    assert results == [(1, 1, 1, 0), (1, 1, 0, 1)]


async def test_two_hundred_ghosts_keep_nobody_from_being_looked_at(
    reconciler: Reconciler, stand: Stand, database: Database
) -> None:
    """Ghosts come back every time: wanted, gone, and their budget used up."""
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO meetings (meeting_id, owner, mode, consent)"
            " SELECT 'ghost-' || n, 'anna', 'realtime', 'granted' FROM generate_series(1, 200) n"
        )
        await connection.execute(
            "INSERT INTO connector_sessions (meeting_id, provider, state, wanted, epoch, rejoins)"
            " SELECT meeting_id, 'sberjazz', 'active', true, 1, array_fill(now(), ARRAY[5])"
            " FROM meetings"
        )
    await reconciler.join("m1")
    stand.fake.room("m1").put("ended", LOST)
    await reconciler.age(1200)
    assert tally(await reconciler.run(200)) == (200, 200, 0, 200)
    assert tally(await reconciler.run(200)) == (200, 200, 1, 199)
    assert len(stand.fake.active_bots("m1")) == 1


async def test_a_gateway_that_hangs_is_not_asked_about_everybody(
    reconciler: Reconciler, stand: Stand
) -> None:
    for number in range(30):
        await reconciler.join(f"m{number}")
    await reconciler.age(1200)
    stand.fake.break_next("session", Fault("hang", times=0))
    scanned, stale, reconnected, failed = tally(await reconciler.run())
    assert scanned == stale == failed <= 8
    assert reconnected == 0
    stand.fake.faults.clear()
    assert tally(await reconciler.run()) == (30, 30, 0, 0)
    assert len(stand.fake.calls("join")) == 30


async def test_a_bot_that_nobody_wants_is_called_back_until_it_has_left(
    reconciler: Reconciler, stand: Stand
) -> None:
    await reconciler.join("m1")
    stand.fake.break_next("leave", Fault("status", times=2))
    with pytest.raises(ConnectorError):
        await reconciler.operations.leave("m1")
    assert tally(await reconciler.run()) == (1, 0, 0, 1)
    assert tally(await reconciler.run()) == (1, 0, 0, 0)
    assert tally(await reconciler.run()) == (0, 0, 0, 0)
    assert stand.fake.active_bots() == []


async def test_the_bot_of_a_deleted_meeting_is_called_back_and_its_link_is_gone_at_once(
    reconciler: Reconciler, stand: Stand, database: Database
) -> None:
    await reconciler.join("m1")
    await PostgresDeletions(database).request("m1", "anna")
    session = await reconciler.session()
    assert (session.wanted, session.join_url, session.deleted) == (False, None, True)
    assert tally(await reconciler.run()) == (1, 0, 0, 0)
    assert stand.fake.active_bots() == []


async def test_a_session_without_a_sign_of_life_for_its_time_is_given_up_and_forgotten(
    reconciler: Reconciler, stand: Stand
) -> None:
    await reconciler.join("m1")
    await reconciler.age(EXPIRE_S + 60)
    stand.fake.break_next("*", Fault("status", times=0))
    assert tally(await reconciler.run()) == (1, 1, 0, 1)
    assert [call.call for call in stand.fake.journal] == ["join", "leave"]
    assert reconciler.pruned == 1
    assert await reconciler.sessions.get("m1") is None


class Overtaken(PostgresConnectorSessions):
    """Sessions of a process that stands still: its locks run out in the middle of everything."""

    async def begin(self, meeting_id: str, name: str, *, provider: str, lock_s: float) -> Operation:
        return await super().begin(meeting_id, name, provider=provider, lock_s=lock_s / 20)

    async def renew(self, operation: Operation, *, lock_s: float) -> None:
        """Do nothing, in vain."""


@pytest_asyncio.fixture
async def pools(dsn: str) -> AsyncIterator[list[Database]]:
    """The databases of two processes."""
    async with AsyncExitStack() as stack:
        opened = []
        for name in ("first", "second"):
            made = await open_database(dsn, size=4, name=name, connect_timeout_s=10)
            stack.push_async_callback(made.close)
            opened.append(made)
        yield opened


@pytest.mark.parametrize("frozen", [False, True], ids=["overrun", "overtaken"])
async def test_two_reconcilers_and_an_operation_longer_than_its_lock_leave_one_bot(
    pools: list[Database], frozen: bool
) -> None:
    """F44: the gateway takes three times the lock to send a bot, and does so after all."""
    lock_s = 1.0
    rules = RetryRules(timeout_s=10.0, retries=0, backoff_s=0.001, most_s=0.01)
    async with gateway_stand(rules=rules) as stand:
        sessions = Overtaken(pools[0]) if frozen else None
        first = Reconciler(
            pools[0], stand.connector, sessions=sessions, lock_s=lock_s * (20 if frozen else 1)
        )
        second = Reconciler(pools[1], stand.connector, lock_s=lock_s)
        await second.join("m1")
        stand.fake.room("m1").put("ended", LOST)
        await second.age(1200)
        stand.fake.break_next("join", Fault("slow", times=2, delay_s=3 * lock_s))
        slow = asyncio.create_task(first.run())
        async with asyncio.timeout(20):
            while len(stand.fake.calls("join")) < 2:
                await asyncio.sleep(0.01)
            while not stand.fake.active_bots() or not slow.done():
                await second.run()
                await asyncio.sleep(0.1)
            while any(call.status is None for call in stand.fake.calls("join")):
                await asyncio.sleep(0.05)
        await asyncio.gather(first.run(), second.run())
        (bot,) = stand.fake.active_bots()
        assert bot.key == "m1:2"
        assert (await second.session()).state is SessionState.ACTIVE
        assert len({call.key for call in stand.fake.calls("join")}) == 2
