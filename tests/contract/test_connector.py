"""What every gateway to a platform has to do, the mock and the one over HTTP."""

from __future__ import annotations

import asyncio
import time
import wave
from pathlib import Path
from typing import TYPE_CHECKING

import pytest_asyncio

from fake_sberjazz import read_voice
from gateway_stand import gateway_stand
from interview_agent.adapters.sberjazz import MockGateway, open_voices
from interview_agent.domain.connector import EndReason, SessionState
from interview_agent.ports.connector import JoinOrder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest

    from interview_agent.ports.connector import Connector, GatewaySession, LiveChunk

DATA = Path(__file__).resolve().parents[1] / "data"
ANNA, BORIS = DATA / "libri_2412_0.wav", DATA / "0870_sense.wav"
PACE = 100.0
DEADLINE_S = 10.0


@pytest_asyncio.fixture(params=["mock", "http"])
async def connector(request: pytest.FixtureRequest) -> AsyncIterator[Connector]:
    """A gateway with two speakers, who speak a hundred times as fast as people do."""
    if request.param == "mock":
        voices = open_voices([f"Anna={ANNA}", f"Boris={BORIS}"])
        yield MockGateway(voices, clock=lambda: time.monotonic() * PACE)
        return
    async with gateway_stand() as stand:
        stand.fake.voices = [read_voice("Anna", ANNA), read_voice("Boris", BORIS)]
        stand.fake.pace = PACE
        yield stand.connector


def samples(path: Path) -> bytes:
    with wave.open(str(path), "rb") as file:
        return file.readframes(file.getnframes())


async def join(connector: Connector, meeting_id: str = "m1", key: str = "m1:1") -> GatewaySession:
    order = JoinOrder(meeting_id, key, "https://salutejazz.ru/calls/abc", "Bot", "en")
    return await connector.join(order, deadline_s=DEADLINE_S)


async def drain(connector: Connector, wanted_bytes: int, *, limit: int = 3) -> list[LiveChunk]:
    """Return what is said in `m1`, page by page, until so many bytes have come."""
    heard: list[LiveChunk] = []
    cursor: str | None = None
    async with asyncio.timeout(20):
        while sum(len(chunk.body) for chunk in heard) < wanted_bytes:
            page = await connector.live_chunks("m1", cursor, limit=limit, deadline_s=DEADLINE_S)
            assert page.invalid == 0
            assert len(page.chunks) <= limit
            cursor = page.next_cursor
            heard += page.chunks
            if not page.chunks:
                await asyncio.sleep(0.01)
    return heard


async def test_a_bot_that_was_sent_is_in_the_room_until_it_is_called_back(
    connector: Connector,
) -> None:
    joined = await join(connector)
    assert joined.state.connected
    asked = await connector.session("m1", deadline_s=DEADLINE_S)
    assert asked is not None
    assert (asked.state, asked.session_id, asked.epoch) == (
        SessionState.ACTIVE,
        joined.session_id,
        joined.epoch,
    )
    assert asked.reason is None
    assert asked.heartbeat_at is not None
    await connector.leave("m1", deadline_s=DEADLINE_S)
    left = await connector.session("m1", deadline_s=DEADLINE_S)
    assert left is not None
    assert (left.state, left.reason) == (SessionState.ENDED, EndReason.LEFT)


async def test_leaving_twice_or_where_nobody_was_is_fine(connector: Connector) -> None:
    await connector.leave("never", deadline_s=DEADLINE_S)
    await join(connector)
    await connector.leave("m1", deadline_s=DEADLINE_S)
    await connector.leave("m1", deadline_s=DEADLINE_S)


async def test_a_meeting_without_a_bot_is_ended_and_lost(connector: Connector) -> None:
    asked = await connector.session("never", deadline_s=DEADLINE_S)
    assert asked is not None
    assert (asked.state, asked.reason) == (SessionState.ENDED, EndReason.LOST)


async def test_the_same_order_means_the_same_bot_also_after_it_left(connector: Connector) -> None:
    first = await join(connector)
    assert (await join(connector)).epoch == first.epoch
    await connector.leave("m1", deadline_s=DEADLINE_S)
    again = await join(connector)
    assert (again.epoch, again.state) == (first.epoch, SessionState.ENDED)


