"""The queue of what a socket sends, and its one writer."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from aiohttp import WSMsgType

from interview_agent.web.live.outbox import ROOM, Outbox
from interview_agent.web.live.parting import Parted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Wire:
    """Notes what is written; while `reads` is not set, each write waits after it is done."""

    def __init__(self) -> None:
        self.written: list[tuple[WSMsgType, bytes]] = []
        self.reads = asyncio.Event()
        self.reads.set()

    async def send(self, payload: bytes, kind: WSMsgType) -> None:
        self.written.append((kind, payload))
        await self.reads.wait()

    @property
    def numbers(self) -> list[int]:
        return [json.loads(payload)["n"] for kind, payload in self.written]


async def settled() -> None:
    """Let every task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
async def writing(wire: Wire) -> AsyncIterator[tuple[Outbox, asyncio.Task[None]]]:
    outbox = Outbox(wire.send, send_timeout_s=0.2)
    task = asyncio.create_task(outbox.run())
    yield outbox, task
    task.cancel()
    with suppress(asyncio.CancelledError, Parted):
        await task


Writing = tuple[Outbox, "asyncio.Task[None]"]


async def test_everything_is_sent_once_and_in_order(wire: Wire, writing: Writing) -> None:
    outbox, _ = writing
    for number in range(200):
        outbox.tell({"n": number})
        if number % 7 == 0:
            await settled()
    await settled()
    assert wire.numbers == list(range(200))


async def test_text_is_utf_8_as_it_stands(wire: Wire, writing: Writing) -> None:
    outbox, _ = writing
    outbox.tell({"text": "Привет"})
    await settled()
    assert wire.written == [(WSMsgType.TEXT, '{"text":"Привет"}'.encode())]


async def test_a_feed_waits_while_the_client_does_not_read(wire: Wire, writing: Writing) -> None:
    outbox, _ = writing
    wire.reads.clear()

    async def feed() -> None:
        for number in range(1000):
            await outbox.offer({"n": number})

    pulling = asyncio.create_task(feed())
    await settled()
    assert not pulling.done()
    assert len(wire.written) == 1
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await outbox.room()
    wire.reads.set()
    await pulling
    await settled()
    assert wire.numbers == list(range(1000))


async def test_answers_find_room_even_when_feeds_have_filled_it(
    wire: Wire, writing: Writing
) -> None:
    outbox, _ = writing
    wire.reads.clear()
    for number in range(ROOM + 1):
        await outbox.offer({"n": number})
        await settled()
    outbox.tell({"n": -1})
    outbox.pong(b"x")
    outbox.ping()
    wire.reads.set()
    await settled()
    assert [kind for kind, _ in wire.written[-3:]] == [
        WSMsgType.TEXT,
        WSMsgType.PONG,
        WSMsgType.PING,
    ]


async def test_a_client_that_does_not_read_is_parted_from(wire: Wire, writing: Writing) -> None:
    outbox, task = writing
    wire.reads.clear()
    outbox.tell({"n": 0})
    with pytest.raises(Parted) as parted:
        await task
    assert parted.value.code == 1013


async def test_a_broken_connection_means_that_the_client_is_gone() -> None:
    async def broken(payload: bytes, kind: WSMsgType) -> None:
        raise ConnectionResetError(payload, kind)

    outbox = Outbox(broken, send_timeout_s=1)
    outbox.tell({})
    with pytest.raises(Parted) as parted:
        await outbox.run()
    assert parted.value.code == 1006


async def test_a_writer_that_is_stopped_leaves_the_rest_to_be_flushed(
    wire: Wire, writing: Writing
) -> None:
    outbox, task = writing
    wire.reads.clear()
    for number in range(5):
        outbox.tell({"n": number})
    await settled()
    task.cancel()
    await settled()
    wire.reads.set()
    await outbox.flush()
    assert wire.numbers == list(range(5))
