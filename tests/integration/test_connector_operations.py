"""Operations on bots over real rows: there is never more than one, whatever goes wrong."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from gateway_twin import GatewayTwin
from interview_agent.adapters.postgres import (
    Database,
    PostgresArchive,
    PostgresConnectorSessions,
    PostgresDeletions,
    PostgresIntake,
)
from interview_agent.domain.connector import EndReason, SessionState
from interview_agent.domain.errors import (
    Conflict,
    ConnectorBadRequest,
    ConnectorBusy,
    ConnectorCircuitOpen,
    ConnectorTimeout,
    ConnectorUnavailable,
    ConsentDenied,
    LeaseLost,
    MeetingGone,
    ValidationFailed,
)
from interview_agent.domain.meeting import Consent, Meeting
from interview_agent.pipeline.connector import ConnectorOperations, JoinWish, OperationRules
from interview_agent.ports.intake import NewMeeting

if TYPE_CHECKING:
    from interview_agent.ports.connector_sessions import ConnectorSession

LINK = "https://salutejazz.ru/abc?psw=secret"
RULES = OperationRules(fresh_s=0.0, link_hosts=("salutejazz.ru",))


class Bench:
    """A gateway, the rows, and operations on both; `meeting` has a link in its context."""

    def __init__(self, database: Database, meeting: Meeting) -> None:
        self.database = database
        self.meeting = meeting
        self.gateway = GatewayTwin()
        self.sessions = PostgresConnectorSessions(database)
        self.operations = self.with_rules(RULES)

    def with_rules(self, rules: OperationRules) -> ConnectorOperations:
        return ConnectorOperations(
            self.gateway, self.sessions, rules, clock=lambda: datetime.now(UTC)
        )

    async def join(self, **wish: str) -> ConnectorSession:
        return await self.operations.join(self.meeting, JoinWish(**wish))

    async def session(self) -> ConnectorSession:
        found = await self.sessions.get("m1")
        assert found is not None
        return found

    async def take_over(self) -> None:
        """Let the lock of the operation that runs go to nobody, as if it had run out."""
        async with self.database.connection() as connection:
            await connection.execute("UPDATE connector_sessions SET op_until = now()")

    async def locked_until(self) -> datetime | None:
        """Return when the lock runs out, None where there is none."""
        async with self.database.connection() as connection:
            found: datetime | None = await connection.fetchval(
                "SELECT op_until FROM connector_sessions"
            )
        return found

    async def asked_for_a_bot(self) -> None:
        """Wait until an operation orders one, and is made to wait for the answer."""
        async with asyncio.timeout(5):
            while "join" not in self.gateway.calls:
                await asyncio.sleep(0.01)


@pytest_asyncio.fixture
async def bench(database: Database) -> Bench:
    meeting = await PostgresIntake(database).start(
        NewMeeting("m1", "anna", language="ru", context={"join_url": LINK})
    )
    return Bench(database, meeting)


async def test_a_join_sends_one_bot_with_what_the_meeting_says(bench: Bench) -> None:
    session = await bench.join(bot_name="Бот")
    assert (session.state, session.wanted, session.attempts, session.epoch) == (
        SessionState.ACTIVE,
        True,
        1,
        1,
    )
    order = bench.gateway.active[0].order
    assert (order.join_url, order.bot_name, order.language) == (LINK, "Бот", "ru")
    assert order.idempotency_key == "m1:1"


async def test_a_meeting_that_has_no_language_takes_the_one_that_a_join_names(
    bench: Bench,
) -> None:
    async def language_of(meeting_id: str) -> str | None:
        return (await PostgresArchive(bench.database).meeting(meeting_id)).meeting.language

    await bench.join(language="en")
    assert bench.gateway.active[0].order.language == "en"
    assert await language_of("m1") == "ru", "what is set stays"
    await PostgresIntake(bench.database).start(NewMeeting("m2", "anna"))
    bare = (await PostgresArchive(bench.database).meeting("m2")).meeting
    fresh = bench.with_rules(replace(RULES, fresh_s=30.0))
    await fresh.join(bare, JoinWish(LINK))
    assert await language_of("m2") is None
    told = await fresh.join(bare, JoinWish(LINK, language="de"))
    assert (told.language, await language_of("m2")) == ("de", "de"), "its bot is there already"
    await fresh.join(bare, JoinWish(LINK, language="en"))
    assert await language_of("m2") == "de"


async def test_joining_again_asks_the_gateway_only_once_its_bot_was_not_seen_for_a_while(
    bench: Bench,
) -> None:
    await bench.join()
    fresh = bench.with_rules(replace(RULES, fresh_s=30.0))
    await fresh.join(bench.meeting, JoinWish())
    assert bench.gateway.calls == ["join"]
    await bench.join()
    assert bench.gateway.calls == ["join", "session"]
    assert len(bench.gateway.bots) == 1


async def test_a_bot_that_is_gone_is_sent_anew_under_another_key(bench: Bench) -> None:
    await bench.join()
    bench.gateway.bots[0].state = SessionState.ENDED
    assert (await bench.join()).epoch == 2
    assert [bot.order.idempotency_key for bot in bench.gateway.active] == ["m1:2"]


async def test_a_lost_reply_makes_no_second_bot(bench: Bench) -> None:
    bench.gateway.loses_reply = True
    for _ in range(2):
        with pytest.raises(ConnectorTimeout):
            await bench.join()
    lost = await bench.session()
    assert (lost.state, lost.last_error, lost.attempts, lost.unanswered) == (
        SessionState.REQUESTED,
        "connector_timeout",
        2,
        True,
    )
    bench.gateway.loses_reply = False
    assert (await bench.join()).last_error is None
    assert len(bench.gateway.bots) == 1


async def test_a_repeated_answer_of_a_bot_that_is_over_is_not_taken_for_a_bot(
    bench: Bench,
) -> None:
    bench.gateway.loses_reply = True
    with pytest.raises(ConnectorTimeout):
        await bench.join()
    bench.gateway.loses_reply = False
    await bench.operations.leave("m1")
    assert (await bench.join()).epoch == 2
    assert [bot.order.idempotency_key for bot in bench.gateway.active] == ["m1:2"]


async def test_a_refused_join_is_over_and_nobody_waits_for_a_bot(bench: Bench) -> None:
    bench.gateway.fail("join", ConnectorBadRequest())
    with pytest.raises(ConnectorBadRequest):
        await bench.join()
    refused = await bench.session()
    assert (refused.state, refused.wanted, refused.last_error) == (
        SessionState.FAILED,
        False,
        "connector_bad_request",
    )
    assert (await bench.join()).epoch == 2


async def test_another_link_calls_the_bot_back_before_one_goes_there(bench: Bench) -> None:
    await bench.join()
    other = "https://salutejazz.ru/other"
    await bench.join(join_url=other)
    assert [bot.order.join_url for bot in bench.gateway.active] == [other]
    assert (await bench.join()).join_url == other


async def test_a_gateway_that_cannot_tell_is_asked_again_under_the_same_key(bench: Bench) -> None:
    bench.gateway.tells = False
    await bench.join()
    await bench.join()
    assert bench.gateway.calls == ["join", "session", "join"]
    assert len(bench.gateway.bots) == 1


async def test_what_cannot_be_joined_is_refused_before_anybody_is_asked(bench: Bench) -> None:
    meeting = bench.meeting
    for broken, error in (
        (replace(meeting, consent=Consent.DENIED), ConsentDenied),
        (replace(meeting, context={}), Conflict),
        (replace(meeting, context={"join_url": "https://evil.test/"}), ValidationFailed),
    ):
        with pytest.raises(error):
            await bench.operations.join(broken, JoinWish())
    assert bench.gateway.calls == []


async def test_of_a_deleted_meeting_the_bot_is_called_back_and_none_is_sent(bench: Bench) -> None:
    await bench.join()
    await PostgresDeletions(bench.database).request("m1", "anna")
    with pytest.raises(MeetingGone):
        await bench.join()
    await bench.operations.leave("m1")
    assert bench.gateway.active == []


async def test_an_operation_under_way_turns_others_away_and_says_which_it_is(
    bench: Bench,
) -> None:
    bench.gateway.hangs = asyncio.Event()
    first = asyncio.create_task(bench.join())
    await bench.asked_for_a_bot()
    with pytest.raises(ConnectorBusy) as caught:
        await bench.operations.leave("m1")
    assert caught.value.details == {"meeting_id": "m1", "operation": "join"}
    bench.gateway.hangs.set()
    assert (await first).state.connected


async def test_leaving_ends_the_wish_and_is_fine_when_there_is_no_bot(bench: Bench) -> None:
    assert await bench.operations.leave("m1") is None
    await bench.join()
    for _ in range(2):
        left = await bench.operations.leave("m1")
        assert left is not None
        assert (left.state, left.reason, left.wanted) == (
            SessionState.ENDED,
            EndReason.LEFT,
            False,
        )
    assert bench.gateway.active == []


async def test_a_failed_leave_keeps_what_is_true_and_says_so(bench: Bench) -> None:
    await bench.join()
    bench.gateway.fail("leave", ConnectorUnavailable())
    with pytest.raises(ConnectorUnavailable):
        await bench.operations.leave("m1")
    session = await bench.session()
    assert (session.state, session.wanted, session.last_error) == (
        SessionState.ACTIVE,
        False,
        "connector_unavailable",
    )
    assert [
        each.meeting_id for each in await bench.sessions.to_reconcile(900, 10, pull_failures=3)
    ] == ["m1"]


async def test_reconnecting_calls_the_bot_back_first_and_sends_none_where_that_failed(
    bench: Bench,
) -> None:
    await bench.join()
    bench.gateway.fail("leave", ConnectorTimeout())
    with pytest.raises(ConnectorTimeout):
        await bench.operations.reconnect(bench.meeting)
    assert len(bench.gateway.bots) == 1
    assert (await bench.operations.reconnect(bench.meeting)).epoch == 2
    assert [bot.order.idempotency_key for bot in bench.gateway.active] == ["m1:2"]


async def test_a_bot_is_sent_again_only_where_it_is_gone_and_may_come_back(bench: Bench) -> None:
    await bench.join()
    assert (await bench.operations.rejoin("m1")).epoch == 1
    bot = bench.gateway.bots[0]
    bot.state, bot.reason = SessionState.ENDED, EndReason.LOST
    again = await bench.operations.rejoin("m1")
    assert (again.epoch, len(again.rejoins)) == (2, 1)
    bench.gateway.bots[1].state = SessionState.ENDED
    bench.gateway.bots[1].reason = EndReason.REMOVED_BY_HOST
    kicked = await bench.operations.rejoin("m1")
    assert (kicked.state, kicked.reason) == (SessionState.ENDED, EndReason.REMOVED_BY_HOST)
    assert len(bench.gateway.bots) == 2


async def test_an_open_breaker_costs_nothing_of_the_budget_of_rejoins(bench: Bench) -> None:
    await bench.join()
    bench.gateway.bots[0].state = SessionState.ENDED
    bench.gateway.fail("join", ConnectorCircuitOpen())
    with pytest.raises(ConnectorCircuitOpen):
        await bench.operations.rejoin("m1")
    assert (await bench.session()).rejoins == ()
    assert len((await bench.operations.rejoin("m1")).rejoins) == 1


async def test_an_overtaken_join_and_its_successor_leave_one_bot(bench: Bench) -> None:
    bench.gateway.hangs = asyncio.Event()
    slow = asyncio.create_task(bench.join())
    await bench.asked_for_a_bot()
    await bench.take_over()
    heir = asyncio.create_task(bench.join())
    while len(bench.gateway.calls) < 2:
        await asyncio.sleep(0.01)
    bench.gateway.hangs.set()
    assert (await heir).state.connected
    with pytest.raises(LeaseLost):
        await slow
    assert len(bench.gateway.active) == 1


async def test_an_overtaken_join_leaves_no_bot_where_somebody_called_it_back(
    bench: Bench,
) -> None:
    bench.gateway.hangs = asyncio.Event()
    slow = asyncio.create_task(bench.join())
    await bench.asked_for_a_bot()
    await bench.take_over()
    await bench.operations.leave("m1")
    bench.gateway.hangs.set()
    with pytest.raises(LeaseLost):
        await slow
    assert len(bench.gateway.bots) == 1
    assert bench.gateway.active == []
    assert (await bench.session()).state is SessionState.ENDED


async def test_a_bot_that_could_not_be_called_back_behind_an_overtaken_join_is_reconciled(
    bench: Bench,
) -> None:
    bench.gateway.hangs = asyncio.Event()
    slow = asyncio.create_task(bench.join())
    await bench.asked_for_a_bot()
    await bench.take_over()
    await bench.operations.leave("m1")
    bench.gateway.fail("leave", ConnectorUnavailable())
    bench.gateway.hangs.set()
    with pytest.raises(LeaseLost):
        await slow
    assert len(bench.gateway.active) == 1
    assert [
        each.meeting_id for each in await bench.sessions.to_reconcile(900, 10, pull_failures=3)
    ] == ["m1"]


async def test_a_lock_is_renewed_as_long_as_its_operation_works_and_freed_behind_it(
    bench: Bench,
) -> None:
    bench.gateway.hangs = asyncio.Event()
    working = bench.with_rules(replace(RULES, lock_s=2.0))
    operation = asyncio.create_task(working.join(bench.meeting, JoinWish()))
    await bench.asked_for_a_bot()
    first = await bench.locked_until()
    assert first is not None
    async with asyncio.timeout(5):
        while await bench.locked_until() == first:
            await asyncio.sleep(0.05)
    bench.gateway.hangs.set()
    await operation
    assert await bench.locked_until() is None


async def test_an_operation_that_overruns_its_deadline_ends_and_its_order_stays_unanswered(
    bench: Bench,
) -> None:
    bench.gateway.hangs = asyncio.Event()
    short = bench.with_rules(replace(RULES, lock_s=0.1))
    with pytest.raises(ConnectorTimeout):
        await short.join(bench.meeting, JoinWish())
    assert (await bench.session()).unanswered
    bench.gateway.hangs.set()
    await bench.join()
    assert len(bench.gateway.bots) == 1
