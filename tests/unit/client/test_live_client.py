"""A client that loses its connection loses no frame, no event, and sends and sees none twice."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from aiohttp import ClientSession

from interview_agent.client.connection import Patience
from interview_agent.client.live_client import LiveClient, TrackRequest
from interview_agent.domain.errors import Refused
from live_stand_in import StandIn, standing_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

PATIENCE = Patience(answer_s=5, backoff_base_s=0.005, backoff_limit_s=0.02)
SOUND = [bytes([number]) * 10 for number in range(20)]


@pytest_asyncio.fixture
async def server() -> AsyncIterator[StandIn]:
    async with standing_in() as stand_in:
        yield stand_in


@asynccontextmanager
async def client_of(server: StandIn, **options: Any) -> AsyncIterator[LiveClient]:
    async with (
        ClientSession() as http,
        LiveClient(
            http, server.address, TrackRequest("m1"), **{"patience": PATIENCE, **options}
        ) as client,
    ):
        yield client


async def until(check: Callable[[], object], timeout_s: float = 5.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not check():
            await asyncio.sleep(0.001)


async def send_all(client: LiveClient, sound: list[bytes] = SOUND) -> None:
    for piece in sound:
        await client.send(piece)
    await client.stop()


async def test_every_frame_arrives_in_order_and_the_track_is_stopped(server: StandIn) -> None:
    async with client_of(server) as client:
        await send_all(client)
    assert server.frames == SOUND
    assert [each["event_type"] for each in server.received] == ["session.start", "session.stop"]


async def test_frames_whose_acks_were_lost_are_not_sent_again_and_the_others_are(
    server: StandIn,
) -> None:
    server.cut_after = {2, 9, 19}
    async with client_of(server) as client:
        await send_all(client)
        assert client.connections == 4
    assert server.frames == SOUND
    assert len(server.of_type("session.resume")) == 3


async def test_no_more_frames_than_allowed_wait_for_their_acks(server: StandIn) -> None:
    server.acking.clear()
    async with client_of(server) as client:
        sending = asyncio.create_task(send_all(client))
        await until(lambda: len(server.frames) == 4)
        assert not await _happens(lambda: len(server.frames) > 4)
        server.acking.set()
        await server.acknowledge()
        await sending
    assert server.most_unacknowledged == 4
    assert server.frames == SOUND


async def test_the_source_waits_while_too_much_is_kept(server: StandIn) -> None:
    server.acking.clear()
    async with client_of(server, buffer_bytes=100) as client:
        sending = asyncio.create_task(send_all(client))
        await until(lambda: client.next_frame == 10)
        assert not await _happens(lambda: client.next_frame > 10)
        server.acking.set()
        await server.acknowledge()
        await sending
    assert server.frames == SOUND


async def test_events_are_seen_once_each_over_broken_connections(server: StandIn) -> None:
    seen: list[int] = []
    await server.publish()

    def note(message: dict[str, Any]) -> None:
        if "event" in message:
            seen.append(message["event"])

    async with client_of(server, on_message=note) as client:
        await until(lambda: server.sockets)
        await server.publish()
        await until(lambda: client.last_event == 2)
        server.cut()
        await server.publish()
        await server.publish("transcript.retract", segment_id="s")
        await until(lambda: client.last_event == 4)
        await server.tell(server.events[3])
        await server.publish()
        await until(lambda: client.last_event == 5)
    assert seen == [2, 3, 4, 5]


async def test_an_event_that_is_missing_is_asked_for_once_more(server: StandIn) -> None:
    async with client_of(server) as client:
        await until(lambda: server.sockets)
        server.events.append({"event_type": "transcript.update", "event": 1})
        await server.publish()
        await until(lambda: client.last_event == 2)
        assert client.connections == 2
    assert [each["last_event"] for each in server.of_type("session.resume")] == [0]


async def test_a_client_goes_on_listening_after_its_track_and_asks_to_finish_again(
    server: StandIn,
) -> None:
    async with client_of(server) as client:
        await send_all(client)
        client.finish()
        await until(lambda: server.of_type("meeting.finish"))
        server.cut()
        await until(lambda: len(server.of_type("meeting.finish")) == 2)
        await server.publish()
        await until(lambda: client.last_event == 1)
    assert len(server.of_type("session.subscribe")) == 1


async def test_a_large_piece_goes_in_frames_that_the_service_takes(server: StandIn) -> None:
    async with client_of(server) as client:
        await send_all(client, [b"x" * 3000])
    assert [len(frame) for frame in server.frames] == [1016, 1016, 968]


async def test_a_track_that_was_sent_before_goes_on_under_its_numbers(server: StandIn) -> None:
    server.frames = [b"earlier"] * 3
    async with client_of(server) as client:
        await send_all(client)
    assert server.frames == [b"earlier"] * 3 + SOUND


@pytest.mark.parametrize("status", [401, 403, 404, 426])
async def test_a_denial_ends_the_client_with_a_sentence(server: StandIn, status: int) -> None:
    server.denials.append((status, {}))
    with pytest.raises(Refused, match=" "):
        async with client_of(server):
            pass


async def test_a_service_that_is_full_is_asked_again_no_sooner_than_it_said(
    server: StandIn,
) -> None:
    troubles: list[str | None] = []
    server.denials.append((503, {"Retry-After": "1"}))
    server.openings.append(
        {
            "event_type": "error",
            "code": "backpressure",
            "message": "full",
            "retryable": True,
            "details": {"retry_after_s": 1},
        }
    )
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    async with client_of(server, on_trouble=troubles.append) as client:
        assert loop.time() - began_s >= 2
        await send_all(client)
    assert [trouble is None for trouble in troubles] == [False, False, True]


@pytest.mark.parametrize("code", ["conflict", "consent_denied", "not_found"])
async def test_a_track_that_is_refused_ends_the_client(server: StandIn, code: str) -> None:
    server.openings.append(
        {"event_type": "error", "code": code, "message": "no", "retryable": False}
    )
    with pytest.raises(Refused, match=code):
        async with client_of(server):
            pass


async def test_a_track_that_another_client_took_ends_the_one_that_had_it(server: StandIn) -> None:
    async with client_of(server) as client:
        await until(lambda: server.sockets)
        await server.tell({"event_type": "error", "code": "session_taken", "retryable": False})
        with pytest.raises(Refused, match="session_taken"):
            await client.stop()


async def test_a_track_that_an_earlier_connection_of_ours_took_late_is_taken_back_once(
    server: StandIn,
) -> None:
    taken = {"event_type": "error", "code": "session_taken", "retryable": False}
    async with client_of(server) as client:
        await until(lambda: server.sockets)
        await server.close(1012, b"restart")
        await until(lambda: client.connections == 2 and server.sockets)
        await server.tell(taken)
        await until(lambda: client.connections == 3 and server.sockets)
        await server.tell(taken)
        with pytest.raises(Refused, match="session_taken"):
            await client.stop()


async def test_a_close_for_abuse_ends_the_client_and_one_for_a_restart_does_not(
    server: StandIn,
) -> None:
    async with client_of(server) as client:
        await until(lambda: server.sockets)
        await server.close(1012, b"restart")
        await until(lambda: client.connections == 2 and server.sockets)
        await server.close(1008, b"rate")
        with pytest.raises(Refused, match="rate"):
            await client.stop()


async def test_trouble_that_the_service_can_cure_is_told_until_it_is_over(server: StandIn) -> None:
    troubles: list[str | None] = []
    async with client_of(server, on_trouble=troubles.append) as client:
        await until(lambda: server.sockets)
        await server.tell(
            {"event_type": "error", "code": "storage_error", "message": "disk", "retryable": True}
        )
        await until(lambda: troubles)
        await client.send(b"x")
        await until(lambda: len(troubles) == 2)
        assert client.connections == 1
    assert troubles == ["disk", None]


async def test_acks_that_are_out_of_turn_are_not_believed(server: StandIn) -> None:
    server.acking.clear()
    async with client_of(server) as client:
        await client.send(b"zero")
        await client.send(b"one")
        await until(lambda: len(server.frames) == 2)
        await server.tell(
            {"event_type": "audio.ack", "track": "main", "first_frame": 1, "frame": 1}
        )
        await until(lambda: client.connections == 2)
        server.acking.set()
        await client.stop()
    assert server.frames == [b"zero", b"one"]


async def test_a_service_that_forgot_acknowledged_frames_is_not_sent_any_more(
    server: StandIn,
) -> None:
    async with client_of(server) as client:
        await client.send(b"zero")
        await client.send(b"one")
        await until(lambda: client._window.is_empty)
        server.frames.clear()
        server.cut()
        with pytest.raises(Refused, match="lost frames 0 to 1"):
            await client.stop()


async def _happens(check: Callable[[], bool]) -> bool:
    """Say whether it comes true while everybody has had a hundred turns."""
    for _ in range(100):
        await asyncio.sleep(0)
        if check():
            return True
    return False
