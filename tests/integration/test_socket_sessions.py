"""Audio sessions on sockets: every frame durable, acknowledged once, whatever happens."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest_asyncio

from interview_agent.pipeline.live_ingest import LiveLimits
from interview_agent.web.live.limits import Patience, SocketLimits
from raw_socket import BINARY, TEXT, masked_frame, raw_socket
from socket_client import Dialler, frame
from socket_server import SocketServer, served_sockets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from interview_agent.adapters.postgres import Database
    from socket_client import Talk

IN_FLIGHT = 8


@pytest_asyncio.fixture
async def server(database: Database, tmp_path: Path) -> AsyncIterator[SocketServer]:
    limits = LiveLimits(chunk_s=0.05, max_in_flight=IN_FLIGHT)
    async with served_sockets(database, tmp_path, live_limits=limits) as served:
        yield served


@pytest_asyncio.fixture
async def dial(server: SocketServer) -> Dialler:
    return server.dial


def audio(number: int) -> bytes:
    """Return 100 ms of sound that tells which frame it is."""
    return number.to_bytes(4, "big") * 800


async def send(talk: Talk, numbers: range) -> None:
    for number in numbers:
        await talk.socket.send_bytes(frame(number, audio(number)))


async def test_frames_are_durable_when_they_are_acknowledged(
    dial: Dialler, server: SocketServer
) -> None:
    talk = await dial.open()
    ready = await talk.start("m1", track="anna", language="en")
    assert ready | {"last_event": 0, "next_frame": 0, "max_in_flight": IN_FLIGHT} == ready
    await send(talk, range(30))
    await talk.acked_up_to(29)
    assert talk.acked() == list(range(30))
    assert await server.stored("m1", "anna") == b"".join(map(audio, range(30)))
    assert talk.heard[-1]["committed_s"] == 3.0
    await talk.say("session.stop")
    stopped = await talk.expect("session.stopped")
    assert (stopped["track"], stopped["next_frame"]) == ("anna", 30)


async def test_a_stop_acknowledges_what_was_still_buffered(dial: Dialler) -> None:
    talk = await dial.open()
    await talk.start("m1")
    await talk.socket.send_bytes(frame(0, b"\1\2"))
    await talk.say("session.stop")
    await talk.expect("session.stopped")
    assert talk.acked() == [0]


async def test_a_socket_may_send_one_track_after_another(
    dial: Dialler, server: SocketServer
) -> None:
    talk = await dial.open()
    for track in ("anna", "boris"):
        await talk.start("m1", track=track)
        await send(talk, range(3))
        await talk.say("session.stop")
        await talk.expect("session.stopped", track=track)
    assert await server.stored("m1", "anna") == await server.stored("m1", "boris")


async def test_a_second_session_on_a_socket_is_refused_and_the_first_goes_on(
    dial: Dialler,
) -> None:
    talk = await dial.open()
    await talk.start("m1")
    await talk.say("session.start", meeting_id="m1", track="other")
    await talk.expect("error", code="session_open")
    await send(talk, range(3))
    await talk.acked_up_to(2)


async def test_a_client_that_was_cut_off_goes_on_where_it_was(
    dial: Dialler, server: SocketServer
) -> None:
    sent = 0
    acked: list[int] = []
    for attempt in range(6):
        talk = await dial.open()
        if attempt == 0:
            ready = await talk.start("m1")
        else:
            await talk.say("session.resume", meeting_id="m1", track="main", last_event=0)
            ready = await talk.expect("session.ready")
        # What is durable without an acknowledgement that we saw counts as acknowledged.
        acked.extend(range(len(acked), ready["next_frame"]))
        sent = ready["next_frame"]
        assert len(acked) == sent
        await send(talk, range(sent, sent + 7))
        if attempt % 2:
            await talk.expect("audio.ack")
        acked.extend(number for number in talk.acked() if number >= len(acked))
        assert talk.socket._response.connection is not None
        talk.socket._response.connection.transport.abort()
    talk = await dial.open()
    await talk.say("session.resume", meeting_id="m1")
    ready = await talk.expect("session.ready")
    last = ready["next_frame"] + 4
    await send(talk, range(ready["next_frame"], last + 1))
    await talk.acked_up_to(last)
    assert talk.acked() == list(range(ready["next_frame"], last + 1))
    assert await server.stored("m1") == b"".join(map(audio, range(last + 1)))


async def test_two_sockets_that_race_for_a_track_lose_and_double_nothing(
    dial: Dialler, server: SocketServer
) -> None:
    acked: list[int] = []

    async def sender() -> None:
        for _ in range(4):
            talk = await dial.open()
            await talk.say("session.start", meeting_id="m1")
            try:
                ready = await talk.expect("session.ready")
                first = ready["next_frame"]
                await send(talk, range(first, first + 5))
                await talk.acked_up_to(first + 4)
            except (AssertionError, ConnectionError):
                # Told that the other one has the track.
                assert talk.socket.closed
            acked.extend(talk.acked())
            await talk.socket.close()

    async with asyncio.TaskGroup() as group:
        group.create_task(sender())
        group.create_task(sender())
    stored = await server.stored("m1")
    frames = len(stored) // 3200
    assert stored == b"".join(map(audio, range(frames)))
    assert len(acked) == len(set(acked))
    assert set(acked) <= set(range(frames))


async def test_the_older_of_two_sockets_is_told_and_closed(dial: Dialler) -> None:
    older, newer = await dial.open(), await dial.open()
    await older.start("m1")
    await send(older, range(3))
    await older.acked_up_to(2)
    ready = await newer.start("m1")
    assert ready["next_frame"] == 3
    assert await older.closed() == 1008
    assert [message["code"] for message in older.heard if message["event_type"] == "error"] == [
        "session_taken"
    ]
    await send(newer, range(3, 6))
    await newer.acked_up_to(5)


async def test_while_nothing_can_be_stored_the_server_stops_reading(
    dial: Dialler, server: SocketServer
) -> None:
    server.gate.open.clear()
    talk = await dial.open()
    await talk.start("m1")
    async with raw_socket(dial.address) as raw:
        await raw.write(masked_frame(TEXT, b'{"event_type":"session.start","meeting_id":"m2"}'))

        async def flood() -> None:
            for number in range(10_000):
                await raw.write(masked_frame(BINARY, frame(number, audio(number))))

        flooding = asyncio.create_task(flood())
        done, _ = await asyncio.wait({flooding}, timeout=1.0)
        # 32 MB did not fit into the buffers of two kernels and a process that reads no more.
        assert not done
        assert server.counted('agent_socket_messages_total{type="frame"}') <= IN_FLIGHT + 2
        await talk.still_answers()
        flooding.cancel()
        await asyncio.wait({flooding})


async def test_the_meeting_can_be_finished_on_the_socket_that_sends_it(
    dial: Dialler, server: SocketServer
) -> None:
    talk = await dial.open()
    await talk.start("m1")
    await send(talk, range(2))
    await talk.say("meeting.finish", meeting_id="m1")
    await talk.expect("session.stopped")
    await talk.expect("meeting.status", meeting_id="m1")
    assert talk.acked() == [0, 1]
    assert (await server.archive.meeting("m1")).meeting.finish_requested


async def test_whoever_sends_no_audio_is_alerted_once_and_told_when_it_is_over(
    database: Database, tmp_path: Path
) -> None:

    patience = replace(Patience(), no_audio_s=0.2, tick_s=0.02)
    async with served_sockets(database, tmp_path, limits=SocketLimits(patience=patience)) as server:
        talk = await server.dial.open()
        await talk.start("m1")
        alert = await talk.expect("alert", code="no_audio", track="main")
        assert alert["since_s"] >= 0.2
        await talk.still_answers()
        await send(talk, range(1))
        assert (await talk.expect("alert"))["since_s"] == 0
        assert [each["event_type"] for each in talk.heard].count("alert") == 2
