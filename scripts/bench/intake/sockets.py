"""Sockets that send a chunk a second on a fixed schedule, and sockets that only listen."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from intake.load import CHUNK_BYTES, Load, Outcome, Sample
from intake.websocket_frames import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    client_frame,
    client_header,
    read_frame,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

_OPEN_AT_ONCE = 16
_OPEN_TIMEOUT_S = 30.0
_LEAD_S = 0.5
"""Between the last socket that opens and the first chunk."""
_NUMBER_BYTES = 8


class Refused(Exception):
    """The service did not take the socket; the text is a status or a code."""


class Socket:
    """One open socket, and what it was told."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.due_s: list[float] = []
        self.acked_s: dict[int, float] = {}
        self.updated_s: dict[int, float] = {}
        self.errors: list[str] = []
        self.late_ms: list[float] = []
        self.done = asyncio.Event()
        self._awaits_text = False
        self._reader = reader
        self._first_frame = 0

    @classmethod
    async def open(cls, load: Load, hello: dict[str, Any], answer: str) -> Socket:
        """Connect, say hello and wait for the answer. Raises `Refused`."""
        try:
            async with asyncio.timeout(_OPEN_TIMEOUT_S):
                socket = cls(*await _upgraded(load))
                socket.tell(hello)
                await socket._until(answer)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            raise Refused(type(error).__name__) from error
        return socket

    def tell(self, message: dict[str, Any]) -> None:
        """Send a text message."""
        self.writer.write(client_frame(TEXT, json.dumps(message).encode()))

    async def _until(self, answer: str) -> None:
        while True:
            message = json.loads((await read_frame(self._reader)).payload)
            if message["event_type"] == "error":
                raise Refused(str(message["code"]))
            if message["event_type"] == answer:
                self._first_frame = message.get("next_frame", 0)
                return

    async def send(self, body: bytes, due_s: Iterable[float], *, awaits_text: bool) -> None:
        """Send a chunk at each of these moments, or as soon after as the service reads on.

        Returns when all is acknowledged and, where that is asked for, has its text.
        """
        self.due_s, self._awaits_text = list(due_s), awaits_text
        header = client_header(BINARY, _NUMBER_BYTES + len(body))
        with contextlib.suppress(ConnectionError):
            for number, moment_s in enumerate(self.due_s, self._first_frame):
                wait_s = moment_s - time.monotonic()
                if wait_s > 0:
                    await asyncio.sleep(wait_s)
                    self.late_ms.append((time.monotonic() - moment_s) * 1000)
                self.writer.writelines([header, number.to_bytes(_NUMBER_BYTES, "big"), body])
                await self.writer.drain()
        await self.done.wait()

    async def read(self) -> None:
        """Note what comes until the socket is closed."""
        try:
            while True:
                opcode, payload = await read_frame(self._reader)
                if opcode == TEXT:
                    self._take(json.loads(payload), time.monotonic())
                elif opcode == PING:
                    self.writer.write(client_frame(PONG, payload))
                elif opcode == CLOSE:
                    self.errors.append(f"closed {int.from_bytes(payload[:2], 'big')}")
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            self.errors.append("cut")
        finally:
            self.done.set()

    def _take(self, message: dict[str, Any], now_s: float) -> None:
        match message["event_type"]:
            case "audio.ack":
                for frame in range(message["first_frame"], message["frame"] + 1):
                    self.acked_s[frame - self._first_frame] = now_s
            case "transcript.update":
                self.updated_s.setdefault(message["seq"], now_s)
            case "error":
                self.errors.append(message["code"])
        texts = len(self.updated_s) if self._awaits_text else len(self.due_s)
        if self.due_s and len(self.acked_s) == len(self.due_s) == texts:
            self.done.set()

    def samples(self, came_s: dict[int, float]) -> list[Sample]:
        """Return how long after their moments things came; each chunk has one number."""
        return [
            Sample(due_s, (came_s[at] - due_s) * 1000 if at in came_s else None)
            for at, due_s in enumerate(self.due_s)
        ]


async def _upgraded(load: Load) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    where = urlsplit(load.address)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    nonce = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET /v1/ws HTTP/1.1\r\nHost: {where.netloc}\r\nX-API-Key: {load.key}\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {nonce}\r\n\r\n".encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    status = head.split(maxsplit=2)[1].decode()
    if status != "101":
        writer.close()
        raise Refused(status)
    return reader, writer


async def send_streams(load: Load) -> Outcome:
    """Open every socket, let them speak and listen, and return what came back."""
    outcome = Outcome()
    speakers = await _open_all(load, map(_speaking, load.meetings), "session.ready", outcome)
    listeners = await _open_all(load, map(_listening, load.quiet), "meeting.status", outcome)
    sockets = [*speakers, *listeners]
    reading = [asyncio.create_task(each.read()) for each in sockets]
    body = os.urandom(CHUNK_BYTES)
    outcome.began_s = time.monotonic() + _LEAD_S
    # The moments of all streams lie evenly over each second.
    sending = [
        asyncio.create_task(
            each.send(
                body,
                load.moments_s(outcome.began_s + at / len(speakers)),
                awaits_text=load.awaits_text,
            )
        )
        for at, each in enumerate(speakers)
    ]
    if sending:
        await asyncio.wait(sending, timeout=_LEAD_S + load.seconds + load.drain_s)
    outcome.ended_s = time.monotonic()
    for each in sockets:
        outcome.refusals.update(each.errors)
        outcome.acks += each.samples(each.acked_s)
        outcome.updates += each.samples(each.updated_s)
        outcome.late_ms += each.late_ms
    for task in (*sending, *reading):
        task.cancel()
    await asyncio.gather(*sending, *reading, return_exceptions=True)
    for each in sockets:
        each.writer.transport.abort()
    return outcome


def _speaking(meeting_id: str) -> dict[str, Any]:
    return {"event_type": "session.start", "meeting_id": meeting_id, "language": "en"}


def _listening(meeting_id: str) -> dict[str, Any]:
    return {"event_type": "session.subscribe", "meeting_id": meeting_id}


async def _open_all(
    load: Load, hellos: Iterable[dict[str, Any]], answer: str, outcome: Outcome
) -> list[Socket]:
    places = asyncio.Semaphore(_OPEN_AT_ONCE)

    async def opened(hello: dict[str, Any]) -> Socket | None:
        async with places:
            try:
                return await Socket.open(load, hello, answer)
            except Refused as refused:
                outcome.refusals[str(refused)] += 1
                return None

    return [each for each in await asyncio.gather(*map(opened, hellos)) if each is not None]