async def test_another_order_means_another_bot_once_the_first_is_gone(
    connector: Connector,
) -> None:
    first = await join(connector, key="m1:1")
    assert (await join(connector, key="m1:2")).epoch == first.epoch
    await connector.leave("m1", deadline_s=DEADLINE_S)
    second = await join(connector, key="m1:3")
    assert second.epoch > first.epoch
    assert second.state.connected


async def test_participants_are_named(connector: Connector) -> None:
    joined = await join(connector)
    assert [each.name for each in joined.participants] == ["Anna", "Boris"]
    assert len({each.participant_id for each in joined.participants}) == 2


async def test_each_participant_is_heard_whole_and_in_order(connector: Connector) -> None:
    joined = await join(connector)
    wanted = {"Anna": samples(ANNA), "Boris": samples(BORIS)}
    heard = await drain(connector, sum(map(len, wanted.values())))
    assert {chunk.participant for chunk in heard} == set(joined.participants)
    for participant in joined.participants:
        chunks = [chunk for chunk in heard if chunk.participant == participant]
        assert [chunk.seq for chunk in chunks] == list(range(len(chunks)))
        assert b"".join(chunk.body for chunk in chunks) == wanted[participant.name or ""]
        assert all(chunk.duration_ms and chunk.captured_at_ms for chunk in chunks)
    assert len({chunk.chunk_id for chunk in heard}) == len(heard)
    assert {(chunk.codec, chunk.sample_rate, chunk.channels) for chunk in heard} == {
        ("pcm", 16_000, 1)
    }
    assert {chunk.epoch for chunk in heard} == {joined.epoch}


async def test_sound_comes_again_as_it_was_from_an_old_cursor(connector: Connector) -> None:
    await join(connector)
    heard = await drain(connector, 4 * 32_000, limit=100)
    first = await connector.live_chunks("m1", None, limit=3, deadline_s=DEADLINE_S)
    second = await connector.live_chunks("m1", first.next_cursor, limit=1, deadline_s=DEADLINE_S)
    assert [*first.chunks, *second.chunks] == heard[:4]


async def test_where_nothing_is_new_the_page_is_empty_and_the_cursor_stays(
    connector: Connector,
) -> None:
    await join(connector)
    everything = len(samples(ANNA)) + len(samples(BORIS))
    await drain(connector, everything, limit=100)
    last = await connector.live_chunks("m1", None, limit=100, deadline_s=DEADLINE_S)
    after = await connector.live_chunks("m1", last.next_cursor, limit=9, deadline_s=DEADLINE_S)
    assert len(after.chunks) == 0
    assert after.next_cursor == last.next_cursor


async def test_meetings_know_nothing_of_each_other(connector: Connector) -> None:
    await join(connector, "m1", "m1:1")
    await join(connector, "m2", "m2:1")
    await connector.leave("m2", deadline_s=DEADLINE_S)
    first = await connector.session("m1", deadline_s=DEADLINE_S)
    assert first is not None
    assert first.state.connected


async def test_what_was_said_before_the_bot_left_can_still_be_had(connector: Connector) -> None:
    await join(connector)
    before = await drain(connector, 2 * 32_000)
    await connector.leave("m1", deadline_s=DEADLINE_S)
    first = await connector.live_chunks("m1", None, limit=len(before), deadline_s=DEADLINE_S)
    assert list(first.chunks) == before


async def test_nothing_is_heard_after_the_bot_left(connector: Connector) -> None:
    await join(connector)
    await connector.leave("m1", deadline_s=DEADLINE_S)
    first = await connector.live_chunks("m1", None, limit=100, deadline_s=DEADLINE_S)
    await asyncio.sleep(3 / PACE)
    second = await connector.live_chunks("m1", None, limit=100, deadline_s=DEADLINE_S)
    assert list(second.chunks) == list(first.chunks)


async def test_it_is_healthy_and_says_how_it_works(connector: Connector) -> None:
    health = await connector.health(deadline_s=DEADLINE_S)
    assert health.healthy
    assert health.details["mode"]


async def test_it_has_a_name_and_something_to_count_failures_by(connector: Connector) -> None:
    assert connector.provider.startswith("sberjazz")
    assert connector.gateway
    assert "secret" not in connector.gateway
