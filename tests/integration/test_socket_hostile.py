"""Hostile and broken clients: one clear answer each, and nobody else is harmed."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from interview_agent.pipeline.live_ingest import LiveLimits
from interview_agent.web.live.limits import Patience, SocketLimits
from raw_socket import (
    BINARY,
    CLOSE,
    FINAL,
    PING,
    PONG,
    TEXT,
    masked_frame,
    raw_socket,
)
from socket_client import Dialler, Message, chunk, frame
from socket_server import SocketServer, served_sockets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from interview_agent.adapters.postgres import Database

PING_MESSAGE = b'{"event_type":"ping"}'
MIB = 2**20


@pytest_asyncio.fixture
async def server(database: Database, tmp_path: Path) -> AsyncIterator[SocketServer]:
    limits = SocketLimits(patience=replace(Patience(), close_s=1.0))
    live_limits = LiveLimits(chunk_s=0.05, frame_max_bytes=64_000)
    async with served_sockets(database, tmp_path, limits=limits, live_limits=live_limits) as served:
        yield served


@pytest.fixture
def dial(server: SocketServer) -> Dialler:
    return server.dial


MESSAGES: dict[str, tuple[str | Message, str]] = {
    "not JSON": ("not JSON", "bad_json"),
    "array": ("[]", "bad_json"),
    "number": ("17", "bad_json"),
    "20k deep": ("[" * 20_000 + "]" * 20_000, "bad_json"),
    "a million keys": ("{" + ",".join(f'"{n:x}":1' for n in range(10**5)) + "}", "bad_json"),
    "NaN": ('{"event_type":"ping","at":NaN}', "bad_json"),
    "lone surrogates": ('{"event_type":"ping","at":"\\udc00"}', "bad_json"),
    "unknown event": ({"event_type": "session.begin"}, "bad_event"),
    "no event": ({"meeting_id": "m1"}, "bad_event"),
    "meeting as a number": ({"event_type": "session.start", "meeting_id": 5}, "no_meeting_id"),
    "meeting as an object": ({"event_type": "audio.chunk", "meeting_id": {}}, "no_meeting_id"),
    "300 letters": ({"event_type": "session.start", "meeting_id": "m" * 300}, "validation"),
    "seq of letters": (chunk("m1", seq=0) | {"seq": "first"}, "validation"),
    "no base64": (chunk("m1") | {"content_b64": "%%%"}, "bad_audio"),
    "no audio": (chunk("m1") | {"content_b64": ""}, "bad_audio"),
    "unknown codec": (chunk("m1") | {"codec": "zip"}, "validation"),
    "unknown live codec": (
        {"event_type": "session.start", "meeting_id": "m1", "codec": "zip"},
        "validation",
    ),
    "stop without a session": ({"event_type": "session.stop"}, "no_session"),
    "resume of nothing": ({"event_type": "session.resume", "meeting_id": "m1"}, "not_found"),
    "subscription to nothing": (
        {"event_type": "session.subscribe", "meeting_id": "m1"},
        "not_found",
    ),
    "finish of nothing": ({"event_type": "meeting.finish", "meeting_id": "m1"}, "not_found"),
}


@pytest.mark.parametrize("case", MESSAGES, ids=lambda case: case)
async def test_a_malformed_message_gets_one_error_and_the_socket_lives(
    dial: Dialler, server: SocketServer, case: str
) -> None:
    message, code = MESSAGES[case]
    talk = await dial.open()
    await talk.socket.send_str(message if isinstance(message, str) else json.dumps(message))
    assert await talk.error() == code
    await talk.still_answers()
    assert [each["event_type"] for each in talk.heard] == ["error", "pong"]
    assert server.counted(f'agent_socket_errors_total{{code="{code}"}}') == 1


FRAMES = {
    "without a number": (b"\0" * 7, "bad_frame"),
    "without audio": (frame(1, b""), "bad_frame"),
    "repeated": (frame(0), "frame_repeated"),
    "out of order": (frame(7), "frame_gap"),
    "of an absurd number": (frame(2**64 - 1), "frame_gap"),
    "oversized": (frame(1, b"\0" * 64_000), "frame_too_large"),
}


@pytest.mark.parametrize("case", FRAMES, ids=lambda case: case)
async def test_a_bad_frame_gets_one_error_and_the_session_loses_nothing(
    dial: Dialler, server: SocketServer, case: str
) -> None:
    body, code = FRAMES[case]
    talk = await dial.open()
    await talk.start("m1")
    await talk.socket.send_bytes(frame(0, b"ab"))
    for _ in range(20):
        await talk.socket.send_bytes(body)
    error = await talk.expect("error")
    assert (error["code"], error["details"]["next_frame"]) == (code, 1)
    await talk.socket.send_bytes(frame(1, b"cd"))
    await talk.acked_up_to(1)
    await talk.still_answers()
    assert [each["event_type"] for each in talk.heard].count("error") == 1
    assert talk.acked() == [0, 1]
    assert await server.stored("m1") == b"abcd"


async def test_frames_without_a_session_get_one_error(dial: Dialler) -> None:
    talk = await dial.open()
    await talk.frames(range(50))
    assert await talk.error() == "no_session"
    await talk.still_answers()
    assert len(talk.heard) == 2


async def test_a_flood_of_refused_frames_ends_the_socket(dial: Dialler) -> None:
    talk = await dial.open()
    await talk.start("m1")
    await talk.frames(range(5, 1000), b"\0")
    assert await talk.closed() == 1008


async def test_ten_errors_within_a_minute_end_the_socket_and_lose_nothing(
    dial: Dialler, server: SocketServer
) -> None:
    talk = await dial.open()
    await talk.start("m1")
    await talk.frames(range(3), b"ab")
    for _ in range(30):
        await talk.socket.send_str("?")
    assert await talk.closed() == 1008
    errors = [each for each in talk.heard if each["event_type"] == "error"]
    assert len(errors) == 10
    assert talk.acked() == [0, 1, 2]
    assert await server.stored("m1") == b"ababab"
    assert server.counted('agent_socket_closes_total{code="1008"}') == 1


@pytest.mark.parametrize(
    ("event_type", "code"),
    [
        ("session.subscribe", "not_found"),
        ("session.resume", "not_found"),
        ("meeting.finish", "not_found"),
        ("session.start", "conflict"),
        ("audio.chunk", "conflict"),
    ],
)
async def test_a_meeting_of_others_is_like_none_and_the_third_try_is_the_last(
    dial: Dialler, server: SocketServer, event_type: str, code: str
) -> None:
    owner = await dial.open("alice")
    await owner.start("m1")
    await owner.frames(range(1))
    await owner.acked_up_to(0)
    thief = await dial.open("bob")
    for _ in range(3):
        await thief.send(chunk("m1") | {"event_type": event_type})
    assert await thief.closed() == 1008
    assert [each["event_type"] for each in thief.heard] == ["error"] * 3
    assert {each["code"] for each in thief.heard} == {code}
    assert not any("details" in each or "meeting_id" in each for each in thief.heard)
    assert await server.stored("m1") == b"\0" * 3200
    await owner.frames(range(1, 2))
    await owner.acked_up_to(1)


async def test_a_foreign_meeting_is_told_as_an_absent_one(dial: Dialler) -> None:
    owner = await dial.open("alice")
    await owner.start("m1")
    told: list[Any] = []
    for meeting_id in ("m1", "absent"):
        thief = await dial.open("bob")
        await thief.say("session.subscribe", meeting_id=meeting_id)
        await thief.error()
        told.append(thief.heard)
    assert told[0] == told[1]


async def test_a_service_follows_the_meetings_of_all(dial: Dialler) -> None:
    owner = await dial.open("alice")
    await owner.start("m1")
    machine = await dial.open("machine", "/v1/ws/internal")
    await machine.say("session.subscribe", meeting_id="m1")
    assert (await machine.next())["event_type"] == "meeting.status"


async def test_a_socket_follows_a_bounded_number_of_meetings(dial: Dialler) -> None:
    talk = await dial.open()
    for number in range(16):
        await talk.start(f"m{number}")
        await talk.say("session.stop")
        await talk.expect("session.stopped")
        # Slower than the rate that is allowed.
        await asyncio.sleep(0.12)
    await talk.say("session.start", meeting_id="m16")
    await talk.expect("error", code="too_many_meetings")
    await talk.start("m3", track="another")


FRAMING = {
    "bad UTF-8": (masked_frame(TEXT, b"\xff\xfe"), 1007),
    "reserved opcode": (masked_frame(0x3, b""), 1002),
    "reserved bit": (masked_frame(TEXT, PING_MESSAGE, first_byte=FINAL | 0x40 | TEXT), 1002),
    "close code that must not be sent": (masked_frame(CLOSE, (1005).to_bytes(2, "big")), 1002),
    "long ping": (masked_frame(PING, b"x" * 126), 1002),
    "fragmented ping": (masked_frame(PING, b"x", first_byte=PING), 1002),
    "continuation of nothing": (masked_frame(0x0, b"x"), 1002),
    "message past 1 MiB": (masked_frame(BINARY, b"\0" * (MIB + 1)), 1009),
    "announced terabyte": (masked_frame(BINARY, b"x", claims_bytes=2**40), 1009),
    "announced length past 63 bits": (masked_frame(BINARY, b"x", claims_bytes=2**64 - 1), 1009),
    "fragments past 1 MiB": (
        masked_frame(TEXT, b"x" * 2**19, first_byte=TEXT)
        + masked_frame(0, b"x" * 2**19, first_byte=0)
        + masked_frame(0, b"x"),
        1009,
    ),
}


@pytest.mark.parametrize("case", FRAMING, ids=lambda case: case)
async def test_broken_framing_is_closed_with_its_code(
    dial: Dialler, server: SocketServer, case: str
) -> None:
    data, code = FRAMING[case]
    async with raw_socket(dial.address) as raw:
        await raw.write(data)
        assert (await raw.texts_until_close())[0] == code
        await raw.ended()
        await (await dial.open()).still_answers()
        assert server.counted(f'agent_socket_closes_total{{code="{code}"}}') == 1


async def test_a_message_of_1_mib_is_read(dial: Dialler) -> None:
    talk = await dial.open()
    head = b'{"event_type":"ping","x":"'
    await talk.socket.send_str((head + b"x" * (MIB - len(head) - 2) + b'"}').decode())
    await talk.expect("pong")


async def test_a_message_in_single_bytes_is_read(dial: Dialler) -> None:
    async with raw_socket(dial.address) as raw:
        data = masked_frame(TEXT, PING_MESSAGE)
        await raw.write_in_bits(data[at : at + 1] for at in range(len(data)))
        assert json.loads((await raw.frame())[1])["event_type"] == "pong"


async def test_unmasked_frames_are_read_nevertheless(dial: Dialler) -> None:
    async with raw_socket(dial.address) as raw:
        await raw.write(masked_frame(TEXT, PING_MESSAGE, masked=False))
        assert json.loads((await raw.frame())[1])["event_type"] == "pong"


async def test_what_comes_after_a_close_is_ignored(dial: Dialler, server: SocketServer) -> None:
    async with raw_socket(dial.address) as raw:
        await raw.write(
            masked_frame(CLOSE, (1000).to_bytes(2, "big")) + masked_frame(TEXT, PING_MESSAGE)
        )
        assert await raw.texts_until_close() == (1000, [])
        await raw.ended()
        assert server.counted('agent_socket_messages_total{type="ping"}') == 0


FLOODS = {
    "pings": masked_frame(PING),
    "pongs": masked_frame(PONG),
    "empty texts": masked_frame(TEXT),
    "ping messages": masked_frame(TEXT, PING_MESSAGE),
}


@pytest.mark.parametrize("case", FLOODS, ids=lambda case: case)
async def test_a_flood_of_controls_ends_the_socket(
    dial: Dialler, server: SocketServer, case: str
) -> None:
    neighbour = await dial.open()
    async with raw_socket(dial.address) as raw:
        await raw.write(FLOODS[case] * 5_000)
        code, _ = await raw.texts_until_close()
        assert code == 1008
        await raw.ended()
        await neighbour.still_answers()
        taken = sum(
            server.counted(f'agent_socket_messages_total{{type="{kind}"}}')
            for kind in ("control", "ping")
        )
        assert taken <= 23


async def test_a_ping_is_answered_with_what_it_says(dial: Dialler) -> None:
    async with raw_socket(dial.address) as raw:
        await raw.write(masked_frame(PING, b"are you there?"))
        assert await raw.frame() == (PONG, b"are you there?")
