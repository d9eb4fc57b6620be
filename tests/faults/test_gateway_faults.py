"""F45: a gateway that fails, hangs, limits, lies and floods; every call at it is counted."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from fake_sberjazz import Fault
from gateway_stand import DEADLINE_S, ORDER, RULES, TOKEN, Stand, gateway_stand
from interview_agent.adapters.sberjazz import AnswerLimits
from interview_agent.domain.connector import EndReason, SessionState
from interview_agent.domain.errors import (
    ConnectorAuthError,
    ConnectorBadRequest,
    ConnectorError,
    ConnectorInvalidResponse,
    ConnectorRateLimited,
    ConnectorTimeout,
    ConnectorUnavailable,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

CALLS: dict[str, Callable[[Stand], Awaitable[Any]]] = {
    "join": lambda stand: stand.connector.join(ORDER, deadline_s=DEADLINE_S),
    "leave": lambda stand: stand.connector.leave("m1", deadline_s=DEADLINE_S),
    "session": lambda stand: stand.connector.session("m1", deadline_s=DEADLINE_S),
    "live-chunks": lambda stand: stand.connector.live_chunks(
        "m1", None, limit=20, deadline_s=DEADLINE_S
    ),
}
TRANSIENT = (408, 425, 429, 500, 502, 503, 504)


@pytest_asyncio.fixture
async def stand() -> AsyncIterator[Stand]:
    async with gateway_stand() as made:
        yield made


@pytest.fixture(params=list(CALLS))
def call(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


async def prepared(stand: Stand, call: str, *faults: Fault) -> None:
    """Put a bot where the call needs one, then let faults happen to the call."""
    if call != "join":
        await CALLS["join"](stand)
    stand.fake.break_next(call, *faults)


def asked(stand: Stand, call: str) -> int:
    return len(stand.fake.calls(call))


async def test_a_passing_failure_is_got_over(stand: Stand, call: str) -> None:
    await CALLS["join"](stand)
    for status in TRANSIENT:
        before = asked(stand, call)
        stand.fake.break_next(call, Fault("status", times=2, status=status))
        await CALLS[call](stand)
        assert asked(stand, call) - before == 3


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (408, ConnectorTimeout),
        (425, ConnectorUnavailable),
        (429, ConnectorRateLimited),
        (500, ConnectorUnavailable),
        (503, ConnectorUnavailable),
    ],
)
async def test_a_lasting_failure_is_given_up_on_after_the_retries(
    stand: Stand, call: str, status: int, expected: type[ConnectorError]
) -> None:
    await prepared(stand, call, Fault("status", times=0, status=status, code="overloaded"))
    with pytest.raises(expected) as raised:
        await CALLS[call](stand)
    assert asked(stand, call) == 3
    assert raised.value.details == {
        "operation": call,
        "status": status,
        "gateway_code": "overloaded",
    }


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, ConnectorBadRequest),
        (401, ConnectorAuthError),
        (403, ConnectorAuthError),
        (409, ConnectorBadRequest),
        (422, ConnectorBadRequest),
    ],
)
async def test_what_a_retry_cannot_mend_is_asked_once(
    stand: Stand, call: str, status: int, expected: type[ConnectorError]
) -> None:
    await prepared(stand, call, Fault("status", times=0, status=status))
    with pytest.raises(expected):
        await CALLS[call](stand)
    assert asked(stand, call) == 1


async def test_refused_credentials_are_not_tried_again_but_the_next_operation_is(
    stand: Stand,
) -> None:
    stand.fake.break_next("join", Fault("status", status=401))
    with pytest.raises(ConnectorAuthError):
        await CALLS["join"](stand)
    await CALLS["join"](stand)
    assert [each.status for each in stand.fake.calls("join")] == [401, 202]


async def test_a_conflict_is_retried_only_while_the_gateway_is_at_it(stand: Stand) -> None:
    stand.fake.break_next("join", Fault("status", status=409, code="in_progress", times=2))
    joined = await stand.connector.join(ORDER, deadline_s=DEADLINE_S)
    assert joined.state.connected
    assert asked(stand, "join") == 3


@pytest.mark.parametrize("kind", ["reset", "cut"])
async def test_a_broken_connection_is_got_over(stand: Stand, call: str, kind: Any) -> None:
    await prepared(stand, call, Fault(kind))
    await CALLS[call](stand)
    assert asked(stand, call) >= 2


async def test_a_lost_reply_to_a_join_leaves_one_bot(stand: Stand) -> None:
    stand.fake.break_next("join", Fault("lost_reply", times=2))
    joined = await stand.connector.join(ORDER, deadline_s=DEADLINE_S)
    assert joined.epoch == 1
    assert {each.key for each in stand.fake.calls("join")} == {ORDER.idempotency_key}
    assert asked(stand, "join") == 3
    assert len(stand.fake.bots()) == 1


async def test_retried_leaves_share_a_key_and_later_ones_do_not(stand: Stand) -> None:
    stand.fake.break_next("leave", Fault("status"))
    await CALLS["leave"](stand)
    await CALLS["leave"](stand)
    first, second, third = (each.key for each in stand.fake.calls("leave"))
    assert first == second
    assert third not in {None, first}


@pytest.mark.parametrize(
    "kind", ["truncated", "not_object", "html", "compressed", "redirect", "endless"]
)
async def test_what_is_not_the_protocol_is_refused_at_once(
    stand: Stand, call: str, kind: Any
) -> None:
    await prepared(stand, call, Fault(kind, times=0))
    with pytest.raises(ConnectorInvalidResponse):
        await CALLS[call](stand)
    assert asked(stand, call) == 1


async def test_a_redirect_is_not_followed(stand: Stand, call: str) -> None:
    await prepared(stand, call, Fault("redirect", location=f"{stand.fake.address}/trap"))
    with pytest.raises(ConnectorInvalidResponse):
        await CALLS[call](stand)
    assert stand.fake.calls("other") == []


async def test_an_endless_body_is_cut_before_memory_grows() -> None:
    limits = AnswerLimits(chunk_bytes=2**20, page_bytes=2**20)
    async with gateway_stand(limits=limits) as stand:
        await prepared(stand, "live-chunks", Fault("endless"))
        tracemalloc.start()
        try:
            with pytest.raises(ConnectorInvalidResponse):
                await CALLS["live-chunks"](stand)
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak_bytes < 16 * 2**20


@pytest.mark.parametrize("kind", ["hang", "slow"])
async def test_a_gateway_that_does_not_answer_is_waited_for_no_longer_than_its_time(
    call: str, kind: Any
) -> None:
    async with gateway_stand(rules=replace(RULES, timeout_s=0.1)) as stand:
        if call != "join":
            await CALLS["join"](stand)
        stand.fake.break_next(call, Fault(kind, delay_s=5.0, times=0))
        started_s = time.monotonic()
        with pytest.raises(ConnectorTimeout):
            await CALLS[call](stand)
        assert time.monotonic() - started_s < 3.0
        assert asked(stand, call) == 3


async def test_the_deadline_ends_an_operation_with_all_its_retries() -> None:
    async with gateway_stand(rules=replace(RULES, timeout_s=30.0, retries=10)) as stand:
        stand.fake.break_next("join", Fault("hang", times=0))
        started_s = time.monotonic()
        with pytest.raises(ConnectorTimeout):
            await stand.connector.join(ORDER, deadline_s=0.2)
        assert time.monotonic() - started_s < 3.0
        assert asked(stand, "join") == 1


async def test_a_hanging_meeting_keeps_no_other_one_waiting(stand: Stand) -> None:
    """Fifty calls hang, and the fifty-first is answered."""
    stand.fake.break_next("session", Fault("hang", times=0))
    hanging = [
        asyncio.create_task(stand.connector.session(f"h{at}", deadline_s=DEADLINE_S))
        for at in range(50)
    ]
    async with asyncio.timeout(5):
        while asked(stand, "session") < 50:
            await asyncio.sleep(0.01)
        await CALLS["join"](stand)
        await CALLS["leave"](stand)
        assert (await stand.connector.health(deadline_s=DEADLINE_S)).healthy
    for each in hanging:
        each.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", status=429, headers={"Retry-After": "3"}),
        Fault("status", status=503, retry_after_sec=3),
    ],
    ids=["header", "body"],
)
async def test_the_gateway_says_how_long_it_wants_to_be_left_alone(
    stand: Stand, fault: Fault
) -> None:
    stand.fake.break_next("join", replace(fault))
    await CALLS["join"](stand)
    assert stand.pauses_s == [3.0]


async def test_a_pause_longer_than_the_deadline_is_not_begun(stand: Stand) -> None:
    fault = Fault("status", status=429, headers={"Retry-After": "3600"})
    stand.fake.break_next("join", fault)
    with pytest.raises(ConnectorRateLimited) as raised:
        await CALLS["join"](stand)
    assert raised.value.retry_after_s == 3600
    assert stand.pauses_s == []
    assert asked(stand, "join") == 1


async def test_health_is_asked_once(stand: Stand) -> None:
    stand.fake.break_next("health", Fault("status", status=500))
    with pytest.raises(ConnectorUnavailable):
        await stand.connector.health(deadline_s=DEADLINE_S)
    assert asked(stand, "health") == 1


async def test_a_gateway_that_calls_itself_down_is_not_healthy(stand: Stand) -> None:
    stand.fake.health_status = "down"
    health = await stand.connector.health(deadline_s=DEADLINE_S)
    assert not health.healthy
    assert health.details == {
        "status": "down",
        "mode": "fake",
        "version": "1.0.0",
        "capacity_used": "0",
        "capacity_max": "100",
    }


async def test_nobody_at_the_address_is_unavailable(unused_tcp_port: int) -> None:
    async with gateway_stand(base=f"http://127.0.0.1:{unused_tcp_port}") as stand:
        with pytest.raises(ConnectorUnavailable):
            await CALLS["session"](stand)


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (422, "bad_password", EndReason.BAD_PASSWORD),
        (403, "guests_disabled", EndReason.GUESTS_DISABLED),
        (404, "meeting_not_found", EndReason.MEETING_NOT_FOUND),
        (409, "capacity_exceeded", EndReason.CAPACITY_EXCEEDED),
    ],
)
async def test_a_refused_join_is_a_failed_session_that_says_why(
    stand: Stand, status: int, code: str, reason: EndReason
) -> None:
    stand.fake.break_next("join", Fault("status", status=status, code=code, times=0))
    joined = await stand.connector.join(ORDER, deadline_s=DEADLINE_S)
    assert (joined.state, joined.reason) == (SessionState.FAILED, reason)
    assert asked(stand, "join") == 1


async def test_neither_token_nor_link_stands_in_an_error(stand: Stand, call: str) -> None:
    echo = Fault("status", times=0, status=400, code=f"{ORDER.join_url}")
    await prepared(stand, call, echo)
    with pytest.raises(ConnectorBadRequest) as raised:
        await CALLS[call](stand)
    told = f"{raised.value} {raised.value.details} {ORDER} {stand.connector.gateway}"
    assert TOKEN not in told
    assert "secret" not in told


async def test_the_token_and_the_wishes_reach_the_gateway(stand: Stand) -> None:
    await CALLS["join"](stand)
    (request,) = stand.fake.calls("join")
    assert request.authorization == f"Bearer {TOKEN}"
    assert request.body == {
        "join_url": ORDER.join_url,
        "bot_name": ORDER.bot_name,
        "language": ORDER.language,
    }


@pytest.mark.parametrize("meeting_id", ["a/b", "..", "a%2Fb", "a?b", "a#b", "a\r\nb", "я"])
async def test_a_name_cannot_change_the_path(stand: Stand, meeting_id: str) -> None:
    """S11: each segment is quoted, whoever lets such a name through."""
    await stand.connector.session(meeting_id, deadline_s=DEADLINE_S)
    (request,) = stand.fake.journal
    assert (request.call, request.meeting_id) == ("session", meeting_id)


async def test_a_gateway_without_sessions_cannot_tell(stand: Stand) -> None:
    stand.fake.old = True
    assert await stand.connector.session("m1", deadline_s=DEADLINE_S) is None


async def test_the_original_paths_are_enough_for_sound(stand: Stand) -> None:
    stand.fake.old = True
    joined = await stand.connector.join(ORDER, deadline_s=DEADLINE_S)
    assert (joined.state, joined.epoch) == (SessionState.ACTIVE, 0)
    stand.fake.room("m1").say(b"\1\2\3\4")
    page = await stand.connector.live_chunks("m1", None, limit=5, deadline_s=DEADLINE_S)
    (chunk,) = page.chunks
    assert (chunk.body, chunk.seq, chunk.participant) == (b"\1\2\3\4", 0, None)
    assert (chunk.codec, chunk.sample_rate, chunk.channels) == ("pcm", 16_000, 1)
    await stand.connector.leave("m1", deadline_s=DEADLINE_S)
    assert stand.fake.active_bots() == []
    assert (await stand.connector.health(deadline_s=DEADLINE_S)).healthy


async def test_a_bot_that_the_gateway_has_forgotten_is_lost(stand: Stand) -> None:
    await CALLS["join"](stand)
    stand.fake.room("m1").put("gone")
    asked_for = await stand.connector.session("m1", deadline_s=DEADLINE_S)
    assert asked_for is not None
    assert (asked_for.state, asked_for.reason) == (SessionState.ENDED, EndReason.LOST)


async def test_chunks_that_are_none_are_counted_and_the_others_come(stand: Stand) -> None:
    await CALLS["join"](stand)
    room = stand.fake.room("m1")
    room.say(b"good", "p1")
    room.say(b"bad!", "p1", sha256="0" * 64)
    room.add({"id": "x", "content_b64": "%%%"}, {"seq": 1})
    page = await stand.connector.live_chunks("m1", None, limit=20, deadline_s=DEADLINE_S)
    assert [chunk.body for chunk in page.chunks] == [b"good"]
    assert page.invalid == 3
    assert page.next_cursor is not None


async def test_repeated_reversed_and_reset_pages_come_as_the_gateway_gives_them(
    stand: Stand,
) -> None:
    await CALLS["join"](stand)
    room = stand.fake.room("m1")
    for word in (b"aa", b"bb", b"cc"):
        room.say(word, "p1")
    stand.fake.reverses, stand.fake.repeats = True, 1
    first = await stand.connector.live_chunks("m1", None, limit=2, deadline_s=DEADLINE_S)
    second = await stand.connector.live_chunks(
        "m1", first.next_cursor, limit=2, deadline_s=DEADLINE_S
    )
    assert [chunk.body for chunk in first.chunks] == [b"bb", b"aa"]
    assert [chunk.body for chunk in second.chunks] == [b"cc", b"bb"]
    room.generation += 1
    again = await stand.connector.live_chunks(
        "m1", second.next_cursor, limit=2, deadline_s=DEADLINE_S
    )
    assert [chunk.chunk_id for chunk in again.chunks] == [chunk.chunk_id for chunk in first.chunks]
