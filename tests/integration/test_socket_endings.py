"""How sockets end: silence, clients that do not read, a process that stops."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest_asyncio

from interview_agent.domain.live import Partial
from interview_agent.domain.transcript import Word
from interview_agent.pipeline.live_ingest import LiveLimits
from interview_agent.web.live.limits import Patience, SocketLimits
from raw_socket import PING, TEXT, masked_frame, raw_socket
from socket_client import frame
from socket_server import SocketServer, served_sockets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from interview_agent.adapters.postgres import Database

HASTE = Patience(
    hello_s=0.5,
    ping_every_s=0.1,
    silence_s=0.5,
    send_s=0.5,
    no_audio_s=60.0,
    finish_s=0.5,
    farewell_s=2.0,
    close_s=0.5,
    tick_s=0.02,
)


@pytest_asyncio.fixture
async def server(database: Database, tmp_path: Path) -> AsyncIterator[SocketServer]:
    limits = SocketLimits(patience=HASTE)
    # Chunks so long that frames are acknowledged only when somebody makes it happen.
    live_limits = LiveLimits(chunk_s=60.0)
    async with served_sockets(database, tmp_path, limits=limits, live_limits=live_limits) as served:
        yield served


def start(meeting_id: str) -> bytes:
    return masked_frame(
        TEXT, b'{"event_type":"session.start","meeting_id":"%s"}' % meeting_id.encode()
    )


async def test_who_says_nothing_after_the_opening_is_closed(server: SocketServer) -> None:
    talk = await server.dial.open()
    assert await talk.closed() == 1008
    assert server.counted('agent_socket_closes_total{code="1008"}') == 1


async def test_a_client_that_answers_pings_may_be_silent(server: SocketServer) -> None:
    talk = await server.dial.open()
    await talk.start("m1")
    listening = asyncio.create_task(talk.socket.receive())
    done, _ = await asyncio.wait({listening}, timeout=4 * HASTE.silence_s)
    while done and listening.result().type.name == "TEXT":
        listening = asyncio.create_task(talk.socket.receive())
        done, _ = await asyncio.wait({listening}, timeout=4 * HASTE.silence_s)
    assert not done
    listening.cancel()


async def test_a_client_that_answers_nothing_is_gone_and_its_audio_is_kept(
    server: SocketServer,
) -> None:
    async with raw_socket(server.dial.address) as raw:
        await raw.write(start("m1") + masked_frame(2, frame(0, b"ab")))
        pings = 0
        while True:
            opcode, _ = await raw.frame()
            if opcode == 8:
                break
            pings += opcode == PING
        assert pings >= 2
        await raw.ended()
        assert await server.stored("m1") == b"ab"


async def test_a_connection_that_breaks_is_noticed_and_its_audio_is_kept(
    server: SocketServer,
) -> None:
    async with raw_socket(server.dial.address) as raw:
        await raw.write(start("m1") + masked_frame(2, frame(0, b"ab")))
        await raw.frame()
        talk = await server.dial.open()
        await talk.still_answers()
        raw.cut()
        async with asyncio.timeout(5):
            while server.counted('agent_socket_closes_total{code="1006"}') == 0:
                await talk.still_answers()
                await asyncio.sleep(0.1)
        resumed = await server.dial.open()
        await resumed.say("session.resume", meeting_id="m1")
        ready = await resumed.expect("session.ready")
        assert ready["next_frame"] == len(await server.stored("m1")) / 2


async def test_who_does_not_read_is_told_and_closed_and_nobody_waits(
    database: Database, tmp_path: Path
) -> None:
    patience = replace(Patience(), send_s=0.5, close_s=0.5)
    limits = SocketLimits(patience=patience)
    async with served_sockets(database, tmp_path, limits=limits) as server:
        await _overtake_a_sleeper(server)


async def _overtake_a_sleeper(server: SocketServer) -> None:
    owner = await server.dial.open("alice")
    await owner.start("m1")
    await owner.socket.close()
    reader = await server.dial.open("machine", "/v1/ws/internal")
    await reader.say("session.subscribe", meeting_id="m1")
    async with raw_socket(server.dial.address, "machine", "/v1/ws/internal") as raw:
        await raw.write(masked_frame(TEXT, b'{"event_type":"session.subscribe","meeting_id":"m1"}'))
        await raw.frame()
        words = (Word("a" * 2**18, 0.0, 1.0),)
        revision = 0
        async with asyncio.timeout(30):
            while server.counted('agent_socket_closes_total{code="1013"}') == 0:
                revision += 1
                partial = Partial("main", "s1", revision, words, 0, last_seq=0)
                server.broadcast.publish("m1", partial)
                await reader.expect("transcript.partial", revision=revision)
        code, texts = await raw.texts_until_close()
        assert code == 1013
        # What lay in the buffers of two kernels and of one connection; the rest was never made.
        assert len(texts) < revision
        await reader.still_answers()


async def test_a_process_that_stops_sends_every_ack_it_owes_and_closes_with_1012(
    server: SocketServer,
) -> None:
    talks = [await server.dial.open() for _ in range(3)]
    for number, talk in enumerate(talks):
        await talk.start(f"m{number}")
        await talk.frames(range(5), b"ab")
        await talk.still_answers()
        assert talk.acked() == []
    leaving = asyncio.create_task(server.sockets.close())
    for number, talk in enumerate(talks):
        assert await talk.closed() == 1012
        assert talk.acked() == list(range(5))
        assert await server.stored(f"m{number}") == b"ab" * 5
    async with asyncio.timeout(5):
        await leaving
    assert (await server.dial.refusal("alice"))[:2] == (503, "backpressure")


async def test_a_stop_waits_neither_for_a_hanging_store_nor_for_who_does_not_read(
    server: SocketServer,
) -> None:
    server.gate.open.clear()
    async with raw_socket(server.dial.address) as raw:
        await raw.write(start("m1") + masked_frame(2, frame(0, b"ab")))
        talk = await server.dial.open()
        await talk.start("m2")
        await talk.frames(range(1))
        async with asyncio.timeout(HASTE.finish_s + HASTE.farewell_s + 3 * HASTE.close_s + 6):
            await server.sockets.close()
        assert talk.acked() == []
        server.gate.open.set()


async def test_a_listener_is_told_of_the_restart_too(server: SocketServer) -> None:
    owner = await server.dial.open()
    await owner.start("m1")
    listener = await server.dial.open()
    await listener.say("session.subscribe", meeting_id="m1", last_event=0)
    await listener.expect("meeting.status")
    leaving = asyncio.create_task(server.sockets.close())
    assert await listener.closed() == 1012
    await leaving


async def test_patience_has_the_documented_values() -> None:
    assert Patience() == replace(
        HASTE,
        hello_s=30,
        ping_every_s=20,
        silence_s=45,
        send_s=10,
        no_audio_s=10,
        finish_s=5,
        farewell_s=10,
        close_s=5,
        tick_s=1,
    )
