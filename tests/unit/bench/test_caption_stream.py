"""The speaker of the benchmark against a service that is scripted."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from aiohttp import ClientSession, WSMsgType, web
from aiohttp.test_utils import TestServer

from captions.delays import committed_words, measure
from captions.stream import FRAME_S, StreamRefused, open_stream
from captions.words import TimedWord

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class ScriptedService:
    """Captions one word at its second frame and commits it at its fourth."""

    def __init__(self, refusal: str | None = None) -> None:
        self.refusal = refusal
        self.frames: list[tuple[int, int, float]] = []
        self.told: list[dict[str, Any]] = []
        self._socket = web.WebSocketResponse()

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        await self._socket.prepare(request)
        async for message in self._socket:
            if message.type is WSMsgType.TEXT:
                self.told.append(json.loads(message.data))
                await self._answer(self.told[-1])
            else:
                number = int.from_bytes(message.data[:8], "big")
                self.frames.append((number, len(message.data) - 8, time.monotonic()))
                await self._caption(number)
        return self._socket

    async def _answer(self, message: dict[str, Any]) -> None:
        if self.refusal:
            await self._socket.send_json({"event_type": "error", "code": self.refusal})
        elif message["event_type"] == "session.start":
            await self._socket.send_json({"event_type": "session.ready", "next_frame": 7})
        elif message["event_type"] == "session.stop":
            await self._socket.send_json({"event_type": "session.stopped"})

    async def _caption(self, number: int) -> None:
        await self._say("audio.ack", first_frame=number, frame=number)
        word = {"text": "Word.", "start": 0.0, "end": 0.1}
        segment = {"segment_id": "s", "words": [word]}
        if number == 8:
            await self._say("transcript.partial", **segment, committed=0)
        if number == 10:
            other = {"segment_id": "t", "words": [{"text": "foreign", "start": 0, "end": 1}]}
            await self._say("transcript.update", **other, event=1, on="another")
            await self._say("transcript.update", **segment, event=2)

    async def _say(self, event_type: str, on: str = "main", **fields: Any) -> None:
        await self._socket.send_json({"event_type": event_type, "track": on, **fields})


@contextlib.asynccontextmanager
async def serving(service: ScriptedService) -> AsyncIterator[tuple[ClientSession, str]]:
    app = web.Application()
    app.router.add_get("/v1/ws", service.handle)
    async with TestServer(app) as server, ClientSession() as http:
        yield http, str(server.make_url("")).rstrip("/")


async def test_frames_are_numbered_from_the_next_one_and_sent_when_they_have_been_spoken() -> None:
    service = ScriptedService()
    async with (
        serving(service) as (http, address),
        open_stream(http, address, "m", "main") as stream,
    ):
        await stream.start("en")
        begin_s = time.monotonic()
        await stream.speak(np.ones(5000, np.int16), begin_s)
        await stream.stop()
    assert [number for number, _, _ in service.frames] == list(range(7, 7 + len(service.frames)))
    assert {size for _, size, _ in service.frames} == {3200}
    for number, _, at_s in service.frames:
        assert at_s >= begin_s + (number - 6) * FRAME_S - 0.01
    assert service.told[0]["language"] == "en"
    assert service.told[-1]["event_type"] == "session.stop"


async def test_speaking_ends_when_what_was_shown_has_stood_for_a_while() -> None:
    service = ScriptedService()
    async with (
        serving(service) as (http, address),
        open_stream(http, address, "m", "main") as stream,
    ):
        await stream.start("en")
        begin_s = time.monotonic()
        await stream.speak(np.ones(1600, np.int16), begin_s)
        took_s = time.monotonic() - begin_s
        captions = stream.log.since(begin_s)
    assert 4.0 < took_s < 10.0
    delays = measure([TimedWord("word", 0.0, 0.1)], captions)
    second, fourth = (service.frames[at][2] - begin_s for at in (1, 3))
    assert second - 0.1 <= delays.shown_s[0] < second + 0.4
    assert fourth - 0.1 <= delays.committed_s[0] < fourth + 0.4
    assert [word.text for word in committed_words(captions)] == ["word"]
    assert stream.log.acked_frame >= 10
    assert stream.log.errors == []


async def test_a_refused_stream_names_the_code() -> None:
    async with (
        serving(ScriptedService("backpressure")) as (http, address),
        open_stream(http, address, "m", "main") as stream,
    ):
        with pytest.raises(StreamRefused, match=r"^backpressure$"):
            await stream.start("en")


async def test_a_service_without_a_socket_is_refused_with_its_status() -> None:
    async with serving(ScriptedService()) as (http, address):
        with pytest.raises(StreamRefused, match="404"):
            async with open_stream(http, address + "/nowhere", "m", "main"):
                pass
